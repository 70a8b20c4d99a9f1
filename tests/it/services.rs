//! `api = "v2beta1"`: services are named, five in a filter, and what is not named is not
//! seen.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tailwater::simulator::entry::{Entry, PLATFORM_ID, Service};
use tailwater::simulator::notice::Notice;

use crate::support::raw::answer;
use crate::support::{
    Audit, CloudServer, Home, RawServer, SOON, Setup, SinkServer, eventually, until,
};

const POLL: &str = "interval = \"1s\"\nstart = \"10m\"";

/// A second with more entries than fit in a page of it is read twice at most.
const SMALL_PAGES: &str = "interval = \"1s\"\nstart = \"10m\"\noverlap = \"1s\"\npage_limit = 40";

const BACKUP: &str = "68067533-5764-401a-9620-24e6e2cdc574";

/// Two groups: the platform, what the simulator has, and some that do not exist.
const SERVICES: [&str; 7] = [
    "11111111-1111-4111-8111-111111111111",
    "platform",
    BACKUP,
    "22222222-2222-4222-8222-222222222222",
    "33333333-3333-4333-8333-333333333333",
    "d46569ae-0516-4dd2-81ce-b6d645842acc",
    "4e9e0d53-7a0b-4f7c-9d0f-6a6f0d2a1c55",
];

/// Lines of `[[source]]` that name `services`.
fn services(services: &[&str]) -> String {
    format!("api = \"v2beta1\"\nservices = {services:?}")
}

/// A cloud with entries of all its services, many of them in one second.
async fn cloud() -> CloudServer {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    let at = |secs| now.minus(Duration::from_secs(secs));
    cloud.cloud.generate(150, at(300), at(10));
    cloud.cloud.generate(90, at(120), at(120));
    cloud
}

async fn ids(home: &Home) -> BTreeSet<String> {
    if home.ledger().exists() { Audit::live(home).await.ids().await } else { BTreeSet::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_read_in_groups_of_five_and_nothing_is_missing() {
    let (cloud, sink) = (cloud().await, SinkServer::start().await);
    let mut notices = cloud.cloud.notices();
    let setup = Setup::new(&cloud).source(&services(&SERVICES)).poll(SMALL_PAGES);
    let home = Home::new(&setup.target("siem", &sink.url, ""));
    let daemon = home.run_daemon().await;
    until("all services' entries are delivered", SOON, || sink.ids() == cloud.ids()).await;
    cloud.make(60);
    until("also those that come later", SOON, || sink.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;
    home.stop(daemon, SOON).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 1).await;

    let mut asked = BTreeSet::new();
    while let Ok(notice) = notices.try_recv() {
        if let Notice::Refused { request, reason } = &notice {
            panic!("{request} was refused: {reason}");
        }
        let Notice::Page { request, .. } = notice else { continue };
        let Some((_, list)) = request.split_once("serviceOffer/id in (") else { continue };
        let list = list.split_once(')').expect("a list ends").0.to_owned();
        assert!(list.split(", ").count() <= 5, "{list}");
        assert!(request.contains("sort=createdAt asc"), "{request}");
        asked.insert(list);
    }
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().any(|list| list.contains(PLATFORM_ID)), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_named_is_not_seen_and_check_tells_so() {
    let cloud = cloud().await;
    let home = Home::new(&Setup::new(&cloud).source("api = \"v2beta1\"").poll(POLL));
    let done = home.command(&["poll"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let seen = ids(&home).await;
    assert!(!seen.is_empty() && seen.is_subset(&cloud.ids()) && seen != cloud.ids());

    let done = home.command(&["check"]).await;
    let warned = "asks for the logs of the platform alone; write services = [";
    assert!(done.code == Some(0) && done.stderr.contains(warned), "{done:?}");

    let named = &SERVICES[..3];
    home.set_up(&Setup::new(&cloud).source(&services(named)).poll(POLL));
    let done = home.command(&["check", "--online"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.stderr.contains("platform alone"), "{done:?}");
    let advice = done.stderr.lines().find(|line| line.starts_with("advice: ")).expect("advice");
    assert!(advice.contains("Compute Ops Management") && !advice.contains(BACKUP), "{advice}");

    home.set_up(&Setup::new(&cloud).source(&services(&SERVICES)).poll(POLL));
    let done = home.command(&["check", "--online"]).await;
    assert!(done.code == Some(0) && !done.stderr.contains("advice: "), "{done:?}");
    assert!(done.stdout.contains("no other service wrote"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_newer_version_knows_is_kept() {
    let cloud = CloudServer::start().await;
    let target = RawServer::start(|_| answer(204, "")).await;
    let mut entry = Entry::new("20-chars-of-base64_-", cloud.cloud.clock().now(), "Resized");
    entry.service = Service {
        id: BACKUP.to_owned(),
        name: "Backup and Recovery".to_owned(),
        region: Some("us-east".to_owned()),
    }
    .into();
    entry.ip_address = Some("203.0.113.9".parse().expect("an address"));
    entry.info = vec![("serverName".to_owned(), "köln".to_owned())];
    entry.has_details = true;
    assert!(cloud.cloud.insert(entry));
    let setup = Setup::new(&cloud).source(&services(&[BACKUP])).poll(POLL);
    let home = Home::new(&setup.target("siem", &target.url("/hook"), ""));
    let daemon = home.run_daemon().await;
    let seen = eventually("it is delivered", SOON, async || target.seen().pop()).await;
    home.stop(daemon, SOON).await;

    let event: Value = serde_json::from_slice(&seen.body).expect("JSON");
    let data = &event["data"];
    for (pointer, value) in [
        ("/application/id", BACKUP),
        ("/application/application_name", "Backup and Recovery"),
        ("/region", "us-east"),
        ("/workspace/workspace_type", "STANDALONE"),
        ("/workspace/workspace_name", "Simulated workspace"),
        ("/user/username", "jane@example.com"),
        ("/additional_info/ip_address", "203.0.113.9"),
        ("/additional_info/server_name", "köln"),
        ("/category", "user_management"),
    ] {
        assert_eq!(data.pointer(pointer).and_then(Value::as_str), Some(value), "{pointer}");
    }
    assert_eq!(data["has_details"], true);
}
