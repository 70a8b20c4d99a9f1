//! Targets behind TLS: what their certificates have to be, and whom `ca_file` makes trusted.

use std::time::Duration;

use crate::support::hostile::Hostile;
use crate::support::tls::{Authority, Shows};
use crate::support::{Audit, CloudServer, Home, SOON, Setup, eventually, until};

/// Target, status, reason, and what was kept of the answer or the error.
type Attempt = (String, Option<i64>, Option<String>, Option<String>);

const STOP: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_has_to_be_good_and_of_an_authority_that_is_trusted() {
    let (cloud, authority) = (CloudServer::start().await, Authority::new());
    let with_file = "ca_file = \"ca.pem\"\n";
    let retry = "retry = { schedule = [\"1h\"] }";
    let mut setup = Setup::new(&cloud);
    let mut targets = Vec::new();
    for (name, shows, ca_file) in [
        ("good", Shows::Good, with_file),
        ("unknown", Shows::Good, ""),
        ("expired", Shows::Expired, with_file),
        ("early", Shows::Early, with_file),
        ("other-name", Shows::OtherName, with_file),
        ("self-signed", Shows::SelfSigned, with_file),
    ] {
        let target = Hostile::well(authority.acceptor(shows, &["http/1.1"])).await;
        setup = setup.target(name, target.url(), &format!("{ca_file}{retry}"));
        targets.push((name, target));
    }
    let home = Home::new(&setup);
    home.write("ca.pem", authority.pem());
    cloud.make(1);

    let daemon = home.run_daemon().await;
    until("the good one has all", SOON, || targets[0].1.taken() == cloud.ids()).await;
    let rows: Vec<Attempt> = eventually("each was tried", SOON, async || {
        let sql = "SELECT target, status, reason, answer FROM attempt_log ORDER BY target";
        let rows = Audit::live(&home).await.rows(sql).await;
        (rows.len() == targets.len()).then_some(rows)
    })
    .await;
    home.stop(daemon, STOP).await;

    for (name, status, reason, answer) in rows {
        let expected = if name == "good" { (Some(204), None) } else { (None, Some("tls")) };
        assert_eq!((status, reason.as_deref()), expected, "{name}: {answer:?}");
    }
    for (name, target) in &targets[1..] {
        assert!(target.taken().is_empty() && target.connections() > 0, "{name}");
    }
}
