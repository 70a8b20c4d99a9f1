//! Targets that speak HTTP/2, well and badly.

use std::time::Duration;

use crate::support::http2::{Http2Target, Streams};
use crate::support::tls::{Authority, Shows};
use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, eventually, until};

const STOP: Duration = Duration::from_secs(30);

/// An answer that never ends fills a window of flow control, 2 MiB a stream.
const PEAK_MIB: u64 = 160;

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_used_where_it_is_offered_and_survives_what_a_target_does_with_it() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let authority = Authority::new();
    let mut setup = Setup::new(&cloud).target("healthy", &sink.url, "");
    let mut targets = Vec::new();
    for (name, streams, reasons) in [
        ("well", Streams::Well, &[][..]),
        ("polite", Streams::GoAwayPolitely, &["reset"][..]),
        ("go-away", Streams::GoAway, &["reset"][..]),
        ("reset", Streams::Reset, &["reset"][..]),
        ("endless", Streams::Endless, &["status", "network"][..]),
        ("silent", Streams::Silent, &["reset"][..]),
        ("no-streams", Streams::None, &["reset"][..]),
    ] {
        let acceptor = authority.acceptor(Shows::Good, &["h2", "http/1.1"]);
        let target = Http2Target::start(streams, acceptor).await;
        let lines = "ca_file = \"ca.pem\"\ntimeout = \"5s\"\nretry = { schedule = [\"200ms\"] }";
        setup = setup.target(name, target.url(), lines);
        targets.push((name, target, reasons));
    }
    let home = Home::new(&setup);
    home.write("ca.pem", authority.pem());
    cloud.make(20);
    let daemon = home.run_daemon().await;
    eventually("every target has shown what it does", SOON, async || {
        let tried = "SELECT count(DISTINCT target) FROM attempt_log";
        let count: i64 = Audit::live(&home).await.value(tried).await;
        (count == i64::try_from(targets.len()).expect("few") + 1).then_some(())
    })
    .await;
    let well = &targets[0].1;
    until("the first have come", SOON, || well.taken() == cloud.ids()).await;
    // As many requests as went out at once may have had to find out that it is HTTP/2.
    let connections = well.connections();
    cloud.make(20);
    until("the neighbours have all", SOON, || {
        [sink.ids(), well.taken()].iter().all(|ids| *ids == cloud.ids())
    })
    .await;
    let peak = daemon.peak_mib();
    for (name, target, _) in &targets {
        target.mend();
        // Otherwise it would be asked at growing intervals whether it is back.
        home.command(&["targets", "resume", name]).await;
    }
    // Connections that went silent are still there, and have to be given up first.
    home.until_settled(SOON * 2).await;
    home.stop(daemon, STOP).await;

    let sql = "SELECT DISTINCT target, reason, answer FROM attempt_log WHERE reason IS NOT NULL";
    let rows: Vec<(String, String, Option<String>)> = Audit::live(&home).await.rows(sql).await;
    let mut faults = Vec::new();
    for (name, target, reasons) in &targets {
        for (_, reason, answer) in rows.iter().filter(|row| row.0 == *name) {
            // Beside the others, anything may be late on a busy machine.
            if reason != "timeout" && !reasons.contains(&reason.as_str()) {
                faults.push(format!("{name}: came to {reason}: {answer:?}"));
            }
        }
        if target.connections() == 0 {
            faults.push(format!("{name}: HTTP/2 was not spoken"));
        }
        if target.taken() != cloud.ids() {
            faults.push(format!("{name}: has not all"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(targets[0].1.connections(), connections, "one connection is enough");
    assert!(peak <= PEAK_MIB, "{peak} MiB at the most");
    Audit::live(&home).await.check(&cloud.cloud.made(), 8).await;
}
