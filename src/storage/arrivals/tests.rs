use std::collections::HashSet;
use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::model::clock::Clock;
use crate::model::event::Event;
use crate::model::timestamp::Timestamp;
use crate::storage::{HistoryFilter, Ledger, PushRequest, Request, SignedBy};

const START: Timestamp = Timestamp::from_secs(1_750_000_000);

fn event(id: &str) -> Event {
    Event::bare(id, START)
}

fn push(source: &str, ids: &[&str], received_at: Timestamp) -> Ingest {
    let request = PushRequest {
        received_at,
        duration: Duration::ZERO,
        status: 202,
        count: ids.len() as u64,
        is_batch: false,
        outside: HashSet::new(),
        bytes: 1,
        secret: Some(SignedBy::Primary),
        error: None,
    };
    Ingest {
        source: source.to_owned(),
        route: Route::Push,
        events: ids.iter().map(|id| event(id)).collect(),
        unreadable: Vec::new(),
        targets: vec!["siem".to_owned()],
        coverage: None,
        request: Some(Request::Push(request)),
        shown: None,
        learnt: None,
    }
}

async fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START);
    clock.advance(Duration::from_mins(1));
    let ledger = Ledger::open(&folder.path().join("t.db"), clock).await.unwrap();
    ledger.insert_targets(vec!["siem".to_owned()]).await.unwrap();
    (folder, ledger)
}

fn arrival(ingest: Ingest) -> (Arrival, oneshot::Receiver<Result<Ingested, StorageError>>) {
    let (reply, answer) = oneshot::channel();
    (Arrival { ingest, reply }, answer)
}

#[tokio::test]
async fn each_of_a_group_hears_what_became_of_it_and_keeps_its_moment() {
    let (_folder, ledger) = ledger().await;
    ledger.ingest(push("production", &["known"], START)).await.unwrap();
    let (_, arriving) = Arrivals::new(ledger.store.clone());
    let at = |secs| START.plus(Duration::from_secs(secs));
    let pushes = [
        push("production", &["a", "b"], at(1)),
        push("production", &["known"], at(2)),
        push("production", &["b", "c"], at(3)),
        push("production", &[], at(4)),
        push("production", &["c"], at(5)),
    ];
    let (group, answers): (Vec<_>, Vec<_>) = pushes.map(arrival).into_iter().unzip();
    arriving.store(group).await;
    let mut came_to = Vec::new();
    for answer in answers {
        let ingested = answer.await.unwrap().unwrap();
        came_to.push((ingested.new, ingested.known, ingested.last_sequence));
    }
    assert_eq!(came_to, [(2, 0, 4), (0, 1, 4), (1, 1, 4), (0, 0, 4), (0, 1, 4)]);
    let all = HistoryFilter { limit: 9, ..HistoryFilter::default() };
    let rows = ledger.reader().list_history(&all).await.unwrap();
    let seen: Vec<_> = rows
        .iter()
        .rev()
        .map(|row| (row.id.as_str(), row.push_seen_at.clone().unwrap(), row.pending))
        .collect();
    let millis = |secs| at(secs).to_rfc3339_millis();
    let expected =
        [("known", millis(0), 1), ("a", millis(1), 1), ("b", millis(1), 1), ("c", millis(3), 1)];
    assert_eq!(seen, expected);
    let log: Vec<(i64, i64)> = sqlx::query_as("SELECT count, new FROM push_log ORDER BY id")
        .fetch_all(&ledger.reader().0)
        .await
        .unwrap();
    assert_eq!(log, [(1, 1), (2, 2), (1, 0), (2, 1), (0, 0), (1, 0)]);
    assert_eq!(ledger.take_recent("siem", 0, 9).unwrap().0.len(), 4, "fresh ones in memory");
}

#[tokio::test]
async fn one_that_cannot_be_stored_takes_nobody_along() {
    let (_folder, ledger) = ledger().await;
    ledger.ingest(push("production", &["first"], START)).await.unwrap();
    let forbid = ledger.writer.run(|connection| {
        Box::pin(async move {
            let trigger = "CREATE TRIGGER no BEFORE INSERT ON event WHEN new.id = 'bad' \
                           BEGIN SELECT raise(ABORT, 'no'); END";
            sqlx::query(trigger).execute(connection).await?;
            Ok(())
        })
    });
    forbid.await.unwrap();
    let (_, arriving) = Arrivals::new(ledger.store.clone());
    let pushes = [["a"], ["bad"], ["b"]].map(|ids| push("production", &ids, START));
    let (group, answers): (Vec<_>, Vec<_>) = pushes.map(arrival).into_iter().unzip();
    arriving.store(group).await;
    let mut is_stored = Vec::new();
    for answer in answers {
        is_stored.push(answer.await.unwrap().is_ok());
    }
    assert_eq!(is_stored, [true, false, true]);
    assert_eq!(ledger.reader().find_last_sequence().await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_from_several_sources_are_all_stored_and_closing_waits_for_them() {
    let (folder, ledger) = ledger().await;
    let mut tasks = JoinSet::new();
    for number in 0..300 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let (source, id) = (format!("s{}", number % 3), format!("e{number}"));
            ledger.ingest(push(&source, &[&id], START)).await.unwrap().new
        });
    }
    let new: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(new, 300);
    ledger.close().await;
    let again = Ledger::open(&folder.path().join("t.db"), Clock::manual(START)).await.unwrap();
    assert_eq!(again.reader().count_events().await.unwrap(), (300, 300));
}

#[test]
fn groups_are_of_one_source_and_one_list_of_targets() {
    let other = Ingest { targets: Vec::new(), ..push("a", &["3"], START) };
    let pushes =
        [push("a", &["1"], START), push("b", &["2"], START), other, push("a", &["4"], START)];
    let groups = sort(pushes.into_iter().map(|push| arrival(push).0).collect());
    let ids: Vec<Vec<&str>> = groups
        .iter()
        .map(|group| group.iter().map(|one| one.ingest.events[0].envelope.id.as_str()).collect())
        .collect();
    assert_eq!(ids, [vec!["1", "4"], vec!["2"], vec!["3"]]);
}

#[test]
fn few_gather_as_before_and_many_go_by_halves() {
    let rows = [
        ((0, 1), 1, "the first waits for nobody"),
        ((1, 1), 1, "nor one that comes alone"),
        ((1, 9), 9, "all that wait are taken"),
        ((9, 1), 9, "the others are about to come"),
        ((15, 16), 16, "few are one group"),
        ((16, 16), 16, "many are two"),
        ((1, 63), 32, "at the first occasion"),
        ((64, 3), 34, "also where they were one group"),
        ((64, 192), 64, "more are several"),
    ];
    for ((before, waiting), size, why) in rows {
        assert_eq!(group_size(before, waiting), size, "{why}");
    }
}
