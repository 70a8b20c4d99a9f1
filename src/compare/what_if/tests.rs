use proptest::prelude::*;

use super::*;
use crate::model::lateness::Sighted;

const SECOND: i64 = 1_000_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// Polls every `every` seconds from second 0 on.
fn cycles(count: i64, every: i64) -> Vec<PollCycle> {
    (0..count)
        .map(|number| PollCycle {
            began_at: at(number * every),
            requests: 1,
            bytes: 100,
            is_whole: true,
            is_nudged: false,
        })
        .collect()
}

/// Created at `second` and first shown by the poll at `seen`.
fn entry(second: i64, seen: i64) -> Polled {
    let sighted = Sighted { unseen_at: None, shown_at: at(seen), tier: None };
    Polled { created_at: at(second), seen_at: at(seen), sighted }
}

/// Became visible `late` seconds after `second`, to the microsecond.
fn late(second: i64, late: i64) -> Polled {
    let visible = (second + late) * SECOND;
    let sighted = Sighted {
        unseen_at: Some(Timestamp::from_micros(visible - 1)),
        shown_at: Timestamp::from_micros(visible),
        tier: None,
    };
    Polled { created_at: at(second), seen_at: at(second + late), sighted }
}

fn by(what_if: &WhatIf, factor: usize) -> &Thinned {
    what_if.thinned.iter().find(|thinned| thinned.factor == factor).unwrap()
}

fn secs(mean: i64, least: i64, most: i64) -> Spread {
    Spread { mean: mean * SECOND, least: least * SECOND, most: most * SECOND }
}

/// Whether two means are the same.
fn is_about(told: f64, expected: f64) -> bool {
    (told - expected).abs() < 1e-9
}

#[test]
fn every_kth_poll_shows_what_those_before_it_would_have() {
    // Five entries a poll, each shown by the poll 10 s after its creation.
    let entries: Vec<Polled> =
        (1..20).flat_map(|number| [entry(number * 30 - 10, number * 30); 5]).collect();
    let what_if = WhatIf::new(&entries, &cycles(40, 30));
    assert_eq!((what_if.interval_us, what_if.polls), (Some(30 * SECOND), 40));
    assert_eq!(what_if.thinned.iter().map(|one| one.factor).collect::<Vec<_>>(), FACTORS);
    let told = |factor| {
        let thinned = by(&what_if, factor);
        (thinned.later_us, thinned.requests, thinned.bytes, thinned.entries)
    };
    assert_eq!(told(1), (Some(secs(0, 0, 0)), 40, 4_000, 95));
    // Half of the polls are kept: half of the entries wait for one interval more.
    let (later, requests, bytes, entries) = told(2);
    assert_eq!((requests, bytes, entries), (20, 2_000, 95));
    assert!((later.unwrap().mean - 15 * SECOND).abs() <= 1, "{later:?}");
    assert_eq!(
        by(&what_if, 2).median_us.map(|one| (one.least, one.most)),
        Some((10 * SECOND, 40 * SECOND))
    );
    // Nine of ten are left out: entries wait for 0 to 9 intervals.
    assert_eq!(told(10).1, 4);
    let later = told(10).0.unwrap();
    assert!((later.mean - 135 * SECOND).abs() <= 1, "{later:?}");
}

#[test]
fn a_poll_that_failed_shows_nothing_to_a_rarer_poller() {
    let mut polls = cycles(9, 30);
    polls[2].is_whole = false;
    // Shown by poll 1: every second poll from 0 on would have shown it at 4, for 2 failed.
    let what_if = WhatIf::new(&[entry(20, 30)], &polls);
    assert_eq!(by(&what_if, 2).later_us, Some(secs(45, 0, 90)));
    // Shown by the failed one before it failed: that one is kept as it was.
    let what_if = WhatIf::new(&[entry(50, 60)], &polls);
    assert_eq!(by(&what_if, 2).later_us, Some(secs(15, 0, 30)));
}

#[test]
fn polls_that_a_push_asked_for_do_not_count() {
    let mut polls = cycles(8, 30);
    polls.insert(2, PollCycle { began_at: at(35), is_nudged: true, ..polls[0] });
    let what_if = WhatIf::new(&[entry(33, 36)], &polls);
    assert_eq!(what_if.polls, 8);
    // Without the nudge the next poll would have shown it, 25 s later.
    assert_eq!(by(&what_if, 1).later_us, Some(secs(25, 25, 25)));
    assert_eq!(by(&what_if, 1).requests, 8);
}

#[test]
fn what_the_record_does_not_reach_is_not_told() {
    for (polls, expected) in [
        (0, &[][..]),
        (1, &[]),
        (2, &[1]),
        (4, &[1, 2]),
        (19, &[1, 2, 3, 5]),
        (20, &[1, 2, 3, 5, 10]),
    ] {
        let what_if = WhatIf::new(&[entry(0, 10)], &cycles(polls, 30));
        let told: Vec<usize> = what_if.thinned.iter().map(|one| one.factor).collect();
        assert_eq!(told, expected, "{polls}");
    }
    // The last poll's entry may have had to wait for one that was never made.
    let what_if = WhatIf::new(&[entry(200, 210), entry(80, 90)], &cycles(8, 30));
    assert_eq!((by(&what_if, 1).entries, by(&what_if, 2).entries), (2, 1));
    // An entry from before the first poll cannot be placed.
    let mut polls = cycles(8, 30);
    polls.drain(..4);
    assert_eq!(by(&WhatIf::new(&[entry(0, 30)], &polls), 2).entries, 0);
    assert_eq!(by(&WhatIf::new(&[entry(0, 30)], &polls), 2).later_us, None);
    assert_eq!(WhatIf::new(&[], &[]), WhatIf::default());
}

#[test]
fn percentiles_are_told_where_there_are_enough_entries() {
    for (count, has_median, has_p95) in [(4, false, false), (5, true, false), (59, true, true)] {
        let entries = vec![entry(20, 30); count];
        let thinned = by(&WhatIf::new(&entries, &cycles(8, 30)), 2).clone();
        assert_eq!((thinned.median_us.is_some(), thinned.p95_us.is_some()), (has_median, has_p95));
    }
}

/// By hand: an entry is missed when its second falls into the last `late` of the minute
/// that shows it.
#[test]
fn the_published_loop_misses_what_is_late_by_its_share_of_a_minute() {
    for (lateness, missed) in
        [(0, 0.0), (1, 1.0), (5, 5.0), (30, 30.0), (59, 59.0), (60, 60.0), (900, 60.0)]
    {
        // 60 entries of as many minutes: the share of the minute, in entries.
        let entries: Vec<Polled> = (0..60).map(|number| late(number * 600, lateness)).collect();
        let published = WhatIf::new(&entries, &[]).published.unwrap();
        assert_eq!(published.entries, 60);
        assert_eq!(published.missed, Missed { at_least: missed, at_most: missed }, "{lateness}");
        assert_eq!(published.crowded_out, Missed::default());
    }
}

#[test]
fn both_ends_of_the_lateness_give_both_ends_of_what_was_missed() {
    let sighted = |unseen: Option<i64>, shown| Sighted {
        unseen_at: unseen.map(at),
        shown_at: at(shown),
        tier: None,
    };
    for (unseen, shown, at_least, at_most) in [
        (None, 130, 0.0, 30.0),
        (Some(90), 130, 0.0, 30.0),
        // Not visible at 110, and the tick at 109.5 is the last one that this tells of.
        (Some(110), 130, 10.0, 30.0),
        (Some(170), 900, 60.0, 60.0),
    ] {
        let entry = Polled { sighted: sighted(unseen, shown), ..entry(100, 130) };
        let published = WhatIf::new(&[entry; 60], &[]).published.unwrap();
        // All are of one second, so 10 of 60 do not fit on the page of 50 where they are seen.
        let crowded = |hidden: f64| (60.0 - hidden) * 10.0 / 60.0;
        let Published { missed, crowded_out, .. } = published;
        for (told, expected) in [
            (missed.at_least, at_least + crowded(at_least)),
            (missed.at_most, at_most + crowded(at_most)),
            (crowded_out.at_most, crowded(at_least)),
            (crowded_out.at_least, crowded(at_most)),
        ] {
            assert!(is_about(told, expected), "{unseen:?}: {told} is not {expected}");
        }
    }
}

#[test]
fn the_published_loop_shows_no_more_than_fifty() {
    for (count, missed) in [(50, 0.0), (51, 1.0), (150, 100.0)] {
        let entries = vec![late(1_000, 0); count];
        let published = WhatIf::new(&entries, &[]).published.unwrap();
        assert!(is_about(published.missed.at_least, missed));
        assert!(is_about(published.crowded_out.at_most, missed));
        assert_eq!(
            (published.luckiest, published.unluckiest),
            (count as u64 - 50.min(count as u64), count as u64 - 50.min(count as u64))
        );
    }
}

/// The loop as it is written: a tick each minute, begun at each second, that asks for the
/// minute before it and takes the 50 newest of what is visible.
fn missed_by_hand(entries: &[Polled], is_early: bool) -> Vec<u64> {
    let visible_at = |entry: &Polled| {
        if is_early {
            entry.sighted.unseen_at.map_or(i64::MIN, |unseen| unseen.micros() + 1)
        } else {
            entry.sighted.shown_at.micros()
        }
    };
    let last = entries.iter().map(|entry| entry.created_at.secs()).max().unwrap_or(0);
    let begun_at = |begin: i64| {
        let mut seen = 0;
        let mut tick = begin * SECOND + SECOND / 2;
        while tick <= (last + 61) * SECOND {
            let since = tick - 60 * SECOND;
            let is_shown = |entry: &&Polled| {
                let created = entry.created_at.micros();
                (since..tick).contains(&created) && visible_at(entry) <= tick
            };
            let mut page: Vec<&Polled> = entries.iter().filter(is_shown).collect();
            page.sort_by_key(|entry| std::cmp::Reverse(entry.created_at));
            page.truncate(50);
            seen += page.len() as u64;
            tick += 60 * SECOND;
        }
        entries.len() as u64 - seen
    };
    (0..60).map(begun_at).collect()
}

fn any_entry() -> impl Strategy<Value = Polled> {
    (0..400_i64, prop::option::of(-5_000_000..90_000_000_i64), 0..90_000_000_i64).prop_map(
        |(second, unseen, span)| {
            let created = second * SECOND;
            let unseen_at = unseen.map(|after| created + after);
            let shown = unseen_at.unwrap_or(created).max(created) + span;
            Polled {
                created_at: at(second),
                seen_at: Timestamp::from_micros(shown),
                sighted: Sighted {
                    unseen_at: unseen_at.map(Timestamp::from_micros),
                    shown_at: Timestamp::from_micros(shown),
                    tier: None,
                },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Counted by how many are visible at each tick, or tick by tick and page by page: the same.
    #[test]
    fn the_count_is_what_the_loop_itself_comes_to(
        entries in prop::collection::vec(any_entry(), 1..300),
    ) {
        let published = WhatIf::new(&entries, &[]).published.unwrap();
        let (early, late) = (missed_by_hand(&entries, true), missed_by_hand(&entries, false));
        let mean = |missed: &[u64]| {
            f64::from(u32::try_from(missed.iter().sum::<u64>()).unwrap()) / 60.0
        };
        prop_assert!((published.missed.at_least - mean(&early)).abs() < 1e-6);
        prop_assert!((published.missed.at_most - mean(&late)).abs() < 1e-6);
        prop_assert_eq!(published.luckiest, early.into_iter().min().unwrap());
        prop_assert_eq!(published.unluckiest, late.into_iter().max().unwrap());
        prop_assert!(published.missed.at_least <= published.missed.at_most);
    }

    /// A poller that makes every k-th of our polls, played through: it asks, and is shown
    /// all that ours had been shown by then.
    #[test]
    fn the_wait_is_what_a_rarer_poller_comes_to(
        seen in prop::collection::vec(0..600_i64, 1..50),
        failed in prop::collection::vec(any::<bool>(), 21),
        factor in prop::sample::select(vec![2_usize, 3, 5]),
    ) {
        let mut polls = cycles(21, 30);
        for (poll, failed) in polls.iter_mut().zip(failed) {
            poll.is_whole = !failed;
        }
        let entries: Vec<Polled> = seen.iter().map(|seen| entry(0, *seen)).collect();
        let wait = |entry: &Polled, phase: usize| {
            let shown = entry.seen_at.secs() / 30;
            let mut kept = (shown..21).filter(|poll| usize::try_from(*poll).unwrap() % factor == phase);
            kept.find(|poll| *poll == shown || polls[usize::try_from(*poll).unwrap()].is_whole)
                .map(|poll| (poll - shown) * 30 * SECOND)
        };
        let told: Vec<Vec<i64>> = entries
            .iter()
            .filter_map(|entry| (0..factor).map(|phase| wait(entry, phase)).collect())
            .collect();
        let thinned = by(&WhatIf::new(&entries, &polls), factor).clone();
        prop_assert_eq!(thinned.entries, told.len() as u64);
        if let Some(later) = thinned.later_us {
            let count = i64::try_from(told.len()).unwrap();
            let means: Vec<i64> =
                (0..factor).map(|phase| told.iter().map(|waits| waits[phase]).sum::<i64>() / count).collect();
            prop_assert_eq!(Some(later.least), means.iter().copied().min());
            prop_assert_eq!(Some(later.most), means.iter().copied().max());
        }
    }
}
