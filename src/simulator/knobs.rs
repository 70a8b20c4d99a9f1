//! How the simulated cloud behaves all the time, changed while it runs. What goes wrong
//! now and then is a [fault](crate::simulator::faults).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::simulator::Settings;
use crate::simulator::push::form::merge;
use crate::simulator::push::knobs::PushKnobs;

/// How the cloud behaves; as [`Settings`] say at the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// Life of the tokens issued from now on, seconds.
    pub token_life_seconds: u64,
    /// Requests to the audit log in a minute.
    pub requests_per_minute: u32,
    /// How every answer tells what is left of them.
    pub limit_headers: LimitHeaders,
    /// What pages say as `remainingRecords`.
    pub remaining: Remaining,
    /// Which of several `filter` parameters count.
    pub repeated_filter: Repeated,
    /// Part of the entries made from now on that become visible late, 0.0 to 1.0.
    pub late_fraction: f64,
    /// How late, seconds.
    pub late_seconds: f64,
    /// How that is meant.
    pub late_spread: Spread,
    /// How webhooks are pushed to.
    pub push: PushKnobs,
}

/// The headers in which answers tell the request limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitHeaders {
    /// `ratelimit-*`, the reset in seconds (developer portal, rate limiting).
    #[default]
    Ratelimit,
    /// `X-RateLimit-*`, the reset in seconds (IAM).
    XRatelimit,
    /// `X-RateLimit-*`, the reset as a date-time (webhook API).
    XRatelimitDate,
    /// None.
    None,
}

/// What `remainingRecords` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remaining {
    /// Whether more match than are counted, as the description has it.
    #[default]
    Described,
    /// Always true, as in the official sample.
    Always,
    /// Always false.
    Never,
}

/// Which of several parameters with one name count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeated {
    /// The first, as a published screenshot shows.
    #[default]
    First,
    /// All, joined by `and`.
    All,
}

/// How late the late entries are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// All by the same.
    #[default]
    Fixed,
    /// Evenly from nothing to it.
    Even,
    /// Half of them by less than it, one in a hundred by fifty times as much or more (a
    /// Pareto tail of the first power).
    Tail,
}

impl Knobs {
    /// What `settings` ask for.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            token_life_seconds: settings.token_life.as_secs(),
            requests_per_minute: settings.requests_per_minute,
            limit_headers: LimitHeaders::default(),
            remaining: if settings.is_contradictory {
                Remaining::Always
            } else {
                Remaining::Described
            },
            repeated_filter: Repeated::default(),
            late_fraction: settings.traffic.late.fraction,
            late_seconds: settings.traffic.late.delay.as_secs_f64(),
            late_spread: Spread::default(),
            push: settings.push,
        }
    }
}

impl Knobs {
    /// These with the changes that an object names, in the objects inside it as well.
    ///
    /// # Errors
    /// What it names that is no knob, or gives a knob that it cannot have.
    pub fn turned(self, changes: Value) -> Result<Self, serde_json::Error> {
        let mut knobs = serde_json::to_value(self)?;
        merge(&mut knobs, changes);
        serde_json::from_value(knobs)
    }
}

impl Spread {
    /// By how much of the asked lateness an entry is late, drawn by `chance` (from 0 up to
    /// and without 1).
    #[must_use]
    pub fn share(self, chance: f64) -> f64 {
        match self {
            Self::Fixed => 1.0,
            Self::Even => chance,
            Self::Tail => 0.5 / (1.0 - chance),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::push::Shape;

    #[test]
    fn the_lateness_is_spread_as_asked() {
        for (spread, low, middle, high) in [
            (Spread::Fixed, 1.0, 1.0, 1.0),
            (Spread::Even, 0.0, 0.5, 0.99),
            (Spread::Tail, 0.5, 1.0, 50.0),
        ] {
            for (chance, share) in [(0.0, low), (0.5, middle), (0.99, high)] {
                let found = spread.share(chance);
                assert!((found - share).abs() < 1e-9, "{spread:?} {chance}: {found}");
            }
        }
    }

    #[test]
    fn knobs_are_read_as_they_are_written_and_misspelt_ones_are_not() {
        let knobs = Knobs::new(&Settings::default());
        let text = serde_json::to_string(&knobs).unwrap();
        assert_eq!(serde_json::from_str::<Knobs>(&text).unwrap(), knobs);
        assert!(serde_json::from_str::<Knobs>(&text.replace("late_fr", "fr")).is_err());
        let turned = knobs.turned(json!({ "push": { "shape": "b" }, "late_seconds": 3.0 }));
        let push = PushKnobs { shape: Shape::B, ..knobs.push };
        assert_eq!(turned.unwrap(), Knobs { push, late_seconds: 3.0, ..knobs });
        for bad in [json!({ "push": { "shap": "b" } }), json!({ "push": { "shape": "d" } })] {
            assert!(knobs.turned(bad).is_err());
        }
    }
}
