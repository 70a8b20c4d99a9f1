//! SIGHUP: the configuration changes while events flow; a bad file changes nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tailwater::model::signature::{TOLERANCE, VerifyKey, verify_standard};
use tailwater::simulator::sink::SinkFault;

use crate::support::raw::{Seen, answer};
use crate::support::systemd::{heard, home_with_socket};
use crate::support::{
    Audit, CloudServer, Home, Process, RawServer, SOON, Setup, SinkServer, until,
};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

const STOP: Duration = Duration::from_secs(30);

/// For a backlog, on a busy machine.
const DRAIN: Duration = Duration::from_mins(3);

/// A few entries every so often: each poll finds some, and some are always under way.
const LOAD: (u64, Duration) = (5, Duration::from_millis(100));

fn fast(cloud: &CloudServer) -> Setup {
    Setup::new(cloud).poll("interval = \"1s\"\noverlap = \"30s\"\nstart = \"10m\"").log("info")
}

async fn all_at(cloud: &CloudServer, sinks: &[&SinkServer]) {
    let made = cloud.ids();
    for sink in sinks {
        until("all entries are there", DRAIN, || sink.ids() == made).await;
    }
}

/// Each event came once, to a sink that is to have them all.
fn assert_complete(cloud: &CloudServer, sink: &SinkServer) {
    let report = sink.report();
    assert_eq!(sink.ids(), cloud.ids());
    assert_eq!((report.repeats, report.signatures_bad, report.signatures_missing), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_come_and_go_and_change_under_load_and_nothing_is_lost_or_sent_twice() {
    let cloud = CloudServer::start().await;
    let (stays, before, after) =
        (SinkServer::start().await, SinkServer::start().await, SinkServer::start().await);
    let (comes, goes) = (SinkServer::start().await, SinkServer::start().await);
    // What is under way when the target changes takes its time to end.
    before.sink.faults().set(SinkFault::delay(Duration::from_millis(300)));
    let setup = fast(&cloud).target("stays", &stays.url, "");
    let first = setup.clone().target("moves", &before.url, "").target("goes", &goes.url, "");
    let home = Home::new(&first);
    let daemon = home.run_daemon().await;
    let feed = cloud.feed(LOAD.0, LOAD.1);
    until("all have some", SOON, || {
        [&stays, &before, &goes].iter().all(|sink| sink.report().events > 20)
    })
    .await;

    let moved = setup.clone().target("moves", &after.url, "").target("comes", &comes.url, "");
    home.reload(&daemon, &moved).await;
    until("both new ones have some", SOON, || {
        [&after, &comes].iter().all(|sink| sink.report().events > 20)
    })
    .await;
    let gone = goes.ids();
    drop(feed);
    all_at(&cloud, &[&stays]).await;
    home.until_settled_but(&["goes"], DRAIN).await;
    assert!(
        daemon.stderr().contains(
            "reloaded: targets added: comes; targets changed: moves; targets removed: goes"
        )
    );
    home.stop(daemon, STOP).await;

    assert_complete(&cloud, &stays);
    let (old, new) = (before.report(), after.report());
    let union: BTreeSet<String> = before.ids().union(&after.ids()).cloned().collect();
    assert_eq!(union, cloud.ids(), "nothing is lost on the way from one URL to the other");
    assert_eq!(old.events + new.events, cloud.cloud.made_count() as u64, "nor sent to both");
    let mut audit = Audit::live(&home).await;
    assert_eq!(audit.deliveries("comes", "delivered").await, comes.ids());
    assert_eq!(comes.report().repeats, 0);
    assert!(goes.ids().is_superset(&gone) && goes.ids().len() < cloud.ids().len());
    assert_eq!(goes.report().repeats, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_says_where_and_why() {
    let cloud = CloudServer::start().await;
    let sink = SinkServer::start().await;
    let setup = fast(&cloud).target("siem", &sink.url, "");
    // Without a watchdog it says little: nobody reads the socket all the time.
    let (home, socket) = home_with_socket(&setup, None);
    let daemon = home.run_daemon().await;
    let mut told = heard(&socket);

    let bad = setup.clone().target("other", "http://127.0.0.1:1/", "concurency = 1");
    let line = 1 + bad.text().lines().position(|line| line.starts_with("concurency")).unwrap();
    home.reload(&daemon, &bad).await;

    let place = format!("config.toml:{line}:1: target \"other\".concurency");
    assert!(daemon.stderr().contains(&place), "{}", daemon.stderr());
    assert!(daemon.stderr().contains("write concurrency"), "{}", daemon.stderr());
    until("systemd is told", SOON, || {
        told.extend(heard(&socket));
        told.iter().any(|message| message.contains("STATUS=configuration not taken: config.toml:"))
    })
    .await;
    cloud.make(5);
    all_at(&cloud, &[&sink]).await;
    assert_eq!(home.list(&["targets"]).await.len(), 1, "nothing of the bad file is known");

    // A CA file that is none, and another ledger, are no better.
    for (lines, why) in [
        ("ca_file = \"config.toml\"", "holds no certificate"),
        ("ca_file = \"nowhere.pem\"", "cannot read the CA file"),
    ] {
        home.reload(&daemon, &setup.clone().target("other", "http://127.0.0.1:1/", lines)).await;
        assert!(daemon.stderr().contains(why), "{why}: {}", daemon.stderr());
    }
    home.replace("config.toml", &setup.text().replace("ledger.db", "other.db"));
    daemon.hang_up();
    until("it says so", SOON, || daemon.stderr().contains("storage.path changes only")).await;

    home.reload(&daemon, &setup).await;
    assert!(daemon.stderr().contains("reloaded: nothing changed"), "{}", daemon.stderr());
    assert_eq!(home.list(&["targets"]).await.len(), 1, "nothing of the bad files is known");
    told.clear();
    until("systemd is told", SOON, || {
        told.extend(heard(&socket));
        told.iter()
            .rfind(|m| m.contains("STATUS="))
            .is_some_and(|m| m.contains("STATUS=production"))
    })
    .await;
    cloud.make(5);
    all_at(&cloud, &[&sink]).await;
    home.stop(daemon, STOP).await;
    assert_complete(&cloud, &sink);
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_when_a_reload_begins_and_ends() {
    let cloud = CloudServer::start().await;
    let (home, socket) = home_with_socket(&fast(&cloud), None);
    let daemon = home.run_daemon().await;
    heard(&socket);
    home.reload(&daemon, &fast(&cloud)).await;
    let mut told = Vec::new();
    until("it is ready again", SOON, || {
        told.extend(heard(&socket));
        told.iter().any(|message| message.contains("READY=1"))
    })
    .await;
    home.stop(daemon, STOP).await;

    let place = |wanted: &str| told.iter().position(|message| message.contains(wanted));
    let reloading = place("RELOADING=1").expect("it says so");
    assert!(told[reloading].contains("MONOTONIC_USEC="), "{told:?}");
    assert!(Some(reloading) < place("READY=1"), "{told:?}");
}

/// `TAILWATER_RELOADS=500 cargo test --test it reload` for more of it.
const RELOADS: usize = 200;

/// Entries that come during them, at least.
const ENTRIES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_signals_with_good_and_bad_files_lose_and_repeat_nothing() {
    let reloads = std::env::var("TAILWATER_RELOADS").ok();
    let reloads = reloads.map_or(RELOADS, |text| text.parse().expect("a number"));
    let cloud = CloudServer::start().await;
    let (steady, changing) = (SinkServer::start().await, SinkServer::start().await);
    let strict = SinkServer::start().await;
    let setup = |number: usize| {
        let interval = ["1s", "2s", "30s"][number % 3];
        fast(&cloud)
            .poll(&format!("interval = \"{interval}\"\noverlap = \"1m\"\nstart = \"10m\""))
            .target("steady", &steady.url, "")
            .target("changing", &changing.url, &format!("headers = {{ X-N = \"{number}\" }}"))
            .target(
                "strict",
                &strict.url,
                &format!("order = \"strict\"\ntimeout = \"{}s\"", 20 + number % 2),
            )
    };
    let home = Home::new(&setup(0));
    let mut daemon = home.run_daemon().await;
    // No more than a strict order brings, one at a time, on a busy machine.
    let feed = cloud.feed(1, Duration::from_millis(100));
    let mut bad = 0;
    for number in 0..reloads {
        if number % 2 == 0 {
            home.reload(&daemon, &setup(number)).await;
        } else {
            bad += 1;
            home.reload(&daemon, &setup(number).target("broken", "nowhere", "")).await;
        }
    }
    // However quick the reloads were, there has to be something to lose.
    until("enough was made", DRAIN, || cloud.cloud.made_count() > ENTRIES).await;
    drop(feed);
    home.reload(&daemon, &setup(0)).await;
    all_at(&cloud, &[&steady, &changing, &strict]).await;
    home.until_settled(DRAIN).await;
    let said = daemon.stderr();
    assert!(daemon.is_running());
    home.stop(daemon, STOP).await;

    assert_eq!(said.matches("was not taken").count(), bad);
    assert_eq!(said.matches(" running").count(), 1, "it was never started again");
    for sink in [&steady, &changing, &strict] {
        assert_complete(&cloud, sink);
    }
    Audit::live(&home).await.check(&cloud.cloud.made(), 3).await;
    println!("{reloads} reloads, {bad} bad files, {} entries", cloud.cloud.made_count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_signals_is_few_reloads_and_the_last_file_counts() {
    let cloud = CloudServer::start().await;
    let (first, last) = (SinkServer::start().await, SinkServer::start().await);
    let home = Home::new(&fast(&cloud).target("siem", &first.url, ""));
    let daemon = home.run_daemon().await;
    for _ in 0..500 {
        daemon.hang_up();
    }
    home.set_up(&fast(&cloud).target("siem", &last.url, ""));
    daemon.hang_up();
    until("the last file is taken", SOON, || daemon.stderr().contains("changed: siem")).await;
    let reloads = daemon.stderr().matches("reading the configuration again").count();
    assert!(reloads < 250, "{reloads} reloads of 501 signals");
    cloud.make(5);
    all_at(&cloud, &[&last]).await;
    home.stop(daemon, STOP).await;
    assert_eq!(first.report().events, 0);
}

/// A receiver that takes what is signed with the key it has at the moment.
struct Receiver {
    server: RawServer,
    key: Arc<Mutex<VerifyKey>>,
    refused: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start(key: &str) -> Self {
        let key = Arc::new(Mutex::new(VerifyKey::parse(key).expect("a key")));
        let refused = Arc::new(AtomicUsize::new(0));
        let (held, count) = (Arc::clone(&key), Arc::clone(&refused));
        let server = RawServer::start(move |seen| {
            let header = |name: &str| seen.headers[name].to_str().expect("text").to_owned();
            let [id, at, signatures] =
                ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
            let keys = [held.lock().expect("nobody panics").clone()];
            let now = at.parse().expect("seconds");
            if verify_standard(&keys, &id, &at, &signatures, &seen.body, now, TOLERANCE).is_ok() {
                return answer(204, "");
            }
            count.fetch_add(1, Ordering::SeqCst);
            answer(401, "")
        })
        .await;
        Self { server, key, refused }
    }

    fn change_key(&self, key: &str) {
        *self.key.lock().expect("nobody panics") = VerifyKey::parse(key).expect("a key");
    }

    /// Requests with so many signatures.
    fn signed(&self, signatures: usize) -> usize {
        let count = |value: &str| value.split(' ').count();
        let seen = self.server.seen();
        let of = |header: &axum::http::HeaderValue| header.to_str().map_or(0, count);
        seen.iter().filter(|seen| of(&seen.headers["webhook-signature"]) == signatures).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_without_a_gap() {
    let cloud = CloudServer::start().await;
    let receiver = Receiver::start(OLD).await;
    let (old_only, new_only) = (SinkServer::verifying(OLD).await, SinkServer::verifying(NEW).await);
    let keys = |files: &str| format!("signing = {{ standard = [{files}] }}");
    let (old, new) = ("{ file = \"old.key\" }", "{ file = \"new.key\" }");
    let both = keys(&format!("{new}, {old}"));
    let url = receiver.server.url("/");
    let home = Home::new(&fast(&cloud).target("siem", &url, &keys(old)).target(
        "old",
        &old_only.url,
        &keys(old),
    ));
    home.write("old.key", OLD);
    home.write("new.key", NEW);
    let daemon = home.run_daemon().await;
    let feed = cloud.feed(LOAD.0, LOAD.1);
    until("the old key is in use", SOON, || receiver.signed(1) > 20).await;

    let setup = fast(&cloud).target("siem", &url, &both).target("old", &old_only.url, &both);
    home.reload(&daemon, &setup.target("new", &new_only.url, &both)).await;
    until("both keys are in use", SOON, || receiver.signed(2) > 20).await;
    until("who has the new one alone is content", SOON, || new_only.report().signatures_good > 20)
        .await;

    receiver.change_key(NEW);
    let before = receiver.signed(1);
    let setup = fast(&cloud).target("siem", &url, &keys(new));
    home.reload(&daemon, &setup.target("new", &new_only.url, &keys(new))).await;
    until("the new key is in use", SOON, || receiver.signed(1) > before + 20).await;
    drop(feed);
    until("all is there", SOON, || receiver.server.seen().len() >= cloud.ids().len()).await;
    home.until_settled_but(&["old"], DRAIN).await;
    home.stop(daemon, STOP).await;

    assert_eq!(receiver.refused.load(Ordering::SeqCst), 0, "somebody was refused");
    let came: Vec<String> = receiver.server.seen().iter().flat_map(Seen::ids).collect();
    assert_eq!(came.len(), cloud.cloud.made_count(), "each event once");
    assert_eq!(came.into_iter().collect::<BTreeSet<_>>(), cloud.ids());
    for report in [old_only.report(), new_only.report()] {
        assert_eq!((report.signatures_bad, report.signatures_missing, report.repeats), (0, 0, 0));
        assert_eq!(report.signatures_good, report.requests);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_mended_in_its_file_is_used_at_once() {
    let cloud = CloudServer::start().await;
    let sink = SinkServer::start().await;
    let secret = "planted-wrong-secret";
    let setup = Setup::of(&cloud.base_url, "").target("siem", &sink.url, "").log("info");
    let text = setup.text().replace("\"\"", "{ file = \"client\" }");
    let home = Home::new(&setup);
    home.replace("config.toml", &text);
    home.write("client", secret);
    cloud.make(5);
    let daemon = home.run_daemon().await;
    until("the source refuses it", SOON, || daemon.stderr().contains("auth_failed")).await;

    home.replace("client", cloud.secret());
    daemon.hang_up();
    all_at(&cloud, &[&sink]).await;
    assert!(daemon.stderr().contains("reloaded: sources changed: production"));
    assert!(!daemon.stderr().contains(secret));
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_enabled_and_the_log_change_while_it_runs() {
    let cloud = CloudServer::start().await;
    let sink = SinkServer::start().await;
    let with = |poll: &str, filter: &str| {
        let setup = Setup::new(&cloud).poll(&format!("{poll}\nstart = \"10m\"")).log(filter);
        setup.target("siem", &sink.url, "")
    };
    cloud.make(1);
    let home = Home::new(&with("interval = \"24h\"", "info"));
    let daemon = home.run_daemon().await;
    all_at(&cloud, &[&sink]).await;

    // An interval that is over by now is not waited for again.
    home.reload(&daemon, &with("interval = \"1s\"", "info,tailwater::poll=debug")).await;
    cloud.make(1);
    all_at(&cloud, &[&sink]).await;
    until("it is told in detail", SOON, || polled(&daemon) > 0).await;

    home.reload(&daemon, &with("enabled = false", "info,tailwater::poll=debug")).await;
    assert!(daemon.stderr().contains("sources removed: production"), "{}", daemon.stderr());
    home.reload(&daemon, &with("cron = \"* * * * * *\"", "info")).await;
    cloud.make(1);
    all_at(&cloud, &[&sink]).await;
    let before = polled(&daemon);
    home.reload(&daemon, &with("cron = \"* * * * * *\"", "info")).await;
    assert_eq!(polled(&daemon), before, "no details any more");
    home.stop(daemon, STOP).await;
    assert_complete(&cloud, &sink);
}

fn polled(daemon: &Process) -> usize {
    daemon.stderr().matches(" polled ").count()
}
