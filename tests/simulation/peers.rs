//! Five pollers on the same clouds: ours, ours without its sweeps, ours without its overlap
//! too, and two that are written here only to show that this model finds what they lose.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tailwater::config::{Overlap, Start};
use tailwater::greenlake::{Page, Query};
use tailwater::model::clock::Clock;
use tailwater::model::coverage::Span;
use tailwater::model::timestamp::Timestamp;
use tailwater::poll::{Log, ScanSettings, Scanner};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cloud::{Cloud, SECOND};
use crate::dice::Dice;
use crate::faces::{SimKeep, SimLog};
use crate::story::BEGIN;
use crate::world::{Odds, Shared, Source, World, lock, name_of};

const MINUTE: i64 = 60 * SECOND;

/// As in the configuration's default.
const OVERLAP: i64 = 900;

/// Entries are made for this long, and asked for as long again, so that late ones have
/// every chance.
const MADE_FOR: i64 = 6 * 60 * MINUTE;

/// The end of a question that has none.
const FAR: i64 = 4_000_000_000;

const SEEDS: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Tailwater,
    /// The same, but nothing is read again once it is settled.
    NoSweeps,
    /// The same, but nothing is read a second time.
    NoOverlap,
    /// The textbook: all pages from the latest `createdAt` seen, known ids dropped.
    Cursor,
    /// HPE's example: the last minute, every minute, one page of 50 (HPE developer
    /// portal, "HPE GreenLake edge-to-cloud platform scripting fundamentals").
    Published,
}

impl Peer {
    const ALL: [Self; 5] =
        [Self::Tailwater, Self::NoSweeps, Self::NoOverlap, Self::Cursor, Self::Published];
}

/// How late entries are; the first two keep to what Tailwater assumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    /// Each five seconds late, no bursts.
    FiveSeconds,
    /// Four in five within three seconds, the others up to 15 minutes; bursts of 150.
    Mixed,
    /// As mixed, but one in a hundred is 15 minutes to 5 hours late.
    Heavy,
}

impl Weather {
    const ALL: [Self; 3] = [Self::FiveSeconds, Self::Mixed, Self::Heavy];

    fn late(self, dice: &mut Dice) -> i64 {
        match self {
            Self::FiveSeconds => 5 * SECOND,
            Self::Heavy if dice.one_in(100) => dice.between(15 * MINUTE, 300 * MINUTE),
            Self::Mixed | Self::Heavy if dice.one_in(5) => dice.between(0, OVERLAP * SECOND),
            Self::Mixed | Self::Heavy => dice.between(0, 3 * SECOND),
        }
    }

    fn cloud(self, seed: u64) -> Cloud {
        let mut dice = Dice::new(seed);
        let mut cloud = Cloud::new(name_of(0), dice.fork());
        cloud.steps = vec![(0, 0)];
        let mut at = BEGIN;
        while at < BEGIN + MADE_FOR {
            cloud.add(at, self.late(&mut dice));
            at += 1 + dice.between(0, 20 * SECOND);
            if self != Self::FiveSeconds && dice.one_in(250) {
                for _ in 0..150 {
                    cloud.add(at + dice.between(0, 10 * SECOND), self.late(&mut dice));
                }
            }
        }
        cloud.seal();
        cloud
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Loss {
    made: u64,
    lost: u64,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = f64::from(u32::try_from(self.made).expect("a modest number"));
        let lost = f64::from(u32::try_from(self.lost).expect("a modest number"));
        write!(f, "{} ({:.2} %)", self.lost, 100.0 * lost / made)
    }
}

/// Polls a cloud for twelve hours, once a minute.
fn poll(peer: Peer, weather: Weather, seed: u64) -> Loss {
    let clock = Clock::manual(Timestamp::from_micros(BEGIN));
    let mut world = World::new(clock.clone(), Dice::new(seed), Odds::default());
    world.is_rough = false;
    let overlap = if peer == Peer::NoOverlap { 0 } else { OVERLAP };
    world.sources.push(Source::new(weather.cloud(seed), overlap));
    let world = Arc::new(Mutex::new(world));
    let log = SimLog { world: Arc::clone(&world), index: 0 };
    match peer {
        Peer::Tailwater | Peer::NoSweeps | Peer::NoOverlap => scan(peer, overlap, log, &clock),
        Peer::Cursor => follow_cursor(&log, &clock),
        Peer::Published => ask_for_the_last_minute(&log, &clock),
    }
    let world = lock(&world);
    assert_eq!(world.broken, None, "{peer:?}");
    let entries = &world.sources[0].cloud.entries;
    let lost = entries.iter().filter(|entry| !entry.is_stored).count();
    Loss { made: entries.len() as u64, lost: lost as u64 }
}

fn is_over(clock: &Clock) -> bool {
    clock.now().micros() > BEGIN + 2 * MADE_FOR
}

fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn scan(peer: Peer, overlap: i64, log: SimLog, clock: &Clock) {
    let settings = ScanSettings {
        name: name_of(0),
        workspace_id: name_of(0),
        start: Start::At(Timestamp::from_micros(BEGIN)),
        overlap: Overlap::Fixed(Duration::from_secs(overlap.unsigned_abs())),
        page_limit: 2_000,
        min_free: 0,
        targets: watch::channel(Vec::new()).1,
    };
    let world = Arc::clone(&log.world);
    let keep = SimKeep(Arc::clone(&world));
    let mut scanner = Scanner::new(settings, log, keep, clock.clone(), Arc::new(|| ()));
    while !is_over(clock) {
        clock.advance(Duration::from_mins(1));
        lock(&world).begin_run(0);
        let (until, stop) = (clock.uptime() + Duration::from_mins(1), CancellationToken::new());
        let report = match peer {
            Peer::Tailwater => at_once(scanner.poll(until, &stop)),
            _ => at_once(scanner.run_once(&stop)),
        };
        report.expect("the ledger works");
    }
}

fn fetch(log: &SimLog, from: i64, limit: u32, offset: u64) -> Page {
    let span = Span::new(from, FAR);
    at_once(log.fetch(&Query { span, narrow: String::new(), limit, offset })).expect("a page")
}

fn keep(world: &Shared, page: &Page) {
    let entries = &mut lock(world).sources[0].cloud.entries;
    let ids = page.events.iter().map(|event| event.envelope.id.as_str());
    let texts = page.unreadable.iter().map(|item| item.raw.trim_start_matches("broken "));
    for number in ids.chain(texts) {
        entries[number.parse::<usize>().expect("a number")].is_stored = true;
    }
}

fn follow_cursor(log: &SimLog, clock: &Clock) {
    let mut cursor = BEGIN / SECOND;
    while !is_over(clock) {
        clock.advance(Duration::from_mins(1));
        let (from, mut offset) = (cursor, 0);
        loop {
            let page = fetch(log, from, 2_000, offset);
            keep(&log.world, &page);
            let newest = page.events.iter().map(|event| event.occurred_at.secs()).max();
            cursor = newest.map_or(cursor, |newest| newest.max(cursor));
            offset += page.count;
            if page.count == 0 || offset >= page.total {
                break;
            }
        }
    }
}

fn ask_for_the_last_minute(log: &SimLog, clock: &Clock) {
    while !is_over(clock) {
        clock.advance(Duration::from_mins(1));
        let page = fetch(log, clock.now().secs() - 60, 50, 0);
        keep(&log.world, &page);
    }
}

fn row(first: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("| {first} | {} |\n", cells.join(" | "))
}

#[test]
fn the_model_finds_what_five_pollers_lose() {
    let sum_up = |peer, weather| {
        let all = (0..SEEDS).map(|seed| poll(peer, weather, seed));
        all.fold(Loss::default(), |sum, one| Loss {
            made: sum.made + one.made,
            lost: sum.lost + one.lost,
        })
    };
    let sums = Peer::ALL.map(|peer| Weather::ALL.map(|weather| sum_up(peer, weather)));
    let mut table = row("lost", Weather::ALL.iter().map(|weather| format!("{weather:?}")));
    for (peer, losses) in Peer::ALL.iter().zip(&sums) {
        table += &row(&format!("{peer:?}"), losses.iter().map(Loss::to_string));
    }
    table += &row("entries made", sums[0].iter().map(|loss| loss.made.to_string()));
    println!("{table}");

    let [ours, no_sweeps, no_overlap, cursor, published] = sums;
    assert_eq!(ours.map(|loss| loss.lost), [0, 0, 0], "{table}");
    assert_eq!((no_sweeps[0].lost, no_sweeps[1].lost), (0, 0), "nothing late\n{table}");
    assert!(no_sweeps[2].lost > 0 && no_sweeps[2].lost * 50 < no_sweeps[2].made, "{table}");
    // Where all are late by the same, their order holds, which is all that a cursor needs.
    for loss in no_overlap.iter().chain(&cursor[1..]).chain(&published) {
        assert!(loss.lost * 200 > loss.made, "{table}");
    }
}
