use crate::dispatch::tests::fixture::{Bench, config};
use crate::model::delivery::Attempt;
use crate::storage::{Due, Settlement};

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
        event_source: "s".to_owned(),
        event_id: format!("e{sequence}"),
        body: bytes::Bytes::new(),
    }
}

fn reading(fresh: Vec<Due>, retries: Vec<Due>) -> Reading {
    let state = TargetState::Active;
    Reading { fresh, seen: 0, retries, next_retry: None, is_whole: true, state }
}

fn ended(run: &Run, sequence: Sequence, fate: Fate) -> Ended {
    let outcome =
        if fate == Fate::Delivered { Outcome::Delivered } else { Outcome::of_status(500) };
    let attempt = Attempt {
        started_at: run.clock.now(),
        duration: Duration::ZERO,
        status: Some(500),
        outcome,
        retry_after: None,
        answer: None,
    };
    Ended { settlement: Settlement { sequence, attempt, fate }, is_last: true }
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
    run.after_settling(Ok(vec![1, 2])).unwrap();
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
    let at = run.clock.now().plus(Duration::from_millis(20));
    in_flight(&mut run);
    let failed = ended(&run, 1, Fate::RetryAt(at));
    run.note(failed);
    run.reading = None;
    run.after_reading(Ok(reading(Vec::new(), Vec::new()))).unwrap();
    assert_eq!(run.next_retry, Some(at));
}

type Block = fn(&mut Run, usize);

/// Every way to be unable to act on a retry that is due: none may turn into a hot loop.
#[tokio::test]
async fn a_due_retry_that_must_wait_does_not_make_the_loop_spin() {
    let full = Gathering { max_events: 1, max_wait: Duration::ZERO, slots: 4 }.window();
    let blocks: [(&str, Block); 5] = [
        ("stopping", |run, _| run.is_stopping = true),
        ("a full disk", |run, _| run.is_stuck = true),
        ("a reading under way", |run, _| in_flight(run)),
        ("no room", |run, full| {
            let many = (1..).take(full).map(|sequence| due(sequence, 1)).collect();
            run.queue.extend_retries(many);
        }),
        ("a pause of a minute", |run, _| {
            run.paused_until = Some(run.clock.now().plus(Duration::from_mins(1)));
        }),
    ];
    for (name, block) in blocks {
        let (_bench, mut run) = run(Order::None).await;
        run.next_retry = Some(run.clock.now());
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
        let outcome = ended(&run, sequence, Fate::Delivered);
        run.note(outcome);
    }
    let first = mem::take(&mut run.ended);
    let third = ended(&run, 3, Fate::Delivered);
    run.note(third);
    run.after_settling(Err((StorageError::Full, first))).unwrap();

    run.launch();
    assert!(run.flying.is_empty());
    let waiting: Vec<Sequence> = run.ended.iter().map(|e| e.settlement.sequence).collect();
    assert_eq!(waiting, [1, 2, 3]);
    // The same rows read again are still held.
    run.after_reading(Ok(reading(vec![due(1, 0), due(2, 0)], Vec::new()))).unwrap();
    assert_eq!(run.queue.fresh(), 7);

    run.settle();
    run.after_settling(Ok(vec![1, 2, 3])).unwrap();
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

    run.look_at_everything();
    assert!(!run.may_read());
    run.read();
    let paused = Reading { state: TargetState::Paused, ..reading(Vec::new(), Vec::new()) };
    assert!(run.reading.take().is_some());
    run.after_reading(Ok(paused)).unwrap();
    run.launch();
    assert_eq!((run.queue.fresh(), run.queue.held(), run.flying.len()), (0, 1, 0));
}
