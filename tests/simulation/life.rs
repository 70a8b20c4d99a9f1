//! One life of the real pollers in a modelled world: rough weather, then fair.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tailwater::model::clock::Clock;
use tailwater::model::coverage::SKEW_SECS;
use tailwater::model::timestamp::Timestamp;
use tailwater::poll::due::pause;
use tailwater::poll::{Reason, RunReport, ScanSettings, Scanner};
use tokio::sync::watch;

use crate::cloud::SECOND;
use crate::dice::Dice;
use crate::faces::{SimKeep, SimLog};
use crate::shelf::Tally;
use crate::story::{BEGIN, Story};
use crate::world::{Fate, Shared, Source, World, lock, name_of};

/// Runs within which, once nothing goes wrong any more, everything has to be read up to
/// the present. The longest need two for each crowded second and some for their backlog.
const RUNS_TO_RECOVER: u32 = 150;

/// A life that broke a law.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) law: String,
    pub(crate) journal: String,
}

/// What a life that kept all laws came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) runs: u64,
    pub(crate) requests: u64,
    pub(crate) crashes: u64,
    /// The story's one blow found no call any more.
    pub(crate) is_untouched: bool,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.runs += other.runs;
        self.requests += other.requests;
        self.crashes += other.crashes;
    }
}

/// Lives `story` through; with `aloud` the journal holds every step.
pub(crate) fn live(story: &Story, aloud: bool) -> Result<(Outcome, String), Failure> {
    let mut life = Life::new(story, aloud);
    let result = catch_unwind(AssertUnwindSafe(|| life.play()));
    let world = lock(&life.world);
    let journal = world.journal.clone().unwrap_or_default();
    let law = match (&world.broken, result) {
        (Some(law), _) => law.clone(),
        (None, Ok(Err(law))) => law,
        (None, Err(panic)) => format!("a panic: {:?}", panic.downcast_ref::<String>()),
        (None, Ok(Ok(()))) => {
            let mut outcome = life.outcome;
            outcome.requests = world.requests;
            for source in &world.sources {
                outcome.tally.add(source.shelf.tally(&source.cloud));
            }
            return Ok((outcome, journal));
        }
    };
    Err(Failure { law, journal })
}

/// How a run ended.
enum Ended {
    With(RunReport),
    /// The process is gone, killed or by its own decision.
    Process,
}

struct Life<'a> {
    story: &'a Story,
    world: Shared,
    clock: Clock,
    dice: Dice,
    settings: Vec<ScanSettings>,
    scanners: Vec<Scanner<SimLog, SimKeep>>,
    failures: Vec<u32>,
    /// Nothing goes wrong any more.
    is_fair: bool,
    outcome: Outcome,
}

impl<'a> Life<'a> {
    fn new(story: &'a Story, aloud: bool) -> Self {
        let mut dice = Dice::new(story.seed ^ 0x7461_696c_7761_7465);
        let clock = Clock::manual(Timestamp::from_micros(BEGIN));
        let mut world = World::new(clock.clone(), dice.fork(), story.odds.clone());
        world.journal = aloud.then(|| story.to_string());
        world.fate = story.blow;
        let span = story.interval * i64::try_from(story.runs).expect("few runs");
        let mut settings = Vec::new();
        for (index, of) in story.sources.iter().enumerate() {
            let workspace_id = format!("{index:032x}");
            let cloud = of.cloud(workspace_id.clone(), dice.fork(), span);
            let mut source = Source::new(cloud, of.overlap);
            let stretch = |(after, long): &(i64, i64)| {
                (BEGIN + after * SECOND, BEGIN + (after + long) * SECOND)
            };
            source.outages = of.outages.iter().map(stretch).collect();
            source.poison = of.poison.map(|after| BEGIN / SECOND + after);
            world.sources.push(source);
            settings.push(ScanSettings {
                name: name_of(index),
                workspace_id,
                start: of.start(&mut dice),
                overlap: of.setting(),
                page_limit: of.page_limit,
                min_free: 1_000,
                targets: watch::channel(Vec::new()).1,
            });
        }
        let failures = vec![0; settings.len()];
        let world = Arc::new(Mutex::new(world));
        let outcome = Outcome::default();
        let mut life = Self {
            story,
            world,
            clock,
            dice,
            settings,
            scanners: Vec::new(),
            failures,
            is_fair: false,
            outcome,
        };
        life.start_process();
        life
    }

    /// A new process: it knows nothing but the ledger, and the time by its wall clock.
    fn start_process(&mut self) {
        let mut world = lock(&self.world);
        let off = self.dice.pick(&[0, 0, 0, 1, -1, 3_600, -3_600, 86_400, -86_400]);
        world.wall_off = off * SECOND;
        world.tell(|| format!("a process starts, its wall clock off by {off} s"));
        world.sources.iter_mut().for_each(|source| source.date = None);
        drop(world);
        let scanner = |(index, settings): (usize, &ScanSettings)| {
            let log = SimLog { world: Arc::clone(&self.world), index };
            let keep = SimKeep(Arc::clone(&self.world));
            Scanner::new(settings.clone(), log, keep, self.clock.clone(), Arc::new(|| ()))
        };
        self.scanners = self.settings.iter().enumerate().map(scanner).collect();
        self.failures.fill(0);
    }

    fn play(&mut self) -> Result<(), String> {
        for _ in 0..self.story.runs {
            for index in 0..self.settings.len() {
                self.rough_run(index);
            }
            self.check()?;
        }
        {
            let mut world = lock(&self.world);
            self.outcome.is_untouched = world.fate.is_some();
            (world.is_rough, world.fate, world.free) = (false, None, u64::MAX);
            world.tell(|| "nothing goes wrong any more".to_owned());
        }
        self.is_fair = true;
        for index in 0..self.settings.len() {
            self.recover(index)?;
            self.check()?;
            self.sweep(index)?;
        }
        Ok(())
    }

    fn rough_run(&mut self, index: usize) {
        if self.dice.one_in(self.story.absences) {
            let away = self.dice.pick(&self.story.away);
            self.clock.advance(Duration::from_secs(away));
            lock(&self.world).tell(|| format!("nobody polled for {away} s"));
            self.start_process();
        }
        let no_room = self.dice.one_in(self.story.no_room);
        lock(&self.world).free = if no_room { 10 } else { u64::MAX };
        if self.dice.one_in(self.story.crashes) {
            let fate = self.dice.pick(&[Fate::DiesBefore, Fate::DiesAfter, Fate::Stops]);
            lock(&self.world).fate = Some((self.dice.below(14), fate));
        }
        match self.run(index) {
            Ended::With(report) => self.wait(index, &report),
            Ended::Process => {
                self.outcome.crashes += 1;
                let down = self.dice.between(0, 20_000).unsigned_abs();
                self.clock.advance(Duration::from_millis(down));
                self.start_process();
            }
        }
    }

    /// Waits as the real poller does, by its own rule.
    fn wait(&mut self, index: usize, report: &RunReport) {
        let problem = report.problem.as_ref();
        let hurts = problem.is_some_and(|problem| problem.reason.is_trouble());
        self.failures[index] = if hurts { self.failures[index] + 1 } else { 0 };
        let interval = Duration::from_secs(self.story.interval.unsigned_abs());
        let chance = f64::from(u32::try_from(self.dice.below(1_000)).expect("small")) / 1_000.0;
        self.clock.advance(pause(problem, self.failures[index], chance).unwrap_or(interval));
    }

    /// One run of the real scanner, on the spot: whatever waits is a process that died.
    fn run(&mut self, index: usize) -> Ended {
        lock(&self.world).begin_run(index);
        self.outcome.runs += 1;
        let stop = lock(&self.world).stop.clone();
        let result = {
            let interval = Duration::from_secs(self.story.interval.unsigned_abs());
            let until = if self.is_fair { Duration::MAX } else { self.clock.uptime() + interval };
            let run = pin!(self.scanners[index].poll(until, &stop));
            run.poll(&mut Context::from_waker(Waker::noop()))
        };
        let mut world = lock(&self.world);
        match result {
            Poll::Ready(Ok(report)) => {
                world.tell(|| format!("{index}: {report:?}"));
                let was_stopped = stop.is_cancelled();
                if was_stopped { Ended::Process } else { Ended::With(report) }
            }
            Poll::Ready(Err(error)) => {
                world.tell(|| format!("{index}: the process ends: {}", error.error));
                Ended::Process
            }
            Poll::Pending => {
                if !world.is_dead {
                    world.accuse("a run waits for something that is not ours".to_owned());
                }
                Ended::Process
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        let world = lock(&self.world);
        let at = world.at();
        for (index, source) in world.sources.iter().enumerate() {
            source
                .shelf
                .check(&source.cloud, at)
                .map_err(|law| format!("source {index}: {law}"))?;
        }
        world.broken.clone().map_or(Ok(()), Err)
    }

    /// Liveness: with nothing going wrong, all is read up to the present before long.
    fn recover(&mut self, index: usize) -> Result<(), String> {
        // A clock that was set back has to pass its old time first, and late entries come.
        self.clock.advance(Duration::from_hours(6));
        let mut law = String::new();
        for _ in 0..RUNS_TO_RECOVER {
            let Ended::With(report) = self.run(index) else {
                return Err("a process ends though nothing goes wrong".to_owned());
            };
            // The first run of all may still go by what the clock said before it stepped.
            match self.check_present(index, &report) {
                Ok(()) => return Ok(()),
                Err(wrong) => law = wrong,
            }
            let is_stuck = report.problem.is_some_and(|found| found.reason == Reason::Incomplete);
            self.clock.advance(Duration::from_secs(if is_stuck { 3_601 } else { 1 }));
        }
        Err(format!("{law}, after {RUNS_TO_RECOVER} runs of source {index}"))
    }

    /// The sweeps' turn: a day for each time that they have to come to find the latest.
    fn sweep(&mut self, index: usize) -> Result<(), String> {
        for _ in 0..self.story.sources[index].days_late() {
            self.clock.advance(Duration::from_hours(25));
            self.sweep_once(index)?;
            self.check()?;
        }
        let world = lock(&self.world);
        let (source, at) = (&world.sources[index], world.at());
        source.shelf.check_swept(&source.cloud, at).map_err(|law| format!("source {index}: {law}"))
    }

    /// Until nothing is left to read.
    fn sweep_once(&mut self, index: usize) -> Result<(), String> {
        let mut last = None;
        for _ in 0..RUNS_TO_RECOVER {
            let Ended::With(report) = self.run(index) else {
                return Err("a process ends though nothing goes wrong".to_owned());
            };
            let Some(problem) = &report.problem else { return Ok(()) };
            let is_stuck = problem.reason == Reason::Incomplete;
            self.clock.advance(Duration::from_secs(if is_stuck { 3_601 } else { 1 }));
            last = Some(report);
        }
        Err(format!("liveness: no end of sweeps after {RUNS_TO_RECOVER} runs: {last:?}"))
    }

    fn check_present(&self, index: usize, report: &RunReport) -> Result<(), String> {
        let world = lock(&self.world);
        let source = &world.sources[index];
        let now = source.cloud.time(world.at()).div_euclid(SECOND);
        let coverage = source.shelf.coverage.as_ref().ok_or("liveness: nothing was begun")?;
        // A run takes a while: forty requests of less than half a second, and the Date's.
        let learnt = source.shelf.learnt.as_ref().map(|learnt| learnt.overlap_secs);
        let overlap = learnt.unwrap_or(0).max(source.shelf.overlap);
        let reach = now - overlap - SKEW_SECS - 25;
        if coverage.watermark < reach || !report.is_fresh || report.problem.is_some() {
            let mark = coverage.watermark;
            return Err(format!("liveness: the watermark is {mark}, not {reach}; {report:?}"));
        }
        Ok(())
    }
}
