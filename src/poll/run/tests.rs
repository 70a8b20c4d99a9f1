use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::config::{Overlap, Start};
use crate::greenlake::FetchError;
use crate::model::clock::Clock;
use crate::model::coverage::Span;
use crate::model::event::Event;
use crate::poll::fake::{Dice, FakeKeep, FakeLog, Quirk, make_entry};
use crate::poll::gap::{GAP_TYPE, RETENTION_SECS};
use crate::poll::late::{LATE_TYPE, ON_TIME_TYPE};
use crate::poll::{DryRun, Past, ScanSettings};
use crate::storage::{Ledger, StorageError};

const START: i64 = 1_750_000_000;
const OVERLAP: i64 = 120;

fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A scanner between a fake log and a fake ledger, all on one clock.
struct Rig {
    clock: Clock,
    log: FakeLog,
    keep: FakeKeep,
    settings: ScanSettings,
    scanner: Scanner<FakeLog, FakeKeep>,
    wakes: Arc<AtomicU64>,
}

impl Rig {
    fn new(start: Start, page_limit: u32) -> Self {
        let clock = Clock::manual(Timestamp::from_secs(START));
        Self::with_log(FakeLog::new(clock.clone()), clock, start, page_limit)
    }

    fn with_log(log: FakeLog, clock: Clock, start: Start, page_limit: u32) -> Self {
        let keep = FakeKeep::new();
        let settings = ScanSettings {
            name: "production".to_owned(),
            workspace_id: "3009de2825f211ec8a84fedebcb4a754".to_owned(),
            start,
            overlap: Overlap::Fixed(secs(OVERLAP.unsigned_abs())),
            page_limit,
            min_free: 1_000,
            targets: watch::channel(vec!["siem".to_owned()]).1,
        };
        let wakes = Arc::new(AtomicU64::new(0));
        let scanner = scanner(&settings, &log, &keep, &clock, &wakes);
        Self { clock, log, keep, settings, scanner, wakes }
    }

    fn restart(&mut self) {
        self.scanner = scanner(&self.settings, &self.log, &self.keep, &self.clock, &self.wakes);
    }

    async fn run(&mut self) -> RunReport {
        self.scanner.run_once(&CancellationToken::new()).await.unwrap()
    }

    /// As the daemon does it: with what sweeps are due.
    async fn poll(&mut self) -> RunReport {
        self.scanner.poll(Duration::MAX, &CancellationToken::new()).await.unwrap()
    }

    /// What was asked for each tier.
    fn asked_for(&self, tier: Tier) -> Vec<Span> {
        let state = self.keep.state();
        state.rows.iter().filter(|row| row.tier == tier).map(|row| row.span).collect()
    }

    fn add_late(&self, created: i64, late: Duration) -> String {
        let mut state = self.log.state();
        let entry = make_entry(state.entries.len(), created, late);
        let id = entry.id.clone();
        state.entries.push(entry);
        id
    }

    fn has(&self, id: &str) -> bool {
        self.keep.state().events.contains_key(id)
    }

    fn notices(&self, event_type: &str) -> usize {
        let state = self.keep.state();
        state.events.values().filter(|event| event.envelope.event_type == event_type).count()
    }

    async fn run_until_complete(&mut self) -> RunReport {
        for _ in 0..200 {
            let report = self.run().await;
            if report.problem.is_none() {
                return report;
            }
            // A second that was given up is tried again after an hour.
            let is_stuck = reason(&report) == Some(Reason::Incomplete);
            self.clock.advance(secs(if is_stuck { 3_600 } else { 1 }));
        }
        panic!("it never gets complete");
    }

    fn add(&self, count: usize, created: i64) {
        let mut state = self.log.state();
        let first = state.entries.len();
        let entries = (first..first + count).map(|n| make_entry(n, created, Duration::ZERO));
        state.entries.extend(entries);
    }

    fn stored(&self) -> usize {
        self.keep.state().events.len()
    }

    /// Forgets the requests so far.
    fn forget(&self) {
        self.log.state().queries.clear();
        self.keep.state().rows.clear();
    }
}

fn scanner(
    settings: &ScanSettings,
    log: &FakeLog,
    keep: &FakeKeep,
    clock: &Clock,
    wakes: &Arc<AtomicU64>,
) -> Scanner<FakeLog, FakeKeep> {
    let wakes = Arc::clone(wakes);
    let wake = Arc::new(move || {
        wakes.fetch_add(1, Ordering::SeqCst);
    });
    Scanner::new(settings.clone(), log.clone(), keep.clone(), clock.clone(), wake)
}

fn reason(report: &RunReport) -> Option<Reason> {
    report.problem.as_ref().map(|problem| problem.reason)
}

fn unavailable() -> FetchError {
    FetchError::Unavailable { status: Some(500), message: "500".to_owned() }
}

/// One life of a poller: bursts, late entries, failing requests, a full disk, restarts.
/// After every run: below the watermark nothing is missing (I2).
async fn live(seed: u64) {
    let mut dice = Dice::new(seed);
    let page_limit = u32::try_from(1 + dice.roll(60)).unwrap();
    let back = secs(dice.roll(2_000));
    let mut rig = Rig::new(Start::Back(back), page_limit);
    let history = i64::try_from(back.as_secs()).unwrap();
    let mut number = 0;
    let mut make = |rig: &Rig, dice: &mut Dice, created: i64, most: u64| {
        for _ in 0..dice.roll(most) {
            let late = Duration::from_millis(dice.roll(OVERLAP.unsigned_abs() * 1_000));
            rig.log.state().entries.push(make_entry(number, created, late));
            number += 1;
        }
    };
    for second in (START - history..START).step_by(40) {
        make(&rig, &mut dice, second, 5);
    }
    for _ in 0..60 {
        let now = rig.clock.now().secs();
        let most = if dice.roll(10) == 0 { u64::from(page_limit) * 3 } else { 4 };
        let step = 1 + dice.roll(40);
        for second in now..now + i64::try_from(step).unwrap() {
            make(&rig, &mut dice, second, 2);
        }
        make(&rig, &mut dice, now, most);
        rig.clock.advance(Duration::from_millis(step * 1_000 - dice.roll(1_000)));
        if dice.roll(6) == 0 {
            let skip = usize::try_from(dice.roll(4)).unwrap();
            rig.log.state().faults.extend((0..skip).map(|_| None).chain([Some(unavailable())]));
        }
        if dice.roll(8) == 0 {
            let skip = usize::try_from(dice.roll(3)).unwrap();
            let full = Some(StorageError::Full);
            rig.keep.state().faults.extend((0..skip).map(|_| None).chain([full]));
        }
        if dice.roll(10) == 0 {
            rig.restart();
        }
        rig.run().await;
        assert_no_hole(&rig, START - history, seed);
    }
    rig.log.state().faults.clear();
    rig.keep.state().faults.clear();
    rig.clock.advance(secs(2 * OVERLAP.unsigned_abs()));
    rig.run_until_complete().await;
    let start = rig.keep.state().coverage.as_ref().unwrap().start;
    let expected = rig.log.state().entries.iter().filter(|entry| entry.created >= start).count();
    assert_eq!(rig.stored(), expected, "seed {seed}: all are there");
}

fn assert_no_hole(rig: &Rig, start: i64, seed: u64) {
    let state = rig.keep.state();
    let Some(coverage) = &state.coverage else { return };
    assert!(coverage.start >= start);
    for entry in &rig.log.state().entries {
        let is_below = (coverage.start..coverage.watermark).contains(&entry.created);
        let id = &entry.id;
        assert!(!is_below || state.events.contains_key(id), "seed {seed}: {id} is missing");
    }
}

#[tokio::test]
async fn nothing_is_lost_while_lateness_stays_below_the_overlap() {
    for seed in 0..60 {
        live(seed).await;
    }
}

#[tokio::test]
async fn reading_the_past_is_told_to_its_end_also_across_an_interruption() {
    let mut rig = Rig::new(Start::Back(secs(90 * 86_400)), 100);
    for day in 0..90 {
        rig.add(150, START - day * 86_400 - 5);
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let watch = |rig: &mut Rig| {
        let told = Arc::clone(&told);
        let scanner = scanner(&rig.settings, &rig.log, &rig.keep, &rig.clock, &rig.wakes);
        rig.scanner = scanner.telling(Arc::new(move |past| told.lock().unwrap().push(*past)));
    };
    watch(&mut rig);
    assert_eq!(reason(&rig.run().await), Some(Reason::Budget));
    let before = std::mem::take(&mut *told.lock().unwrap());
    assert!(before.is_sorted_by_key(Past::percent));
    let (first, last) = (before[0], before.last().unwrap());
    assert_eq!((first.events, first.percent()), (0, 0));
    assert!(last.left_secs < first.left_secs && last.left_secs > 0, "{last}");

    watch(&mut rig);
    rig.run_until_complete().await;
    let after = told.lock().unwrap();
    assert!(after[0].whole_secs <= last.left_secs, "what is read is not read again");
    assert_eq!(after.last().unwrap().percent(), 100);
    assert_eq!(rig.stored(), 90 * 150);
    assert!(rig.scanner.past.is_none());
}

#[tokio::test]
async fn a_thousand_idle_polls_are_a_thousand_requests_and_no_event() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.add(3, START);
    rig.run().await;
    let wakes = rig.wakes.load(Ordering::SeqCst);
    rig.forget();
    for _ in 0..1_000 {
        rig.clock.advance(secs(30));
        let report = rig.poll().await;
        assert!(report.requests <= 2 && report.new == 0 && report.problem.is_none(), "{report:?}");
        assert!(report.is_fresh);
    }
    assert_eq!(rig.asked_for(Tier::Hot).len(), 1_000);
    assert_eq!(rig.asked_for(Tier::Hourly).len(), 8, "once in each of eight hours");
    assert_eq!(rig.log.state().queries.len(), 1_008);
    assert_eq!(rig.stored(), 3);
    assert_eq!(rig.wakes.load(Ordering::SeqCst), wakes, "only new events wake");
    assert!(rig.keep.state().coverage.as_ref().unwrap().scans.len() < 40);
}

#[tokio::test]
async fn an_entry_later_than_the_overlap_is_found_by_a_sweep_and_told_once() {
    let mut rig = Rig::new(Start::Now, 2_000);
    let soon = rig.add_late(START + 100, secs(3_000));
    let later = rig.add_late(START + 200, secs(200_000));
    for _ in 0..40 {
        rig.clock.advance(secs(100));
        rig.poll().await;
    }
    assert!(rig.has(&soon) && !rig.has(&later));
    let watermark = rig.keep.watermark();
    assert!(watermark > START + 3_000, "a late entry moves no watermark back");
    assert_eq!((rig.notices(LATE_TYPE), rig.notices(ON_TIME_TYPE)), (1, 0));
    let found = rig.keep.state().samples.clone();
    assert_eq!(found.len(), 1);
    assert!(found[0].is_swept && found[0].at_most >= 3_000_000_000, "{found:?}");

    rig.restart();
    for _ in 0..73 {
        rig.clock.advance(secs(3_600));
        assert_eq!(rig.poll().await.problem, None);
    }
    assert!(rig.has(&later), "the daily sweep found it");
    assert!(!rig.asked_for(Tier::Daily).is_empty());
    assert_eq!(rig.notices(LATE_TYPE), 1, "the state has not changed");
}

#[tokio::test]
async fn a_sweep_comes_after_the_present_and_yields_to_the_next_poll() {
    let mut rig = Rig::new(Start::Back(secs(20_000)), 50);
    for n in 0..1_000 {
        rig.add(1, START - 20_000 + n * 20);
    }
    rig.run_until_complete().await;
    rig.clock.advance(secs(3_600));
    rig.forget();
    let stop = CancellationToken::new();
    let report = rig.scanner.poll(rig.clock.uptime(), &stop).await.unwrap();
    assert!(report.is_fresh && report.problem.is_none());
    let tiers: Vec<Tier> = rig.keep.state().rows.iter().map(|row| row.tier).collect();
    let sweeps = tiers.iter().filter(|tier| tier.is_sweep()).count();
    assert_eq!(sweeps, 1, "one slice, for the next poll is due: {tiers:?}");
    assert!(tiers.is_sorted(), "the present first: {tiers:?}");
}

#[tokio::test]
async fn a_sweep_that_was_cut_short_goes_on_after_a_restart() {
    let mut rig = Rig::new(Start::Back(secs(20_000)), 10);
    for n in 0..1_000 {
        rig.add(1, START - 20_000 + n * 20);
    }
    rig.run_until_complete().await;
    rig.clock.advance(secs(3_600));
    rig.forget();
    let mut runs = 0;
    loop {
        runs += 1;
        let report = rig.poll().await;
        match reason(&report) {
            None => break,
            Some(Reason::Budget) => rig.restart(),
            other => panic!("{other:?}"),
        }
    }
    assert!(runs > 2, "{runs}");
    let covered: i64 = rig
        .keep
        .state()
        .rows
        .iter()
        .filter(|row| row.tier == Tier::Hourly && row.outcome == "complete")
        .map(|row| row.span.secs())
        .sum();
    assert!(
        (19_000..25_000).contains(&covered),
        "read once, not again after each restart: {covered}"
    );
}

#[tokio::test]
async fn a_sweep_that_fails_holds_up_no_poll_and_is_tried_again() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.poll().await;
    rig.clock.advance(secs(3_000));
    rig.poll().await;
    rig.clock.advance(secs(700));
    rig.log.state().faults.extend([None, Some(unavailable())]);
    let report = rig.poll().await;
    assert_eq!(reason(&report), Some(Reason::Unavailable));
    assert!(report.is_fresh);
    rig.clock.advance(secs(30));
    let report = rig.poll().await;
    assert_eq!((report.requests, report.problem), (1, None), "the sweeps pause");
    rig.clock.advance(secs(300));
    assert_eq!(rig.poll().await.problem, None);
    assert!(rig.asked_for(Tier::Hourly).len() >= 2, "tried again, by less at once");
}

#[tokio::test]
async fn a_learnt_overlap_grows_with_what_comes_late_and_survives_a_restart() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.settings.overlap = Overlap::Auto;
    rig.restart();
    for n in 0..700 {
        rig.add_late(START + n * 10, secs(if n % 20 == 0 { 2_000 } else { 1 }));
    }
    for _ in 0..400 {
        rig.clock.advance(secs(30));
        rig.poll().await;
    }
    assert!(rig.scanner.overlap_secs >= 2_000, "{}", rig.scanner.overlap_secs);
    let learnt = rig.keep.state().learnt.clone().unwrap();
    assert!(learnt.entries >= 598 && learnt.quantile.is_some(), "{learnt:?}");
    rig.restart();
    rig.poll().await;
    assert!(rig.scanner.overlap_secs >= 2_000, "{}", rig.scanner.overlap_secs);
}

#[tokio::test]
async fn the_watermark_moves_by_re_reading_only() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.run().await;
    assert_eq!(rig.keep.watermark(), START);
    rig.clock.advance(secs(10_000));
    rig.log.state().faults.extend([Some(unavailable()), Some(unavailable())]);
    rig.run().await;
    assert_eq!(rig.keep.watermark(), START);
    rig.run_until_complete().await;
    assert_eq!(rig.keep.watermark(), rig.log.now().secs() - OVERLAP - SKEW_SECS + 1);
}

#[tokio::test]
async fn ties_at_the_edges_of_slices_and_pages_lose_nothing() {
    let mut rig = Rig::new(Start::Back(secs(100)), 20);
    for second in [START - 50, START - 49, START - 48, START - 25] {
        rig.add(50, second);
    }
    rig.run_until_complete().await;
    assert_eq!(rig.stored(), 200);
    let outcomes = rig.keep.outcomes();
    assert!(outcomes.contains(&"split") && outcomes.contains(&"page"), "{outcomes:?}");
}

#[tokio::test]
async fn a_burst_over_the_limit_within_one_interval_is_read_whole() {
    let mut rig = Rig::new(Start::Now, 100);
    rig.run().await;
    for second in 0..20 {
        rig.add(50, START + second);
    }
    rig.clock.advance(secs(30));
    let report = rig.run_until_complete().await;
    assert_eq!(rig.stored(), 1_000);
    assert!(report.is_fresh);
}

#[tokio::test]
async fn twelve_thousand_entries_in_one_second_are_kept_and_covered() {
    let mut rig = Rig::new(Start::Back(secs(1_000)), 2_000);
    rig.add(12_000, START - 500);
    rig.run_until_complete().await;
    assert_eq!(rig.stored(), 12_000);
    assert!(rig.keep.watermark() > START - 500);
}

#[tokio::test]
async fn a_second_beyond_telling_apart_stays_open_and_holds_up_nothing_else() {
    let mut rig = Rig::new(Start::Back(secs(1_000)), 2_000);
    rig.add(24_000, START - 500);
    for entry in &mut rig.log.state().entries {
        (entry.details, entry.category) = (false, "firmware");
    }
    rig.add(1, START - 5);
    for _ in 0..20 {
        rig.clock.advance(secs(30));
        rig.run().await;
    }
    rig.forget();
    rig.clock.advance(secs(30));
    let report = rig.run().await;
    assert_eq!(reason(&report), Some(Reason::Incomplete));
    assert!(report.is_fresh && report.requests <= 2, "it is not tried at every poll");
    assert_eq!(rig.keep.watermark(), START - 500);
    assert!(rig.stored() > 10_000, "what was shown is kept");

    rig.log.state().entries.truncate(5_000);
    rig.clock.advance(secs(3_600));
    rig.run_until_complete().await;
    assert!(rig.keep.watermark() > START - 500, "an hour later it is tried again");
}

#[tokio::test]
async fn a_source_that_ignores_the_filter_ends_the_run_uncovered() {
    let mut rig = Rig::new(Start::At(Timestamp::from_secs(START - 500)), 50);
    rig.add(20, START - 9_000);
    rig.log.state().quirk = Quirk::IgnoresFilter;
    for _ in 0..5 {
        rig.clock.advance(secs(30));
        let report = rig.run().await;
        assert_eq!(reason(&report), Some(Reason::Contradictory));
        assert!(report.requests <= 3 && report.outside > 0, "{report:?}");
    }
    assert_eq!(rig.stored(), 20, "what came is kept");
    assert!(rig.keep.outcomes().contains(&"outside"));
    assert_eq!(rig.keep.state().coverage, Some(Coverage::new(START - 500)));
}

#[tokio::test]
async fn a_source_that_ignores_the_offset_ends_the_run_uncovered() {
    let mut rig = Rig::new(Start::Back(secs(500)), 50);
    rig.add(200, START - 250);
    rig.log.state().quirk = Quirk::IgnoresOffset;
    for _ in 0..20 {
        rig.clock.advance(secs(30));
        assert!(rig.run().await.requests < 60);
    }
    assert!(rig.keep.watermark() <= START - 250);
    assert!(rig.stored() >= 50, "what came is kept");
}

#[tokio::test]
async fn answers_that_do_not_add_up_cover_nothing() {
    let mut rig = Rig::new(Start::Back(secs(500)), 50);
    rig.add(5, START - 250);
    rig.log.state().quirk = Quirk::MiscountsPages;
    let report = rig.run().await;
    assert_eq!(reason(&report), Some(Reason::Contradictory));
    assert_eq!(rig.keep.state().coverage, Some(Coverage::new(START - 500)));
}

#[tokio::test]
async fn a_source_with_smaller_pages_than_asked_for_is_read_whole() {
    let mut rig = Rig::new(Start::Back(secs(500)), 2_000);
    for second in 0..400 {
        rig.add(1, START - 450 + second);
    }
    rig.add(60, START - 20);
    rig.log.state().quirk = Quirk::ClampsTo(50);
    rig.run_until_complete().await;
    assert_eq!(rig.stored(), 460);
}

#[tokio::test]
async fn a_run_ends_with_its_requests_and_the_next_goes_on() {
    let mut rig = Rig::new(Start::Back(secs(100_000)), 10);
    for n in 0..1_000 {
        rig.add(1, START - 100_000 + n * 90);
    }
    let report = rig.run().await;
    assert_eq!(reason(&report), Some(Reason::Budget));
    assert_eq!(report.requests, 40);
    assert!(report.is_fresh, "a long backfill is no standstill");
    let first = rig.keep.watermark();
    assert!(first > START - 100_000);

    rig.restart();
    rig.add(1, rig.log.now().secs());
    rig.forget();
    assert_eq!(rig.run().await.requests, 40);
    let until = rig.log.state().queries[0].1.span.until;
    assert!(until > START, "the present comes first");
    assert!(rig.keep.state().events.contains_key("e1000"));
    assert!(rig.keep.watermark() > first);
    let report = rig.scanner.run_through(&CancellationToken::new()).await.unwrap();
    assert_eq!((report.problem, rig.stored()), (None, 1_001));
    assert!(report.requests > 40);
}

#[tokio::test]
async fn a_throttled_page_keeps_the_watermark_and_tells_how_long_to_wait() {
    let mut rig = Rig::new(Start::Back(secs(5_000)), 2_000);
    rig.run().await;
    let before = rig.keep.state().coverage.clone();
    rig.clock.advance(secs(300));
    let throttled = FetchError::Throttled { wait: secs(48), message: "slow down".to_owned() };
    rig.log.state().faults.push_back(Some(throttled));
    let report = rig.run().await;
    assert_eq!(reason(&report), Some(Reason::Throttled));
    assert_eq!(report.problem.unwrap().wait, Some(secs(48)));
    assert_eq!(report.requests, 1, "it does not try again by itself");
    assert_eq!(rig.keep.state().coverage, before);
    assert_eq!(rig.keep.outcomes().last(), Some(&"throttled"));
}

#[tokio::test]
async fn every_failed_request_is_logged_and_covers_nothing() {
    let message = || "no".to_owned();
    let table = [
        (FetchError::AuthFailed { message: message() }, Reason::AuthFailed, 1),
        (FetchError::Forbidden { message: message() }, Reason::Forbidden, 1),
        (FetchError::Rejected { status: 400, message: message() }, Reason::Rejected, 2),
        (unavailable(), Reason::Unavailable, 2),
        (FetchError::Unreadable { message: message() }, Reason::Unreadable, 2),
    ];
    for (error, expected, requests) in table {
        let mut rig = Rig::new(Start::Back(secs(90_000)), 2_000);
        rig.run().await;
        rig.clock.advance(secs(90_000));
        let before = rig.keep.state().coverage.clone();
        rig.forget();
        rig.log.state().faults.push_back(Some(error));
        rig.log.state().faults.push_back(Some(unavailable()));
        let report = rig.run().await;
        assert_eq!(report.requests, requests, "{expected}");
        assert_eq!(rig.keep.outcomes()[0], expected.as_str());
        assert_eq!(rig.keep.outcomes().len(), requests as usize);
        assert_eq!(rig.keep.state().coverage, before, "{expected}");
        assert!(rig.keep.state().rows[0].error.as_ref().unwrap().contains("no") || requests == 2);
    }
}

#[tokio::test]
async fn a_refused_query_is_shown_beside_the_refusal() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.run().await;
    rig.clock.advance(secs(30));
    let message = "filter: unsupported field".to_owned();
    rig.log.state().faults.push_back(Some(FetchError::Rejected { status: 400, message }));
    let problem = rig.run().await.problem.unwrap();
    assert_eq!(problem.reason, Reason::Rejected);
    assert!(problem.message.contains("unsupported field"), "{}", problem.message);
    assert!(problem.message.contains("createdAt ge '2025-06-15T"), "{}", problem.message);
}

#[tokio::test]
async fn one_bad_slice_does_not_hold_up_the_others() {
    let mut rig = Rig::new(Start::Back(secs(400_000)), 2_000);
    rig.add(1, START - 390_000);
    rig.add(1, START - 100);
    rig.log.state().faults.extend([None, None, Some(unavailable())]);
    let report = rig.run().await;
    assert_eq!(reason(&report), Some(Reason::Unavailable));
    assert!(report.is_fresh);
    assert_eq!(rig.keep.watermark(), START - 400_000);
    rig.run_until_complete().await;
    assert_eq!(rig.stored(), 2);
}

#[tokio::test]
async fn a_failed_commit_leaves_coverage_and_a_later_run_brings_the_entries() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.run().await;
    let before = rig.keep.state().coverage.clone();
    rig.add(7, START + 10);
    rig.clock.advance(secs(30));
    rig.keep.state().faults.push_back(Some(StorageError::Full));
    let report = rig.run().await;
    assert_eq!(reason(&report), Some(Reason::NoRoom));
    assert_eq!((report.new, rig.stored()), (0, 0));
    assert_eq!(report.watermark, Some(Timestamp::from_secs(rig.keep.watermark())));
    assert_eq!(rig.keep.state().coverage, before);
    assert_eq!(rig.run().await.new, 7);
}

#[tokio::test]
async fn a_broken_ledger_ends_the_poller_loudly() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.run().await;
    let broken = StorageError::Database("disk I/O error".to_owned());
    rig.keep.state().faults.push_back(Some(broken));
    rig.clock.advance(secs(30));
    let error = rig.scanner.run_once(&CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.name, "production");
}

#[tokio::test]
async fn below_the_floor_nothing_is_asked_for() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.run().await;
    rig.forget();
    rig.keep.state().free = 999;
    rig.clock.advance(secs(30));
    let report = rig.run().await;
    assert_eq!((reason(&report), report.requests), (Some(Reason::NoRoom), 0));
    assert!(report.problem.unwrap().message.contains("storage.min_free"));
    rig.keep.state().free = 1_000;
    assert_eq!(rig.run().await.problem, None);
}

#[tokio::test]
async fn the_bounds_of_a_run_stand_still_while_it_goes_on() {
    let mut rig = Rig::new(Start::Back(secs(2_000)), 10);
    rig.log.state().takes = Duration::from_millis(1_700);
    for n in 0..100 {
        rig.add(1, START - n);
    }
    rig.run().await;
    rig.forget();
    rig.clock.advance(secs(30));
    let hi = rig.log.now().secs() + 1;
    rig.run().await;
    let queries = rig.log.state().queries.clone();
    assert!(queries.len() > 1);
    assert!(queries.iter().all(|(_, query)| query.span.until <= hi));
    assert!(queries.iter().any(|(_, query)| query.span.until == hi));
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_quarantined_and_the_rest_goes_on() {
    let mut rig = Rig::new(Start::Back(secs(1_000)), 2_000);
    rig.add(3, START - 500);
    rig.log.state().entries[1].is_readable = false;
    let report = rig.run().await;
    assert_eq!((report.new, report.quarantined, report.problem), (2, 1, None));
    assert!(rig.keep.watermark() > START - 500);
}

#[tokio::test]
async fn history_begins_where_the_configuration_says_by_the_servers_clock() {
    for ahead in [-3_600, 0, 3_600] {
        let server = START + ahead;
        for (start, expected) in [
            (Start::Now, server - 7),
            (Start::Back(secs(600)), server - 600),
            (Start::At(Timestamp::from_secs(START - 12_345)), START - 12_345),
        ] {
            let clock = Clock::manual(Timestamp::from_secs(START - 7));
            let log = FakeLog::new(clock.clone()).ahead_of_us(ahead);
            let mut rig = Rig::with_log(log, clock, start, 2_000);
            rig.log.state().takes = Duration::ZERO;
            rig.log.state().faults.push_back(Some(unavailable()));
            let report = rig.run().await;
            assert_eq!(report.watermark, None, "no start without the server's clock");
            rig.clock.advance(secs(7));
            rig.run().await;
            assert_eq!(rig.keep.state().coverage.as_ref().unwrap().start, expected, "{ahead}");
        }
    }
}

#[tokio::test]
async fn a_machine_that_starts_with_its_clock_behind_asks_for_the_time() {
    let mut rig = Rig::new(Start::Back(secs(5_000)), 2_000);
    rig.run_until_complete().await;
    let watermark = rig.keep.watermark();
    let behind = Clock::manual(Timestamp::from_secs(START - 86_400));
    rig.log = FakeLog::new(behind.clone()).ahead_of_us(86_400 + 300);
    rig.clock = behind;
    rig.restart();
    let report = rig.run().await;
    assert_eq!((report.problem.clone(), report.is_fresh), (None, true), "{report:?}");
    assert!(rig.keep.watermark() > watermark);
    assert!(rig.keep.outcomes().contains(&"clock"));
}

#[tokio::test]
async fn a_source_whose_clock_is_set_back_is_told_of_and_waited_for() {
    let mut rig = Rig::new(Start::Back(secs(5_000)), 2_000);
    rig.run_until_complete().await;
    let watermark = rig.keep.watermark();
    rig.log = FakeLog::new(rig.clock.clone()).ahead_of_us(-3_600);
    rig.restart();
    rig.run().await;
    let report = rig.run().await;
    assert_eq!((reason(&report), report.requests), (Some(Reason::Contradictory), 1));
    assert_eq!(rig.keep.watermark(), watermark);
    rig.clock.advance(secs(3_700));
    rig.run_until_complete().await;
    assert!(rig.keep.watermark() > watermark);
}

#[tokio::test]
async fn a_dry_run_shows_what_is_there_and_asks_the_same_again() {
    let rig = Rig::new(Start::Now, 2_000);
    for n in 0..5 {
        rig.add(1_000, START - 500_000 + n);
    }
    let coverage = Coverage::new(START - 9_000_000);
    for _ in 0..2 {
        let mut shown = Vec::new();
        let dry = DryRun::new(Some(coverage.clone()), None, |event: &Event| {
            shown.push(event.envelope.id.clone());
        });
        let (log, clock) = (rig.log.clone(), rig.clock.clone());
        let mut scanner = Scanner::new(rig.settings.clone(), log, dry, clock, Arc::new(|| ()));
        let report = scanner.run_through(&CancellationToken::new()).await.unwrap();
        assert_eq!((report.problem, report.new), (None, 5_000));
        drop(scanner);
        assert_eq!(shown.len(), 5_000);
    }
    assert_eq!(rig.keep.state().ingests, 0);
}

#[tokio::test]
async fn an_outage_longer_than_the_retention_is_told_once_and_read_over() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.run().await;
    rig.clock.advance(secs(600));
    rig.run().await;
    let watermark = rig.keep.watermark();
    rig.clock.advance(secs(RETENTION_SECS.unsigned_abs() + 50 * 86_400));
    rig.add(1, START + 86_400);

    rig.restart();
    rig.keep.state().faults.push_back(Some(StorageError::Full));
    rig.run().await;
    rig.restart();
    rig.run_until_complete().await;
    rig.restart();
    rig.run_until_complete().await;

    let state = rig.keep.state();
    let gaps: Vec<_> =
        state.events.values().filter(|event| event.envelope.event_type == GAP_TYPE).collect();
    assert_eq!(gaps.len(), 1);
    let from = Timestamp::from_secs(watermark).to_rfc3339_secs();
    assert_eq!(gaps[0].envelope.id, format!("gap-{from}"));
    assert!(state.events.contains_key("e0"), "what is still there is kept");
    assert!(state.coverage.as_ref().unwrap().watermark > START + 86_400 * 100);
}

#[tokio::test]
async fn a_stopped_run_leaves_what_is_committed() {
    let mut rig = Rig::new(Start::Now, 2_000);
    rig.run().await;
    let before = rig.keep.state().coverage.clone();
    rig.clock.advance(secs(30));
    let stop = CancellationToken::new();
    stop.cancel();
    let report = rig.scanner.run_once(&stop).await.unwrap();
    assert_eq!((reason(&report), report.requests), (Some(Reason::Stopped), 0));
    assert_eq!(rig.keep.state().coverage, before);
}

#[tokio::test]
async fn under_more_load_than_a_run_can_read_again_the_present_stays_fresh() {
    let mut rig = Rig::new(Start::Now, 50);
    rig.run().await;
    let mut lag = 0;
    for _ in 0..100 {
        for second in 0..10 {
            rig.add(20, rig.clock.now().secs() + second);
        }
        rig.clock.advance(secs(10));
        let report = rig.run().await;
        assert!(report.is_fresh, "{report:?}");
        assert_eq!(rig.stored(), rig.log.state().entries.len(), "what is new comes first");
        lag = rig.clock.now().secs() - rig.keep.watermark();
    }
    assert!(lag < 3 * OVERLAP, "{lag} s: the hot window is still renewed, oldest scan first");
}

#[tokio::test]
async fn the_ledger_keeps_what_runs_bring_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tailwater.db");
    let rig = Rig::new(Start::Back(secs(1_000)), 20);
    rig.add(50, START - 500);
    rig.add(50, START - 400);
    for _ in 0..2 {
        let ledger = Ledger::open(&path, rig.clock.clone()).await.unwrap();
        ledger.insert_targets(vec!["siem".to_owned()]).await.unwrap();
        let (log, clock) = (rig.log.clone(), rig.clock.clone());
        let wake = Arc::new(|| ());
        let mut scanner = Scanner::new(rig.settings.clone(), log, ledger.clone(), clock, wake);
        let report = scanner.run_through(&CancellationToken::new()).await.unwrap();
        assert_eq!(report.problem, None);
        assert_eq!(ledger.reader().count_events().await.unwrap().0, 100);
        assert_eq!(ledger.reader().count_pending(1_000).await.unwrap(), 100);
        let coverage = ledger.find_coverage("production").await.unwrap().unwrap();
        assert_eq!(Some(Timestamp::from_secs(coverage.watermark)), report.watermark);
        drop(scanner);
        ledger.close().await;
        rig.clock.advance(secs(30));
    }
}

const PARTS: [&str; 2] = ["hasDetails eq 'true'", "hasDetails eq 'false'"];

#[tokio::test]
async fn a_slice_in_parts_counts_as_read_only_with_the_last_of_them() {
    let clock = Clock::manual(Timestamp::from_secs(START));
    let log = FakeLog::new(clock.clone()).in_parts(&PARTS);
    let mut rig = Rig::with_log(log, clock, Start::Back(secs(60)), 20);
    rig.log.state().takes = secs(2);
    rig.add(10, START - 30);
    rig.log.state().faults = VecDeque::from([None, None, Some(unavailable())]);

    let report = rig.run().await;
    assert_eq!(reason(&report), Some(Reason::Unavailable));
    assert_eq!(rig.stored(), 5);
    let coverage = rig.keep.state().coverage.clone().unwrap();
    assert_eq!((coverage.scans, coverage.watermark), (Vec::new(), coverage.start));

    rig.forget();
    rig.clock.advance(secs(5));
    assert_eq!(rig.run().await.problem, None);
    assert_eq!(rig.stored(), 10);
    // As of the first question about it, though it counts with the second.
    let queries = rig.log.state().queries.clone();
    let scans = rig.keep.state().coverage.clone().unwrap().scans;
    for pair in queries.chunks(2) {
        assert_eq!(pair[0].1.span, pair[1].1.span);
        let is_first = |scan: &&Scan| !scan.span.intersect(pair[0].1.span).is_empty();
        let scan = scans.iter().find(is_first).expect("it is covered");
        assert_eq!(scan.asked_at, pair[0].0.secs());
    }
    assert!(rig.keep.outcomes().chunks(2).all(|pair| pair == ["page", "complete"]));
}

#[tokio::test]
async fn a_crowded_second_in_parts_is_read_part_by_part() {
    let clock = Clock::manual(Timestamp::from_secs(START));
    let log = FakeLog::new(clock.clone()).in_parts(&PARTS);
    let mut rig = Rig::with_log(log, clock, Start::Back(secs(60)), 4);
    rig.add(19, START - 30);
    rig.run_until_complete().await;
    assert_eq!(rig.stored(), 19);
    assert!(
        rig.log.state().queries[1..]
            .iter()
            .all(|(_, query)| { PARTS.contains(&query.narrow.as_str()) })
    );
    for term in PARTS {
        let is_deep = |(_, query): &(Timestamp, Query)| query.narrow == term && query.offset > 0;
        assert!(rig.log.state().queries.iter().any(is_deep), "{term}");
    }
}
