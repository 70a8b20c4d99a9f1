//! Every answer that a target can give, through the real dispatcher: what becomes of the
//! delivery, when it is tried again, and what is never done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use tailwater::model::timestamp::Timestamp;
use tailwater::simulator::entry::Entry;

use crate::support::raw::{Seen, answer, answer_with};
use crate::support::{Audit, CloudServer, Home, RawServer, SOON, Setup, eventually, until};

const STOP: Duration = Duration::from_secs(10);

/// Puts an entry with an own id into the cloud, happening now.
fn make(cloud: &CloudServer, id: &str) {
    let entry = Entry::new(id, cloud.cloud.clock().now(), "Made for a test");
    assert!(cloud.cloud.insert(entry));
}

/// What becomes of a delivery at each status, written out by hand: the delivery's status
/// and the reason. A 401 to a 407 an operator can mend, 408 to 599 may pass, and what
/// nobody has named is tried again, too.
fn expected(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        200..=299 => ("delivered", None),
        300..=399 => ("pending", Some("redirect")),
        400 | 413 | 415 | 422 => ("dead", Some("rejected")),
        _ => ("pending", Some("status")),
    }
}

/// Event, attempts, status, last status, last reason, next attempt.
type Row = (String, i64, String, i64, Option<String>, Option<String>);

#[tokio::test(flavor = "multi_thread")]
async fn every_status_has_the_outcome_of_the_table() {
    let cloud = CloudServer::start().await;
    let statuses: Vec<u16> = (200..=599).filter(|status| *status != 410).collect();
    for status in &statuses {
        make(&cloud, &format!("status-{status}"));
        // A target that takes nothing for long gets nothing but probes.
        make(&cloud, &format!("status-204-after-{status}"));
    }
    let target = RawServer::start(|seen| {
        let id = seen.ids().pop().unwrap_or_default();
        let status = id.strip_prefix("status-").and_then(|text| text[..3].parse().ok());
        answer(status.unwrap_or(599), "")
    })
    .await;
    let patient = "concurrency = 1\nretry = { schedule = [\"1h\"] }";
    let home = Home::new(&Setup::new(&cloud).target("table", &target.url("/"), patient));

    let daemon = home.run_daemon().await;
    eventually("every delivery was attempted", SOON, async || {
        let attempted = "SELECT count(*) FROM delivery_log WHERE attempts > 0";
        let count: i64 = Audit::live(&home).await.value(attempted).await;
        (count == i64::try_from(2 * statuses.len()).unwrap()).then_some(())
    })
    .await;
    home.stop(daemon, STOP).await;

    let mut audit = Audit::live(&home).await;
    let rows: Vec<Row> = audit
        .rows(
            "SELECT event_id, attempts, status, last_status, last_reason, next_attempt_at
             FROM delivery_log WHERE event_id NOT LIKE '%after%'",
        )
        .await;
    let mut found = BTreeMap::new();
    for (id, attempts, status, last_status, reason, next) in rows {
        assert_eq!(id, format!("status-{last_status}"));
        assert_eq!(attempts, 1, "{id}");
        assert_eq!(next.is_some(), status == "pending", "{id}: next attempt {next:?}");
        found.insert(last_status, (status, reason));
    }
    for status in &statuses {
        let (outcome, reason) = expected(*status);
        let expected = Some((outcome.to_owned(), reason.map(str::to_owned)));
        assert_eq!(found.remove(&i64::from(*status)), expected, "{status}");
    }
    let asked: Vec<String> = target.seen().iter().flat_map(Seen::ids).collect();
    assert_eq!(asked.len(), 2 * statuses.len(), "each event came once");
    audit.check(&cloud.cloud.made(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed_in_seconds_and_as_a_date_up_to_an_hour() {
    let cloud = CloudServer::start().await;
    let target = RawServer::start(|seen| match seen.uri.path() {
        "/seconds" => answer_with(503, "retry-after", "120"),
        "/other-status" => answer_with(404, "retry-after", "120"),
        "/date" => answer_with(429, "retry-after", &http_date_in(240)),
        "/capped" => answer_with(500, "retry-after", "999999"),
        "/shorter" => answer_with(500, "retry-after", "1"),
        "/negative" => answer_with(503, "retry-after", "-120"),
        "/past" => answer_with(503, "retry-after", "Fri, 20 Dec 2024 12:34:53 GMT"),
        "/garbage" => answer_with(500, "retry-after", "soon"),
        _ => answer(500, ""),
    })
    .await;
    // The table: path, and within which seconds after the attempt the next one is due.
    let table = [
        ("/seconds", 120, 122),
        ("/other-status", 120, 122),
        ("/date", 237, 242),
        ("/capped", 3_600, 3_602),
        ("/shorter", 24, 37),
        ("/negative", 24, 37),
        ("/past", 24, 37),
        ("/garbage", 24, 37),
        ("/none", 24, 37),
    ];
    make(&cloud, "an-event");
    let setup = table.iter().fold(Setup::new(&cloud), |setup, (path, ..)| {
        let retry = "retry = { schedule = [\"30s\"] }";
        setup.target(&path[1..], &target.url(path), retry)
    });
    let home = Home::new(&setup);

    let daemon = home.run_daemon().await;
    until("each target was asked", SOON, || target.seen().len() == table.len()).await;
    home.stop(daemon, STOP).await;

    let mut audit = Audit::live(&home).await;
    let rows: Vec<(String, i64)> = audit
        .rows(
            "SELECT t.name, d.next_attempt_us - d.last_attempt_us
             FROM delivery d JOIN target t ON t.id = d.target_id",
        )
        .await;
    let waits: BTreeMap<String, i64> = rows.into_iter().collect();
    for (path, least, most) in table {
        let wait = waits[&path[1..]] / 1_000_000;
        assert!((least..=most).contains(&wait), "{path}: {wait} s");
    }
}

/// As a `Retry-After` says it.
fn http_date_in(secs: u64) -> String {
    let now = tailwater::model::clock::Clock::system().now();
    let since_epoch = now.since(Timestamp::from_secs(0)) + Duration::from_secs(secs);
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_says_until_when_it_is_overloaded_is_left_alone() {
    let cloud = CloudServer::start().await;
    let target = RawServer::start(|seen| match seen.uri.path() {
        "/overloaded" => answer_with(429, "retry-after", "600"),
        _ => answer(204, ""),
    })
    .await;
    let one = "concurrency = 1\nretry = { schedule = [\"10ms\"] }";
    let setup = Setup::new(&cloud).target("overloaded", &target.url("/overloaded"), one).target(
        "healthy",
        &target.url("/healthy"),
        one,
    );
    let home = Home::new(&setup);

    make(&cloud, "first");
    let daemon = home.run_daemon().await;
    until("it was asked", SOON, || target.count("/overloaded") == 1).await;
    for number in 0..20 {
        make(&cloud, &format!("later-{number}"));
    }
    until("the other one has all", SOON, || target.count("/healthy") == 21).await;
    home.stop(daemon, STOP).await;

    assert_eq!(target.count("/overloaded"), 1);
    assert_eq!(Audit::live(&home).await.deliveries("overloaded", "pending").await.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let cloud = CloudServer::start().await;
    let elsewhere = RawServer::start(|_| answer(204, "")).await;
    let location = elsewhere.url("/elsewhere");
    let target = RawServer::start(move |seen| {
        let status = seen.uri.path().trim_start_matches('/').parse().unwrap_or(302);
        answer_with(status, "location", &location)
    })
    .await;
    let statuses = ["301", "302", "303", "307", "308"];
    make(&cloud, "an-event");
    let setup = statuses.iter().fold(Setup::new(&cloud), |setup, status| {
        let retry = "retry = { schedule = [\"10ms\"] }";
        setup.target(&format!("to-{status}"), &target.url(&format!("/{status}")), retry)
    });
    let home = Home::new(&setup);

    let daemon = home.run_daemon().await;
    for status in statuses {
        let path = format!("/{status}");
        until("it was asked again", SOON, || target.count(&path) >= 2).await;
    }
    home.stop(daemon, STOP).await;

    assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_gets_nothing_until_it_is_resumed() {
    let cloud = CloudServer::start().await;
    let status = Arc::new(AtomicU16::new(410));
    let shown = Arc::clone(&status);
    let target = RawServer::start(move |seen| match seen.uri.path() {
        "/gone" => answer(shown.load(Ordering::SeqCst), "please go"),
        _ => answer(204, ""),
    })
    .await;
    let setup = Setup::new(&cloud).target("gone", &target.url("/gone"), "concurrency = 1").target(
        "healthy",
        &target.url("/healthy"),
        "",
    );
    let home = Home::new(&setup);

    make(&cloud, "first");
    let daemon = home.run_daemon().await;
    until("it has said so", SOON, || target.count("/gone") == 1).await;
    for number in 0..10 {
        make(&cloud, &format!("later-{number}"));
    }
    until("the other one has all", SOON, || target.count("/healthy") == 11).await;
    home.stop(daemon, STOP).await;
    // Also a new daemon asks first and sends later.
    let daemon = home.run_daemon().await;
    make(&cloud, "after-a-restart");
    until("the other one has all", SOON, || target.count("/healthy") == 12).await;
    assert_eq!(target.count("/gone"), 1);
    let told = home.list(&["targets"]).await;
    let gone = told.iter().find(|row| row["target"] == "gone").expect("it is listed");
    assert_eq!((&gone["state"], &gone["pending"]), (&"gone".into(), &12.into()));

    status.store(204, Ordering::SeqCst);
    let resumed = home.command(&["targets", "resume", "gone"]).await;
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    assert_eq!(target.count("/gone"), 13);
    let mut audit = Audit::live(&home).await;
    assert_eq!(audit.deliveries("gone", "delivered").await, cloud.ids());
    audit.check(&cloud.cloud.made(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_batch_buries_only_the_culprits() {
    let cloud = CloudServer::start().await;
    let poison = ["event-07", "event-08", "event-31"];
    for number in 0..50 {
        make(&cloud, &format!("event-{number:02}"));
    }
    let target = RawServer::start(move |seen| {
        let is_poisoned = seen.ids().iter().any(|id| poison.contains(&id.as_str()));
        answer(if is_poisoned { 422 } else { 204 }, "")
    })
    .await;
    let batch = "format = \"batch\"\nbatch = { max_events = 50, max_wait = \"100ms\" }";
    let home = Home::new(&Setup::new(&cloud).target("batch", &target.url("/"), batch));

    let daemon = home.run_daemon().await;
    until("the events are stored", SOON, || !target.seen().is_empty()).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    let poison: BTreeSet<String> = poison.iter().map(|id| (*id).to_owned()).collect();
    let mut audit = Audit::live(&home).await;
    assert_eq!(audit.deliveries("batch", "dead").await, poison);
    let taken = target.seen().into_iter().map(|seen| seen.ids());
    let taken: Vec<String> =
        taken.filter(|ids| ids.iter().all(|id| !poison.contains(id))).flatten().collect();
    assert_eq!(taken.len(), 47, "each good one was taken once");
    assert!(target.seen().len() <= 30, "halving takes few requests: {}", target.seen().len());
    let reasons: Vec<(String,)> =
        audit.rows("SELECT DISTINCT last_reason FROM delivery_log WHERE status = 'dead'").await;
    assert_eq!(reasons, [("rejected".to_owned(),)]);
    audit.check(&cloud.cloud.made(), 1).await;
}
