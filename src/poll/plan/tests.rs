use proptest::prelude::*;

use super::*;
use crate::model::coverage::{Coverage, SKEW_SECS};

const LIMIT: u32 = 100;
const OVERLAP: i64 = 900;
const HOT: i64 = OVERLAP + SKEW_SECS;
const HI: i64 = 1_000_000;

fn part(from: i64, until: i64, asked_at: Option<i64>) -> Unsettled {
    Unsettled { span: Span::new(from, until), asked_at }
}

fn plan(parts: &[Unsettled], paces: Paces) -> Plan {
    Plan::new(parts, HI, HOT, LIMIT, paces)
}

/// Takes the plan to its end against a source with `rate` entries in each second.
fn spans(mut plan: Plan, rate: i64) -> Vec<(i64, i64)> {
    let mut spans = Vec::new();
    while let Some(slice) = plan.next_slice() {
        let total = u64::try_from(slice.span.secs() * rate).unwrap();
        if total > u64::from(LIMIT) && slice.span.secs() > 1 {
            plan.crowded(slice, Some(total));
        } else {
            plan.whole(slice, total);
            spans.push((slice.span.from, slice.span.until));
        }
    }
    spans
}

fn paces_at(rate: i64) -> Paces {
    let mut paces = Paces::default();
    paces.present.whole(1, rate);
    paces.past.whole(1, rate);
    paces
}

#[test]
fn an_idle_poll_is_one_request() {
    let parts = [part(HI - 935, HI - 30, Some(5)), part(HI - 30, HI, None)];
    assert_eq!(spans(plan(&parts, Paces::default()), 0), [(HI - 935, HI)]);
}

#[test]
fn the_present_comes_before_a_backfill() {
    let backfill = part(0, HI - 500_000, None);
    let parts = [backfill, part(HI - 935, HI - 30, Some(5)), part(HI - 30, HI, None)];
    let spans = spans(plan(&parts, Paces::default()), 0);
    assert_eq!(spans[0], (HI - 935, HI));
    assert_eq!(spans[1].0, 0);
    assert!(spans[1..].windows(2).all(|two| two[0].1 == two[1].0), "{spans:?}");
    assert_eq!(spans.last().unwrap().1, HI - 500_000);
    assert!(spans.len() < 10, "silence takes few requests: {spans:?}");
}

#[test]
fn after_an_outage_the_hot_window_is_read_first_then_the_oldest() {
    let parts = [part(HI - 90_000, HI - 89_000, Some(5)), part(HI - 89_000, HI, None)];
    let spans = spans(plan(&parts, Paces::default()), 0);
    assert_eq!(spans[0], (HI - HOT, HI));
    assert_eq!(spans[1].0, HI - 89_000);
    assert_eq!(spans.last().unwrap(), &(HI - 90_000, HI - 89_000));
}

#[test]
fn under_load_what_is_new_comes_first_and_the_oldest_scan_is_renewed_next() {
    let parts = [
        part(HI - 600, HI - 300, Some(30)),
        part(HI - 300, HI - 30, Some(20)),
        part(HI - 30, HI, None),
    ];
    let spans = spans(plan(&parts, paces_at(2)), 2);
    assert_eq!(spans[0], (HI - 30, HI));
    assert!(spans[1].0 >= HI - 334, "oldest scan first: {spans:?}");
    assert_eq!(spans.iter().map(|(from, until)| until - from).sum::<i64>(), 600);
    assert!(spans.iter().all(|(from, until)| until - from <= 50), "{spans:?}");
}

#[test]
fn a_crowded_slice_comes_again_in_smaller_pieces() {
    for (total, widest) in [(Some(101), 50), (Some(1_000), 7), (None, 50)] {
        let mut plan = plan(&[part(HI - 100, HI, None)], Paces::default());
        let slice = plan.next_slice().unwrap();
        plan.crowded(slice, total);
        let next = plan.next_slice().unwrap();
        assert_eq!(next.span.from, HI - 100);
        assert!(next.span.secs() <= widest, "{total:?}: {next:?}");
    }
}

/// Takes the plan to its end against a source with one entry in each second of `dense`.
/// Requests that found too much, and requests in all.
fn ask_through(mut plan: Plan, dense: Span) -> (u32, u32) {
    let (mut in_vain, mut asked) = (0, 0);
    while let Some(slice) = plan.next_slice() {
        asked += 1;
        let total = u64::try_from(slice.span.intersect(dense).secs()).unwrap();
        if total > u64::from(LIMIT) {
            in_vain += 1;
            plan.crowded(slice, Some(total).filter(|total| *total < TOTAL_CAP));
        } else {
            plan.whole(slice, total);
        }
    }
    (in_vain, asked)
}

#[test]
fn a_stretch_that_is_dense_at_one_end_is_not_asked_for_whole_again_and_again() {
    const MONTH: i64 = 31 * 86_400;
    const END: i64 = HI - HOT;
    const BEGIN: i64 = END - MONTH;
    let mut quiet = Paces::default();
    quiet.past.whole(MONTH, 0);
    for (dense, in_vain_most) in [
        (Span::new(END - 1_000, END), 6),
        (Span::new(END - 50_000, END), 6),
        (Span::new(BEGIN, BEGIN + 1_000), 6),
        (Span::new(BEGIN + MONTH / 2, BEGIN + MONTH / 2 + 1_000), 12),
    ] {
        let (in_vain, asked) = ask_through(plan(&[part(BEGIN, END, None)], quiet), dense);
        let least = u32::try_from(dense.secs()).unwrap() / LIMIT;
        assert!(in_vain <= in_vain_most, "{dense:?}: {in_vain} of {asked} in vain");
        assert!((least..=2 * least + 40).contains(&asked), "{dense:?}: {asked}, {least} would do");
    }
}

#[test]
fn a_failed_slice_is_left_for_the_next_run_which_asks_for_less() {
    let parts = [part(HI - 100, HI, None)];
    let mut first = plan(&parts, Paces::default());
    let slice = first.next_slice().unwrap();
    first.failed(slice);
    assert!(first.next_slice().is_none());
    let mut second = plan(&parts, first.paces());
    assert_eq!(second.next_slice().unwrap().span.secs(), 50);
}

#[test]
fn a_burst_is_forgotten_within_a_few_slices() {
    let mut paces = paces_at(5_000);
    let mut secs = 0;
    for _ in 0..10 {
        secs = paces.past.width(100);
        paces.past.whole(secs, 0);
    }
    assert!(secs >= 3_600, "{secs}");
}

proptest! {
    #[test]
    fn a_plan_asks_for_every_unsettled_second_once(
        scans in prop::collection::vec((0_i64..5_000, 1_i64..900, 0_i64..9_000), 0..12),
        rate in 0_i64..30,
        known in 0_i64..200,
    ) {
        let mut coverage = Coverage::new(HI - 6_000);
        for (from, secs, asked) in scans {
            let from = HI - 6_000 + from;
            coverage.record(Span::new(from, (from + secs).min(HI)), HI - 6_000 + asked);
            coverage.advance(OVERLAP);
        }
        let parts = coverage.unsettled(HI, OVERLAP);
        let mut spans = spans(plan(&parts, paces_at(known)), rate);
        spans.sort_unstable();
        prop_assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0), "{:?}", spans);
        let asked: i64 = spans.iter().map(|(from, until)| until - from).sum();
        prop_assert_eq!(asked, parts.iter().map(|part| part.span.secs()).sum::<i64>());
        for (from, until) in spans {
            prop_assert!((from..until).all(|at| parts.iter().any(|part| part.span.contains(at))));
        }
    }
}
