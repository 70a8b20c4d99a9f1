use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::model::clock::Clock;
use crate::model::coverage::Span;
use crate::model::event::{AUDIT_TYPE, Event, Route};
use crate::model::sweep::Tier;
use crate::storage::{HistoryFilter, HistoryRow, Ingest, Label, PollRequest, Request};

const START: i64 = 1_734_698_100;

async fn ledger(folder: &Path, clock: &Clock) -> Ledger {
    let ledger = Ledger::open(&folder.join("t.db"), clock.clone()).await.unwrap();
    ledger.insert_targets(vec!["siem".to_owned(), "polled".to_owned()]).await.unwrap();
    ledger
}

async fn fixture() -> (TempDir, Clock, Ledger) {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let ledger = ledger(folder.path(), &clock).await;
    (folder, clock, ledger)
}

fn clock() -> Clock {
    Clock::manual(Timestamp::from_secs(START))
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

fn event(id: &str, event_type: &str) -> Event {
    let mut event = Event::bare(id, at(-7));
    event_type.clone_into(&mut event.envelope.event_type);
    event
}

fn push(ids: &[&str], received_at: Timestamp) -> Ingest {
    let request = PushRequest {
        received_at,
        duration: Duration::from_millis(2),
        status: 202,
        count: ids.len() as u64,
        is_batch: ids.len() > 1,
        outside: HashSet::new(),
        bytes: 100,
        secret: Some(SignedBy::Primary),
        error: None,
    };
    Ingest {
        source: "production".to_owned(),
        route: Route::Push,
        events: ids.iter().map(|id| event(id, AUDIT_TYPE)).collect(),
        unreadable: Vec::new(),
        targets: vec!["siem".to_owned()],
        coverage: None,
        request: Some(Request::Push(request)),
        shown: None,
        learnt: None,
    }
}

/// A poll whose answer was there at `seen_at`.
fn poll(ids: &[&str], seen_at: Timestamp, is_nudged: bool) -> Ingest {
    let request = PollRequest {
        started_at: seen_at.minus(Duration::from_secs(1)),
        duration: Duration::from_secs(1),
        span: Span::new(0, 1),
        offset: 0,
        outcome: "complete",
        status: Some(200),
        count: None,
        total: None,
        bytes: 0,
        error: None,
        tier: Tier::Hot,
        run_at: seen_at.minus(Duration::from_secs(1)),
        is_nudged,
    };
    let targets = vec!["siem".to_owned(), "polled".to_owned()];
    let request = Some(Request::Poll(request));
    Ingest { route: Route::Poll, targets, request, ..push(ids, seen_at) }
}

async fn history(ledger: &Ledger) -> Vec<HistoryRow> {
    let all = HistoryFilter { limit: 1000, ..HistoryFilter::default() };
    ledger.reader().list_history(&all).await.unwrap()
}

async fn labels(ledger: &Ledger) -> Vec<(i64, String, Option<String>)> {
    sqlx::query_as("SELECT sequence, route, label FROM sighting ORDER BY sequence, route")
        .fetch_all(&ledger.reader().0)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_event_is_seen_when_it_came_and_not_when_it_was_stored() {
    let (_folder, clock, ledger) = fixture().await;
    clock.advance(Duration::from_mins(1));
    ledger.ingest(poll(&["a"], at(20), false)).await.unwrap();
    ledger.ingest(push(&["a"], at(5))).await.unwrap();
    ledger.ingest(push(&["a"], at(50))).await.unwrap();
    let rows = history(&ledger).await;
    assert_eq!((rows.len(), rows[0].first_route.as_str()), (1, "poll"));
    assert_eq!(rows[0].lead_ms, Some(15_000), "the push was there first, and stored later");
}

#[tokio::test]
async fn deliveries_go_by_the_route_that_was_stored_first() {
    let (_folder, _clock, ledger) = fixture().await;
    ledger.ingest(push(&["pushed"], at(0))).await.unwrap();
    ledger.ingest(poll(&["pushed", "polled"], at(0), false)).await.unwrap();
    let pending: Vec<_> = history(&ledger).await.iter().map(|row| row.pending).collect();
    assert_eq!(pending, [2, 1], "newest first");
}

#[tokio::test]
async fn what_must_not_be_compared_is_labelled() {
    let (_folder, _clock, ledger) = fixture().await;
    let mut outside = push(&["a", "b"], at(0));
    if let Some(Request::Push(request)) = &mut outside.request {
        request.outside.insert("b".to_owned());
    }
    ledger.ingest(outside).await.unwrap();
    ledger.ingest(push(&["c"], at(0))).await.unwrap();
    ledger.ingest(poll(&["a", "d"], at(0), true)).await.unwrap();
    ledger.ingest(poll(&["c", "a", "e"], at(0), false)).await.unwrap();
    let found = labels(&ledger).await;
    let found: Vec<_> =
        found.iter().map(|(n, route, label)| (*n, route.as_str(), label.as_deref())).collect();
    assert_eq!(
        found,
        [
            (1, "poll", Some("nudged")),
            (1, "push", Some("batch")),
            (2, "push", Some("outside")),
            (3, "poll", None),
            (3, "push", None),
            (4, "poll", Some("nudged")),
            (5, "poll", None),
        ]
    );
}

/// Status, events, new ones, secret and error.
type Row = (i64, i64, i64, Option<String>, Option<String>);

#[tokio::test]
async fn every_push_has_a_row_that_says_whose_signature_it_bore() {
    let (_folder, _clock, ledger) = fixture().await;
    ledger.ingest(push(&["a", "a"], at(0))).await.unwrap();
    let Some(Request::Push(refused)) = push(&[], at(0)).request else { panic!("a push") };
    let refused =
        PushRequest { status: 401, secret: None, error: Some("no".to_owned()), ..refused };
    ledger.log_pushes(vec![("production".to_owned(), refused)]).await.unwrap();
    let rows: Vec<Row> =
        sqlx::query_as("SELECT status, count, new, secret, error FROM push_log ORDER BY id")
            .fetch_all(&ledger.reader().0)
            .await
            .unwrap();
    let primary = Some("primary".to_owned());
    assert_eq!(rows, [(202, 2, 1, primary, None), (401, 0, 0, None, Some("no".to_owned()))]);
}

#[tokio::test]
async fn requests_say_what_their_route_showed_for_the_first_time() {
    let (_folder, clock, ledger) = fixture().await;
    clock.advance(Duration::from_mins(1));
    ledger.ingest(poll(&["a", "b"], at(1), false)).await.unwrap();
    ledger.ingest(push(&["a", "c", "c"], at(2))).await.unwrap();
    ledger.ingest(push(&["a"], at(3))).await.unwrap();
    ledger.ingest(poll(&["a", "c"], at(4), false)).await.unwrap();
    let reader = ledger.reader();
    let pushed: Vec<(i64, i64, i64)> =
        sqlx::query_as("SELECT new, sighted, repeated FROM push_log ORDER BY id")
            .fetch_all(&reader.0)
            .await
            .unwrap();
    assert_eq!(pushed, [(1, 2, 1), (0, 0, 1)]);
    let polled: Vec<(i64, i64)> = sqlx::query_as("SELECT new, sighted FROM poll_log ORDER BY id")
        .fetch_all(&reader.0)
        .await
        .unwrap();
    assert_eq!(polled, [(2, 2), (0, 1)]);

    let all = (at(-60), at(60));
    let list = async |source, bounds| reader.list_entries(source, bounds, 10).await.unwrap().pairs;
    let pairs = list("production", all).await;
    let pairs: Vec<_> = pairs.iter().map(|pair| (pair.polled, pair.pushed, pair.label)).collect();
    let batch = Some(Label::Batch);
    let expected = [
        (Some(at(1)), Some(at(2)), batch),
        (Some(at(1)), None, None),
        (Some(at(4)), Some(at(2)), batch),
    ];
    assert_eq!(pairs, expected);
    assert_eq!(list("another", all).await, []);
    assert_eq!(list("production", (at(-6), at(60))).await, []);
    let push = reader.sum_push_cost("production", all).await.unwrap();
    assert_eq!((push.requests, push.empty, push.read, push.shown), (2, 1, 4, 2));
    let poll = reader.sum_poll_costs("production", all).await.unwrap();
    assert_eq!((poll.len(), poll[0].requests, poll[0].shown, poll[0].new), (1, 2, 3, 2));
}

#[tokio::test]
async fn the_webhook_is_heard_by_entries_alone_and_its_beginning_stays() {
    let (_folder, clock, ledger) = fixture().await;
    let heard = async || ledger.reader().find_heard("production").await.unwrap();
    assert_eq!(heard().await, Heard::default());
    ledger.note_webhook("production", Some(Duration::from_mins(1))).await.unwrap();
    clock.advance(Duration::from_secs(10));
    ledger.note_webhook("production", Some(Duration::from_secs(90))).await.unwrap();
    let other = Ingest { events: vec![event("x", "com.example.other")], ..push(&[], at(9)) };
    ledger.ingest(other).await.unwrap();
    ledger.ingest(poll(&["a"], at(9), false)).await.unwrap();
    let since = Some(at(0));
    assert_eq!(heard().await, Heard { since, ..Heard::default() });
    ledger.ingest(push(&["a"], at(8))).await.unwrap();
    let last_at = Some(at(8));
    assert_eq!(heard().await, Heard { since, last_at, sequence: 2, silent: None });
    ledger.note_webhook("production", None).await.unwrap();
    assert_eq!(heard().await.since, None);
}

#[tokio::test]
async fn what_one_route_did_not_show_within_the_horizon_is_missed() {
    let (_folder, clock, ledger) = fixture().await;
    ledger.note_webhook("production", Some(Duration::from_mins(1))).await.unwrap();
    let coverage = crate::model::coverage::Coverage { start: 0, watermark: 0, scans: Vec::new() };
    let since_the_webhook = |mut ingest: Ingest| {
        ingest.events.iter_mut().for_each(|event| event.occurred_at = at(1));
        ingest
    };
    clock.advance(Duration::from_secs(100));
    let polled = Ingest { coverage: Some(coverage), ..poll(&["both", "polled"], at(1), false) };
    ledger.ingest(since_the_webhook(polled)).await.unwrap();
    ledger.ingest(poll(&["before the webhook"], at(1), false)).await.unwrap();
    ledger.ingest(since_the_webhook(push(&["both"], at(99)))).await.unwrap();
    ledger.ingest(since_the_webhook(push(&["pushed"], at(1)))).await.unwrap();
    let mut outside = since_the_webhook(push(&["outside"], at(1)));
    if let Some(Request::Push(request)) = &mut outside.request {
        request.outside.insert("outside".to_owned());
    }
    ledger.ingest(outside).await.unwrap();
    // The view goes by the machine's clock, which is years ahead of these instants.
    let missed: Vec<(String, String)> =
        sqlx::query_as("SELECT event_id, missed_by FROM missed ORDER BY 1")
            .fetch_all(&ledger.reader().0)
            .await
            .unwrap();
    let [polled, pushed] =
        [("polled", "push"), ("pushed", "poll")].map(|(id, by)| (id.to_owned(), by.to_owned()));
    assert_eq!(missed, [polled, pushed]);
}

#[tokio::test]
async fn what_was_missed_is_counted_once_a_horizon_later_and_stays_counted() {
    let (_folder, clock, ledger) = fixture().await;
    ledger.ingest(poll(&["before the webhook"], at(0), false)).await.unwrap();
    let counts = async || {
        while ledger.judge_missed("production").await.unwrap() {}
        let missed = ledger.reader().count_missed().await.unwrap();
        missed.iter().map(|missed| (missed.by_push, missed.by_poll)).collect::<Vec<_>>()
    };
    assert_eq!(counts().await, [], "there is no webhook");
    ledger.note_webhook("production", Some(Duration::from_mins(1))).await.unwrap();
    assert_eq!(counts().await, [(0, 0)]);
    let made = |mut ingest: Ingest| {
        ingest.events.iter_mut().for_each(|event| event.occurred_at = at(1));
        ingest
    };
    clock.advance(Duration::from_secs(10));
    let coverage = crate::model::coverage::Coverage { start: 0, watermark: 0, scans: Vec::new() };
    let polled = Ingest { coverage: Some(coverage), ..poll(&["both", "polled"], at(5), false) };
    ledger.ingest(made(polled)).await.unwrap();
    ledger.ingest(poll(&["made before the webhook"], at(5), false)).await.unwrap();
    ledger.ingest(made(push(&["both"], at(6)))).await.unwrap();
    ledger.ingest(made(push(&["pushed"], at(6)))).await.unwrap();
    let mut outside = made(push(&["outside"], at(6)));
    if let Some(Request::Push(request)) = &mut outside.request {
        request.outside.insert("outside".to_owned());
    }
    ledger.ingest(outside).await.unwrap();
    assert_eq!(counts().await, [(0, 0)], "they are on their way");
    clock.advance(Duration::from_secs(61));
    assert_eq!(counts().await, [(1, 1)]);
    // What comes too late was missed all the same.
    ledger.ingest(made(push(&["polled"], at(71)))).await.unwrap();
    ledger.ingest(made(poll(&["pushed", "late"], at(71), false))).await.unwrap();
    ledger.ingest(made(push(&["late"], at(71)))).await.unwrap();
    assert_eq!(counts().await, [(1, 1)]);
    clock.advance(Duration::from_secs(61));
    assert_eq!(counts().await, [(1, 1)], "the last one came both ways");
    ledger.note_webhook("production", None).await.unwrap();
    ledger.ingest(poll(&["only polled"], at(130), false)).await.unwrap();
    ledger.note_webhook("production", Some(Duration::from_mins(1))).await.unwrap();
    clock.advance(Duration::from_secs(61));
    assert_eq!(counts().await, [(1, 1)], "nobody listened");
}

#[tokio::test]
async fn judging_goes_on_in_steps_and_past_what_was_pruned() {
    let (_folder, clock, ledger) = fixture().await;
    ledger.note_webhook("production", Some(Duration::from_secs(1))).await.unwrap();
    let ids: Vec<String> = (0..2_500).map(|n| n.to_string()).collect();
    let polled = |from: usize| {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut ingest = poll(&ids, at(0), false);
        for event in &mut ingest.events {
            event.occurred_at = at(1);
            event.envelope.id = format!("{}-{from}", event.envelope.id);
        }
        ingest
    };
    for from in 0..3 {
        ledger.ingest(polled(from)).await.unwrap();
    }
    clock.advance(Duration::from_secs(2));
    assert!(ledger.judge_missed("production").await.unwrap(), "a step is 5,000");
    assert!(!ledger.judge_missed("production").await.unwrap());
    assert_eq!(ledger.reader().count_missed().await.unwrap()[0].by_push, 7_500);
    let pruned = ledger.writer.run(|connection| {
        Box::pin(async move {
            for statement in [
                "DELETE FROM delivery WHERE sequence <= 7400",
                "DELETE FROM event WHERE sequence <= 7400",
                "UPDATE source SET judged_sequence = 0, missed_by_push = 0",
            ] {
                sqlx::query(statement).execute(&mut *connection).await?;
            }
            Ok(())
        })
    });
    pruned.await.unwrap();
    while ledger.judge_missed("production").await.unwrap() {}
    assert_eq!(ledger.reader().count_missed().await.unwrap()[0].by_push, 100);
}

/// One arrival in a race: what came, by which route, when.
#[derive(Clone, Debug)]
struct Arrival {
    ids: Vec<u8>,
    is_push: bool,
    second: i64,
}

fn arrival() -> impl Strategy<Value = Arrival> {
    (prop::collection::vec(0..12_u8, 1..5), any::<bool>(), 0..60_i64)
        .prop_map(|(ids, is_push, second)| Arrival { ids, is_push, second })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever arrives by whichever route, all at once, stands there once; each route's
    /// sighting is one of those that it made, and deliveries go by the first route alone.
    #[test]
    fn routes_that_race_make_one_event_of_one_entry(
        arrivals in prop::collection::vec(arrival(), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(race(arrivals))?;
    }
}

async fn race(arrivals: Vec<Arrival>) -> Result<(), TestCaseError> {
    let (_folder, clock, ledger) = fixture().await;
    clock.advance(Duration::from_mins(1));
    let mut tasks = tokio::task::JoinSet::new();
    for arrival in arrivals.clone() {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let ids: Vec<String> = arrival.ids.iter().map(ToString::to_string).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let ingest = if arrival.is_push {
                push(&ids, at(arrival.second))
            } else {
                poll(&ids, at(arrival.second), false)
            };
            ledger.ingest(ingest).await.unwrap()
        });
    }
    let done = tasks.join_all().await;
    let entries: BTreeSet<u8> = arrivals.iter().flat_map(|a| a.ids.clone()).collect();
    let new: u64 = done.iter().map(|ingested| ingested.new).sum();
    let rows = history(&ledger).await;
    prop_assert_eq!((new, rows.len()), (entries.len() as u64, entries.len()));
    for row in rows {
        let id: u8 = row.id.parse().unwrap();
        for (is_push, seen) in [(false, &row.poll_seen_at), (true, &row.push_seen_at)] {
            let is_by = |a: &&Arrival| a.is_push == is_push && a.ids.contains(&id);
            let possible: BTreeSet<String> =
                arrivals.iter().filter(is_by).map(|a| at(a.second).to_rfc3339_millis()).collect();
            match seen {
                None => prop_assert!(possible.is_empty(), "{} was seen", id),
                Some(seen) => prop_assert!(possible.contains(seen), "{}: {}", id, seen),
            }
        }
        let wanted = if row.first_route == "push" { 1 } else { 2 };
        prop_assert_eq!(row.pending, wanted);
    }
    ledger.close().await;
    Ok(())
}
