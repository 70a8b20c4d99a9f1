//! A name that is moved to a metadata address while the daemon runs: it is not followed
//! there, and its events come once it is back.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{
    Audit, CloudServer, Home, Process, SOON, Setup, SinkServer, eventually, until,
};

const STOP: Duration = Duration::from_secs(30);

const NAME: &str = "target.tailwater.test";

/// Whether this machine lets us give a process a `hosts` file of its own.
fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    let is_there = tried.is_ok_and(|done| done.status.success());
    if !is_there {
        println!("skipped: needs root to give the daemon names of its own");
    }
    is_there
}

/// Starts the daemon with `hosts` in the place of `/etc/hosts`, which the system reads
/// anew for each lookup.
fn start(home: &Home, hosts: &Path) -> Process {
    let hosts = hosts.to_str().expect("our names are plain");
    let script = format!("mount --bind {hosts} /etc/hosts && exec \"$0\" run");
    let program = env!("CARGO_BIN_EXE_tailwater");
    home.start_as("unshare", &["--mount", "sh", "-c", &script, program])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_moves_to_a_metadata_address_is_not_followed_there() {
    if !has_namespaces() {
        return;
    }
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let url = sink.url.replace("127.0.0.1", NAME);
    let retry = "retry = { schedule = [\"100ms\"] }\n";
    let setup = Setup::new(&cloud).target("moving", &url, retry).target(
        "public-only",
        &url,
        &format!("{retry}public_only = true"),
    );
    let home = Home::new(&setup);
    let hosts = home.path().join("hosts");
    let point = |address: &str| home.write("hosts", &format!("{address} {NAME}\n"));

    point("169.254.169.254");
    cloud.make(3);
    let daemon = start(&home, &hosts);
    until("the daemon runs", SOON, || daemon.stderr().contains("running")).await;
    let refused: Vec<(String, Option<i64>, String, String)> =
        eventually("both were tried", SOON, async || {
            let sql = "SELECT DISTINCT target, status, reason, answer FROM attempt_log ORDER BY 1";
            let rows: Vec<_> = Audit::live(&home).await.rows(sql).await;
            (rows.len() == 2).then_some(rows)
        })
        .await;
    let told = "address: 169.254.169.254 is a link-local or metadata address, which is never asked";
    for (row, name) in refused.iter().zip(["moving", "public-only"]) {
        assert_eq!(*row, (name.to_owned(), None, "address".to_owned(), told.to_owned()));
    }

    point("127.0.0.1");
    until("it is followed where it may go", SOON, || sink.ids() == cloud.ids()).await;
    eventually("the other one may not go there", SOON, async || {
        let sql = "SELECT count(*) FROM attempt_log WHERE target = 'public-only'
                   AND answer LIKE 'address: 127.0.0.1 is a loopback address%'";
        (Audit::live(&home).await.value::<i64>(sql).await > 0).then_some(())
    })
    .await;
    daemon.term();
    assert_eq!(daemon.end(STOP).await.code, Some(0));
    assert!(Audit::live(&home).await.deliveries("public-only", "delivered").await.is_empty());
}
