//! The real daemon between both sides of a simulated cloud: what it pushes, as badly as it
//! may, and what polling shows of the very same entries.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tailwater::simulator::knobs::Spread;
use tailwater::simulator::push::knobs::PushKnobs;
use tailwater::simulator::push::{Shape, TRIES};
use tailwater::simulator::{Settings, UNLIMITED};

use crate::support::push::SECRET;
use crate::support::sinks::Reserved;
use crate::support::{
    Audit, CloudServer, Home, Process, Pusher, SOON, Setup, SinkServer, eventually, until,
};

const STOP: Duration = Duration::from_secs(30);

/// A cloud that pushes so.
async fn cloud(push: PushKnobs) -> CloudServer {
    let defaults = Settings::default();
    CloudServer::with(Settings { push, requests_per_minute: UNLIMITED, ..defaults }).await
}

fn turn(cloud: &CloudServer, changes: &Value) {
    let knobs = cloud.cloud.knobs().turned(json!({ "push": changes })).expect("knobs");
    cloud.cloud.set_knobs(knobs);
}

/// Registers the daemon's webhook, and waits until it has answered the challenge.
async fn register(cloud: &CloudServer, url: &str, more: &[(&str, Value)]) {
    let mut form = json!({ "name": "it", "destination": url, "secret": SECRET });
    for (name, value) in more {
        form[*name] = value.clone();
    }
    cloud.cloud.register(&form).expect("it is registered");
    becomes(cloud, "ACTIVE").await;
}

async fn becomes(cloud: &CloudServer, status: &str) {
    let found = || cloud.cloud.webhooks()[0]["status"].clone();
    until(&format!("the webhook is {status}"), SOON, || found() == status).await;
}

/// A daemon whose webhook is active.
async fn started(cloud: &CloudServer, setup: &Setup, more: &[(&str, Value)]) -> (Home, Process) {
    let home = Home::new(setup);
    let daemon = home.run_daemon().await;
    register(cloud, &Pusher::to(&daemon).await.url, more).await;
    (home, daemon)
}

/// Waits until `sql` counts `expected`.
async fn counts(home: &Home, what: &str, sql: &str, expected: i64) {
    eventually(what, SOON, async || {
        (Audit::live(home).await.value::<i64>(sql).await == expected).then_some(())
    })
    .await;
}

const SEEN_BY_BOTH: &str =
    "SELECT count(*) FROM history WHERE poll_seen_at > '' AND push_seen_at > ''";

#[tokio::test(flavor = "multi_thread")]
async fn each_entry_is_one_event_however_badly_it_is_pushed() {
    let cloud = cloud(PushKnobs {
        duplicate_fraction: 0.3,
        held_fraction: 0.3,
        held_seconds: 0.5,
        batch_events: 7,
        batch_seconds: 0.2,
        ..PushKnobs::default()
    })
    .await;
    let sink = SinkServer::start().await;
    let second = "secondary_secret = \"the-secret-of-before\"\napi_key = \"the-key-of-the-hook\"";
    let setup = Setup::new(&cloud).push(second).target("siem", &sink.url, "");
    let rotating = [
        ("secondarySecret", json!("the-secret-of-before")),
        ("authType", json!("APIKey")),
        ("apiKey", json!("the-key-of-the-hook")),
        ("batching", json!(true)),
    ];
    let (home, daemon) = started(&cloud, &setup, &rotating).await;
    for _ in 0..20 {
        cloud.make(10);
    }
    until("all are at the target", SOON, || sink.ids() == cloud.ids()).await;
    counts(&home, "both routes have shown all", SEEN_BY_BOTH, 200).await;
    until("all is pushed", SOON, || cloud.cloud.pushed().waiting == 0).await;
    home.until_settled(SOON).await;

    let report = sink.report();
    assert_eq!((report.distinct, report.repeats), (200, 0));
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), 1).await;
    let pushed: i64 = audit.value("SELECT sum(count) FROM push_log WHERE status = 202").await;
    assert!(pushed > 220, "{pushed} events were pushed, repeats included");
    let secrets = "SELECT group_concat(DISTINCT secret) FROM push_log WHERE status = 202";
    assert_eq!(audit.value::<String>(secrets).await, "both");
    assert_eq!(cloud.cloud.pushed().failed, 0);
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tried_while_the_daemon_was_down_comes_when_it_is_back() {
    // Twelve hours are a minute: the eighth try comes after an hour, or five seconds.
    let cloud = cloud(PushKnobs { time_scale: 720.0, ..PushKnobs::default() }).await;
    let reserved = Reserved::new();
    let address = reserved.url().replace("http://", "").replace('/', "");
    let setup = Setup::new(&cloud).poll("enabled = false");
    let home = Home::new(&setup.receiver(&format!("listen = \"{address}\""), ""));
    let daemon = home.run_daemon().await;
    register(&cloud, &format!("http://{address}/hook"), &[]).await;
    home.stop(daemon, STOP).await;

    cloud.make(10);
    until("an hour has passed", SOON, || cloud.cloud.pushed().failed >= 80).await;
    becomes(&cloud, "WARNING").await;
    let daemon = home.run_daemon().await;

    let all = "SELECT count(*) FROM history WHERE push_seen_at > ''";
    counts(&home, "all are there", all, 10).await;
    assert_eq!(Audit::live(&home).await.ids().await, cloud.ids());
    assert_eq!(cloud.cloud.pushed().given_up, 0);
    // Half a day later.
    turn(&cloud, &json!({ "time_scale": 1e9 }));
    becomes(&cloud, "ACTIVE").await;
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_pushed_is_found_by_polling_and_counted_as_missed() {
    let cloud = cloud(PushKnobs { drop_fraction: 0.4, ..PushKnobs::default() }).await;
    let setup = Setup::new(&cloud).push("horizon = \"1s\"");
    let (home, daemon) = started(&cloud, &setup, &[]).await;
    // Polling knows whole seconds: what seems older than the webhook is not counted.
    let second = || cloud.cloud.clock().now().secs();
    let first = second();
    until("the daemon's first second is over", SOON, || second() > first).await;
    cloud.make(60);
    let polled = "SELECT count(*) FROM history WHERE poll_seen_at > ''";
    counts(&home, "polling has shown all", polled, 60).await;
    let withheld = i64::try_from(cloud.cloud.pushed().withheld).expect("a few");
    assert!((5..55).contains(&withheld), "{withheld} were kept back");
    counts(&home, "the others were pushed", SEEN_BY_BOTH, 60 - withheld).await;
    let missed = "SELECT count(*) FROM missed WHERE missed_by = 'push'";
    counts(&home, "what was kept back is missed", missed, withheld).await;
    let never = "SELECT count(*) FROM missed m JOIN history h USING (sequence)
                 WHERE h.push_seen_at > '' OR m.missed_by = 'poll'";
    assert_eq!(Audit::live(&home).await.value::<i64>(never).await, 0);
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_cut_off_is_set_aside_and_polling_has_the_entry() {
    let cloud = cloud(PushKnobs { body_max: 200, ..PushKnobs::default() }).await;
    let (home, daemon) = started(&cloud, &Setup::new(&cloud).push(""), &[]).await;
    cloud.make(5);
    counts(&home, "they are set aside", "SELECT count(*) FROM quarantine", 5).await;
    let polled = "SELECT count(*) FROM history WHERE poll_seen_at > '' AND push_seen_at IS NULL";
    counts(&home, "polling has shown all", polled, 5).await;
    assert_eq!(Audit::live(&home).await.ids().await, cloud.ids());
    becomes(&cloud, "WARNING").await;
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shapes_that_were_never_seen_are_taken_too() {
    let cloud = cloud(PushKnobs { shape: Shape::C, without_com: true, ..<_>::default() }).await;
    let setup = Setup::new(&cloud).push("horizon = \"1s\"");
    let (home, daemon) = started(&cloud, &setup, &[]).await;
    cloud.make(10);
    counts(&home, "shape C is the same event", SEEN_BY_BOTH, 10).await;
    turn(&cloud, &json!({ "shape": "b", "with_subject": true }));
    cloud.make(10);
    // It does not say which entry it is about.
    counts(&home, "shape B is its own", "SELECT count(*) FROM history", 30).await;
    counts(&home, "both are there", SEEN_BY_BOTH, 10).await;
    let alone = "SELECT count(*) FROM history WHERE push_label = 'outside' AND poll_seen_at IS NULL
                 AND username LIKE '%@%' AND category NOT LIKE '% %'";
    counts(&home, "it is kept out of comparisons", alone, 10).await;
    let missed = "SELECT count(*) FROM missed WHERE missed_by = 'push'";
    counts(&home, "polling alone has the others", missed, 10).await;
    let missed = "SELECT count(*) FROM missed WHERE missed_by = 'poll'";
    assert_eq!(Audit::live(&home).await.value::<i64>(missed).await, 0);
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_in_error_gets_events_again_once_it_is_resumed() {
    let cloud = cloud(PushKnobs { time_scale: 1e6, ..PushKnobs::default() }).await;
    let reserved = Reserved::new();
    let address = reserved.url().replace("http://", "").replace('/', "");
    let setup = Setup::new(&cloud).receiver(&format!("listen = \"{address}\""), "");
    let home = Home::new(&setup);
    let daemon = home.run_daemon().await;
    register(&cloud, &format!("http://{address}/hook"), &[]).await;
    home.stop(daemon, STOP).await;
    cloud.make(1);
    becomes(&cloud, "ERROR").await;
    let pushed = cloud.cloud.pushed();
    assert_eq!((pushed.failed, pushed.given_up), (u64::from(TRIES), 1));
    cloud.make(1);

    let daemon = home.run_daemon().await;
    counts(&home, "polling shows both", "SELECT count(*) FROM history", 2).await;
    let id = cloud.cloud.webhooks()[0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/events/v1beta1/webhooks/{id}");
    for (paused, status) in [(true, "DISABLED"), (false, "PENDING")] {
        let shown = cloud.patch(&path, &json!({ "paused": paused })).await;
        assert_eq!(shown["status"], status, "{shown}");
    }
    becomes(&cloud, "ACTIVE").await;
    cloud.make(1);
    counts(&home, "the third comes both ways", SEEN_BY_BOTH, 1).await;
    assert_eq!(Audit::live(&home).await.ids().await, cloud.ids());
    assert_eq!(cloud.cloud.pushed().lost, 1, "the one of its time in error");
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_routes_racing_make_one_event_and_one_delivery_a_target() {
    const COUNT: u64 = 1_000;
    // Pushed anywhere within a second, polled every second: either may be first.
    let cloud = cloud(PushKnobs {
        delay_seconds: 1.0,
        delay_spread: Spread::Even,
        duplicate_fraction: 0.1,
        ..PushKnobs::default()
    })
    .await;
    let sinks = [SinkServer::start().await, SinkServer::start().await];
    let setup = Setup::new(&cloud).push("").log("info");
    let setup = setup.target("one", &sinks[0].url, "").target("two", &sinks[1].url, "");
    let (home, daemon) = started(&cloud, &setup, &[]).await;
    let feed = cloud.feed(10, Duration::from_millis(100));
    until("enough are made", SOON, || cloud.ids().len() as u64 >= COUNT).await;
    // Which one mostly is depends on how busy the machine is.
    let firsts = "SELECT count(DISTINCT first_route) FROM history";
    counts(&home, "either has been first", firsts, 2).await;
    drop(feed);
    let made: BTreeSet<String> = cloud.ids();
    let count = i64::try_from(made.len()).expect("a few thousand");
    counts(&home, "both routes have shown all", SEEN_BY_BOTH, count).await;
    until("all is pushed", SOON, || cloud.cloud.pushed().waiting == 0).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    for sink in &sinks {
        assert_eq!(sink.ids(), made);
        assert_eq!(sink.report().repeats, 0);
    }
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), 2).await;
    let odd = "SELECT count(*) FROM event e WHERE
               (SELECT count(*) FROM sighting s WHERE s.sequence = e.sequence) <> 2
               OR (SELECT count(*) FROM delivery_log d WHERE d.sequence = e.sequence) <> 2";
    assert_eq!(audit.value::<i64>(odd).await, 0);
    // Whichever route's commit came first has told its event as new, and no other.
    for (route, log) in [("push", "push_log"), ("poll", "poll_log")] {
        let first = format!("SELECT count(*) FROM history WHERE first_route = '{route}'");
        let new = format!("SELECT coalesce(sum(new), 0) FROM {log}");
        let (first, new) = (audit.value::<i64>(&first).await, audit.value::<i64>(&new).await);
        assert_eq!(first, new, "{route}");
        println!("{route} was first for {first} of {count}");
    }
}
