//! Every call once: the n-th call of a poller to its source or to its ledger fails in each
//! way that it can, or is the last of the process, for n = 1, 2, 3, … until a life passes
//! untouched. After each the same laws hold as in the lives by seed.

use tailwater::poll::gap::RETENTION_SECS;

use crate::cloud::{SECOND, Ties};
use crate::life::live;
use crate::story::{Lateness, SourceStory, Story};
use crate::world::{Fate, Odds};

/// Everything that may become of one call. A number stands for a way to fail: requests have
/// seven, the ledger has three.
const FATES: [Fate; 10] = [
    Fate::DiesBefore,
    Fate::DiesAfter,
    Fate::Stops,
    Fate::Fails(0),
    Fate::Fails(1),
    Fate::Fails(2),
    Fate::Fails(3),
    Fate::Fails(4),
    Fate::Fails(5),
    Fate::Fails(6),
];

/// A life with more calls than this does not end.
const CALLS_MAX: u64 = 10_000;

/// A first start some time back, slices that are split, a second with more entries than a
/// page, late entries, ties in another order each time, and re-reads of all that.
fn story(blow: Option<(u64, Fate)>) -> Story {
    let source = SourceStory {
        overlap: 60,
        is_auto: false,
        page_limit: 6,
        back: 100,
        lateness: Lateness::Mixed,
        every: 9,
        bursts: vec![(-40, 1, 9), (5, 3, 8)],
        ties: Ties::Shuffled,
        outages: Vec::new(),
        steps: vec![(i64::MIN / SECOND / 2, 0)],
        retention: RETENTION_SECS,
        poison: None,
    };
    Story {
        seed: 7,
        interval: 10,
        runs: 3,
        crashes: 0,
        absences: 0,
        away: Vec::new(),
        no_room: 0,
        odds: Odds::default(),
        blow,
        sources: vec![source],
    }
}

#[test]
fn each_call_may_fail_or_be_the_last() {
    let mut lives = 0;
    for after in 0..CALLS_MAX {
        let mut untouched = 0;
        for fate in FATES {
            let (outcome, _) = live(&story(Some((after, fate))), false).unwrap_or_else(|failure| {
                let told = live(&story(Some((after, fate))), true).err().map(|told| told.journal);
                panic!(
                    "{}\n{fate:?} after {after} calls: {}",
                    told.unwrap_or_default(),
                    failure.law
                )
            });
            untouched += usize::from(outcome.is_untouched);
            lives += 1;
        }
        if untouched == FATES.len() {
            println!("{after} calls, {lives} lives");
            assert!(after > 100, "a poor story");
            return;
        }
    }
    panic!("there is no end to the calls");
}
