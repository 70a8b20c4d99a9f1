use proptest::prelude::*;

use super::*;
use crate::model::coverage::{MAX_SCANS, SKEW_SECS};

const START: i64 = 1_750_000_000;
const OVERLAP: i64 = 900;

/// Stamps that a source whose polls and sweeps succeed keeps at most: those of the hot
/// re-reads of two hours, one for each hour of a day that left the hourly sweep, the day's
/// own, and a few of the present.
const ORDINARY_SCANS: i64 = 2 * HOUR / GRAIN_SECS + 24 + 8;

/// Reads what is unsettled, then what the sweeps want; comes back with the spans swept.
fn poll(coverage: &mut Coverage, now: i64) -> Vec<(Tier, Span)> {
    for part in coverage.unsettled(now + 1, OVERLAP) {
        coverage.record(part.span, now);
    }
    coverage.advance(OVERLAP);
    let mut swept = Vec::new();
    for sweep in Sweep::ALL {
        for part in coverage.unswept(sweep, now) {
            coverage.record(part.span, now);
            coverage.advance(OVERLAP);
            swept.push((sweep.tier, part.span));
        }
    }
    swept
}

#[test]
fn a_second_is_due_once_a_period_until_a_scan_came_late_enough() {
    let at = START + 1_000 * HOUR;
    // Seconds since it was made, at the last scan and now; due hourly; due daily.
    let table = [
        (1_000, HOUR - 1, false, false),
        (1_000, HOUR, true, false),
        (5 * HOUR, 6 * HOUR, true, false),
        (6 * HOUR + SKEW_SECS - 1, 7 * HOUR, true, false),
        (6 * HOUR + SKEW_SECS, 7 * HOUR, false, false),
        (23 * HOUR, 24 * HOUR, false, true),
        (7 * DAY, 8 * DAY, false, true),
        (7 * DAY + SKEW_SECS - 1, 8 * DAY, false, true),
        (7 * DAY + SKEW_SECS, 8 * DAY, false, false),
    ];
    for (scanned, now, hourly, daily) in table {
        // Periods of an hour and of a day begin with the second.
        let mut coverage = Coverage::new(at - 30 * DAY);
        coverage.record(Span::new(at, at + 1), at + scanned);
        coverage.watermark = at + 1;
        let due = |sweep| {
            let parts = coverage.unswept(sweep, at + now);
            parts.iter().any(|part| part.span.contains(at) && part.asked_at.is_some())
        };
        let found = (due(Sweep::HOURLY), due(Sweep::DAILY));
        assert_eq!(found, (hourly, daily), "scanned {scanned}, now {now}");
    }
}

#[test]
fn ten_days_of_polls_sweep_once_an_hour_and_once_a_day_and_stay_small() {
    let mut coverage = Coverage::new(START);
    let (mut hourly, mut daily, mut most) = (0, 0, 0);
    for minute in 1..10 * 24 * 60 {
        let swept = poll(&mut coverage, START + 60 * minute);
        let behind = |(_, span): &(Tier, Span)| span.until <= coverage.watermark;
        assert!(swept.iter().all(behind), "sweeps stay behind the watermark");
        let one_stretch =
            |two: &[(Tier, Span)]| two[0].0 < two[1].0 || two[0].1.until == two[1].1.from;
        assert!(swept.windows(2).all(one_stretch), "{swept:?}");
        hourly += i32::from(swept.iter().any(|(tier, _)| *tier == Tier::Hourly));
        daily += i32::from(swept.iter().any(|(tier, _)| *tier == Tier::Daily));
        most = most.max(coverage.scans.len());
    }
    assert_eq!((hourly, daily), (239, 9));
    assert!(i64::try_from(most).unwrap() <= ORDINARY_SCANS, "{most}");
    let oldest = coverage.scans[0].span.from;
    assert!(oldest >= START + 2 * DAY - HOUR, "nothing is remembered for longer than needed");
}

#[test]
fn a_sweep_that_was_cut_short_goes_on_where_it_was() {
    let mut coverage = Coverage::new(START);
    coverage.record(Span::new(START, START + 4 * HOUR), START + 4 * HOUR);
    coverage.advance(OVERLAP);
    let now = START + 5 * HOUR + 10;
    let all = coverage.unswept(Sweep::HOURLY, now);
    let whole = Span::new(START, coverage.watermark);
    assert_eq!((all.len(), all[0].span), (1, whole));
    coverage.record(Span::new(START, START + HOUR), now);
    coverage.advance(OVERLAP);
    let left = coverage.unswept(Sweep::HOURLY, now);
    assert_eq!(left[0].span, Span::new(START + HOUR, whole.until));
}

#[test]
fn what_was_forgotten_behind_the_watermark_is_read_again() {
    let mut coverage = Coverage::new(START);
    (coverage.watermark, coverage.scans) = (START + 30 * DAY, Vec::new());
    let now = START + 30 * DAY + OVERLAP;
    for sweep in Sweep::ALL {
        let parts = coverage.unswept(sweep, now);
        let span = Span::new(now - sweep.reach_secs, coverage.watermark);
        assert_eq!(parts, [Unsettled { span, asked_at: None }]);
    }
}

#[test]
fn a_sweep_moves_no_watermark() {
    let mut coverage = Coverage::new(START);
    coverage.record(Span::new(START, START + HOUR), START + HOUR);
    coverage.advance(OVERLAP);
    let before = coverage.watermark;
    coverage.record(Span::new(START, before), START + 9 * HOUR);
    coverage.advance(OVERLAP);
    assert_eq!(coverage.watermark, before);
}

#[test]
fn ragged_sweeps_stay_bounded() {
    let mut coverage = Coverage::new(START);
    coverage.record(Span::new(START, START + 6 * DAY), START + 6 * DAY);
    coverage.advance(OVERLAP);
    for n in 0..20_000 {
        let from = START + n * 7_919 % (6 * DAY);
        coverage.record(Span::new(from, from + 60), START + 6 * DAY + n);
        coverage.advance(OVERLAP);
    }
    assert!(coverage.scans.len() <= MAX_SCANS);
    assert_eq!(coverage.start, START);
}

proptest! {
    /// Whatever happens in between, an entry within the reach is not given up: a second is
    /// due, or scanned in this period, or done with by a scan that began late enough.
    #[test]
    fn no_second_is_given_up_before_its_time(
        steps in prop::collection::vec((1_i64..40_000, any::<bool>(), 0_usize..4), 1..60)
    ) {
        let mut coverage = Coverage::new(START);
        let mut last = std::collections::BTreeMap::new();
        let probes: Vec<i64> = (0..40).map(|n| START + n * 7_001).collect();
        let mut now = START;
        for (pause, sweeps, most) in steps {
            now += pause;
            let mut read = coverage.unsettled(now + 1, OVERLAP);
            for part in read.drain(..) {
                coverage.record(part.span, now);
                last.extend(probes.iter().filter(|p| part.span.contains(**p)).map(|p| (*p, now)));
            }
            coverage.advance(OVERLAP);
            for sweep in Sweep::ALL.into_iter().filter(|_| sweeps) {
                for part in coverage.unswept(sweep, now).into_iter().take(most) {
                    coverage.record(part.span, now);
                    let seen = probes.iter().filter(|probe| part.span.contains(**probe));
                    last.extend(seen.map(|probe| (*probe, now)));
                }
                coverage.advance(OVERLAP);
            }
            for sweep in Sweep::ALL {
                let parts = coverage.unswept(sweep, now);
                for probe in probes.iter().filter(|probe| **probe < coverage.watermark) {
                    let scanned = last[probe];
                    let is_done = scanned >= probe + sweep.reach_secs;
                    let is_recent = scanned >= period(START, now, sweep.every_secs);
                    let is_due = parts.iter().any(|part| part.span.contains(*probe));
                    prop_assert!(is_done || is_recent || is_due, "{} {:?}", probe - START, sweep);
                }
            }
        }
    }
}
