use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::model::clock::Clock;
use crate::model::event::Event;
use crate::model::timestamp::Timestamp;
use crate::storage::{HistoryFilter, Ingest, Ingested, Ledger};

const START: Timestamp = Timestamp::from_secs(1_750_000_000);

fn ingest(route: Route, ids: &[String]) -> Ingest {
    Ingest {
        source: "production".to_owned(),
        route,
        events: ids.iter().map(|id| Event::bare(id, START)).collect(),
        unreadable: Vec::new(),
        targets: vec!["siem".to_owned()],
        coverage: None,
        request: None,
        shown: None,
        learnt: None,
    }
}

/// A ledger with its daemon's and another process's way into it.
async fn ledgers() -> (tempfile::TempDir, [Ledger; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let clock = Clock::manual(START);
    clock.advance(Duration::from_mins(1));
    let ledger = Ledger::open(&path, clock.clone()).await.unwrap();
    ledger.insert_targets(vec!["siem".to_owned()]).await.unwrap();
    let beside = Ledger::open_beside(&path, clock).await.unwrap();
    (folder, [ledger, beside])
}

#[tokio::test]
async fn news_is_presumed_after_news_and_doubted_after_anything_else() {
    let (_folder, [ledger, beside]) = ledgers().await;
    let presumed = || ledger.store.presumed.next(Route::Push);
    let push = async |ledger: &Ledger, id: &str| {
        let ingested = ledger.ingest(ingest(Route::Push, &[id.to_owned()])).await.unwrap();
        (ingested.new, ingested.last_sequence)
    };
    assert_eq!(presumed(), None, "nothing is known yet");
    assert_eq!((push(&ledger, "a").await, presumed()), ((1, 1), Some(2)));
    assert_eq!((push(&ledger, "b").await, presumed()), ((1, 2), Some(3)));
    assert_eq!((push(&ledger, "a").await, presumed()), ((0, 2), None), "it was there");
    assert_eq!((push(&ledger, "c").await, presumed()), ((1, 3), Some(4)));
    assert_eq!(push(&beside, "d").await, (1, 4));
    assert_eq!((push(&ledger, "e").await, presumed()), ((1, 5), Some(6)), "4 was taken");
    assert_eq!(ledger.store.presumed.next(Route::Poll), None, "each route for itself");
}

/// One ingest: by whom, by which route, and what it brings.
#[derive(Clone, Debug)]
struct Step {
    by: usize,
    route: Route,
    /// Ids that others may bring too; none: so many new ones.
    ids: Vec<u8>,
    new: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let route = prop_oneof![Just(Route::Poll), Just(Route::Push)];
    let ids = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(0..9_u8, 1..5)];
    (prop_oneof![4 => Just(0_usize), 1 => Just(1)], route, ids, 1..80_usize)
        .prop_map(|(by, route, ids, new)| Step { by, route, ids, new })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever two processes bring by two routes, it comes to what it would come to if the
    /// ledger were asked each time.
    #[test]
    fn presuming_changes_nothing_that_is_stored(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(replay(steps))?;
    }
}

async fn replay(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (_folder, ledgers) = ledgers().await;
    let (mut model, mut made) = (HashMap::<String, [bool; 2]>::new(), 0);
    for Step { by, route, ids, new } in steps {
        let mut ids: Vec<String> = ids.iter().map(|id| format!("shared {id}")).collect();
        if ids.is_empty() {
            ids = (made..made + new).map(|number| format!("new {number}")).collect();
            made += new;
        }
        let mut expected = Ingested::default();
        for id in &ids {
            let is_known = model.contains_key(id);
            let is_sighted = &mut model.entry(id.clone()).or_default()[index(route)];
            expected.new += u64::from(!is_known);
            expected.known += u64::from(is_known);
            expected.sighted += u64::from(!*is_sighted);
            *is_sighted = true;
        }
        expected.last_sequence = Sequence::try_from(model.len()).unwrap();
        let ingested = ledgers[by].ingest(ingest(route, &ids)).await.unwrap();
        prop_assert_eq!(ingested, expected);
    }
    let all = HistoryFilter { limit: u32::MAX, ..HistoryFilter::default() };
    let rows = ledgers[0].reader().list_history(&all).await.unwrap();
    prop_assert_eq!(rows.len(), model.len());
    for (row, sequence) in rows.iter().rev().zip(1..) {
        let seen = [row.poll_seen_at.is_some(), row.push_seen_at.is_some()];
        prop_assert_eq!((row.sequence, seen, row.pending), (sequence, model[&row.id], 1));
    }
    let [ledger, beside] = ledgers;
    beside.close().await;
    ledger.close().await;
    Ok(())
}
