//! A network that does its worst between the daemon and its source: every request ends
//! within its limit, memory stays bounded, nothing counts as read (I2, I3), and when the
//! network is well again, so is polling.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::{Audit, CloudServer, Home, Proxy, Setup, Wire, eventually, until};

const STOP: Duration = Duration::from_secs(10);

/// Back-offs after several failures in a row are part of it.
const LONG: Duration = Duration::from_secs(90);

/// Of one request, from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(1);

/// By which an unoptimised daemon on a busy machine may be late to notice.
const LATE: Duration = Duration::from_secs(15);

/// A body may take 64 MiB, and as much again while its buffer grows; the rest is what a
/// daemon takes anyway, unoptimised.
const PEAK_MIB: u64 = 192;

/// Time is settled almost at once here, so that nothing but the coverage can hold the
/// watermark back.
const POLL: &str = "interval = \"1s\"\noverlap = \"1s\"\nstart = \"1m\"\ntimeout = \"1s\"\n\
                    page_limit = 20";

/// What spoils an answer of the audit log, and what `poll_log` may call it.
fn table() -> Vec<(Wire, &'static [&'static str])> {
    const SILENT: &[&str] = &["unavailable"];
    /// Which of the two depends on what comes first: the limit of bytes or of time, the
    /// reset or what it cuts off.
    const SPOILT: &[&str] = &["unreadable", "unavailable"];
    vec![
        (Wire::Delay(Duration::from_mins(2)), SILENT),
        (Wire::Drip(Duration::from_secs(1)), SILENT),
        (Wire::Reset(0), SILENT),
        (Wire::Reset(400), SPOILT),
        (Wire::HalfClose, SILENT),
        (Wire::BlackHole, SILENT),
        (Wire::Cut(0), SILENT),
        (Wire::Cut(30), SILENT),
        (Wire::Cut(400), SPOILT),
        (Wire::Garbage, SILENT),
        (Wire::LengthTooLong, SILENT),
        (Wire::LengthTooShort, SPOILT),
        (Wire::EndlessHead, SILENT),
        (Wire::EndlessInterim, SILENT),
        (Wire::EndlessBody, SPOILT),
        (Wire::GzipBomb, SPOILT),
    ]
}

/// A cloud with entries of the last minute, some of them in one second.
async fn cloud() -> CloudServer {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    let at = |secs| now.minus(Duration::from_secs(secs));
    cloud.cloud.generate(30, at(50), at(10));
    cloud.cloud.generate(15, at(30), at(30));
    cloud
}

fn through(proxy: &Proxy, cloud: &CloudServer) -> Home {
    Home::new(&Setup::of(&proxy.url(&cloud.base_url), cloud.secret()).poll(POLL))
}

/// Waits until the ledger holds everything that was made.
async fn complete(home: &Home, cloud: &CloudServer) {
    eventually("history is complete", LONG, async || {
        let is_there = home.ledger().exists();
        (is_there && Audit::live(home).await.ids().await == cloud.ids()).then_some(())
    })
    .await;
}

async fn moves_on(home: &Home) {
    eventually("the watermark moves on", LONG, async || {
        let moved = "SELECT watermark_us - start_us > 40000000 FROM source";
        Audit::live(home).await.value::<bool>(moved).await.then_some(())
    })
    .await;
}

/// One mishap from the first slice on, until it is over.
async fn survives(wire: Wire, outcomes: &[&str]) {
    let cloud = cloud().await;
    let proxy = Proxy::before(&cloud.base_url).await;
    // The first request of a new ledger only asks for the time.
    proxy.set_for("/audit-log", 1, wire);
    let home = through(&proxy, &cloud);

    let daemon = home.run_daemon().await;
    eventually(&format!("{wire:?}: requests fail"), LONG, async || {
        let failed = "SELECT count(*) FROM poll_log WHERE error IS NOT NULL";
        (Audit::live(&home).await.value::<i64>(failed).await >= 3).then_some(())
    })
    .await;
    let mut audit = Audit::live(&home).await;
    let scans: Vec<(i64, i64)> = audit.rows("SELECT from_us, until_us FROM coverage").await;
    assert_eq!(scans, [], "{wire:?}: counts as read");
    let behind: i64 = audit.value("SELECT watermark_us - start_us FROM source").await;
    assert_eq!(behind, 0, "{wire:?}: the watermark moved");
    let failed: Vec<(String, i64)> = audit
        .rows("SELECT outcome, duration_us FROM poll_request WHERE error IS NOT NULL ORDER BY id")
        .await;
    for (outcome, took) in failed {
        assert!(outcomes.contains(&outcome.as_str()), "{wire:?}: {outcome}");
        let limit = i64::try_from((TIMEOUT + LATE).as_micros()).expect("it is short");
        assert!(took <= limit, "{wire:?}: a request took {took} us");
    }
    audit.check(&cloud.cloud.made(), 0).await;
    audit.close().await;
    let peak = daemon.peak_mib();
    assert!(peak <= PEAK_MIB, "{wire:?}: the daemon took {peak} MiB");
    let open = proxy.most_open();
    assert!(open <= 3, "{wire:?}: {open} connections piled up");

    proxy.set(Wire::Clear);
    complete(&home, &cloud).await;
    moves_on(&home).await;
    home.stop(daemon, STOP).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mishap_of_the_network_loses_an_entry_or_moves_the_watermark() {
    for some in table().chunks(6) {
        join_all(some.iter().map(|(wire, outcomes)| survives(*wire, outcomes))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mishaps_on_the_way_to_the_token_endpoint_only_delay() {
    let cloud = cloud().await;
    let proxy = Proxy::before(&cloud.base_url).await;
    let home = through(&proxy, &cloud);
    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    for wire in [
        Wire::Drip(Duration::from_secs(1)),
        Wire::Reset(0),
        Wire::BlackHole,
        Wire::Cut(400),
        Wire::Garbage,
        Wire::LengthTooShort,
        Wire::EndlessBody,
        Wire::GzipBomb,
    ] {
        let spoilt = proxy.spoilt();
        proxy.set_for("/oauth2/", 0, wire);
        cloud.cloud.expire_tokens();
        cloud.make(3);
        until(&format!("{wire:?}: a token request is spoilt"), LONG, || proxy.spoilt() > spoilt)
            .await;
        proxy.set(Wire::Clear);
        complete(&home, &cloud).await;
    }
    let peak = daemon.peak_mib();
    assert!(peak <= PEAK_MIB, "the daemon took {peak} MiB");
    home.stop(daemon, STOP).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 0).await;
}

/// Taken for the answer to the next request, the empty page would prove that nothing
/// happened while something did.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_asked_for_is_no_answer_to_the_next_request() {
    let cloud = cloud().await;
    let proxy = Proxy::before(&cloud.base_url).await;
    proxy.set_for("/audit-log", 0, Wire::Doubled);
    let home = through(&proxy, &cloud);
    let daemon = home.run_daemon().await;
    let feed = cloud.feed(3, Duration::from_millis(200));
    until("many answers were doubled", LONG, || proxy.spoilt() >= 8).await;
    drop(feed);
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 0).await;
}
