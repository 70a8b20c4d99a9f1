//! Bytes of a ledger that the disk gives back changed: whatever is read is right or refused,
//! and nothing changed ever goes to a target.
//!
//! `TAILWATER_FLIPS=100000 cargo test --test it flipped -- --nocapture` for more of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tailwater::model::clock::Clock;
use tailwater::model::event::Sequence;
use tailwater::simulator::sink::SinkFault;
use tailwater::storage::{Due, Ledger, StorageError};
use tempfile::TempDir;

use crate::support::raw::answer;
use crate::support::{CloudServer, Home, RawServer, SOON, Setup, SinkServer, number, until};

const FLIPS: u64 = 1_000;

const ENTRIES: u64 = 60;

/// Has everything; is owed everything; is owed everything, some of it once more.
const TARGETS: [&str; 3] = ["well", "later", "failing"];

/// What each target is owed: of each event its source, its id and its body.
type Owed = BTreeMap<&'static str, BTreeMap<Sequence, (Arc<str>, Arc<str>, Vec<u8>)>>;

/// What became of the flips.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// The ledger was refused at the start.
    refused: u64,
    /// It was opened, and something of it could not be read.
    noticed: u64,
    /// Everything that is owed was read, and is right.
    harmless: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_flipped_byte_changes_is_refused_and_never_delivered() {
    let flips = number("TAILWATER_FLIPS").unwrap_or(FLIPS);
    let seed = number("TAILWATER_SEED").unwrap_or_else(rand::random);
    println!("TAILWATER_FLIPS={flips} TAILWATER_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (cloud, well) = (CloudServer::start().await, SinkServer::start().await);
    let (later, failing) = (SinkServer::start().await, SinkServer::start().await);
    failing.sink.faults().set(SinkFault::status(503));
    let refused = "retry = { schedule = [\"1h\"] }";
    let setup = Setup::new(&cloud)
        .target(TARGETS[0], &well.url, "")
        .target(TARGETS[1], &later.url, "")
        .target(TARGETS[2], &failing.url, refused);
    let bytes = make_ledger(&cloud, &setup, &well, &failing).await;
    let owed = owed(&bytes).await.expect("it is whole");
    assert!(owed["later"].len() as u64 >= ENTRIES && owed["failing"].len() as u64 >= ENTRIES);

    let mut tally = Tally::default();
    for _ in 0..flips {
        let (at, bits) = (rng.random_range(0..bytes.len()), rng.random_range(1..=255_u8));
        let mut changed = bytes.clone();
        changed[at] ^= bits;
        match owed_by(&changed, &mut tally).await {
            None => {}
            Some(found) => {
                assert!(found == owed, "byte {at} ^ {bits}: something else is owed");
                tally.harmless += 1;
            }
        }
    }
    println!("{tally:?} of {} bytes", bytes.len());
    assert_eq!(tally.refused + tally.noticed + tally.harmless, flips);
    assert!(tally.refused > 0 && tally.noticed > 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_stops_with_a_word_rather_than_deliver_a_changed_event() {
    let (cloud, well) = (CloudServer::start().await, SinkServer::start().await);
    let failing = SinkServer::start().await;
    failing.sink.faults().set(SinkFault::status(503));
    let server = RawServer::start(|_| answer(200, "")).await;
    let refused = "retry = { schedule = [\"1h\"] }";
    let setup = Setup::new(&cloud)
        .target(TARGETS[0], &well.url, "")
        .target(TARGETS[1], &server.url("/"), "")
        .target(TARGETS[2], &failing.url, refused);
    let mut bytes = make_ledger(&cloud, &setup, &well, &failing).await;
    let owed = owed(&bytes).await.expect("it is whole");
    let (_, _, body) = &owed["later"][&30];
    let at = bytes.windows(body.len()).position(|part| part == body).expect("it is in one piece");
    bytes[at + body.len() / 2] ^= 1;

    let home = Home::new(&setup);
    std::fs::write(home.ledger(), &bytes).expect("it can be written");
    assert_eq!(home.command(&["targets", "resume", "later"]).await.code, Some(0));
    for args in [&["run"][..], &["export", "--format", "ndjson"]] {
        let done = home.command(args).await;
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
        let last = done.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("event 30 in the ledger is not as it was stored"), "{last}");
        assert!(last.contains("restore a backup"), "{last}");
    }
    for seen in server.seen() {
        let is_right = owed["later"].values().any(|(_, _, body)| seen.body == *body);
        assert!(is_right, "delivered: {}", String::from_utf8_lossy(&seen.body));
    }
}

/// A ledger in which the first target has everything, and the others are owed everything.
async fn make_ledger(
    cloud: &CloudServer,
    setup: &Setup,
    well: &SinkServer,
    failing: &SinkServer,
) -> Vec<u8> {
    let home = Home::new(setup);
    cloud.make_visible(ENTRIES);
    assert_eq!(home.command(&["poll"]).await.code, Some(0));
    assert_eq!(home.command(&["targets", "pause", "later"]).await.code, Some(0));
    let daemon = home.run_daemon().await;
    until("two targets were tried", SOON, || {
        // After ten failures in a row it is asked no more.
        well.report().events >= ENTRIES && failing.report().requests >= 10
    })
    .await;
    home.stop(daemon, SOON).await;
    std::fs::read(home.ledger()).expect("it is there")
}

/// What a changed ledger says is owed; `None` when it, or something in it, is refused.
async fn owed_by(bytes: &[u8], tally: &mut Tally) -> Option<Owed> {
    match owed(bytes).await {
        Ok(owed) => return Some(owed),
        Err(Refused::Opening(_)) => tally.refused += 1,
        Err(Refused::Reading(_)) => tally.noticed += 1,
    }
    None
}

#[derive(Debug)]
enum Refused {
    Opening(#[expect(dead_code, reason = "for whoever debugs")] StorageError),
    Reading(#[expect(dead_code, reason = "for whoever debugs")] StorageError),
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Reading(error)
    }
}

/// Reads all that the workers of the targets would read.
async fn owed(bytes: &[u8]) -> Result<Owed, Refused> {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    std::fs::write(&path, bytes).expect("it can be written");
    let ledger = Ledger::open(&path, Clock::system()).await.map_err(Refused::Opening)?;
    let result = read(&ledger).await;
    ledger.close().await;
    result
}

async fn read(ledger: &Ledger) -> Result<Owed, Refused> {
    let reader = ledger.reader();
    let far = Clock::system().now().plus(Duration::from_hours(2));
    let mut owed = Owed::new();
    for name in TARGETS {
        let Some((id, _)) = reader.find_target(name).await? else {
            let lost = format!("target {name} is gone");
            return Err(Refused::Reading(StorageError::Inconsistent(lost)));
        };
        let mut dues = reader.list_fresh(id, 0, 10_000).await?;
        dues.extend(reader.list_retries(id, far, 10_000).await?);
        let part = |due: Due| (due.sequence, (due.event_source, due.event_id, due.body.to_vec()));
        owed.insert(name, dues.into_iter().map(part).collect());
    }
    Ok(owed)
}

/// In memory where there is such a folder: nothing of this has to outlive the test.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("tailwater-flip-").tempdir_in(parent).expect("a folder")
}
