use crate::dispatch::tests::fixture::{Bench, config};
use crate::model::delivery::Attempt;
use crate::model::outcome::Outcome;
use crate::model::timestamp::Timestamp;
use crate::storage::{Due, TargetState};

use super::*;

/// Nobody listens there; nothing gets that far.
const NOWHERE: &str = "http://127.0.0.1:1/";

async fn run(order: Order) -> (Bench, Run) {
    let bench = Bench::new(Clock::manual(Timestamp::from_secs(1_734_698_100))).await;
    let config = crate::config::TargetConfig { order, ..config(&NOWHERE.parse().unwrap()) };
    let target = Target::new(bench.target, config).unwrap();
    let run = Run::new(target, bench.ledger.clone(), bench.clock.clone());
    (bench, run)
}

fn due(sequence: Sequence, step: u32) -> Due {
    Due {
        sequence,
        step,
        first_attempt_at: None,
        is_first: true,
        event_source: "s".into(),
        event_id: format!("e{sequence}").into(),
        body: bytes::Bytes::new(),
    }
}

fn reading(fresh: Vec<Due>, retries: Vec<Due>) -> Reading {
    let state = TargetState::Active;
    Reading { fresh, seen: None, retries, next_retry: None, is_whole: true, state }
}

fn ended(run: &Run, sequence: Sequence, status: u16) -> Report {
    let attempt = Attempt {
        started_at: run.clock.now(),
        duration: Duration::ZERO,
        status: Some(status),
        outcome: Outcome::of_status(status),
        retry_after: None,
        answer: None,
    };
    let (is_head, is_split) = (true, false);
    Report::Ended(Ended {
        sequence,
        step: 0,
        first_attempt_at: None,
        is_first: true,
        attempt,
        is_head,
        is_split,
    })
}

/// Takes note of such an answer.
fn answer(run: &mut Run, sequence: Sequence, status: u16) {
    let report = ended(run, sequence, status);
    run.note(report);
}

fn in_flight(run: &mut Run) {
    run.queue.begin_reading();
    run.reading = Some(Box::pin(std::future::pending()));
}

#[tokio::test]
async fn what_was_settled_while_a_reading_went_on_is_not_taken_up_from_it() {
    let (_bench, mut run) = run(Order::None).await;
    run.after_reading(Ok(reading(vec![due(1, 0)], vec![due(2, 1)]))).unwrap();
    assert!(run.queue.next(&run.rule, 0, run.clock.uptime()).is_some());
    assert!(run.queue.next(&run.rule, 0, run.clock.uptime()).is_some());

    in_flight(&mut run);
    run.after_settling(vec![1, 2]);
    run.after_reading(Ok(reading(vec![due(1, 0), due(3, 0)], vec![due(2, 1)]))).unwrap();
    assert_eq!((run.queue.fresh(), run.queue.retries()), (1, 0));

    // The next reading is younger than that commit: whatever it shows is owed.
    in_flight(&mut run);
    run.after_reading(Ok(reading(Vec::new(), vec![due(1, 1)]))).unwrap();
    assert_eq!(run.queue.retries(), 1);
}

#[tokio::test]
async fn a_retry_that_fails_while_a_reading_goes_on_is_not_forgotten() {
    let (_bench, mut run) = run(Order::None).await;
    in_flight(&mut run);
    answer(&mut run, 1, 500);
    let at = run.looking.next_retry();
    assert!(at.is_some());
    run.reading = None;
    run.after_reading(Ok(reading(Vec::new(), Vec::new()))).unwrap();
    assert_eq!(run.looking.next_retry(), at);
}

type Block = fn(&mut Run, usize);

/// Every way to be unable to act on a retry that is due: none may turn into a hot loop.
#[tokio::test]
async fn a_due_retry_that_must_wait_does_not_make_the_loop_spin() {
    let full = Gathering { max_events: 1, max_wait: Duration::ZERO, slots: 4 }.window();
    let blocks: [(&str, Block); 6] = [
        ("stopping", |run, _| run.is_stopping = true),
        ("a full disk", |run, _| {
            run.settling.after(Err((StorageError::Full, Vec::new()))).unwrap();
        }),
        ("a reading under way", |run, _| in_flight(run)),
        ("no room", |run, full| {
            let many = (1..).take(full).map(|sequence| due(sequence, 1)).collect();
            run.queue.extend_retries(many);
        }),
        ("a pause of a minute", |run, _| {
            let mut overloaded = ended(run, 1, 429);
            let Report::Ended(ended) = &mut overloaded else { unreachable!() };
            ended.attempt.retry_after = Some(Duration::from_mins(1));
            run.note(overloaded);
            run.settling = Settling::new(run.target.clone(), run.ledger.clone(), 4);
        }),
        ("a target that is gone", |run, _| _ = run.gate.see(TargetState::Gone, Duration::ZERO)),
    ];
    for (name, block) in blocks {
        let (_bench, mut run) = run(Order::None).await;
        run.looking.retry_at(run.clock.now());
        assert_eq!(run.wake(), Duration::from_millis(1), "before: {name}");
        block(&mut run, full);
        assert_eq!(run.wake(), SLOW_TICK, "{name}");
    }
}

#[tokio::test]
async fn a_strict_head_under_way_does_not_make_the_loop_spin() {
    let (_bench, mut run) = run(Order::Strict).await;
    let past = run.clock.now();
    let head = Reading { next_retry: Some(past), ..reading(vec![due(1, 3)], Vec::new()) };
    run.after_reading(Ok(head)).unwrap();
    run.launch();
    assert_eq!(run.flying.len(), 1);
    assert_eq!(run.wake(), SLOW_TICK);
    run.read();
    assert!(run.reading.is_none(), "nothing is read behind the head");
}

#[tokio::test]
async fn nothing_is_sent_while_outcomes_cannot_be_stored_and_none_is_lost() {
    let (_bench, mut run) = run(Order::None).await;
    run.after_reading(Ok(reading((1..=9).map(|s| due(s, 0)).collect(), Vec::new()))).unwrap();
    for sequence in 1..=2 {
        run.queue.next(&run.rule, 0, run.clock.uptime()).unwrap();
        answer(&mut run, sequence, 200);
    }
    let first = run.settling.waiting();
    answer(&mut run, 3, 200);
    run.settling.after(Err((StorageError::Full, first))).unwrap();

    run.launch();
    assert!(run.flying.is_empty());
    let waiting = run.settling.waiting();
    let sequences: Vec<Sequence> = waiting.iter().map(|one| one.settlement.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);
    // The same rows read again are still held.
    run.after_reading(Ok(reading(vec![due(1, 0), due(2, 0)], Vec::new()))).unwrap();
    assert_eq!(run.queue.fresh(), 7);

    let released = run.settling.after(Ok(sequences)).unwrap();
    run.after_settling(released);
    run.launch();
    assert_eq!(run.flying.len(), run.rule.slots);
}

#[tokio::test]
async fn a_pause_is_looked_for_also_when_nothing_more_fits_and_what_waits_is_let_go() {
    let (_bench, mut run) = run(Order::None).await;
    let window = i64::try_from(run.rule.window()).unwrap();
    let all = (1..=window).map(|sequence| due(sequence, 0)).collect();
    run.after_reading(Ok(reading(all, Vec::new()))).unwrap();
    assert!(run.queue.next(&run.rule, 0, run.clock.uptime()).is_some());

    run.looking.anew();
    assert!(!run.may_read());
    run.read();
    let paused = Reading { state: TargetState::Paused, ..reading(Vec::new(), Vec::new()) };
    assert!(run.reading.take().is_some());
    run.after_reading(Ok(paused)).unwrap();
    run.launch();
    assert_eq!((run.queue.fresh(), run.queue.held(), run.flying.len()), (0, 1, 0));
}

/// Ten requests fail in a row.
fn fail(run: &mut Run, from: Sequence) {
    (from..from + 10).for_each(|sequence| answer(run, sequence, 502));
}

fn fates(run: &mut Run) -> Vec<(Sequence, Fate, Option<Turn>)> {
    let waiting = run.settling.waiting();
    let settlements = waiting.into_iter().map(|one| one.settlement);
    settlements.map(|one| (one.sequence, one.fate, one.turn)).collect()
}

#[tokio::test]
async fn a_failing_target_costs_no_delivery_its_place_and_what_waits_is_let_go() {
    let (_bench, mut run) = run(Order::None).await;
    run.after_reading(Ok(reading((1..=40).map(|s| due(s, 0)).collect(), Vec::new()))).unwrap();
    (0..12).for_each(|_| _ = run.queue.next(&run.rule, 0, run.clock.uptime()));
    fail(&mut run, 1);
    answer(&mut run, 11, 502);
    answer(&mut run, 12, 422);
    let fates = fates(&mut run);
    let turns: Vec<Option<Turn>> = fates.iter().map(|(_, _, turn)| *turn).collect();
    assert_eq!(turns[..9], [None; 9]);
    assert_eq!(turns[9..], [Some(Turn::Failing), None, Some(Turn::Recovered)]);
    assert!(fates[..10].iter().all(|(_, fate, _)| matches!(fate, Fate::RetryAt(_))));
    assert_eq!(fates[10].1, Fate::Held, "it was under way when the target was found failing");
    assert!(matches!(fates[11].1, Fate::Dead(_)), "a rejection is about the delivery");
    assert_eq!((run.queue.fresh(), run.queue.held()), (0, 12));
}

#[tokio::test]
async fn a_failing_target_gets_one_delivery_at_a_time() {
    let (bench, mut run) = run(Order::None).await;
    fail(&mut run, 1);
    assert!(!run.may_read_state(), "the ledger does not know yet");
    run.settling.waiting();
    run.after_settling(Vec::new());
    assert!(!run.may_read(), "no probe is due");

    bench.clock.advance(Duration::from_secs(2));
    run.read();
    assert!(run.reading.take().is_some());
    let probe = Reading { state: TargetState::Failing, ..reading(vec![due(7, 3)], Vec::new()) };
    run.after_reading(Ok(probe)).unwrap();
    run.launch();
    assert_eq!((run.flying.len(), run.opening()), (1, Opening::Closed));
    run.looking.anew();
    assert!(!run.may_read(), "one at a time");
    assert_eq!(run.wake(), SLOW_TICK);
}
