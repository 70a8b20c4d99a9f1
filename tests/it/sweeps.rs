//! A sweep through the real daemon: an entry that turns up far behind the watermark.

use std::time::Duration;

use tailwater::model::clock::Clock;
use tailwater::simulator::entry::Entry;
use tailwater::simulator::{Settings, UNLIMITED};

use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, eventually, until};

const STOP: Duration = Duration::from_secs(20);

/// How much later than its creation the entry becomes visible, at least.
const LATE: Duration = Duration::from_mins(30);

async fn polls(home: &Home, tier: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM poll_log WHERE tier = '{tier}'");
    Audit::live(home).await.value(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_later_than_the_overlap_waits_for_the_hourly_sweep_and_is_told() {
    // The cloud's time is moved by hand; the daemon goes by it, whatever its own clock says.
    let clock = Clock::manual(Clock::system().now());
    let settings =
        Settings { requests_per_minute: UNLIMITED, clock: clock.clone(), ..Settings::default() };
    let (cloud, sink) = (CloudServer::with(settings).await, SinkServer::start().await);
    let poll = "interval = \"1s\"\noverlap = \"2m\"\nstart = \"2h\"";
    let home = Home::new(&Setup::new(&cloud).poll(poll).target("siem", &sink.url, ""));
    let now = clock.now();
    cloud.cloud.generate(3, now.minus(Duration::from_mins(1)), now.minus(Duration::from_secs(5)));
    let daemon = home.run_daemon().await;
    until("what is in time arrives", SOON, || sink.ids() == cloud.ids()).await;
    // The past is read after the present; what turns up before that is no latecomer.
    let past = now.minus(LATE).micros();
    eventually("the past is read", SOON, async || {
        let watermark = "SELECT coalesce(max(watermark_us), 0) FROM source";
        (Audit::live(&home).await.value::<i64>(watermark).await > past).then_some(())
    })
    .await;

    let late = Entry::new("late-entry", clock.now().minus(LATE), "Visible half an hour late");
    assert!(cloud.cloud.insert(late));
    let before = polls(&home, "hot").await;
    eventually("it polls on", SOON, async || {
        (polls(&home, "hot").await > before + 2).then_some(())
    })
    .await;
    assert!(!sink.ids().contains("late-entry"), "a re-read of two minutes cannot show it");
    assert_eq!(polls(&home, "hourly").await, 0);

    clock.advance(Duration::from_mins(61));
    until("the sweep finds it", SOON, || sink.ids().is_superset(&cloud.ids())).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    assert_eq!(sink.report().repeats, 0);
    assert!(polls(&home, "hourly").await > 0);
    let mut audit = Audit::live(&home).await;
    let told: Vec<(String, String, i64, i64)> = audit
        .rows("SELECT id, tier, at_least_ms, at_most_ms FROM lateness WHERE tier IS NOT NULL")
        .await;
    let [(id, tier, at_least, at_most)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((id.as_str(), tier.as_str()), ("late-entry", "hourly"));
    let late = i64::try_from(LATE.as_millis()).expect("small");
    // The last scan before, and the sweep: it became visible in between.
    assert!(*at_least < late && late <= *at_most, "{at_least} to {at_most}");
    let alarms = "SELECT count(*) FROM history WHERE type = 'com.tailwater.source.late'";
    assert_eq!(audit.value::<i64>(alarms).await, 1, "the target is told that its source is late");
    assert!(audit.ids().await.is_superset(&cloud.ids()));
}
