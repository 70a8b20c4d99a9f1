use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const OVERLAP: i64 = 20;
const START: i64 = 1_000;

fn scan(from: i64, until: i64, asked_at: i64) -> Scan {
    Scan { span: Span::new(from, until), asked_at }
}

#[test]
fn a_scan_settles_only_what_had_long_enough_to_show() {
    let mut coverage = Coverage::new(START);
    coverage.record(Span::new(START, 1_101), 1_100);
    coverage.advance(OVERLAP);
    // 1_075 + 20 + 5 = 1_100 is settled; 1_076 is not.
    assert_eq!(coverage.watermark, 1_076);
    assert_eq!(coverage.scans, [scan(START, 1_101, 1_100)], "sweeps need the rest of it");
    assert_eq!(coverage.last_asked(), Some(1_100));
}

#[test]
fn time_alone_settles_nothing() {
    let mut coverage = Coverage::new(START);
    coverage.record(Span::new(START, START + 10), START + 9);
    coverage.advance(OVERLAP);
    assert_eq!(coverage.watermark, START);
    let unsettled = coverage.unsettled(START + 1_000_000, OVERLAP);
    assert_eq!(unsettled[0].span.from, START);
    assert_eq!(unsettled[1].asked_at, None);
}

#[test]
fn a_hole_stops_the_watermark_and_later_stamps_win() {
    let mut coverage = Coverage::new(START);
    coverage.record(Span::new(START, 1_010), 5_000);
    coverage.record(Span::new(1_020, 1_030), 5_000);
    coverage.record(Span::new(1_025, 1_040), 4_000);
    coverage.advance(OVERLAP);
    assert_eq!(coverage.watermark, 1_010);
    let ahead = [scan(1_000, 1_010, 5_000), scan(1_020, 1_030, 5_000), scan(1_030, 1_040, 4_000)];
    assert_eq!(coverage.scans, ahead);
    let hole = Unsettled { span: Span::new(1_010, 1_020), asked_at: None };
    assert_eq!(coverage.unsettled(1_040, OVERLAP), [hole]);

    coverage.record(Span::new(1_000, 1_020), 6_000);
    coverage.advance(OVERLAP);
    assert_eq!(coverage.watermark, 1_040);
    assert_eq!(coverage.unsettled(1_040, OVERLAP), []);
}

#[test]
fn a_longer_overlap_later_takes_nothing_back() {
    let mut coverage = Coverage::new(START);
    coverage.record(Span::new(START, 1_100), 1_100);
    coverage.advance(0);
    let before = coverage.watermark;
    coverage.advance(3_600);
    assert_eq!(coverage.watermark, before);
}

#[test]
fn an_endless_row_of_slivers_stays_bounded_and_claims_nothing_new() {
    let mut coverage = Coverage::new(START);
    for n in 1..20_000 {
        let from = START + 10 * n;
        coverage.record(Span::new(from, from + 10), from + 10);
        coverage.advance(OVERLAP);
    }
    assert!(coverage.scans.len() <= MAX_SCANS);
    assert_eq!(coverage.watermark, START);
    for scan in &coverage.scans {
        assert!(scan.asked_at <= scan.span.until, "{scan:?} claims a later scan than there was");
    }
    for n in 1..2_000 {
        let from = START + 100 * n;
        coverage.record(Span::new(from, from + 10), 9_000_000 + n);
    }
    assert!(coverage.scans.len() <= MAX_SCANS);
}

/// The same rules, second by second.
#[derive(Default)]
struct Naive {
    stamps: BTreeMap<i64, i64>,
    watermark: i64,
}

impl Naive {
    fn record(&mut self, span: Span, asked_at: i64) {
        for second in span.from.max(START)..span.until {
            let stamp = self.stamps.entry(second).or_insert(asked_at);
            *stamp = (*stamp).max(asked_at);
        }
    }

    fn is_settled(&self, second: i64, overlap: i64) -> bool {
        self.stamps.get(&second).is_some_and(|&at| at >= second + overlap + SKEW_SECS)
    }

    fn advance(&mut self, overlap: i64) {
        while self.is_settled(self.watermark, overlap) {
            self.watermark += 1;
        }
    }
}

proptest! {
    #[test]
    fn coverage_agrees_with_a_model_that_counts_seconds(
        steps in prop::collection::vec((0_i64..120, 0_i64..40, 0_i64..200, 0_i64..30), 1..40)
    ) {
        let mut coverage = Coverage::new(START);
        let mut naive = Naive { watermark: START, ..Naive::default() };
        for (offset, length, asked, overlap) in steps {
            let span = Span::new(START - 5 + offset, START - 5 + offset + length);
            let before = coverage.watermark;
            coverage.record(span, START + asked);
            coverage.advance(overlap);
            naive.record(span, START + asked);
            naive.advance(overlap);

            prop_assert_eq!(coverage.watermark, naive.watermark);
            prop_assert!(coverage.watermark >= before);
            let mut last: Option<Scan> = None;
            for scan in &coverage.scans {
                prop_assert!(!scan.span.is_empty() && scan.span.from >= START);
                if let Some(last) = last {
                    prop_assert!(last.span.until <= scan.span.from);
                    prop_assert!(
                        last.span.until < scan.span.from
                            || last.asked_at != scan.asked_at
                            || scan.span.until <= coverage.watermark
                    );
                }
                for second in scan.span.from..scan.span.until {
                    let stamp = naive.stamps[&second];
                    let is_open = second >= coverage.watermark;
                    prop_assert!(scan.asked_at == stamp || (!is_open && scan.asked_at < stamp));
                }
                last = Some(*scan);
            }
            let hi = START + 130;
            let parts = coverage.unsettled(hi, overlap);
            for second in coverage.watermark..hi {
                let part = parts.iter().find(|part| part.span.contains(second));
                prop_assert_eq!(part.is_none(), naive.is_settled(second, overlap), "{}", second);
                if let Some(part) = part {
                    prop_assert_eq!(part.asked_at, naive.stamps.get(&second).copied());
                }
            }
        }
    }
}
