mod figures;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::{ConnectOptions, Connection, Row};
use tempfile::TempDir;

use super::*;
use crate::model::breaker::Turn;
use crate::model::coverage::{Coverage, Scan, Span};
use crate::model::delivery::{Attempt, Fate, Status};
use crate::model::envelope::{CloudEvent, Data, json};
use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Facts, Route, Unreadable};
use crate::model::outcome::{Outcome, Reason};
use crate::model::timestamp::Timestamp;

const WORKSPACE: &str = "3009de2825f211ec8a84fedebcb4a754";

struct Fixture {
    dir: TempDir,
    clock: Clock,
    ledger: Ledger,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_734_698_100));
        let ledger = Ledger::open(&dir.path().join("t.db"), clock.clone()).await.unwrap();
        ledger.insert_targets(vec!["siem".to_owned(), "oncall".to_owned()]).await.unwrap();
        Self { dir, clock, ledger }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("t.db")
    }

    async fn count(&self, table: &'static str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(&self.ledger.reader().0).await.unwrap()
    }

    async fn history(&self) -> Vec<HistoryRow> {
        let all = HistoryFilter { limit: 9, ..Default::default() };
        self.ledger.reader().list_history(&all).await.unwrap()
    }

    async fn target(&self, name: &str) -> TargetId {
        self.ledger.reader().find_target(name).await.unwrap().unwrap().0
    }

    /// Replays all at once, under the name of its kind; the sequences.
    async fn replay(&self, replay: &Replay) -> Vec<i64> {
        let found = self.ledger.reader().list_replay(replay, 0, 9).await.unwrap();
        let words = format!("{:?}", replay.which);
        let operation = self.ledger.begin_replay(replay.target, words).await.unwrap();
        let step = self.ledger.replay(operation, replay.target, replay.which, found.clone());
        assert_eq!(step.await.unwrap(), u64::try_from(found.len()).unwrap());
        found
    }

    async fn row(&self, name: &str) -> TargetRow {
        let rows = self.ledger.reader().list_targets().await.unwrap();
        rows.into_iter().find(|row| row.name == name).unwrap()
    }
}

fn event(id: &str) -> Event {
    Event {
        workspace_id: WORKSPACE.to_owned(),
        occurred_at: Timestamp::from_secs(1_734_698_093),
        envelope: CloudEvent {
            id: id.to_owned(),
            source: AUDIT_SOURCE.to_owned(),
            event_type: AUDIT_TYPE.to_owned(),
            subject: Some(WORKSPACE.to_owned()),
            time: Some("2024-12-20T12:34:53Z".to_owned()),
            datacontenttype: Some("application/json".to_owned()),
            dataschema: None,
            extensions: BTreeMap::new(),
            data: Data::Json(
                RawValue::from_string(format!(r#"{{"id":"{id}","n":12345678901234567890123}}"#))
                    .unwrap(),
            ),
        },
        facts: Facts {
            category: Some("user_management".into()),
            username: Some("Jane@example.com".into()),
            description: Some("100% logged_out".into()),
            ip_address: None,
        },
    }
}

fn ingest(ids: &[&str]) -> Ingest {
    Ingest {
        source: "production".to_owned(),
        route: Route::Poll,
        events: ids.iter().map(|id| event(id)).collect(),
        unreadable: Vec::new(),
        targets: vec!["siem".to_owned(), "oncall".to_owned()],
        coverage: None,
        request: None,
        shown: None,
        learnt: None,
    }
}

fn settlement(sequence: i64, outcome: Outcome, fate: Fate) -> Settlement {
    let attempt = Attempt {
        started_at: Timestamp::from_secs(1_734_698_101),
        duration: Duration::from_millis(5),
        status: Some(200),
        outcome,
        retry_after: None,
        answer: None,
    };
    let turn = (outcome == Outcome::Gone).then_some(Turn::Gone);
    Settlement { sequence, is_first: true, attempt, fate, turn }
}

fn replay(target: TargetId, which: Which, filter: HistoryFilter) -> Replay {
    Replay { target, which, filter, scope: None }
}

fn delivered(sequence: i64) -> Settlement {
    settlement(sequence, Outcome::Delivered, Fate::Delivered)
}

#[tokio::test]
async fn an_event_is_stored_once_and_delivered_once() {
    let f = Fixture::new().await;
    let first = f.ledger.ingest(ingest(&["a", "b", "a"])).await.unwrap();
    assert_eq!((first.new, first.known, first.last_sequence), (2, 1, 2));
    let again = f.ledger.ingest(ingest(&["b", "c", "a"])).await.unwrap();
    assert_eq!((again.new, again.known, again.last_sequence), (1, 2, 3));
    assert_eq!(f.count("event").await, 3);
    assert_eq!(f.count("delivery_log").await, 6);
    assert_eq!(f.count("sighting").await, 3);
}

#[tokio::test]
async fn the_same_entry_by_both_routes_is_one_event_with_two_sightings() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    f.clock.advance(Duration::from_secs(3));
    f.ledger.ingest(Ingest { route: Route::Push, ..ingest(&["a"]) }).await.unwrap();
    let rows = f.history().await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].first_route.as_str(), rows[0].lead_ms), ("poll", Some(-3000)));
    assert_eq!(rows[0].pending, 2);
}

#[tokio::test]
async fn ids_are_apart_by_workspace_and_by_case() {
    let f = Fixture::new().await;
    let mut foreign = event("a");
    foreign.workspace_id = "0".repeat(32);
    let mut batch = ingest(&["a", "A"]);
    batch.events.push(foreign);
    assert_eq!(f.ledger.ingest(batch).await.unwrap().new, 3);
}

#[tokio::test]
async fn a_body_is_the_sealed_envelope_and_keeps_its_data_byte_for_byte() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let due = f.ledger.reader().list_fresh(f.target("siem").await, 0, 10).await.unwrap();
    let text = std::str::from_utf8(&due[0].body).unwrap();
    assert!(text.contains(r#""data":{"id":"a","n":12345678901234567890123}"#), "{text}");
    assert!(text.contains(r#""sequence":"0000000000000000001""#), "{text}");
    assert!(text.contains(r#""recordedtime":"2024-12-20T12:35:00.000Z""#), "{text}");
    json::parse(&due[0].body).unwrap();
}

#[tokio::test]
async fn a_failed_ingest_stores_nothing_of_itself_and_takes_nobody_along() {
    let f = Fixture::new().await;
    let ahead = Coverage { start: 0, watermark: 200, scans: Vec::new() };
    let ok = Ingest { coverage: Some(ahead), ..ingest(&["a"]) };
    f.ledger.ingest(ok).await.unwrap();
    let back = Coverage { start: 0, watermark: 100, scans: Vec::new() };
    let bad = f.ledger.ingest(Ingest { coverage: Some(back), ..ingest(&["b"]) });
    let good = f.ledger.ingest(ingest(&["c"]));
    let (bad, good) = tokio::join!(bad, good);
    assert!(matches!(bad, Err(StorageError::Inconsistent(_))), "{bad:?}");
    assert_eq!(good.unwrap().last_sequence, 2);
    let rows = f.history().await;
    let ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["c", "a"]);
    let kept = f.ledger.find_coverage("production").await.unwrap().unwrap();
    assert_eq!(kept.watermark, 200);
}

#[tokio::test]
async fn coverage_comes_back_as_it_was_stored() {
    let f = Fixture::new().await;
    assert_eq!(f.ledger.find_coverage("production").await.unwrap(), None);
    let coverage = Coverage {
        start: 100,
        watermark: 150,
        scans: vec![
            Scan { span: Span { from: 150, until: 200 }, asked_at: 210 },
            Scan { span: Span { from: 300, until: 310 }, asked_at: 311 },
        ],
    };
    let stored = Ingest { coverage: Some(coverage.clone()), ..ingest(&[]) };
    f.ledger.ingest(stored).await.unwrap();
    assert_eq!(f.ledger.find_coverage("production").await.unwrap(), Some(coverage));
}

#[tokio::test]
async fn an_unreadable_item_is_kept_once() {
    let f = Fixture::new().await;
    let item = Unreadable { raw: "{\"id\":7}".to_owned(), reason: "id is no string".to_owned() };
    for expected in [1, 0] {
        let batch = Ingest { unreadable: vec![item.clone()], ..ingest(&[]) };
        assert_eq!(f.ledger.ingest(batch).await.unwrap().quarantined, expected);
    }
    assert_eq!(f.count("quarantine").await, 1);
}

#[tokio::test]
async fn settling_moves_a_delivery_and_records_its_attempt() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b", "c", "d"])).await.unwrap();
    let siem = f.target("siem").await;
    let later = Timestamp::from_secs(1_734_698_200);
    let retry = Outcome::Retry(Reason::Timeout);
    let settled = vec![
        delivered(1),
        settlement(2, retry, Fate::RetryAt(later)),
        settlement(3, Outcome::Rejected, Fate::Dead(Reason::Rejected)),
    ];
    f.ledger.settle(siem, settled).await.unwrap();
    let row = f.row("siem").await;
    assert_eq!((row.pending, row.dead, row.delivered_total), (2, 1, 1));
    let reader = f.ledger.reader();
    assert_eq!(reader.find_next_retry(siem, f.clock.now()).await.unwrap(), Some(later));
    assert!(reader.list_retries(siem, f.clock.now(), 9).await.unwrap().is_empty());
    let due = reader.list_retries(siem, later, 9).await.unwrap();
    assert_eq!((due.len(), due[0].sequence, due[0].step), (1, 2, 1));
    assert_eq!(due[0].first_attempt_at, Some(Timestamp::from_secs(1_734_698_101)));
    let fresh = reader.list_fresh(siem, 0, 9).await.unwrap();
    assert_eq!(fresh.iter().map(|due| due.sequence).collect::<Vec<_>>(), [4]);
    assert_eq!(f.count("attempt_log").await, 3);
    assert_eq!(f.row("oncall").await.pending, 4);
}

#[tokio::test]
async fn a_settled_delivery_is_not_settled_again() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let siem = f.target("siem").await;
    f.ledger.settle(siem, vec![delivered(1)]).await.unwrap();
    let late = settlement(1, Outcome::Rejected, Fate::Dead(Reason::Rejected));
    f.ledger.settle(siem, vec![late]).await.unwrap();
    let filter = DeliveryFilter { target: Some("siem".to_owned()), limit: 9, ..Default::default() };
    let rows = f.ledger.reader().list_deliveries(&filter).await.unwrap();
    assert_eq!(rows[0].status, "delivered");
}

#[tokio::test]
async fn a_target_that_is_gone_keeps_its_deliveries_until_it_is_resumed() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let siem = f.target("siem").await;
    f.ledger.settle(siem, vec![settlement(1, Outcome::Gone, Fate::Held)]).await.unwrap();
    let row = f.row("siem").await;
    assert_eq!((row.state, row.pending), (TargetState::Gone, 1));
    assert!(f.ledger.resume_target("siem").await.unwrap());
    assert!(!f.ledger.resume_target("siem").await.unwrap());
    assert_eq!(f.row("siem").await.state, TargetState::Active);
}

#[tokio::test]
async fn a_replay_makes_deliveries_pending_again_and_is_recorded() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b"])).await.unwrap();
    let siem = f.target("siem").await;
    let dead = settlement(1, Outcome::Rejected, Fate::Dead(Reason::Rejected));
    f.ledger.settle(siem, vec![dead, delivered(2)]).await.unwrap();
    let dead = replay(siem, Which::DeadLetters, HistoryFilter::default());
    assert_eq!(f.replay(&dead).await, [1]);
    let id = |id: &str| HistoryFilter { id: Some(id.to_owned()), ..Default::default() };
    assert_eq!(f.replay(&replay(siem, Which::Every, id("b"))).await, [2]);
    assert!(f.replay(&replay(siem, Which::Every, id("x"))).await.is_empty());
    assert_eq!(f.row("siem").await.pending, 2);
    f.ledger.settle(siem, vec![delivered(1), delivered(2)]).await.unwrap();
    assert_eq!(f.count("attempt_log").await, 4);
    let recorded: Vec<(String, i64)> =
        sqlx::query_as("SELECT selection, deliveries FROM operation_log WHERE verb = 'replay'")
            .fetch_all(&f.ledger.reader().0)
            .await
            .unwrap();
    let expected = [("DeadLetters", 1), ("Every", 1), ("Every", 0)];
    assert_eq!(recorded, expected.map(|(which, count)| (which.to_owned(), count)));
}

#[tokio::test]
async fn what_a_target_missed_is_what_it_neither_had_nor_is_owed() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["had", "dead", "owed"])).await.unwrap();
    f.ledger.ingest(Ingest { targets: Vec::new(), ..ingest(&["before"]) }).await.unwrap();
    let elsewhere = Ingest { source: "staging".to_owned(), ..ingest(&["elsewhere"]) };
    f.ledger.ingest(Ingest { targets: Vec::new(), ..elsewhere }).await.unwrap();
    let siem = f.target("siem").await;
    let dead = settlement(2, Outcome::Rejected, Fate::Dead(Reason::Rejected));
    f.ledger.settle(siem, vec![delivered(1), dead]).await.unwrap();

    let missed = replay(siem, Which::Missed, HistoryFilter::default());
    let scope = Scope { sources: vec!["production".to_owned()], routes: vec![Route::Poll] };
    let pushed = Scope { sources: vec!["*".to_owned()], routes: vec![Route::Push] };
    let reader = f.ledger.reader();
    let scoped = |scope: &Scope| Replay { scope: Some(scope.clone()), ..missed.clone() };
    assert!(reader.list_replay(&scoped(&pushed), 0, 9).await.unwrap().is_empty());
    assert_eq!(reader.list_replay(&scoped(&scope), 0, 9).await.unwrap(), [2, 4]);
    assert_eq!(reader.list_replay(&missed, 2, 1).await.unwrap(), [4]);
    assert_eq!(reader.count_replay(&missed).await.unwrap(), 3);
    assert_eq!(f.replay(&missed).await, [2, 4, 5]);
    assert_eq!(reader.count_replay(&missed).await.unwrap(), 0);
    assert_eq!(f.row("siem").await.pending, 4);
}

#[tokio::test]
async fn a_step_of_a_replay_leaves_alone_what_has_been_delivered_meanwhile() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b"])).await.unwrap();
    let siem = f.target("siem").await;
    f.ledger.settle(siem, vec![delivered(1)]).await.unwrap();
    let operation = f.ledger.begin_replay(siem, "missed".to_owned()).await.unwrap();
    let step = f.ledger.replay(operation, siem, Which::Missed, vec![1, 2, 77]).await.unwrap();
    assert_eq!((step, f.row("siem").await.pending), (0, 1));
}

#[tokio::test]
async fn pauses_and_resumptions_are_recorded_when_they_change_something() {
    let f = Fixture::new().await;
    assert!(!f.ledger.resume_target("siem").await.unwrap());
    assert!(f.ledger.pause_target("siem").await.unwrap());
    assert!(!f.ledger.pause_target("siem").await.unwrap());
    assert_eq!(f.row("siem").await.state, TargetState::Paused);
    assert!(f.ledger.resume_target("siem").await.unwrap());
    let verbs: Vec<String> = sqlx::query_scalar("SELECT verb FROM operation_log ORDER BY id")
        .fetch_all(&f.ledger.reader().0)
        .await
        .unwrap();
    assert_eq!(verbs, ["pause", "resume"]);
}

#[tokio::test]
async fn a_stretch_of_time_is_enclosed_by_its_sequences() {
    let f = Fixture::new().await;
    let at = |secs: i64| Some(Timestamp::from_secs(1_734_698_000 + secs));
    for (id, secs) in [("a", 10), ("b", 30), ("c", 20), ("d", 40)] {
        let mut batch = ingest(&[id]);
        batch.events[0].occurred_at = at(secs).unwrap();
        f.ledger.ingest(batch).await.unwrap();
    }
    for (from, until, expected, ids) in [
        (None, None, (Some(0), Some(4)), vec!["a", "b", "c", "d"]),
        (at(20), None, (Some(1), Some(4)), vec!["b", "c", "d"]),
        (at(15), at(35), (Some(1), Some(3)), vec!["b", "c"]),
        (at(15), at(25), (Some(2), Some(3)), vec!["c"]),
        (at(50), None, (Some(0), Some(0)), vec![]),
    ] {
        let filter = HistoryFilter { from, until, limit: 9, ..Default::default() };
        let filter = f.ledger.reader().enclose(filter).await.unwrap();
        assert_eq!((filter.after, filter.through), expected, "{from:?} {until:?}");
        let found = f.ledger.reader().list_bodies(&filter).await.unwrap();
        let found: Vec<String> =
            found.iter().map(|(_, body)| json::parse(body.as_bytes()).unwrap().id).collect();
        assert_eq!(found, ids, "{from:?} {until:?}");
    }
}

#[tokio::test]
async fn attempts_are_listed_by_event_and_target() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b"])).await.unwrap();
    for name in ["siem", "oncall"] {
        f.ledger.settle(f.target(name).await, vec![delivered(1), delivered(2)]).await.unwrap();
    }
    let reader = f.ledger.reader();
    let rows = reader.list_attempts("a", None, 9).await.unwrap();
    let targets: Vec<&str> = rows.iter().map(|row| row.target.as_str()).collect();
    assert_eq!(targets, ["oncall", "siem"]);
    let rows = reader.list_attempts("a", Some("siem"), 9).await.unwrap();
    assert_eq!((rows.len(), rows[0].number, rows[0].status), (1, 1, Some(200)));
    assert!(reader.list_attempts("x", None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_follows_sees_what_comes_while_daemons_come_and_go() {
    let f = Fixture::new().await;
    let path = f.path();
    f.ledger.close().await;
    let mut follower = Follower::open(&path).await.unwrap();
    for (id, expected) in [("a", 1), ("b", 2)] {
        assert_eq!(
            follower.reader().await.unwrap().find_last_sequence().await.unwrap(),
            expected - 1
        );
        let ledger = Ledger::open(&path, f.clock.clone()).await.unwrap();
        ledger.ingest(ingest(&[id])).await.unwrap();
        let seen = follower.reader().await.unwrap().find_last_sequence().await;
        assert_eq!(seen.unwrap(), expected);
        ledger.close().await;
    }
}

#[tokio::test]
async fn strict_order_sees_the_oldest_even_when_it_waits() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b", "c"])).await.unwrap();
    let siem = f.target("siem").await;
    let later = Timestamp::from_secs(1_734_698_200);
    let failed = settlement(1, Outcome::Retry(Reason::Reset), Fate::RetryAt(later));
    f.ledger.settle(siem, vec![failed]).await.unwrap();
    let (due, next) = f.ledger.reader().find_head(siem).await.unwrap().unwrap();
    assert_eq!((due.sequence, next), (1, Some(later)));
    for (limit, expected) in [(1, &[2][..]), (9, &[2, 3])] {
        let behind = f.ledger.reader().list_behind(siem, 1, limit).await.unwrap();
        assert_eq!(behind.iter().map(|due| due.sequence).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn pruning_spares_what_somebody_is_owed_and_never_reuses_a_sequence() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b", "c"])).await.unwrap();
    for target in ["siem", "oncall"] {
        let settled = vec![delivered(1), delivered(3)];
        f.ledger.settle(f.target(target).await, settled).await.unwrap();
    }
    let keep = Duration::from_hours(1);
    f.ledger.prune(keep, 0).await.unwrap();
    assert_eq!(f.count("event").await, 3);
    f.clock.advance(keep + Duration::from_secs(1));
    assert_eq!(f.ledger.prune(keep, 0).await.unwrap(), None);
    let left = f.history().await;
    let left: Vec<String> = left.into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["b"]);
    assert_eq!(f.ledger.ingest(ingest(&["d"])).await.unwrap().last_sequence, 4);
}

#[tokio::test]
async fn history_is_found_by_what_people_know() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b"])).await.unwrap();
    f.ledger.settle(f.target("siem").await, vec![delivered(1)]).await.unwrap();
    let all = HistoryFilter { limit: 9, ..Default::default() };
    let at = Timestamp::from_secs(1_734_698_093);
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (all.clone(), 2),
        (HistoryFilter { user: some("jane@"), ..all.clone() }, 2),
        (HistoryFilter { user: some("joe"), ..all.clone() }, 0),
        (HistoryFilter { text: some("100% LOGGED_"), ..all.clone() }, 2),
        (HistoryFilter { text: some("100_"), ..all.clone() }, 0),
        (HistoryFilter { text: some("\"id\":\"a\""), ..all.clone() }, 1),
        (HistoryFilter { category: some("user_management"), ..all.clone() }, 2),
        (HistoryFilter { route: Some(Route::Push), ..all.clone() }, 0),
        (HistoryFilter { delivery: Some(Status::Delivered), ..all.clone() }, 1),
        (HistoryFilter { from: Some(at), ..all.clone() }, 2),
        (HistoryFilter { until: Some(at), ..all.clone() }, 0),
        (HistoryFilter { id: some("b"), ..all.clone() }, 1),
        (HistoryFilter { after: Some(1), ..all.clone() }, 1),
        (HistoryFilter { source: some("elsewhere"), ..all.clone() }, 0),
    ] {
        let rows = f.ledger.reader().list_history(&filter).await.unwrap();
        assert_eq!(rows.len(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn every_view_of_the_contract_can_be_read_and_tells_instants_alike() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    f.ledger.settle(f.target("siem").await, vec![delivered(1)]).await.unwrap();
    for (view, columns) in [
        (
            "history",
            "sequence, id, source, workspace_id, type, time, category, username, description, ip_address, first_route, recorded_at, poll_seen_at, push_seen_at, lead_ms, delivered, pending, dead, data",
        ),
        (
            "delivery_log",
            "event_id, target, status, attempts, last_attempt_at, last_status, last_reason, next_attempt_at, delivered_at",
        ),
        ("attempt_log", "event_id"),
        ("poll_log", "source"),
        ("push_log", "source"),
        ("quarantine", "raw"),
        ("target_status", "target"),
    ] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {columns} FROM {view}"));
        sqlx::query(sql).fetch_all(&f.ledger.reader().0).await.expect(view);
    }
    let row = sqlx::query("SELECT time, data FROM history").fetch_one(&f.ledger.reader().0);
    let row = row.await.unwrap();
    assert_eq!(row.get::<String, _>(0), "2024-12-20T12:34:53.000Z");
    assert!(row.get::<String, _>(1).starts_with("{\"id\":\"a\""));
}

#[tokio::test]
async fn a_second_owner_is_refused_and_a_reader_is_not() {
    let f = Fixture::new().await;
    let second = Ledger::open(&f.path(), Clock::system()).await;
    assert!(matches!(second, Err(StorageError::Locked(_))), "{second:?}");
    Reader::open(&f.path()).await.unwrap().count_events().await.unwrap();
    let beside = Ledger::open_beside(&f.path(), Clock::system()).await.unwrap();
    beside.resume_target("siem").await.unwrap();
    beside.close().await;
    let path = f.path();
    f.ledger.close().await;
    Ledger::open(&path, Clock::system()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_ledger_that_a_crash_left_half_made_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let steps = [
        "PRAGMA journal_mode = WAL",
        "PRAGMA application_id = 1415007314",
        "CREATE TABLE _sqlx_migrations (
             version BIGINT PRIMARY KEY, description TEXT NOT NULL,
             installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
             success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    ];
    for done in 1..=steps.len() {
        let path = dir.path().join(format!("{done}.db"));
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut connection = options.create_if_missing(true).connect().await.unwrap();
        for step in &steps[..done] {
            sqlx::query(*step).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let ledger = Ledger::open(&path, Clock::system()).await;
        ledger.unwrap_or_else(|error| panic!("after step {done}: {error}")).close().await;
    }
}

#[tokio::test]
async fn files_that_are_no_ledger_of_ours_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "a".repeat(5000)).unwrap();
    let (foreign, wide) = (dir.path().join("foreign.db"), dir.path().join("wide.db"));
    for (path, encoding) in [(&foreign, "UTF-8"), (&wide, "UTF-16le")] {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let options = options.create_if_missing(true).pragma("encoding", format!("'{encoding}'"));
        let mut other = options.connect().await.unwrap();
        sqlx::query("CREATE TABLE größen (x)").execute(&mut other).await.unwrap();
        other.close().await.unwrap();
    }
    for path in [text, foreign, wide] {
        let before = std::fs::read(&path).unwrap();
        let opened = Ledger::open(&path, Clock::system()).await;
        assert!(matches!(opened, Err(StorageError::Foreign(_))), "{opened:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    let missing = Reader::open(&dir.path().join("none.db")).await;
    assert!(matches!(missing, Err(StorageError::Missing(_))), "{missing:?}");
    let nowhere = Ledger::open(&dir.path().join("no/such/t.db"), Clock::system()).await;
    assert!(matches!(nowhere, Err(StorageError::Unusable { .. })), "{nowhere:?}");
}

#[tokio::test]
async fn a_newer_ledger_is_refused() {
    let f = Fixture::new().await;
    let path = f.path();
    f.ledger
        .writer
        .run(|connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (99991231000000, 'later', true, x'00', 0)",
                )
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    f.ledger.close().await;
    let opened = Ledger::open(&path, Clock::system()).await;
    assert!(matches!(opened, Err(StorageError::Newer(_))), "{opened:?}");
    let read = Reader::open(&path).await;
    assert!(matches!(read, Err(StorageError::Newer(_))), "{read:?}");
}

#[tokio::test]
async fn a_damaged_ledger_is_refused_after_an_unclean_stop() {
    let f = Fixture::new().await;
    let ids: Vec<String> = (0..500).map(|n| format!("id-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    f.ledger.ingest(ingest(&ids)).await.unwrap();
    let path = f.path();
    f.ledger.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let opened = Ledger::open(&path, Clock::system()).await;
    assert!(matches!(opened, Err(StorageError::Corrupt { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_schema_that_is_no_text_any_more_is_refused() {
    let f = Fixture::new().await;
    let path = f.path();
    f.ledger.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    // Wherever it stands: pages keep copies of what was in them.
    let column = b"version BIGINT";
    let found = bytes.windows(column.len()).enumerate().filter(|(_, part)| part == column);
    let places: Vec<usize> = found.map(|(at, _)| at + column.len() - 3).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place] ^= 0x80;
    }
    std::fs::write(&path, bytes).unwrap();
    let opened = Ledger::open(&path, Clock::system()).await;
    assert!(matches!(opened, Err(StorageError::Corrupt { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_writing_goes_on_once_there_is_space() {
    let f = Fixture::new().await;
    let limit = |pages: &'static str| {
        f.ledger.writer.run(move |connection| {
            Box::pin(async move {
                sqlx::query(pages).fetch_all(connection).await?;
                Ok(())
            })
        })
    };
    limit("PRAGMA max_page_count = 1").await.unwrap();
    let ids: Vec<String> = (0..2000).map(|n| format!("id-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let full = f.ledger.ingest(ingest(&ids)).await;
    assert!(matches!(full, Err(StorageError::Full)), "{full:?}");
    assert_eq!(f.count("event").await, 0);
    limit("PRAGMA max_page_count = 1000000").await.unwrap();
    assert_eq!(f.ledger.ingest(ingest(&ids)).await.unwrap().new, 2000);
}

#[tokio::test]
async fn a_backup_is_whole_and_leaves_the_ledger_alone() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b"])).await.unwrap();
    let copy = f.dir.path().join("copy.db");
    f.ledger.reader().backup(&copy).await.unwrap();
    assert_eq!(Reader::open(&copy).await.unwrap().count_events().await.unwrap(), (2, 2));
    let again = f.ledger.reader().backup(&copy).await;
    assert!(matches!(again, Err(StorageError::Unusable { .. })), "{again:?}");
}

#[tokio::test]
async fn reading_without_a_daemon_leaves_no_trace() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let (path, folder) = (f.path(), f.dir.path().to_owned());
    f.ledger.close().await;
    let listing = || {
        let names = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        (names, std::fs::read(&path).unwrap())
    };
    let before = listing();
    let reader = Reader::open(&path).await.unwrap();
    assert_eq!(reader.count_events().await.unwrap(), (1, 1));
    assert_eq!(listing(), before);
}

#[tokio::test]
async fn a_delivery_that_is_held_keeps_its_place_and_its_time() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let (siem, _) = f.ledger.reader().find_target("siem").await.unwrap().unwrap();
    let failed = Outcome::Retry(Reason::Timeout);
    let at = Timestamp::from_secs(1_734_698_200);
    f.ledger.settle(siem, vec![settlement(1, failed, Fate::RetryAt(at))]).await.unwrap();
    f.ledger.settle(siem, vec![settlement(1, failed, Fate::Held)]).await.unwrap();
    let due = f.ledger.reader().list_retries(siem, at, 10).await.unwrap();
    assert_eq!((due.len(), due[0].step), (1, 1));
    let owed = f.ledger.reader().find_owed(siem).await.unwrap().unwrap();
    assert_eq!((owed.next_retry, owed.has_fresh), (Some(at), false));
    assert_eq!(f.count("attempt").await, 2, "each request is on record");
}

#[tokio::test]
async fn what_one_request_settled_ends_as_if_each_had_been_alone() {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let at = Timestamp::from_secs(1_734_698_200);
    let retry = Outcome::Retry(Reason::Timeout);
    let fates = [
        (Outcome::Delivered, Fate::Delivered),
        (Outcome::Rejected, Fate::Dead(Reason::Rejected)),
        (Outcome::Rejected, Fate::Held),
        (retry, Fate::RetryAt(at)),
    ];
    // One of them may not be pending any more; whoever settles may be wrong about what is first.
    for ((outcome, fate), is_one_settled) in
        fates.into_iter().flat_map(|fate| [(fate, true), (fate, false)])
    {
        let mut ends = Vec::new();
        for (is_run, is_first) in [(true, true), (true, false), (false, true), (false, false)] {
            let f = Fixture::new().await;
            f.ledger.ingest(ingest(&ids)).await.unwrap();
            let siem = f.target("siem").await;
            if is_one_settled {
                f.ledger.settle(siem, vec![delivered(4)]).await.unwrap();
            }
            f.clock.advance(Duration::from_secs(1));
            let of = |sequence| Settlement { is_first, ..settlement(sequence, outcome, fate) };
            let mut settlements: Vec<Settlement> = (1..=10).map(of).collect();
            if !is_run {
                settlements.sort_by_key(|one| (one.sequence % 2, one.sequence));
            }
            f.ledger.settle(siem, settlements).await.unwrap();
            f.ledger.settle(siem, vec![Settlement { is_first, ..delivered(7) }]).await.unwrap();
            let reader = f.ledger.reader();
            let filter =
                DeliveryFilter { target: Some("siem".to_owned()), limit: 99, ..Default::default() };
            let rows = reader.list_deliveries(&filter).await.unwrap();
            let mut attempts = Vec::new();
            for id in ids {
                attempts.extend(reader.list_attempts(id, None, 9).await.unwrap());
            }
            let due = reader.list_fresh(siem, 0, 99).await.unwrap();
            let fresh: Vec<i64> = due.iter().map(|due| due.sequence).collect();
            let target = f.row("siem").await;
            ends.push((rows, attempts, fresh, (target.delivered_total, target.dead)));
        }
        let case = format!("{fate:?}, one was settled before: {is_one_settled}");
        assert!(ends.iter().all(|end| *end == ends[0]), "{case}: {ends:#?}");
        let (_, attempts, fresh, _) = &ends[0];
        let is_again = matches!(fate, Fate::Held | Fate::RetryAt(_));
        assert_eq!(attempts.len(), if is_again { 11 } else { 10 }, "{case}: each is on record");
        let held = if fate == Fate::Held { 9 - usize::from(is_one_settled) } else { 0 };
        assert_eq!(fresh.len(), held, "{case}: what is held is fresh as before");
    }
}

#[tokio::test]
async fn a_replay_keeps_the_attempt_that_delivered_before() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let siem = f.target("siem").await;
    let numbers = async || {
        let rows = f.ledger.reader().list_attempts("a", Some("siem"), 9).await.unwrap();
        rows.iter().map(|row| (row.number, row.status, row.duration_ms)).collect::<Vec<_>>()
    };
    f.ledger.settle(siem, vec![delivered(1)]).await.unwrap();
    let before = numbers().await;
    f.replay(&replay(siem, Which::Every, HistoryFilter::default())).await;
    assert_eq!(numbers().await, before);
    f.replay(&replay(siem, Which::Every, HistoryFilter::default())).await;
    assert_eq!(numbers().await, before, "one that is pending again has nothing to keep");
    f.ledger.settle(siem, vec![delivered(1)]).await.unwrap();
    let after = numbers().await;
    assert_eq!((after.len(), after[0], after[1].0), (2, before[0], 2));
}

#[tokio::test]
async fn only_what_was_still_pending_is_counted() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a", "b", "c"])).await.unwrap();
    let (siem, _) = f.ledger.reader().find_target("siem").await.unwrap().unwrap();
    f.ledger.settle(siem, vec![delivered(1)]).await.unwrap();
    f.clock.advance(Duration::from_secs(1));
    let rejected = settlement(3, Outcome::Rejected, Fate::Dead(Reason::Rejected));
    f.ledger.settle(siem, vec![delivered(1), delivered(2), rejected]).await.unwrap();
    let row = &f.ledger.reader().list_targets().await.unwrap()[1];
    assert_eq!((row.name.as_str(), row.delivered_total, row.dead), ("siem", 2, 1));
    assert_eq!(f.count("attempt_log").await, 3);
}

#[tokio::test]
async fn a_target_turns_only_from_the_state_that_a_turn_starts_from() {
    use TargetState::{Active, Failing, Gone, Paused};
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let (siem, _) = f.ledger.reader().find_target("siem").await.unwrap().unwrap();
    let failed = settlement(1, Outcome::Retry(Reason::Timeout), Fate::Held);
    for (before, turn, after) in [
        (Active, Turn::Failing, Failing),
        (Active, Turn::Recovered, Active),
        (Active, Turn::Gone, Gone),
        (Failing, Turn::Failing, Failing),
        (Failing, Turn::Recovered, Active),
        (Failing, Turn::Gone, Gone),
        (Paused, Turn::Failing, Paused),
        (Paused, Turn::Recovered, Paused),
        (Paused, Turn::Gone, Paused),
        (Gone, Turn::Failing, Gone),
        (Gone, Turn::Recovered, Gone),
    ] {
        f.ledger.resume_target("siem").await.unwrap();
        let first = match before {
            Active => None,
            Failing => Some(Turn::Failing),
            Gone => Some(Turn::Gone),
            Paused => {
                f.ledger.pause_target("siem").await.unwrap();
                None
            }
        };
        for turn in [first, Some(turn)] {
            f.ledger.settle(siem, vec![Settlement { turn, ..failed.clone() }]).await.unwrap();
        }
        let (_, state) = f.ledger.reader().find_target("siem").await.unwrap().unwrap();
        assert_eq!(state, after, "{before:?} {turn:?}");
    }
    f.ledger.resume_target("siem").await.unwrap();
    f.ledger.settle(siem, vec![Settlement { turn: Some(Turn::Failing), ..failed }]).await.unwrap();
    assert!(f.ledger.pause_target("siem").await.unwrap(), "a failing target can be paused");
}

/// Types of our own events, and the targets that are owed them.
async fn own_events(f: &Fixture) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT e.type, group_concat(d.target) FROM event e
         JOIN delivery_log d ON d.sequence = e.sequence
         WHERE e.type LIKE 'com.tailwater.%' GROUP BY e.sequence ORDER BY e.sequence",
    )
    .fetch_all(&f.ledger.reader().0)
    .await
    .unwrap()
}

fn owed(event_type: &str, targets: &str) -> (String, String) {
    (format!("com.tailwater.{event_type}"), targets.to_owned())
}

#[tokio::test]
async fn a_turn_is_told_to_who_subscribes_and_never_to_the_target_itself() {
    let f = Fixture::new().await;
    f.ledger.ingest(ingest(&["a"])).await.unwrap();
    let siem = f.target("siem").await;
    let failed = settlement(1, Outcome::Retry(Reason::Timeout), Fate::Held);
    let turn = async |turn| {
        let settlement = Settlement { turn: Some(turn), ..failed.clone() };
        f.clock.advance(Duration::from_secs(1));
        f.ledger.settle(siem, vec![settlement]).await.unwrap();
    };
    f.ledger.subscribe_targets(vec!["siem".to_owned()]).await.unwrap();
    turn(Turn::Failing).await;
    turn(Turn::Recovered).await;
    assert_eq!(f.count("event").await, 1, "nobody else wants to know");
    f.ledger.subscribe_targets(vec!["siem".to_owned(), "oncall".to_owned()]).await.unwrap();
    turn(Turn::Failing).await;
    turn(Turn::Failing).await;
    turn(Turn::Recovered).await;
    turn(Turn::Gone).await;
    let expected = ["target.failing", "target.recovered", "target.gone"];
    assert_eq!(own_events(&f).await, expected.map(|one| owed(one, "oncall")));
    let verbs: Vec<(String,)> = sqlx::query_as("SELECT verb FROM operation_log ORDER BY id")
        .fetch_all(&f.ledger.reader().0)
        .await
        .unwrap();
    let verbs: Vec<&str> = verbs.iter().map(|(verb,)| verb.as_str()).collect();
    assert_eq!(verbs, ["failing", "recovered", "failing", "recovered", "gone"]);

    let missed = replay(siem, Which::Missed, HistoryFilter::default());
    assert_eq!(f.ledger.reader().count_replay(&missed).await.unwrap(), 0);
    let again = replay(f.target("oncall").await, Which::Every, HistoryFilter::default());
    assert_eq!(f.ledger.reader().count_replay(&again).await.unwrap(), 4);
    f.ledger.subscribe_targets(Vec::new()).await.unwrap();
    f.ledger.resume_target("siem").await.unwrap();
    turn(Turn::Failing).await;
    assert_eq!(own_events(&f).await.len(), 3);
}

#[tokio::test]
async fn dead_letters_are_told_with_a_count_once_a_minute_and_those_of_our_own_events_never() {
    let f = Fixture::new().await;
    let ids: Vec<String> = (0..700).map(|number| format!("e{number}")).collect();
    f.ledger.ingest(ingest(&ids.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    f.ledger.subscribe_targets(vec!["siem".to_owned(), "oncall".to_owned()]).await.unwrap();
    let (siem, oncall) = (f.target("siem").await, f.target("oncall").await);
    let bury = |from: i64, until: i64| -> Vec<Settlement> {
        let dead = Fate::Dead(Reason::Rejected);
        (from..until).map(|sequence| settlement(sequence, Outcome::Rejected, dead)).collect()
    };
    let told = async || -> Vec<(i64, i64)> {
        sqlx::query_as(
            "SELECT data ->> '$.count', json_array_length(data, '$.events') FROM history
             WHERE type = 'com.tailwater.delivery.dead' ORDER BY sequence",
        )
        .fetch_all(&f.ledger.reader().0)
        .await
        .unwrap()
    };
    f.ledger.settle(siem, bury(1, 501)).await.unwrap();
    f.ledger.settle(siem, bury(501, 601)).await.unwrap();
    f.ledger.tell_dead(siem).await.unwrap();
    assert_eq!(told().await, [(500, 10)]);
    let owed_now = f.ledger.reader().find_owed(siem).await.unwrap().unwrap();
    assert!(owed_now.has_untold_dead);
    f.clock.advance(Duration::from_mins(1));
    f.ledger.tell_dead(siem).await.unwrap();
    f.ledger.tell_dead(siem).await.unwrap();
    assert_eq!(told().await, [(500, 10), (100, 0)]);

    // Both events about siem die at oncall.
    f.clock.advance(Duration::from_mins(2));
    f.ledger.settle(oncall, bury(701, 703)).await.unwrap();
    f.ledger.tell_dead(oncall).await.unwrap();
    assert_eq!(told().await.len(), 2, "nothing comes of nothing");
    let owed_now = f.ledger.reader().find_owed(oncall).await.unwrap().unwrap();
    assert!(!owed_now.has_untold_dead);
    assert_eq!(own_events(&f).await, ["delivery.dead"; 2].map(|one| owed(one, "oncall")));
}

#[tokio::test]
async fn lateness_is_kept_with_both_ends_and_of_the_first_answer_only() {
    use crate::model::coverage::Span;
    use crate::model::lateness::{Learnt, Shown};
    use crate::model::sweep::Tier;

    let f = Fixture::new().await;
    let second = ingest(&["x"]).events[0].occurred_at.secs();
    let span = Span::new(second - 100, second + 100);
    let mut coverage = Coverage::new(second - 1_000);
    let first = Shown::new(&coverage, span, Timestamp::from_secs(second + 20), Tier::Hot, 900);
    let fresh = Ingest { shown: Some(first), ..ingest(&["fresh"]) };
    f.ledger.ingest(fresh).await.unwrap();
    coverage.record(span, second + 1_000);
    let swept =
        Shown::new(&coverage, span, Timestamp::from_secs(second + 5_000), Tier::Hourly, 900);
    let late = Ingest { shown: Some(swept.clone()), ..ingest(&["fresh", "late"]) };
    f.ledger.ingest(late).await.unwrap();
    let old =
        Shown::new(&Coverage::new(0), span, Timestamp::from_secs(second + 5_000), Tier::Past, 900);
    f.ledger.ingest(Ingest { shown: Some(old), ..ingest(&["late", "old"]) }).await.unwrap();

    let rows: Vec<(String, i64, i64, Option<String>)> =
        sqlx::query_as("SELECT id, at_least_ms, at_most_ms, tier FROM lateness ORDER BY sequence")
            .fetch_all(&f.ledger.reader().0)
            .await
            .unwrap();
    let hourly = Some("hourly".to_owned());
    let expected =
        [("fresh".to_owned(), 0, 20_000, None), ("late".to_owned(), 999_000, 5_000_000, hourly)];
    assert_eq!(rows, expected);
    let curve = f.ledger.reader().find_curve(&HistoryFilter::default()).await.unwrap();
    assert_eq!((curve.entries(), curve.swept(), curve.longest()), (2, 1, Some(5_000_000_000)));

    let source = ingest(&[]).source;
    assert_eq!(f.ledger.find_learnt(&source).await.unwrap(), None);
    let learnt = Learnt {
        overlap_secs: 810,
        at: Timestamp::from_secs(second),
        entries: 2,
        quantile: None,
        swept: 1,
        late_since: Some(Timestamp::from_secs(second)),
        within: curve.within(),
    };
    assert_eq!(learnt.within, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
    f.ledger.ingest(Ingest { learnt: Some(learnt.clone()), ..ingest(&[]) }).await.unwrap();
    assert_eq!(f.ledger.find_learnt(&source).await.unwrap(), Some(learnt));
}
