//! Reading beside a daemon: following events, and exporting them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, until};

const STOP: Duration = Duration::from_secs(10);

fn ids(lines: &str) -> Vec<String> {
    let id = |line| serde_json::from_str::<Value>(line).ok()?["id"].as_str().map(str::to_owned);
    lines.lines().filter_map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_while_daemons_come_and_go() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let home = Home::new(&Setup::new(&cloud).target("siem", &sink.url, ""));
    cloud.make_visible(300);
    assert_eq!(home.command(&["poll"]).await.code, Some(0));

    let all = home.start(&["tail", "--from", "1", "--json"]);
    let plain = home.start(&["tail", "--from", "301"]);
    let other = home.start(&["tail", "--from", "1", "--category", "nope"]);
    until("it shows what is there", SOON, || ids(&all.stdout()).len() == 300).await;
    for _ in 0..2 {
        let daemon = home.run_daemon().await;
        cloud.make(10);
        let made = cloud.ids();
        until("it shows what is new", SOON, || ids(&all.stdout()).len() == made.len()).await;
        home.stop(daemon, STOP).await;
    }
    until("lines for people", SOON, || plain.stdout().lines().count() == 20).await;
    let shown = ids(&all.stdout());
    assert_eq!(shown.iter().cloned().collect::<BTreeSet<_>>(), cloud.ids());
    let first = plain.stdout().lines().next().map(str::to_owned).expect("a line");
    assert!(first.starts_with("301  20"), "{first}");
    assert_eq!(other.stdout(), "");
    for tail in [all, plain, other] {
        tail.term();
        let done = tail.end(SOON).await;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_every_event_in_every_format() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud));
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(600, now.minus(Duration::from_mins(5)), now);
    let daemon = home.run_daemon().await;
    until("all are stored", SOON, || daemon.stderr().contains("running")).await;
    let stored = "SELECT count(*) FROM event";
    crate::support::eventually("all are stored", SOON, async || {
        (Audit::live(&home).await.value::<i64>(stored).await == 600).then_some(())
    })
    .await;

    let done = home.command(&["export", "--format", "cloudevents", "--output", "all.json"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "all.json holds 600 events\n"));
    let batch = std::fs::read_to_string(home.path().join("all.json")).expect("it is there");
    let rows: Vec<(String,)> =
        Audit::live(&home).await.rows("SELECT body FROM event ORDER BY sequence").await;
    let bodies: Vec<String> = rows.into_iter().map(|(body,)| body).collect();
    assert!(batch == format!("[{}]\n", bodies.join(",\n")), "byte for byte what targets get");
    assert_eq!(serde_json::from_str::<Vec<Value>>(&batch).expect("JSON").len(), 600);
    let again = home.command(&["export", "--format", "csv", "--output", "all.json"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("exists already"), "{again:?}");

    let lines = home.command(&["export", "--format", "ndjson"]).await.stdout;
    assert_eq!(ids(&lines).into_iter().collect::<BTreeSet<_>>(), cloud.ids());
    let csv = home.command(&["export", "--format", "csv", "--since", "1h"]).await.stdout;
    let history = ["history", "--format", "csv", "--oldest-first", "--limit", "1000"];
    assert_eq!(csv, home.command(&history).await.stdout);
    let none = home.command(&["export", "--format", "cloudevents", "--until", "1h"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), "[]\n"));
    home.stop(daemon, STOP).await;
}
