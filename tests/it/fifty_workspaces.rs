//! Fifty workspaces in one process: all polled, in turn, each within its own limit.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use tailwater::simulator::Settings;
use tailwater::simulator::entry::Workspace;

use crate::support::{Audit, CloudServer, Home, Setup, SinkServer, eventually};

const SOURCES: usize = 50;

/// Longer than the five seconds within which all make their first poll.
const INTERVAL: Duration = Duration::from_secs(20);

/// Three intervals, and time for a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// A cloud with a workspace of its own and the documented limits.
async fn cloud(number: usize) -> CloudServer {
    let defaults = Settings::default();
    let id = format!("{number:032x}");
    let workspace = Workspace { id, ..defaults.workspace.clone() };
    let seed = 1 + u64::try_from(number).expect("it is small");
    let cloud = CloudServer::with(Settings { workspace, seed, ..defaults }).await;
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(20, now.minus(Duration::from_mins(5)), now);
    cloud
}

/// A configuration with a source for each cloud and one target.
fn configuration(clouds: &[CloudServer], sink: &SinkServer) -> String {
    let defaults = Settings::default();
    let mut text = "[storage]\npath = \"ledger.db\"\nmin_free = \"1MiB\"\n".to_owned();
    for (number, cloud) in clouds.iter().enumerate() {
        write!(
            text,
            "[[source]]\nname = \"w{number:02}\"\nworkspace_id = \"{number:032x}\"\n\
             client_id = \"{}\"\nclient_secret = \"{}\"\nbase_url = \"{}\"\n\
             [source.poll]\ninterval = \"{}s\"\nstart = \"10m\"\n",
            defaults.client_id,
            cloud.secret(),
            cloud.base_url,
            INTERVAL.as_secs(),
        )
        .expect("a String takes everything");
    }
    write!(text, "[[target]]\nname = \"siem\"\nurl = \"{}\"\n", sink.url).expect("as above");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_workspaces_take_turns_each_within_its_own_limit() {
    let mut clouds = Vec::new();
    for number in 0..SOURCES {
        clouds.push(cloud(number).await);
    }
    let sink = SinkServer::start().await;
    let home = Home::new(&Setup::new(&clouds[0]));
    home.write("config.toml", &configuration(&clouds, &sink));
    let daemon = home.run_daemon().await;

    let polls = eventually("each has polled three times", LIMIT, async || {
        let sql = "SELECT source_id, started_us FROM poll_request WHERE outcome = 'complete'
                   ORDER BY started_us";
        let rows: Vec<(i64, i64)> = Audit::live(&home).await.rows(sql).await;
        let mut polls: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (source, at) in rows {
            polls.entry(source).or_default().push(at);
        }
        let is_done = polls.len() == SOURCES && polls.values().all(|times| times.len() >= 3);
        is_done.then_some(polls)
    })
    .await;
    // The second polls, the first that have their places.
    let seconds: Vec<i64> = polls.values().map(|times| times[1]).collect();
    let began = seconds.iter().min().copied().expect("fifty");
    let tenth = i64::try_from(INTERVAL.as_micros()).expect("it is short") / 10;
    let mut tenths: BTreeMap<i64, usize> = BTreeMap::new();
    for at in seconds {
        *tenths.entry((at - began) / tenth).or_default() += 1;
    }
    assert!(tenths.values().all(|count| *count <= 12), "polls are not spread: {tenths:?}");

    home.until_settled(LIMIT).await;
    let made: usize = clouds.iter().map(|cloud| cloud.ids().len()).sum();
    let got = sink.ids();
    assert_eq!((made, got.len()), (SOURCES * 20, SOURCES * 20));
    for cloud in &clouds {
        let served = cloud.cloud.served();
        assert_eq!((served.throttled, served.tokens), (0, 1), "{served:?}");
        assert!(cloud.ids().is_subset(&got));
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let (threads, resident) = (threads.count(), daemon.resident_mib());
    assert!(threads < 40, "{threads} threads");
    assert!(resident < 128, "{resident} MiB");
    home.stop(daemon, Duration::from_secs(30)).await;
}
