//! The ledger test: numbered events go through the real daemon while its targets flap,
//! hang, redirect, reset, drip, never end and show bad certificates, and while it is
//! killed, stopped and reloaded. Afterwards every target has every number, each repeat is explained,
//! and order holds where it was asked for.
//!
//! A repeat is explained by an attempt that the ledger has on record as failed, or by a
//! kill: what had come to the target at that moment and is on no record. A soft stop
//! or a reload explains none.
//!
//! `TAILWATER_SEED` sets moods and the kinds of ends (what a request meets also depends on
//! how requests fall in time), `TAILWATER_ROUNDS` how many ends there are.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tailwater::simulator::entry::Entry;

use crate::support::fickle::{Fickle, Mood};
use crate::support::tls::{Authority, Shows};
use crate::support::{Audit, CloudServer, Home, Process, SOON, Setup, eventually, until};

const SEED: u64 = 4_711;

/// Ends of the daemon, each after a round of new events.
const ROUNDS: u64 = 8;

/// What a kill can make a target get twice (`docs/guarantees.md`): a window, and the
/// requests that fill it.
const LOST_MAX: i64 = 1_024 + 100;

const STOP: Duration = Duration::from_secs(40);

const EVERYTHING: [Mood; 12] = [
    Mood::WellAndClose,
    Mood::Slow,
    Mood::Endless,
    Mood::Status(500),
    Mood::Status(404),
    Mood::Status(302),
    Mood::Status(429),
    Mood::Overloaded,
    Mood::Drip,
    Mood::Hang,
    Mood::Close,
    Mood::Reset,
];

/// The daemon's surroundings, and what has been found so far.
struct Rig {
    cloud: CloudServer,
    home: Home,
    /// The same targets, each time with another setting that makes their workers anew.
    setups: [Setup; 2],
    targets: Vec<(&'static str, Fickle)>,
    numbers: u64,
    /// By target and event: how often it came without a record.
    lost: BTreeMap<(&'static str, String), i64>,
}

impl Rig {
    async fn new(seed: u64) -> Self {
        let (cloud, authority) = (CloudServer::start().await, Authority::new());
        let mut setups = [4, 3].map(|concurrency| (Setup::new(&cloud), concurrency));
        let mut targets = Vec::new();
        let flapping = [Mood::Status(500), Mood::Status(503), Mood::Overloaded];
        let hanging = [Mood::Hang, Mood::Drip, Mood::Slow];
        let breaking = [Mood::Close, Mood::Reset, Mood::WellAndClose];
        for (index, (name, moods, percent, lines)) in [
            ("steady", &EVERYTHING[..0], 0, ""),
            ("flapping", &flapping[..], 40, ""),
            ("hanging", &hanging[..], 10, ""),
            ("breaking", &breaking[..], 40, ""),
            ("endless", &[Mood::Endless][..], 20, ""),
            (
                "batch",
                &EVERYTHING[..],
                40,
                "format = \"batch\"\nbatch = { max_events = 20, max_wait = \"10ms\" }\n",
            ),
            ("strict", &EVERYTHING[..], 10, "order = \"strict\"\n"),
            ("strict-flapping", &flapping[..2], 30, "order = \"strict\"\n"),
            ("certificates", &breaking[..], 40, "ca_file = \"ca.pem\"\n"),
        ]
        .into_iter()
        .enumerate()
        {
            let kinds = [Shows::Good, Shows::Expired, Shows::OtherName, Shows::SelfSigned];
            let certificates = match name {
                "certificates" => kinds.map(|shows| authority.acceptor(shows, &[])).to_vec(),
                _ => Vec::new(),
            };
            let seed = seed.wrapping_add(index as u64 + 1);
            let target = Fickle::start(seed, moods, percent, certificates).await;
            let retry = "retry.schedule = [\"50ms\", \"200ms\"]";
            setups = setups.map(|(setup, concurrency)| {
                let common = format!("timeout = \"1s\"\nconcurrency = {concurrency}\n{retry}");
                (setup.target(name, target.url(), &format!("{lines}{common}")), concurrency)
            });
            targets.push((name, target));
        }
        let setups = setups.map(|(setup, _)| setup);
        let home = Home::new(&setups[0]);
        home.write("ca.pem", authority.pem());
        Self { cloud, home, setups, targets, numbers: 0, lost: BTreeMap::new() }
    }

    /// Puts so many new numbers into the cloud.
    fn feed(&mut self, count: u64) {
        for number in self.numbers..self.numbers + count {
            let now = self.cloud.cloud.clock().now();
            let entry = Entry::new(&format!("number-{number:06}"), now, "Made by the prober");
            assert!(self.cloud.cloud.insert(entry), "numbers are new");
        }
        self.numbers += count;
    }

    fn arrivals(&self) -> usize {
        self.targets.iter().map(|(_, target)| target.arrivals().len()).sum()
    }

    /// Compares what came with what is on record, after an end of the daemon: what came
    /// more often than it was recorded, beyond what is known already, was lost at this end.
    async fn account(&mut self) -> BTreeMap<&'static str, i64> {
        let sql = "SELECT target, event_id, count(*) FROM attempt_log GROUP BY 1, 2";
        let mut audit = Audit::of_copy(&self.home).await;
        let rows: Vec<(String, String, i64)> = audit.rows(sql).await;
        audit.close().await;
        let recorded: BTreeMap<(String, String), i64> =
            rows.into_iter().map(|(target, id, count)| ((target, id), count)).collect();
        let mut now_lost = BTreeMap::new();
        for (name, target) in &self.targets {
            for (id, came) in target.counts() {
                let known = recorded.get(&((*name).to_owned(), id.clone())).copied().unwrap_or(0);
                let lost = self.lost.entry((name, id)).or_default();
                let more = came - known - *lost;
                if more > 0 {
                    *lost += more;
                    *now_lost.entry(*name).or_default() += more;
                }
            }
        }
        now_lost
    }
}

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Kill,
    Stop,
}

async fn end(rig: &mut Rig, daemon: Process, ending: Ending) {
    match ending {
        Ending::Kill => daemon.kill(),
        Ending::Stop => _ = rig.home.stop(daemon, STOP).await,
    }
    for (_, target) in &rig.targets {
        target.rest().await;
    }
    let lost = rig.account().await;
    println!("{ending:?}: came and is on no record: {lost:?}");
    if ending == Ending::Stop {
        assert!(lost.is_empty(), "a soft stop forgot what it had sent: {lost:?}");
    }
    assert!(lost.values().all(|count| *count <= LOST_MAX), "{lost:?}");
}

fn variable(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_comes_to_every_target_whatever_they_and_the_daemon_meet() {
    let (seed, rounds) = (variable("TAILWATER_SEED", SEED), variable("TAILWATER_ROUNDS", ROUNDS));
    println!("TAILWATER_SEED={seed} TAILWATER_ROUNDS={rounds}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut rig = Rig::new(seed).await;
    for round in 0..rounds {
        rig.feed(dice.random_range(30..100));
        let daemon = rig.home.run_daemon().await;
        let (before, wanted) = (rig.arrivals(), dice.random_range(50..400));
        until("things come", SOON, || rig.arrivals() >= before + wanted / 2).await;
        rig.feed(dice.random_range(1..50));
        // Every other round, in the midst of it.
        if round % 2 == 0 {
            let at = usize::try_from(round / 2 + 1).expect("few") % rig.setups.len();
            rig.home.reload(&daemon, &rig.setups[at]).await;
        }
        until("more things come", SOON, || rig.arrivals() >= before + wanted).await;
        // Both in every run; otherwise a kill is what tells more.
        let is_stop = round % 4 == 1 || dice.random_range(0..4) == 0;
        end(&mut rig, daemon, if is_stop { Ending::Stop } else { Ending::Kill }).await;
    }

    for (_, target) in &rig.targets {
        target.mend();
    }
    let daemon = rig.home.run_daemon().await;
    rig.feed(10);
    let targets = rig.targets.len() as u64;
    eventually("every target has every number", SOON * 3, async || {
        let all = i64::try_from(rig.numbers * targets).expect("few");
        let delivered = "SELECT count(*) FROM delivery_log WHERE status = 'delivered'";
        (Audit::live(&rig.home).await.value::<i64>(delivered).await == all).then_some(())
    })
    .await;
    end(&mut rig, daemon, Ending::Stop).await;
    check(&rig).await;
}

async fn check(rig: &Rig) {
    let ids = rig.cloud.ids();
    for (name, target) in &rig.targets {
        let counts = target.counts();
        assert!(counts.keys().eq(ids.iter()), "{name} has not every number, or one too many");
        let repeats: i64 = counts.values().map(|count| count - 1).sum();
        println!("{name}: {} numbers, {repeats} repeats", counts.len());
        if *name == "steady" {
            let lost: i64 = rig.lost.iter().filter(|((of, _), _)| of == name).map(|(_, n)| n).sum();
            assert!(repeats <= lost, "{repeats} repeats, of which kills explain {lost}");
        }
        if name.starts_with("strict") {
            let mut highest = 0;
            for arrival in target.arrivals() {
                assert!(arrival.sequence <= highest + 1, "{name}: {arrival:?} overtook {highest}");
                highest = highest.max(arrival.sequence);
            }
        }
    }
    let mut audit = Audit::live(&rig.home).await;
    let unexplained: i64 = audit
        .value(
            "SELECT count(*) FROM (SELECT count(*) AS taken FROM attempt_log
             WHERE reason IS NULL GROUP BY target, event_id HAVING taken <> 1)",
        )
        .await;
    assert_eq!(unexplained, 0, "events that were taken and sent again all the same");
    audit.check(&rig.cloud.cloud.made(), i64::try_from(rig.targets.len()).expect("few")).await;
}
