//! Whatever goes wrong at the source, while the daemon runs: nothing is lost, and the
//! watermark stays below what has not been read (I2, I3).

use std::time::Duration;

use futures_util::future::join_all;
use tailwater::simulator::entry::Entry;
use tailwater::simulator::faults::{Fault, FaultKind, HintForm, Place};

use crate::support::{Audit, CloudServer, Home, SOON, Setup, eventually, until};

const STOP: Duration = Duration::from_secs(10);

/// Back-offs after several failures in a row are part of it.
const LONG: Duration = Duration::from_secs(90);

/// Seconds that a hint asks for. A date is cut to the second, so a second less counts.
const HINT_SECS: u32 = 3;

/// Polls from a minute back. Time is settled almost at once here, so that nothing but the
/// coverage can hold the watermark back.
const POLL: &str = "interval = \"1s\"\noverlap = \"1s\"\nstart = \"1m\"\ntimeout = \"1s\"\n\
                    page_limit = 20";

/// A fault, and what `poll_log` calls it.
fn table() -> Vec<(Fault, &'static str)> {
    use FaultKind as F;
    let plain = [
        (F::ExpireTokens, "auth_failed"),
        (F::Forbidden, "forbidden"),
        (F::TooManyRequests, "throttled"),
        (F::ServerError, "unavailable"),
        (F::CutBody, "unreadable"),
        (F::Garbage, "unreadable"),
        (F::HangUp, "unavailable"),
        (F::WrongCount, "contradictory"),
        (F::MissingCount, "unreadable"),
        (F::IgnoreFilter, "outside"),
    ];
    let plain = plain.into_iter().map(|(kind, outcome)| (Fault::new(kind), outcome));
    let slow = Fault::new(F::Slow).lasting(Duration::from_secs(20));
    plain.chain([(slow, "unavailable")]).collect()
}

/// A cloud with entries of the last minute, some of them in one second, and one that is
/// too old to be asked for.
async fn cloud() -> CloudServer {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    let at = |secs| now.minus(Duration::from_secs(secs));
    cloud.cloud.generate(30, at(50), at(10));
    cloud.cloud.generate(15, at(30), at(30));
    assert!(cloud.cloud.insert(Entry::new("too-old", at(3_600), "Before history begins")));
    cloud
}

/// The first request of a new ledger only asks for the time. It is let through, so that
/// the fault hits what follows.
fn after_the_first_request(fault: Fault) -> Vec<Fault> {
    let harmless = Fault::new(FaultKind::IgnoreOffset).times(1);
    vec![harmless, fault]
}

/// Waits until `poll_log` has `count` rows with `outcome`.
async fn logged(home: &Home, outcome: &str, count: i64) {
    let sql = format!("SELECT count(*) FROM poll_log WHERE outcome = '{outcome}'");
    eventually(&format!("{count} polls end {outcome}"), LONG, async || {
        let is_there = home.ledger().exists();
        (is_there && Audit::live(home).await.value::<i64>(&sql).await >= count).then_some(())
    })
    .await;
}

/// Waits until the ledger holds all that was made since the start of history.
async fn complete(home: &Home, cloud: &CloudServer) {
    eventually("history is complete", LONG, async || {
        let ids = Audit::live(home).await.ids().await;
        cloud.ids().iter().all(|id| ids.contains(id) || id == "too-old").then_some(())
    })
    .await;
}

/// One fault from the first slice on, until it is switched off.
async fn survives(fault: Fault, outcome: &'static str) {
    let cloud = cloud().await;
    cloud.cloud.faults().set(after_the_first_request(fault));
    let home = Home::new(&Setup::new(&cloud).poll(POLL));

    let daemon = home.run_daemon().await;
    logged(&home, outcome, 2).await;
    let mut audit = Audit::live(&home).await;
    let scans: Vec<(i64, i64)> = audit.rows("SELECT from_us, until_us FROM coverage").await;
    assert_eq!(scans, [], "{outcome}: counts as read");
    let behind: i64 = audit.value("SELECT watermark_us - start_us FROM source").await;
    assert_eq!(behind, 0, "{outcome}: the watermark moved");
    audit.check(&cloud.cloud.made(), 0).await;
    audit.close().await;

    cloud.cloud.faults().clear();
    complete(&home, &cloud).await;
    eventually("the watermark moves on", LONG, async || {
        let moved = "SELECT watermark_us - start_us > 40000000 FROM source";
        Audit::live(&home).await.value::<bool>(moved).await.then_some(())
    })
    .await;
    home.stop(daemon, STOP).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_an_entry_or_moves_the_watermark() {
    join_all(table().into_iter().map(|(fault, outcome)| survives(fault, outcome))).await;
}

/// A 429 with one form of hint: the next request comes when it may.
async fn waits_as_asked(hint: HintForm) {
    let cloud = cloud().await;
    let fault = Fault::new(FaultKind::TooManyRequests).hint(hint, HINT_SECS);
    cloud.cloud.faults().set(after_the_first_request(fault));
    let home = Home::new(&Setup::new(&cloud).poll(POLL));

    let daemon = home.run_daemon().await;
    logged(&home, "throttled", 3).await;
    cloud.cloud.faults().clear();
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;

    let mut audit = Audit::live(&home).await;
    let rows: Vec<(i64, String)> =
        audit.rows("SELECT started_us + duration_us, outcome FROM poll_request ORDER BY id").await;
    let least = if matches!(hint, HintForm::RetryAfterDate | HintForm::XRatelimitResetDate) {
        HINT_SECS - 1
    } else {
        HINT_SECS
    };
    for pair in rows.windows(2).filter(|pair| pair[0].1 == "throttled") {
        let pause = pair[1].0 - pair[0].0;
        assert!(pause >= i64::from(least) * 1_000_000, "{hint:?}: asked again after {pause} us");
    }
    audit.check(&cloud.cloud.made(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hint_of_a_throttled_answer_is_obeyed() {
    let hints = [
        HintForm::RetryAfter,
        HintForm::RetryAfterDate,
        HintForm::RatelimitReset,
        HintForm::XRatelimitReset,
        HintForm::XRatelimitResetDate,
        HintForm::Body,
    ];
    join_all(hints.map(waits_as_asked)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_read_is_kept_apart_and_holds_nothing_up() {
    let cloud = cloud().await;
    let broken = Fault::new(FaultKind::BrokenItem).times(1);
    cloud.cloud.faults().set(after_the_first_request(broken));
    // The default overlap reads it again, whole this time.
    let home = Home::new(&Setup::new(&cloud).poll("interval = \"1s\"\nstart = \"1m\""));

    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;

    let mut audit = Audit::live(&home).await;
    let quarantined: i64 = audit.value("SELECT count(*) FROM quarantine").await;
    assert_eq!(quarantined, 1);
    audit.check(&cloud.cloud.made(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_in_trouble_only_delays() {
    let cloud = cloud().await;
    let on_token = |kind| Fault::new(kind).on(Place::Token);
    let home = Home::new(&Setup::new(&cloud).poll(POLL));

    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    for kind in [
        FaultKind::ServerError,
        FaultKind::TooManyRequests,
        FaultKind::Garbage,
        FaultKind::CutBody,
        FaultKind::HangUp,
    ] {
        let failures = Audit::live(&home)
            .await
            .value::<i64>("SELECT count(*) FROM poll_log WHERE error IS NOT NULL")
            .await;
        cloud.cloud.faults().set(vec![on_token(kind)]);
        cloud.cloud.expire_tokens();
        cloud.make(5);
        eventually("a poll fails", LONG, async || {
            let sql = "SELECT count(*) FROM poll_log WHERE error IS NOT NULL";
            (Audit::live(&home).await.value::<i64>(sql).await > failures).then_some(())
        })
        .await;
        cloud.cloud.faults().clear();
        complete(&home, &cloud).await;
    }
    home.stop(daemon, STOP).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_all_faults_at_once_the_coverage_never_claims_what_is_missing() {
    let cloud = cloud().await;
    let fault = |kind, probability| Fault::new(kind).probability(probability);
    let roomy = POLL.replace("page_limit = 20", "page_limit = 200");
    let home = Home::new(&Setup::new(&cloud).poll(&roomy));
    cloud.cloud.faults().set(vec![
        fault(FaultKind::ExpireTokens, 0.1),
        fault(FaultKind::TooManyRequests, 0.05).hint(HintForm::Body, 1),
        fault(FaultKind::ServerError, 0.1),
        fault(FaultKind::CutBody, 0.1),
        fault(FaultKind::Garbage, 0.05),
        fault(FaultKind::HangUp, 0.1),
        fault(FaultKind::Slow, 0.05).lasting(Duration::from_secs(2)),
    ]);

    let daemon = home.run_daemon().await;
    let feed = cloud.feed(4, Duration::from_millis(100));
    until("the ledger is there", SOON, || home.ledger().exists()).await;
    eventually("enough has happened", LONG, async || {
        let mut audit = Audit::live(&home).await;
        audit.check(&cloud.cloud.made(), 0).await;
        let failed = "SELECT count(*) FROM poll_log WHERE error IS NOT NULL";
        let is_enough = audit.value::<i64>(failed).await >= 8 && cloud.cloud.made_count() >= 400;
        is_enough.then_some(())
    })
    .await;
    drop(feed);
    cloud.cloud.faults().clear();
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 0).await;
}
