//! `check --online` says in plain words what is wrong with a source.

use std::time::Duration;

use tailwater::model::clock::Clock;
use tailwater::simulator::Settings;
use tailwater::simulator::faults::{Fault, FaultKind};

use crate::support::{CloudServer, Done, Home, Setup};

/// A target that must not be contacted: connections to port 1 of this machine fail.
const TARGET: &str = "http://127.0.0.1:1/hook";

async fn check(setup: &Setup) -> Done {
    Home::new(setup).command(&["check", "--online"]).await
}

/// One fault, told on one line of standard error that holds each of `words`.
#[track_caller]
fn is_fault(done: &Done, words: &[&str]) {
    assert_eq!(done.code, Some(3), "{done:?}");
    let faults: Vec<&str> = done.stderr.lines().filter(|l| l.starts_with("fault: ")).collect();
    assert_eq!(faults.len(), 1, "{done:?}");
    for word in words {
        assert!(faults[0].contains(word), "{word}: {}", faults[0]);
    }
    assert!(done.stderr.ends_with("1 fault found\n"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_well_is_told_to_be() {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(7, now.minus(Duration::from_mins(1)), now);
    let done = check(&Setup::new(&cloud).target("siem", TARGET, "")).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    for line in [
        "source \"production\": the token endpoint gave a token",
        "source \"production\": the audit log answered: 7 entries in the last hour",
        "target \"siem\": not contacted, a request would be taken for an event",
    ] {
        assert!(done.stdout.lines().any(|said| said == line), "{line}: {}", done.stdout);
    }
    assert!(!done.stderr.contains("fault"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud));
    let done = home.command(&["check", "--online"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!home.ledger().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_one_object_a_finding() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::of(&cloud.base_url, "wrong").target("siem", TARGET, ""));
    let done = home.command(&["check", "--online", "--json"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(3), ""));
    let lines: Vec<serde_json::Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["valid"], true);
    let finding = lines.iter().find(|line| line["kind"] == "finding").expect("a finding");
    assert_eq!((&finding["source"], &finding["ok"]), (&"production".into(), &false.into()));
    assert!(finding["instead"].as_str().is_some_and(|text| text.contains("client_secret")));
    assert!(lines.iter().any(|line| line["kind"] == "skipped" && line["target"] == "siem"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_or_id_is_told_without_repeating_the_secret() {
    let cloud = CloudServer::start().await;
    let done = check(&Setup::of(&cloud.base_url, "planted-secret")).await;
    is_fault(&done, &["wrong client id or secret", "compare client_id, client_secret"]);
    assert!(!format!("{done:?}").contains("planted-secret"));

    let other = Settings { client_id: "another-client".to_owned(), ..Settings::default() };
    let cloud = CloudServer::with(other).await;
    let done = check(&Setup::new(&cloud)).await;
    is_fault(&done, &["wrong client id or secret", "compare client_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_role_is_told() {
    let cloud = CloudServer::start().await;
    cloud.cloud.faults().set(vec![Fault::new(FaultKind::Forbidden)]);
    let done = check(&Setup::new(&cloud)).await;
    is_fault(&done, &["403", "ccs.audit-trail.view"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_where_nobody_listens_is_told() {
    let done = check(&Setup::of("http://127.0.0.1:1", "secret")).await;
    is_fault(&done, &["refused", "nobody listens there"]);
    let done = check(&Setup::of("http://greenlake.invalid", "secret")).await;
    is_fault(&done, &["check the host in token_url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told() {
    let slow = Clock::manual(Clock::system().now().minus(Duration::from_mins(10)));
    let cloud = CloudServer::with(Settings { clock: slow, ..Settings::default() }).await;
    let done = check(&Setup::new(&cloud)).await;
    is_fault(&done, &["ahead of the source's", "set the clock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_the_source_refuses_is_told_with_its_issue() {
    let cloud = CloudServer::start().await;
    let done = check(&Setup::new(&cloud).source("filter = \"category like 'x'\"")).await;
    is_fault(&done, &["400", "correct filter"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_newer_version_leaves_out_is_advice_and_no_fault() {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(200, now.minus(Duration::from_mins(5)), now);
    let done = check(&Setup::new(&cloud).source("api = \"v2beta1\"")).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let advice = done.stderr.lines().find(|line| line.starts_with("advice: ")).expect("advice");
    let service = "Backup and Recovery (68067533-5764-401a-9620-24e6e2cdc574)";
    assert!(advice.contains("3 other services") && advice.contains(service), "{advice}");
    let warned = "\"v2beta1\" asks for the logs of the platform alone";
    assert!(done.stderr.contains(warned), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_polled_is_not_asked() {
    let done = check(&Setup::of("http://127.0.0.1:1", "secret").poll("enabled = false")).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("source \"production\": not asked"), "{done:?}");
}
