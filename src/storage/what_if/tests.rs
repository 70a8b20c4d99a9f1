use std::time::Duration;

use super::*;
use crate::model::clock::Clock;
use crate::model::coverage::{Coverage, Span};
use crate::model::event::{Event, Route};
use crate::model::lateness::Shown;
use crate::model::sweep::Tier;
use crate::storage::{Ingest, Ledger, PollRequest, Request};

const START: i64 = 1_734_698_100;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

/// A request that was sent at `sent`, of the poll that began at `run`.
fn request(sent: i64, run: i64, outcome: &'static str, tier: Tier) -> PollRequest {
    PollRequest {
        started_at: at(sent),
        duration: Duration::from_secs(1),
        span: Span::new(START - 900, START + sent),
        offset: 0,
        outcome,
        status: Some(200),
        count: None,
        total: None,
        bytes: 100,
        error: (outcome == "timeout").then(|| "no answer within 30s".to_owned()),
        tier,
        run_at: at(run),
        is_nudged: run == 90,
    }
}

/// An answer with these entries that was there at `came`, a second after it was asked for.
async fn polled(ledger: &Ledger, entries: &[(&str, i64)], came: i64, tier: Tier) {
    let mut coverage = Coverage::new(START - 3_000);
    coverage.record(Span::new(START - 3_000, START), START);
    let span = Span::new(START - 3_000, START + came);
    let ingest = Ingest {
        source: "production".to_owned(),
        route: Route::Poll,
        events: entries.iter().map(|(id, second)| Event::bare(id, at(*second))).collect(),
        unreadable: Vec::new(),
        targets: Vec::new(),
        coverage: None,
        request: Some(Request::Poll(request(came - 1, came - 1, "complete", tier))),
        shown: Some(Shown::new(&coverage, span, at(came), tier, 900)),
        learnt: None,
    };
    ledger.ingest(ingest).await.unwrap();
}

async fn fixture() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(at(100_000));
    let ledger = Ledger::open(&folder.path().join("t.db"), clock).await.unwrap();
    (folder, ledger)
}

#[tokio::test]
async fn requests_about_the_present_are_one_poll_when_one_run_made_them() {
    let (_folder, ledger) = fixture().await;
    for request in [
        request(1, 0, "split", Tier::Hot),
        request(2, 0, "complete", Tier::Hot),
        request(3, 0, "complete", Tier::Hourly),
        request(31, 30, "timeout", Tier::Hot),
        request(32, 30, "complete", Tier::Hot),
        request(61, 60, "split", Tier::Hot),
        request(91, 90, "complete", Tier::Hot),
        request(121, 120, "complete", Tier::Hot),
    ] {
        ledger.log_request("production", request).await.unwrap();
    }
    let found = |source: &'static str, until: i64| {
        let ledger = &ledger;
        async move {
            let bounds = (at(0), at(until));
            ledger.reader().list_poll_cycles(source, bounds).await.unwrap()
        }
    };
    let cycle = |run: i64, requests: u64, is_whole: bool| PollCycle {
        began_at: at(run),
        requests,
        bytes: 100 * requests,
        is_whole,
        is_nudged: run == 90,
    };
    let expected =
        [cycle(0, 2, true), cycle(30, 2, false), cycle(60, 1, false), cycle(90, 1, true)];
    assert_eq!(found("production", 121).await, expected);
    assert_eq!(found("production", 122).await.len(), 5);
    assert_eq!(found("other", 122).await, []);
}

#[tokio::test]
async fn entries_come_with_the_moments_between_which_they_became_visible() {
    let (_folder, ledger) = fixture().await;
    polled(&ledger, &[("fresh", 5), ("scanned", -60)], 10, Tier::Hot).await;
    polled(&ledger, &[("swept", -70)], 20, Tier::Hourly).await;
    polled(&ledger, &[("backfilled", -3_500)], 30, Tier::Past).await;
    let bounds = (at(-10_000), at(10_000));
    let list = async |bounds, limit| {
        ledger.reader().list_entries("production", bounds, limit).await.unwrap().polled
    };
    let found = list(bounds, 10).await;
    let entry = |second: i64, unseen_at: Option<Timestamp>| Polled {
        created_at: at(second),
        seen_at: at(10),
        sighted: Sighted { unseen_at, shown_at: at(10), tier: None },
    };
    assert_eq!(found, [entry(-60, Some(at(0))), entry(5, None)], "no sweep, no backfill");
    assert_eq!(list((at(-10_000), at(100_000)), 1).await.len(), 0, "the backfilled one is first");
    assert_eq!(list((at(5), at(6)), 9).await.len(), 1);
}
