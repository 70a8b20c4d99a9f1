//! What an operator does to a target while the daemon runs: pause, resume, test.

use std::time::Duration;

use serde_json::json;

use crate::support::raw::answer;
use crate::support::{Audit, CloudServer, Home, RawServer, SOON, Setup, SinkServer, until};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STOP: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_target_waits_and_then_has_it_all() {
    let cloud = CloudServer::start().await;
    let (siem, other) = (SinkServer::start().await, SinkServer::start().await);
    let home = Home::new(
        &Setup::new(&cloud).target("siem", &siem.url, "").target("other", &other.url, ""),
    );
    cloud.make(5);
    let daemon = home.run_daemon().await;
    until("both have all", SOON, || siem.ids() == cloud.ids() && other.ids() == cloud.ids()).await;
    let before = siem.ids();

    let paused = home.command(&["targets", "pause", "siem"]).await;
    assert_eq!(paused.code, Some(0), "{paused:?}");
    assert!(paused.stdout.starts_with("siem is paused"), "{paused:?}");
    until("the daemon has noticed", SOON, || daemon.stderr().contains("is paused now")).await;
    cloud.make(5);
    until("the other has all", SOON, || other.ids() == cloud.ids()).await;
    let again = home.command(&["targets", "pause", "siem"]).await;
    assert_eq!(again.stdout, "siem was paused already\n");
    let told = home.list(&["targets"]).await;
    let row = told.iter().find(|row| row["target"] == "siem").expect("it is listed");
    assert_eq!((&row["state"], &row["pending"]), (&"paused".into(), &5.into()));
    assert_eq!(siem.ids(), before);

    let resumed = home.command(&["targets", "resume", "siem"]).await;
    assert_eq!(resumed.stdout, "siem is active again\n");
    until("it has all", SOON, || siem.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    assert_eq!((siem.report().repeats, other.report().repeats), (0, 0));
    let recorded = "SELECT verb, target FROM operation_log ORDER BY id";
    let rows: Vec<(String, String)> = Audit::live(&home).await.rows(recorded).await;
    let siem = |verb: &str| (verb.to_owned(), "siem".to_owned());
    assert_eq!(rows, [siem("pause"), siem("resume")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_straight_to_the_target_as_every_event_would() {
    let verifying = SinkServer::verifying(KEY).await;
    let bad = RawServer::start(|seen| answer(503, seen.echo())).await;
    let signed = format!("signing = {{ standard = [\"{KEY}\"] }}\nformat = \"batch\"");
    let home = Home::new(
        &Setup::of("http://127.0.0.1:1", "secret")
            .target("siem", &verifying.url, &signed)
            .target(
                "bad",
                &bad.url("/hook?key=planted-query-key"),
                "auth = { bearer = \"planted-token\" }",
            )
            .target("dead", "http://127.0.0.1:1/", ""),
    );

    let done = home.command(&["targets", "test", "siem"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("siem: 2") && done.stdout.contains("delivered"), "{done:?}");
    let report = verifying.report();
    assert_eq!((report.requests, report.signatures_good), (1, 1));

    let done = home.command(&["targets", "test", "bad", "--json"]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(!done.stdout.contains("planted-"), "{done:?}");
    let told: serde_json::Value = serde_json::from_str(&done.stdout).expect("one object");
    assert_eq!((&told["status"], &told["reason"]), (&json!(503), &json!("status")));
    assert!(told["answer"].as_str().is_some_and(|text| text.contains("POST /hook")), "{told}");
    let seen = bad.seen();
    let event: serde_json::Value = serde_json::from_slice(&seen[0].body).expect("JSON");
    assert_eq!((seen.len(), &event["type"]), (1, &json!("com.tailwater.target.test")));
    assert_eq!(event["source"], "//tailwater/targets/bad");

    let done = home.command(&["targets", "test", "dead"]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("no answer") && done.stdout.contains("refused"), "{done:?}");
    let done = home.command(&["targets", "test", "nope"]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("\"nope\"; it has: siem, bad, dead"), "{done:?}");
    assert!(!home.ledger().exists(), "a test stores nothing");
}
