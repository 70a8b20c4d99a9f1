//! What a seed stands for, expanded: sources, entries, and everything that goes wrong.

use std::fmt;
use std::time::Duration;

use tailwater::config::{Overlap, Start};
use tailwater::model::lateness::FIRST_OVERLAP_SECS;
use tailwater::model::sweep::Sweep;
use tailwater::model::timestamp::Timestamp;
use tailwater::poll::gap::RETENTION_SECS;

use crate::cloud::{Cloud, Lie, SECOND, Ties};
use crate::dice::Dice;
use crate::world::{Fate, Odds};

/// When every story begins, by the machine's true time.
pub(crate) const BEGIN: i64 = 1_750_000_000 * SECOND;

/// How late entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lateness {
    /// Within a second.
    Prompt,
    /// Up to the whole overlap, evenly.
    Even,
    /// Most within seconds, some up to the overlap.
    Mixed,
    /// As mixed, but one in twenty later than the overlap, up to twenty times.
    Heavy,
    /// As mixed, but one in twenty up to seven days late.
    Days,
}

/// The settings and the fate of one source.
#[derive(Clone, Debug)]
pub(crate) struct SourceStory {
    pub(crate) overlap: i64,
    /// Whether the overlap is learnt.
    pub(crate) is_auto: bool,
    pub(crate) page_limit: u32,
    /// History begins this long before the first start, seconds.
    pub(crate) back: i64,
    pub(crate) lateness: Lateness,
    /// One entry in so many seconds, on average.
    pub(crate) every: i64,
    /// Stretches with many entries: seconds after the begin, seconds long, entries.
    pub(crate) bursts: Vec<(i64, i64, i64)>,
    pub(crate) ties: Ties,
    /// Seconds after the begin and seconds long.
    pub(crate) outages: Vec<(i64, i64)>,
    /// The service's clock: seconds after the begin, milliseconds ahead from then on.
    pub(crate) steps: Vec<(i64, i64)>,
    pub(crate) retention: i64,
    /// Second, counted from the begin, that no request may touch.
    pub(crate) poison: Option<i64>,
}

/// All that a seed stands for.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) interval: i64,
    pub(crate) runs: u64,
    /// A run in so many ends by a crash or a stop; 0 for none.
    pub(crate) crashes: u64,
    /// Before a run in so many the process is away for a while.
    pub(crate) absences: u64,
    /// For how long, in seconds.
    pub(crate) away: Vec<u64>,
    /// Before a run in so many the disk is full.
    pub(crate) no_room: u64,
    pub(crate) odds: Odds,
    /// What happens once, and how many calls pass before it.
    pub(crate) blow: Option<(u64, Fate)>,
    pub(crate) sources: Vec<SourceStory>,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let interval = dice.pick(&[1, 5, 10, 30, 60, 120]);
        let runs = 8 + dice.below(16);
        let span = interval * i64::try_from(runs).expect("few runs");
        let odds = Odds {
            fetch_fails: dice.pick(&[0, 0, 30, 8, 3]),
            answer_lies: dice.pick(&[0, 0, 40, 10, 2]),
            lie: if dice.one_in(2) { Some(dice.pick(&Lie::ALL)) } else { None },
            store_fails: dice.pick(&[0, 0, 30, 6]),
            slow: dice.pick(&[0, 0, 20]),
            date_off: dice.pick(&[0, 0, 3]),
        };
        let count = dice.pick(&[1, 1, 1, 1, 2, 3]);
        let sources = (0..count).map(|_| SourceStory::new(&mut dice, span)).collect();
        let (crashes, absences) = (dice.pick(&[0, 10, 3]), dice.pick(&[0, 0, 12]));
        let no_room = dice.pick(&[0, 0, 10]);
        let away = vec![50, 400, 4_000, 40_000];
        let mut story = Self {
            seed,
            interval,
            runs,
            crashes,
            absences,
            away,
            no_room,
            odds,
            blow: None,
            sources,
        };
        // The stories of other seeds are those that they told before there were sweeps.
        if seed % 3 == 2 {
            story.stretch(&mut Dice::new(seed ^ 0x7377_6565_7073));
        }
        story
    }

    /// Makes it a story for sweeps: of hours and days, with entries that are late by as much.
    fn stretch(&mut self, dice: &mut Dice) {
        self.interval = dice.pick(&[self.interval, 600, 1_500]);
        self.absences = dice.pick(&[0, 12, 6]);
        self.away.push(150_000);
        let span = self.interval * i64::try_from(self.runs).expect("few runs");
        for source in &mut self.sources {
            source.every = source.every.max((source.back.min(4_000) + span) / 400);
            source.lateness = dice.pick(&[source.lateness, Lateness::Heavy, Lateness::Days]);
            if dice.one_in(3) {
                source.is_auto = true;
                source.overlap = FIRST_OVERLAP_SECS;
            }
        }
    }
}

impl SourceStory {
    fn new(dice: &mut Dice, span: i64) -> Self {
        // One in six hundred lives through a burst that the source does not even count.
        let is_huge = dice.one_in(600);
        let small = dice.between(4, 60);
        let page_limit = if is_huge { 2_000 } else { dice.pick(&[small, small, small, 2_000]) };
        let overlap = dice.pick(&[0, 10, 60, 120, 300, 900]);
        let back = dice.pick(&[0, 0, 600, 4_000, 90_000]);
        let retention = dice.pick(&[RETENTION_SECS, RETENTION_SECS, RETENTION_SECS, 3_000]);
        let every = dice.pick(&[1, 3, 10, 40, 200]).max((back.min(4_000) + span) / 400);
        let bursts = Self::bursts(dice, span, page_limit, is_huge);
        let outages = match dice.below(4) {
            0 => vec![(dice.between(0, span), dice.pick(&[20, 100, 1_000]))],
            _ => Vec::new(),
        };
        Self {
            overlap,
            is_auto: false,
            page_limit: u32::try_from(page_limit).expect("a small limit"),
            back,
            lateness: Self::lateness(dice),
            every,
            bursts,
            ties: dice.pick(&[Ties::Kept, Ties::Shuffled, Ties::Replicas]),
            outages,
            steps: Self::steps(dice, span, overlap),
            retention,
            poison: if dice.one_in(6) { Some(dice.between(-back.min(600), span)) } else { None },
        }
    }

    fn lateness(dice: &mut Dice) -> Lateness {
        dice.pick(&[Lateness::Prompt, Lateness::Even, Lateness::Mixed, Lateness::Heavy])
    }

    fn bursts(dice: &mut Dice, span: i64, limit: i64, is_huge: bool) -> Vec<(i64, i64, i64)> {
        if is_huge {
            return vec![(dice.between(-20, span / 2), 1, dice.between(9_990, 12_500))];
        }
        let most = limit.min(60);
        let count = dice.below(4);
        let mut burst = |_| {
            let long = dice.pick(&[1, 1, 2, 10]);
            (dice.between(-30, span), long, dice.between(1, 3 * most + 2))
        };
        (0..count).map(&mut burst).collect()
    }

    /// The service's clock: off by up to an hour from the start, and set now and then.
    fn steps(dice: &mut Dice, span: i64, overlap: i64) -> Vec<(i64, i64)> {
        let first = dice.pick(&[0, 0, -3_600_000, 700, 3_600_000]);
        let mut steps = vec![(i64::MIN / SECOND / 2, first)];
        if dice.one_in(5) {
            let by = dice.pick(&[-overlap * 500, -1_500, 1_500, 40_000, -2_000_000, 2_000_000]);
            steps.push((dice.between(0, span), first + by));
        }
        steps
    }

    /// The cloud that this source asks, with every entry that it will ever hold.
    pub(crate) fn cloud(&self, workspace_id: String, mut dice: Dice, span: i64) -> Cloud {
        let mut cloud = Cloud::new(workspace_id, dice.fork());
        (cloud.ties, cloud.retention) = (self.ties, self.retention);
        let step = |(after, ahead): &(i64, i64)| {
            ((BEGIN / SECOND + after).saturating_mul(SECOND), ahead * 1_000)
        };
        cloud.steps = self.steps.iter().map(step).collect();
        let sparse = self.every * 40;
        let mut at = BEGIN - (self.back + 5) * SECOND;
        while at < BEGIN + span * SECOND {
            let every = if at < BEGIN - 4_000 * SECOND { sparse } else { self.every };
            cloud.add(at, self.late(&mut dice));
            at += 1 + dice.between(0, 2 * every * SECOND);
        }
        for (after, long, count) in &self.bursts {
            for _ in 0..*count {
                let at = BEGIN + after * SECOND + dice.between(0, long * SECOND - 1);
                cloud.add(at, self.late(&mut dice));
            }
        }
        cloud.seal();
        cloud
    }

    /// How late one entry is, in microseconds.
    fn late(&self, dice: &mut Dice) -> i64 {
        let overlap = self.overlap * SECOND;
        match self.lateness {
            Lateness::Prompt => dice.between(0, SECOND.min(overlap)),
            Lateness::Even => dice.between(0, overlap),
            Lateness::Heavy if dice.one_in(20) => dice.between(overlap, 20 * overlap + SECOND),
            Lateness::Days if dice.one_in(20) => {
                dice.between(overlap, Sweep::DAILY.reach_secs * SECOND)
            }
            _ if dice.one_in(5) => dice.between(0, overlap),
            _ => dice.between(0, (3 * SECOND).min(overlap)),
        }
    }

    pub(crate) fn setting(&self) -> Overlap {
        if self.is_auto {
            return Overlap::Auto;
        }
        Overlap::Fixed(Duration::from_secs(self.overlap.unsigned_abs()))
    }

    /// Daily sweeps that it takes to find the latest entry.
    pub(crate) fn days_late(&self) -> u32 {
        if self.lateness == Lateness::Days { 8 } else { 1 }
    }

    pub(crate) fn start(&self, dice: &mut Dice) -> Start {
        match self.back {
            0 => Start::Now,
            back if dice.one_in(2) => Start::Back(Duration::from_secs(back.unsigned_abs())),
            back => Start::At(Timestamp::from_micros(BEGIN - back * SECOND)),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, interval, runs, crashes, absences, no_room, odds, blow, sources, .. } =
            self;
        writeln!(f, "seed {seed}: {runs} runs, one every {interval} s")?;
        writeln!(
            f,
            "  one run in … ends in a crash {crashes}, follows an absence {absences}, finds the disk full {no_room}"
        )?;
        writeln!(f, "  one call in … {odds:?}")?;
        if let Some((after, blow)) = blow {
            writeln!(f, "  the call after {after} others {blow:?}")?;
        }
        for (index, source) in sources.iter().enumerate() {
            writeln!(f, "  source {index}: {source:?}")?;
        }
        Ok(())
    }
}
