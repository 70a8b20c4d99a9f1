//! The cloud that the demo plays under.

use std::time::Duration;

use crate::cli::demo::DemoArgs;
use crate::simulator::knobs::Spread;
use crate::simulator::push::knobs::PushKnobs;
use crate::simulator::traffic::{Burst, Late};
use crate::simulator::{Settings, Traffic, UNLIMITED};

/// A tenth of the entries is late: most of them by more than one poll.
const LATE: Late = Late { fraction: 0.1, delay: Duration::from_secs(2) };

/// Seconds of traffic that come at once in a burst.
const BURST_SECS: f64 = 4.0;

/// Time between two bursts; in a short demo they come sooner.
const BURST_EVERY: Duration = Duration::from_secs(10);

/// How long a token lives: some are renewed while one looks on.
const TOKEN_LIFE: Duration = Duration::from_secs(30);

/// Pushes a second: with the bursts, below the 100 that the receiver grants.
const PUSHES: f64 = 50.0;

/// Events of 700 bytes that stay below the 64 KiB where pushes are cut off.
const BATCH_MAX: usize = 80;

/// How busy, late and troubled the cloud is.
pub(super) fn weather(args: &DemoArgs) -> Settings {
    let length = args.length.unwrap_or(Duration::MAX);
    let size = (args.rate * BURST_SECS).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is between 0 and 100,000"
    )]
    let burst =
        Burst { size: size as u32, every: BURST_EVERY.min(length / 2).max(Duration::from_secs(1)) };
    Settings {
        token_life: TOKEN_LIFE,
        requests_per_minute: UNLIMITED,
        traffic: Traffic { rate: args.rate, burst: Some(burst), late: LATE },
        push: pushes(args.rate),
        seed: args.seed,
        ..Settings::default()
    }
}

/// Whether there is too much traffic for a push an entry.
pub(super) fn is_batched(args: &DemoArgs) -> bool {
    args.rate > PUSHES
}

/// Half a second at most from an entry to its push: GreenLake's own delay is published
/// nowhere, and without any the demo would say more than anybody knows. Some come twice,
/// and some never, so that polling has something to find; tries follow each other fast.
fn pushes(rate: f64) -> PushKnobs {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is between 0 and 100,000"
    )]
    let batch_events = (rate / PUSHES).ceil() as usize;
    PushKnobs {
        delay_seconds: 0.5,
        delay_spread: Spread::Even,
        duplicate_fraction: 0.02,
        drop_fraction: 0.01,
        batch_events: batch_events.min(BATCH_MAX),
        time_scale: 100.0,
        ..PushKnobs::default()
    }
}
