use super::*;
use crate::config::{Overlap, Start};
use crate::greenlake::FetchError;
use crate::model::clock::Clock;
use crate::poll::fake::{FakeKeep, FakeLog};
use crate::poll::{REQUEST_OUTCOMES, ScanSettings};
use crate::storage::StorageError;

const START: i64 = 1_750_000_000;
const INTERVAL: Duration = Duration::from_secs(30);

/// A poller that runs, and what moves it.
struct Rig {
    clock: Clock,
    log: FakeLog,
    keep: FakeKeep,
    bells: Bells,
    stop: CancellationToken,
    status: watch::Receiver<Status>,
    settings: ScanSettings,
    task: tokio::task::JoinSet<Result<Rigged, PollError>>,
}

type Rigged = Poller<FakeLog, FakeKeep>;

impl Rig {
    fn start(schedule: Schedule) -> Self {
        let clock = Clock::manual(Timestamp::from_secs(START));
        let (log, keep) = (FakeLog::new(clock.clone()), FakeKeep::new());
        let settings = ScanSettings {
            name: "production".to_owned(),
            workspace_id: "3009de2825f211ec8a84fedebcb4a754".to_owned(),
            start: Start::Now,
            overlap: Overlap::Fixed(Duration::from_mins(2)),
            page_limit: 2_000,
            min_free: 0,
            targets: watch::channel(Vec::new()).1,
        };
        let scanner = Scanner::new(
            settings.clone(),
            log.clone(),
            keep.clone(),
            clock.clone(),
            Arc::new(|| ()),
        );
        let timing = Timing { first: Duration::ZERO, ..timing(schedule) };
        let (bells, stop) = (Bells::default(), CancellationToken::new());
        let (poller, status) = Poller::new(scanner, timing, bells.clone());
        let task = tokio::task::JoinSet::new();
        let mut rig = Self { clock, log, keep, bells, stop, status, settings, task };
        rig.go(poller);
        rig
    }

    fn go(&mut self, mut poller: Rigged) {
        let stop = self.stop.clone();
        self.task.spawn(async move {
            poller.run(stop).await?;
            Ok(poller)
        });
    }

    async fn next_status(&mut self) -> Status {
        self.status.changed().await.unwrap();
        self.status.borrow_and_update().clone()
    }

    /// Lets the poller hear a nudge and go back to sleep.
    async fn nudge(&self) {
        self.bells.cron.notify_one();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn asked(&self) -> Vec<i64> {
        self.log.state().queries.iter().map(|(at, _)| at.secs() - START).collect()
    }

    async fn end(&mut self) -> Result<(), PollError> {
        self.task.join_next().await.unwrap().unwrap().map(drop)
    }
}

#[tokio::test]
async fn the_first_poll_is_at_once_and_a_nudge_makes_one_due() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    let status = rig.next_status().await;
    assert_eq!((status.problem, status.requests), (None, 2), "the server's time, then a poll");
    assert!(status.fresh_at.is_some() && status.last_complete_at.is_some());
    assert_eq!(status.watermark, Some(Timestamp::from_secs(START)));
    assert_eq!(status.run_outcomes, Tally::from([("complete", 1)]));
    assert_eq!(status.request_outcomes, Tally::from([("first_start", 1), ("complete", 1)]));
    assert!(status.request_outcomes.keys().all(|outcome| REQUEST_OUTCOMES.contains(outcome)));

    rig.clock.advance(Duration::from_secs(3));
    rig.nudge().await;
    assert_eq!(rig.next_status().await.requests, 3);
    assert_eq!(rig.asked().last(), Some(&3));
}

#[tokio::test]
async fn a_cron_schedule_polls_at_start_and_when_nudged() {
    let mut rig = Rig::start(Schedule::Cron("0 0 3 * * *".to_owned()));
    rig.next_status().await;
    rig.clock.advance(Duration::from_hours(24));
    rig.nudge().await;
    assert_eq!(rig.next_status().await.problem, None);
    assert_eq!(rig.asked().last(), Some(&86_400));
}

#[tokio::test]
async fn a_wait_that_the_source_asked_for_is_kept_whoever_nudges() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    let wait = Duration::from_mins(5);
    let throttled = FetchError::Throttled { wait, message: "slow down".to_owned() };
    rig.log.state().faults.push_back(Some(throttled));
    rig.clock.advance(INTERVAL);
    rig.nudge().await;
    let status = rig.next_status().await;
    assert_eq!(status.problem.unwrap().reason, Reason::Throttled);

    let before = rig.asked();
    rig.clock.advance(Duration::from_mins(4));
    rig.nudge().await;
    assert_eq!(rig.asked(), before);

    rig.clock.advance(Duration::from_secs(62));
    rig.nudge().await;
    assert_eq!(rig.next_status().await.problem, None);
}

#[tokio::test]
async fn a_stop_ends_the_task() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    rig.stop.cancel();
    assert!(rig.end().await.is_ok());
}

#[tokio::test]
async fn a_broken_ledger_ends_the_task_with_an_error() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    rig.keep.state().faults.push_back(Some(StorageError::Closed));
    rig.clock.advance(INTERVAL);
    rig.nudge().await;
    let error = rig.end().await.unwrap_err();
    assert_eq!(error.to_string(), "source production: polling stopped");
}

#[tokio::test]
async fn a_full_disk_holds_polling_up_and_does_not_end_it() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    rig.keep.state().faults.push_back(Some(StorageError::Full));
    rig.clock.advance(INTERVAL);
    rig.nudge().await;
    assert_eq!(rig.next_status().await.problem.unwrap().reason, Reason::NoRoom);
    rig.clock.advance(Duration::from_secs(11));
    rig.nudge().await;
    assert_eq!(rig.next_status().await.problem, None);
}

#[tokio::test]
async fn a_cut_off_run_goes_on_at_once() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    rig.clock.advance(Duration::from_hours(24 * 365 * 9));
    rig.bells.cron.notify_one();
    let status = rig.next_status().await;
    assert_eq!((status.problem.unwrap().reason, status.requests), (Reason::Budget, 42));
    assert!(rig.next_status().await.requests > 42, "without a nudge and without waiting");
}

impl Rig {
    /// Stops the poller, lets `change` at it, and has it go on.
    async fn change(&mut self, change: impl FnOnce(&mut Rigged)) {
        self.stop.cancel();
        let mut poller = self.task.join_next().await.unwrap().unwrap().unwrap();
        change(&mut poller);
        self.stop = CancellationToken::new();
        self.go(poller);
    }
}

fn timing(schedule: Schedule) -> Timing {
    let (first, phase) = (Duration::from_hours(1), Duration::ZERO);
    Timing { schedule, jitter: Duration::ZERO, first, phase }
}

#[tokio::test]
async fn another_schedule_counts_from_the_last_run() {
    for (before, expected) in [
        (Schedule::Interval(INTERVAL), 40),
        // What a nudge or a cron line made is on no grid.
        (Schedule::Cron("0 0 3 * * *".to_owned()), 45),
    ] {
        let mut rig = Rig::start(before);
        let (settings, begin) = (rig.settings.clone(), rig.clock.uptime());
        rig.next_status().await;
        rig.clock.advance(Duration::from_secs(35));
        rig.nudge().await;
        rig.next_status().await;
        let every = timing(Schedule::Interval(Duration::from_secs(10)));
        rig.change(|poller| {
            poller.change(settings, every, None);
            let NextRun { at, not_before } = poller.next.unwrap();
            assert_eq!(
                (at.saturating_sub(begin).as_secs(), not_before),
                (expected, Duration::ZERO)
            );
        })
        .await;
        rig.clock.advance(Duration::from_secs(10));
        rig.nudge().await;
        rig.next_status().await;
        assert_eq!(rig.asked().last(), Some(&45), "it goes on");
    }
}

#[tokio::test]
async fn other_credentials_end_the_pause_that_bad_ones_caused() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    for is_throttled in [false, true] {
        let message = "no".to_owned();
        let fault = if is_throttled {
            FetchError::Throttled { wait: Duration::from_mins(5), message }
        } else {
            FetchError::AuthFailed { message }
        };
        rig.log.state().faults.push_back(Some(fault));
        rig.clock.advance(INTERVAL);
        rig.nudge().await;
        assert!(rig.next_status().await.problem.is_some());
        let (settings, log, before) = (rig.settings.clone(), rig.log.clone(), rig.asked().len());
        let every = timing(Schedule::Interval(INTERVAL));
        rig.change(|poller| poller.change(settings, every, Some(log))).await;
        if is_throttled {
            rig.nudge().await;
            assert_eq!(rig.asked().len(), before, "the source asked for a pause");
        } else {
            assert_eq!(rig.next_status().await.problem, None, "at once");
        }
    }
}

impl Rig {
    /// Lets the poller hear of a push.
    async fn push(&self) {
        self.bells.push.notify_one();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Whether each request so far was due only because of a push.
    fn nudged(&self) -> Vec<bool> {
        self.keep.state().rows.iter().map(|row| row.is_nudged).collect()
    }
}

#[tokio::test]
async fn a_push_makes_a_labelled_poll_due_and_the_grid_stays() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    rig.clock.advance(Duration::from_secs(12));
    rig.push().await;
    assert_eq!(rig.next_status().await.requests, 3);
    rig.clock.advance(Duration::from_secs(18));
    // Whatever wakes it, the run on the grid is its own.
    rig.nudge().await;
    rig.next_status().await;
    assert_eq!(rig.asked(), [0, 0, 12, 30]);
    assert_eq!(rig.nudged()[1..], [false, true, false]);
}

#[tokio::test]
async fn a_storm_of_pushes_is_one_poll_each_five_seconds() {
    let mut rig = Rig::start(Schedule::Interval(Duration::from_hours(1)));
    rig.next_status().await;
    let before = rig.asked().len();
    for _ in 0..600 {
        rig.push().await;
        rig.clock.advance(Duration::from_millis(100));
    }
    let polls = rig.asked().len() - before;
    assert!((10..=12).contains(&polls), "{polls} polls in a minute");
    assert!(rig.nudged().iter().skip(2).all(|is_nudged| *is_nudged));
}

#[tokio::test]
async fn a_push_shortens_no_pause_that_the_source_asked_for() {
    let mut rig = Rig::start(Schedule::Interval(INTERVAL));
    rig.next_status().await;
    let wait = Duration::from_mins(5);
    let throttled = FetchError::Throttled { wait, message: "slow down".to_owned() };
    rig.log.state().faults.push_back(Some(throttled));
    rig.clock.advance(INTERVAL);
    rig.nudge().await;
    rig.next_status().await;
    let before = rig.asked();
    rig.clock.advance(Duration::from_mins(4));
    rig.push().await;
    assert_eq!(rig.asked(), before);
}
