//! The main job: polled, stored once, delivered signed to several webhooks, and on from
//! there after a stop.

use std::time::Duration;

use tailwater::simulator::sink::{SinkFault, SinkSettings};

use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, until};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// A soft stop with idle targets is a matter of seconds.
const STOP: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_stored_once_and_reaches_every_target_signed() {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(400, now.minus(Duration::from_mins(5)), now);
    let structured = SinkServer::verifying(KEY).await;
    let binary = SinkServer::verifying(OTHER_KEY).await;
    let batch = SinkServer::verifying(KEY).await;
    let signed = |key: &str| format!("signing = {{ standard = [\"{key}\"] }}");
    let batched = "format = \"batch\"\nbatch = { max_events = 50, max_wait = \"100ms\" }";
    let home = Home::new(
        &Setup::new(&cloud)
            .target("structured", &structured.url, &signed(KEY))
            .target("binary", &binary.url, &format!("format = \"binary\"\n{}", signed(OTHER_KEY)))
            .target("batch", &batch.url, &format!("{batched}\n{}", signed(KEY))),
    );
    let sinks = [("structured", &structured), ("binary", &binary), ("batch", &batch)];

    let daemon = home.run_daemon().await;
    arrived(&cloud, &sinks).await;
    cloud.make(100);
    arrived(&cloud, &sinks).await;
    told_by_commands(&home, 500).await;
    home.stop(daemon, STOP).await;

    cloud.make(100);
    let daemon = home.run_daemon().await;
    arrived(&cloud, &sinks).await;
    home.stop(daemon, STOP).await;

    for (name, sink) in sinks {
        let report = sink.report();
        assert_eq!((report.repeats, report.gaps, report.unreadable), (0, 0, 0), "{name}");
        assert_eq!((report.events, report.distinct), (600, 600), "{name}");
        assert_eq!((report.signatures_bad, report.signatures_missing), (0, 0), "{name}");
        assert_eq!(report.signatures_good, report.requests, "{name}");
    }
    assert!(batch.report().requests < 300, "batches hold several events");
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), 3).await;
    assert_eq!(audit.ids().await, cloud.ids());
    for (name, _) in sinks {
        assert_eq!(audit.deliveries(name, "delivered").await.len(), 600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_now_and_then_gets_nothing_twice() {
    let cloud = CloudServer::start().await;
    let fault = SinkFault::status(503).every(3);
    let sink = SinkServer::with(SinkSettings { fault, ..SinkSettings::default() }).await;
    let retry = "retry = { schedule = [\"50ms\"] }";
    let home = Home::new(&Setup::new(&cloud).target("flapping", &sink.url, retry));

    let daemon = home.run_daemon().await;
    // Longer than a few of the worker's slow ticks, at which it looks at everything anew.
    for _ in 0..5 {
        cloud.make(500);
        arrived(&cloud, &[("flapping", &sink)]).await;
    }
    home.stop(daemon, STOP).await;

    let report = sink.report();
    assert_eq!((report.events, report.distinct), (2_500, 2_500));
    Audit::live(&home).await.check(&cloud.cloud.made(), 1).await;
}

/// Waits until everything made so far is at every sink.
async fn arrived(cloud: &CloudServer, sinks: &[(&str, &SinkServer)]) {
    let made = cloud.ids();
    for (name, sink) in sinks {
        until(&format!("all entries are at {name}"), SOON, || sink.ids() == made).await;
    }
}

/// What the commands say of `count` events that have just arrived everywhere.
async fn told_by_commands(home: &Home, count: usize) {
    home.until_settled(SOON).await;
    let events = home.list(&["history", "--limit", "1000"]).await;
    assert_eq!(events.len(), count);
    assert!(events.iter().all(|event| event["delivered"] == 3 && event["pending"] == 0));
    assert!(events.iter().all(|event| event["data"]["description"].is_string()));
    let deliveries = home.list(&["deliveries", "--limit", "10000"]).await;
    assert_eq!(deliveries.len(), 3 * count);
    assert!(deliveries.iter().all(|row| row["status"] == "delivered" && row["attempts"] == 1));
    let targets = home.list(&["targets"]).await;
    let names: Vec<&str> = targets.iter().filter_map(|row| row["target"].as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(targets.iter().all(|row| row["delivered_total"] == count && row["state"] == "active"));
}
