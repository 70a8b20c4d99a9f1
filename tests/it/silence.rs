//! A dead webhook and a quiet workspace do not look alike; a push nudges a poll, and a
//! storm of them does not nudge a storm.

use serde_json::{Value, json};

use crate::support::push::{SECRET, send};
use crate::support::raw::answer;
use crate::support::{Audit, CloudServer, Home, Pusher, RawServer, SOON, Setup, entry, until};

/// Our own events about webhooks that a target got.
fn own(target: &RawServer) -> Vec<Value> {
    let read = |body: &[u8]| -> Value { serde_json::from_slice(body).expect("JSON") };
    let events = target.seen().into_iter().map(|seen| read(&seen.body));
    let is_own = |event: &Value| {
        event["type"].as_str().is_some_and(|word| word.starts_with("com.tailwater.route."))
    };
    events.filter(is_own).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_silent_once_through_restarts_and_heard_once() {
    let cloud = CloudServer::start().await;
    let [oncall, plain] =
        [RawServer::start(|_| answer(204, "")).await, RawServer::start(|_| answer(204, "")).await];
    let setup = Setup::new(&cloud)
        .push("silent_after = \"1s\"")
        .target("oncall", &oncall.url("/"), "own_events = true")
        .target("plain", &plain.url("/"), "");
    let home = Home::new(&setup);
    let mut daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    assert_eq!(pusher.push(&entry("AZ-heard")).await, 202);
    // Entries that were made before the receiver listened do not count: so, one after the
    // other until it is told.
    let mut made = 0;
    until("the webhook is told to be silent", SOON, || {
        if made < 600 {
            cloud.make(1);
            made += 1;
        }
        !own(&oncall).is_empty()
    })
    .await;
    assert!(daemon.stderr().contains("the webhook is silent"));

    home.reload(&daemon, &setup.clone().log("info")).await;
    home.until_settled(SOON).await;
    home.stop(daemon, SOON).await;
    daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    cloud.make(3);
    // A wrong secret is not heard.
    let forged = pusher.signed("a-secret-of-somebody", entry("AZ-forged").to_string());
    assert_eq!(send(forged).await.status, 401);
    assert_eq!(pusher.push(&entry("AZ-again")).await, 202);
    until("it is told to be heard", SOON, || own(&oncall).len() == 2).await;
    home.until_settled(SOON).await;
    home.stop(daemon, SOON).await;

    let told = own(&oncall);
    let types: Vec<&str> =
        told.iter().filter_map(|event| event["type"].as_str()?.rsplit('.').next()).collect();
    assert_eq!(types, ["silent", "heard"]);
    assert_eq!(told[0]["source"], "//tailwater/production");
    assert_eq!(told[0]["data"]["route"], "push");
    assert!(told[0]["data"]["entries"].as_u64() >= Some(1), "{told:?}");
    assert!(told[0]["data"]["last_heard_at"].is_string(), "{told:?}");
    assert_eq!(own(&plain), Vec::<Value>::new());
    let since = "SELECT push_silent_since IS NULL FROM source_status WHERE source = 'production'";
    assert!(Audit::live(&home).await.value::<bool>(since).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_nudges_a_labelled_poll_and_a_storm_nudges_few() {
    let cloud = CloudServer::start().await;
    let setup = Setup::new(&cloud).poll("interval = \"1h\"\nstart = \"10m\"");
    let home = Home::new(&setup.push("nudge = true"));
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    until("it has polled", SOON, || daemon.stderr().contains("polled")).await;
    cloud.make(2);
    let mut event = entry(&cloud.cloud.made()[0].id);
    event["data"]["created_at"] = json!(cloud.cloud.made()[0].created_at.millis());
    let (before, began) = (cloud.cloud.served().pages, std::time::Instant::now());
    assert_eq!(pusher.push(&event).await, 202);
    for number in 0..200 {
        assert_eq!(pusher.push(&entry(&format!("AZ-{number}"))).await, 202);
    }
    let nudged = "SELECT count(*) FROM sighting WHERE route = 'poll' AND label = 'nudged'";
    crate::support::eventually("both entries are polled", SOON, async || {
        (Audit::live(&home).await.value::<i64>(nudged).await == 2).then_some(())
    })
    .await;
    let polls = u128::from(cloud.cloud.served().pages - before);
    let most = 1 + began.elapsed().as_millis() / 5_000;
    assert!((1..=most).contains(&polls), "{polls} polls for 201 pushes, at most {most}");
    assert_eq!(pusher.signed(SECRET, "[]").send().await.expect("an answer").status(), 202);
    home.stop(daemon, SOON).await;
}
