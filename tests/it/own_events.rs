//! What becomes of a target is an event for the targets that subscribe to it, and keys that
//! rotate fit both who has the old one and who has the new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::raw::answer;
use crate::support::{Audit, CloudServer, Home, RawServer, SOON, Setup, SinkServer, until};

const STOP: Duration = Duration::from_secs(10);

/// Types and data of our own events that a target got.
fn own(target: &RawServer) -> Vec<(String, Value)> {
    let read = |body: &[u8]| -> Value { serde_json::from_slice(body).expect("JSON") };
    let events = target.seen().into_iter().map(|seen| read(&seen.body));
    let word = |event: &Value| event["type"].as_str().map(str::to_owned).unwrap_or_default();
    let is_own = |event: &Value| word(event).starts_with("com.tailwater.");
    events.filter(is_own).map(|event| (word(&event), event["data"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_hears_of_the_others_and_never_of_itself() {
    let cloud = CloudServer::start().await;
    let status = Arc::new(AtomicU16::new(503));
    let shown = Arc::clone(&status);
    let moody = RawServer::start(move |_| answer(shown.load(Ordering::SeqCst), "")).await;
    let (oncall, plain) =
        (RawServer::start(|_| answer(204, "")).await, RawServer::start(|_| answer(204, "")).await);
    let subscribed = "own_events = true";
    let home = Home::new(
        &Setup::new(&cloud)
            .target("moody", &moody.url("/"), subscribed)
            .target("oncall", &oncall.url("/"), subscribed)
            .target("plain", &plain.url("/"), ""),
    );
    let daemon = home.run_daemon().await;
    let hears_of = async |count: usize| {
        until("oncall hears of it", SOON, || own(&oncall).len() == count).await;
    };
    cloud.make(30);
    hears_of(1).await;
    status.store(204, Ordering::SeqCst);
    hears_of(2).await;
    home.until_settled(SOON).await;
    status.store(422, Ordering::SeqCst);
    cloud.make(1);
    hears_of(3).await;
    status.store(410, Ordering::SeqCst);
    cloud.make(1);
    hears_of(4).await;
    until("plain has all", SOON, || plain.seen().len() == 32).await;
    home.stop(daemon, STOP).await;

    let heard = own(&oncall);
    let types: Vec<&str> = heard.iter().map(|(word, _)| &word["com.tailwater.".len()..]).collect();
    assert_eq!(types, ["target.failing", "target.recovered", "delivery.dead", "target.gone"]);
    assert!(heard.iter().all(|(_, data)| data["target"] == "moody"), "{heard:?}");
    assert_eq!((&heard[0].1["status"], &heard[2].1["count"]), (&503.into(), &1.into()));
    assert_eq!((own(&moody), own(&plain)), (vec![], vec![]));
    let log = "SELECT verb FROM operation_log ORDER BY id";
    let log: Vec<(String,)> = Audit::live(&home).await.rows(log).await;
    let log: Vec<&str> = log.iter().map(|(verb,)| verb.as_str()).collect();
    assert_eq!(log, ["failing", "recovered", "gone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_keys_rotate_who_has_the_old_one_or_the_new_one_verifies() {
    let old = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let new = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let cloud = CloudServer::start().await;
    let (before, after) = (SinkServer::verifying(old).await, SinkServer::verifying(new).await);
    let both = format!("signing = {{ standard = [\"{new}\", \"{old}\"] }}");
    let setup = Setup::new(&cloud).target("before", &before.url, &both);
    let home = Home::new(&setup.target("after", &after.url, &both));
    cloud.make(20);
    let daemon = home.run_daemon().await;
    until("both have all", SOON, || before.ids() == cloud.ids() && after.ids() == cloud.ids())
        .await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    for report in [before.report(), after.report()] {
        assert_eq!((report.requests, report.signatures_good), (20, 20));
    }
}
