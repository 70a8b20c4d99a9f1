//! Faults of the simulated cloud, switched on and off while it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Which requests a fault may hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Requests to the audit log.
    #[default]
    Logs,
    /// Those of them that skip entries: second and later pages.
    LaterPages,
    /// Requests for a token. Kinds that spoil a page have no effect there.
    Token,
}

impl Place {
    fn covers(self, on: Self) -> bool {
        self == on || (self == Self::Logs && on == Self::LaterPages)
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Every token issued so far expires: 401.
    ExpireTokens,
    /// 403, as without the role.
    Forbidden,
    /// 429 with the fault's hint.
    TooManyRequests,
    /// 500 with the fault's hint.
    ServerError,
    /// Half a body under the whole `Content-Length`, then the connection closes.
    CutBody,
    /// The answer waits for the fault's seconds. The only kind that goes with others.
    Slow,
    /// 200 with HTML instead of JSON.
    Garbage,
    /// The connection closes without an answer.
    HangUp,
    /// `count` is one more than there are items.
    WrongCount,
    /// No `count`.
    MissingCount,
    /// The first item of the page has no id.
    BrokenItem,
    /// The filter counts for nothing.
    IgnoreFilter,
    /// The offset counts for nothing.
    IgnoreOffset,
    /// Past the end comes the last page again.
    ClampOffset,
    /// No `total`.
    MissingTotal,
    /// `total` is one less than there are items.
    SmallTotal,
    /// `items` is null.
    NullItems,
    /// No items, though `total` counts some.
    EmptyPage,
    /// Half as many items as were asked for, more of them to come.
    ShortPage,
    /// Ties come in another order at each request.
    ShuffleTies,
    /// With each request, one more entry turns up in the newest second that it asks for.
    InsertWhilePaging,
}

/// How an answer says when to come again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HintForm {
    /// Not at all.
    #[default]
    None,
    /// `Retry-After` with seconds.
    RetryAfter,
    /// `Retry-After` with a date.
    RetryAfterDate,
    /// `ratelimit-reset` with seconds.
    RatelimitReset,
    /// `X-RateLimit-Reset` with seconds.
    XRatelimitReset,
    /// `X-RateLimit-Reset` with an RFC 3339 date-time.
    XRatelimitResetDate,
    /// `retryAfterSeconds` in the body.
    Body,
}

/// When to come again, and how that is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// How it is said.
    pub form: HintForm,
    /// Seconds from now; a broken service's may be negative, or any number.
    pub seconds: i64,
}

/// One fault: what, where, how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Which requests it may hit.
    #[serde(default)]
    pub on: Place,
    /// How many requests are still to be hit; `None` until it is switched off.
    #[serde(default)]
    pub times: Option<u64>,
    /// How likely each request is hit: 0.0 to 1.0.
    #[serde(default = "certain")]
    pub probability: f64,
    /// How a 429 or 500 says when to come again.
    #[serde(default)]
    pub hint: HintForm,
    /// The hint's seconds, any number; or how long a slow answer takes, at most an hour.
    #[serde(default = "one")]
    pub seconds: f64,
}

fn certain() -> f64 {
    1.0
}

fn one() -> f64 {
    1.0
}

impl Fault {
    /// Hits every request to the audit log until it is switched off.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            on: Place::Logs,
            times: None,
            probability: 1.0,
            hint: HintForm::None,
            seconds: 1.0,
        }
    }

    /// Hits `times` requests, then no more.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Hits each request with this probability.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        Self { probability, ..self }
    }

    /// Hits requests of this kind instead.
    #[must_use]
    pub fn on(self, on: Place) -> Self {
        Self { on, ..self }
    }

    /// Says in this form to come again in `seconds`.
    #[must_use]
    pub fn hint(self, hint: HintForm, seconds: u32) -> Self {
        Self { hint, seconds: f64::from(seconds), ..self }
    }

    /// Takes this long.
    #[must_use]
    pub fn lasting(self, delay: Duration) -> Self {
        Self { seconds: delay.as_secs_f64(), ..self }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a whole number, or the nearest there is")]
    fn hint_seconds(&self) -> i64 {
        self.seconds as i64
    }

    fn delay(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default().min(MAX_DELAY)
    }
}

/// A slow answer takes no longer than this: by then every client has gone.
const MAX_DELAY: Duration = Duration::from_hours(1);

/// What the faults come to for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// How long the answer waits.
    pub(super) delay: Duration,
    /// What else goes wrong.
    pub(super) kind: Option<FaultKind>,
    /// For the kinds that have one.
    pub(super) hint: Hint,
}

/// The switchboard; clones share it.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<Board>>);

#[derive(Debug)]
struct Board {
    faults: Vec<Fault>,
    rng: StdRng,
}

impl Faults {
    /// No faults; chances are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let board = Board { faults: Vec::new(), rng: StdRng::seed_from_u64(seed) };
        Self(Arc::new(Mutex::new(board)))
    }

    /// Replaces all faults.
    pub fn set(&self, faults: Vec<Fault>) {
        self.board().faults = faults;
    }

    /// Adds a fault. Of several that hit a request, the first added wins.
    pub fn add(&self, fault: Fault) {
        self.board().faults.push(fault);
    }

    /// Switches all faults off.
    pub fn clear(&self) {
        self.set(Vec::new());
    }

    /// The faults that are on, with the times they have left.
    #[must_use]
    pub fn list(&self) -> Vec<Fault> {
        self.board().faults.clone()
    }

    /// Draws what happens to the next request to `on`; used-up faults go.
    ///
    /// What hits requests to the audit log hits its later pages, too.
    pub(super) fn draw(&self, on: Place) -> Verdict {
        let mut board = self.board();
        let Board { faults, rng } = &mut *board;
        let mut verdict = Verdict::default();
        for fault in faults.iter_mut().filter(|fault| fault.on.covers(on)) {
            let is_slow = fault.kind == FaultKind::Slow;
            if (!is_slow && verdict.kind.is_some())
                || !rng.random_bool(fault.probability.clamp(0.0, 1.0))
            {
                continue;
            }
            if is_slow {
                verdict.delay = fault.delay();
            } else {
                verdict.kind = Some(fault.kind);
                verdict.hint = Hint { form: fault.hint, seconds: fault.hint_seconds() };
            }
            fault.times = fault.times.map(|times| times.saturating_sub(1));
        }
        faults.retain(|fault| fault.times != Some(0));
        verdict
    }

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_as_often_as_asked_and_goes() {
        let faults = Faults::new(1);
        faults.add(Fault::new(FaultKind::Garbage).times(2));
        faults.add(Fault::new(FaultKind::Slow).lasting(Duration::from_secs(3)));
        faults.add(Fault::new(FaultKind::Forbidden).on(Place::Token));
        let kinds: Vec<_> = (0..3).map(|_| faults.draw(Place::Logs)).collect();
        assert!(kinds.iter().all(|verdict| verdict.delay == Duration::from_secs(3)));
        assert_eq!(
            kinds.iter().map(|verdict| verdict.kind).collect::<Vec<_>>(),
            [Some(FaultKind::Garbage), Some(FaultKind::Garbage), None]
        );
        assert_eq!(faults.draw(Place::Token).kind, Some(FaultKind::Forbidden));
        assert_eq!(faults.list().len(), 2);
    }

    #[test]
    fn a_probability_is_kept_to() {
        let faults = Faults::new(1);
        faults.add(Fault::new(FaultKind::ServerError).probability(0.3));
        let hits = (0..1_000).filter(|_| faults.draw(Place::Logs).kind.is_some()).count();
        assert!((230..370).contains(&hits), "{hits} of 1000");
    }

    #[test]
    fn faults_are_read_from_json_and_misspelt_keys_are_not() {
        let text = r#"{"kind":"too-many-requests","hint":"x-ratelimit-reset-date","seconds":9}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let expected = Fault::new(FaultKind::TooManyRequests);
        assert_eq!(fault, expected.hint(HintForm::XRatelimitResetDate, 9));
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"slow","time":3}"#).is_err());
    }
}
