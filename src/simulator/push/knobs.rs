//! How the simulated cloud pushes, changed while it runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::simulator::knobs::Spread;

/// Nothing waits longer than this: no run of a simulator is as long.
const WAIT_MAX: Duration = Duration::from_hours(24 * 30);

/// Bytes after which payloads are cut: "typically 64 KB" (HPE developer portal, webhook FAQ).
const BODY_MAX: usize = 64 * 1024;

/// How pushes are made, from the next one on.
///
/// The defaults are what was seen of the real ones: shape A, trailing zeros stripped, no
/// subject, no workspace's name. GreenLake's own delay is published nowhere: none here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a knob of its own")]
pub struct PushKnobs {
    /// Which of the three published forms the events have.
    pub shape: Shape,
    /// From an entry's creation to its first try, seconds.
    pub delay_seconds: f64,
    /// How that is meant.
    pub delay_spread: Spread,
    /// Part of the entries that later ones overtake, 0.0 to 1.0.
    pub held_fraction: f64,
    /// By how much they are held back at most, seconds.
    pub held_seconds: f64,
    /// Part of the entries that are sent twice, up to a second apart, 0.0 to 1.0.
    pub duplicate_fraction: f64,
    /// Part of the entries that are never sent, and nobody is told, 0.0 to 1.0.
    pub drop_fraction: f64,
    /// Events in a batch, for webhooks with `batching` (seen in a public client: 10).
    pub batch_events: usize,
    /// How long the first of a batch waits for others, seconds before `time_scale` (60).
    pub batch_seconds: f64,
    /// How two signatures travel while secrets are rotated: published nowhere.
    pub two_signatures: TwoSignatures,
    /// Writes signatures without `sha256=`.
    pub bare_signature: bool,
    /// Sends the API key as a bearer token instead of bare.
    pub bearer_key: bool,
    /// Leaves `com.` out of types, as one of HPE's samples of a challenge does.
    pub without_com: bool,
    /// Leaves out the zeros at the end of `time`.
    pub stripped_zeros: bool,
    /// Says the workspace's id as `subject`.
    pub with_subject: bool,
    /// Says the workspace's name and kind, which were null in what was captured.
    pub with_workspace_name: bool,
    /// Bytes after which a body is cut off.
    pub body_max: usize,
    /// Limit of one request, seconds: HPE's is not published.
    pub timeout_seconds: f64,
    /// How much faster than in life tries, batches and recoveries follow each other: with
    /// 3600, the 12 hours of tries last 12 seconds.
    pub time_scale: f64,
}

/// The published forms of a pushed entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// What was captured (HPE developer blog, eventing framework, December 2024).
    #[default]
    A,
    /// The event catalogue's (HPE developer portal, audit logs): without the entry's id.
    B,
    /// HPE's standard for events: the entry as the API shows it, under another id.
    C,
}

/// How two signatures travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TwoSignatures {
    /// In a header each.
    #[default]
    Headers,
    /// In one header, by a comma.
    List,
    /// There is only the one by the first secret.
    First,
}

impl Default for PushKnobs {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            delay_seconds: 0.0,
            delay_spread: Spread::default(),
            held_fraction: 0.0,
            held_seconds: 1.0,
            duplicate_fraction: 0.0,
            drop_fraction: 0.0,
            batch_events: 10,
            batch_seconds: 60.0,
            two_signatures: TwoSignatures::default(),
            bare_signature: false,
            bearer_key: false,
            without_com: false,
            stripped_zeros: true,
            with_subject: false,
            with_workspace_name: false,
            body_max: BODY_MAX,
            timeout_seconds: 10.0,
            time_scale: 1.0,
        }
    }
}

impl PushKnobs {
    /// How long what takes `life` in life takes here.
    pub(super) fn scaled(&self, life: Duration) -> Duration {
        wait(life.as_secs_f64() / self.time_scale)
    }

    /// How long the first of a batch waits for others.
    pub(super) fn batch_wait(&self) -> Duration {
        self.scaled(wait(self.batch_seconds))
    }

    /// Limit of one request.
    pub(super) fn timeout(&self) -> Duration {
        wait(self.timeout_seconds)
    }
}

/// So many seconds: none for what is no number of them, [`WAIT_MAX`] for too many.
pub(super) fn wait(seconds: f64) -> Duration {
    if seconds.is_nan() || seconds <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_MAX).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_scaled_and_stays_within_bounds() {
        let hour = Duration::from_hours(1);
        for (scale, expected) in [
            (1.0, hour),
            (3_600.0, Duration::from_secs(1)),
            (0.5, 2 * hour),
            (0.0, WAIT_MAX),
            (f64::INFINITY, Duration::ZERO),
            (f64::NAN, Duration::ZERO),
            (-1.0, Duration::ZERO),
        ] {
            let knobs = PushKnobs { time_scale: scale, ..PushKnobs::default() };
            assert_eq!(knobs.scaled(hour), expected, "{scale}");
        }
    }
}
