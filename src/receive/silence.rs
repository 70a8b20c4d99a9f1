//! A dead webhook and a quiet workspace do not look alike: tells when pushes stay away from
//! what polling finds, and when they come again.
//!
//! Keeps true:
//! - Only what was made while we listened, and what a poll of the present has found, counts;
//!   only time in which we listened is waited for. A daemon that was down, or a machine that
//!   was asleep, begins to wait anew.
//! - A push that we ourselves put off (503) is no silence.
//! - Each silence is told once, and its end once, whatever happens in between: the state
//!   is kept in the ledger, in one transaction with the event.
//!
//! Also has the ledger judge what either route has missed: both are about what the other
//! route has shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::model::clock::Clock;
use crate::model::event::{Event, Sequence};
use crate::model::notice::{Notice, notice};
use crate::model::timestamp::Timestamp;
use crate::receive::desk::Desk;
use crate::receive::inlet::{Inlet, Open};
use crate::storage::{Heard, Silent, StorageError, Unheard, WebhookTurn};

/// The envelope's `type` of the event that tells that a webhook is silent.
pub const SILENT_TYPE: &str = "com.tailwater.route.silent";

/// The envelope's `type` of the event that tells that it is heard again.
pub const HEARD_TYPE: &str = "com.tailwater.route.heard";

/// Pause between two looks. A look is two short questions to the ledger a webhook.
const LOOK: Duration = Duration::from_secs(2);

/// A longer pause means that the machine or the process stood still, and did not listen.
const BREAK: Duration = Duration::from_mins(1);

/// Pause between two judgements of what was missed: a horizon is hours.
const JUDGE: Duration = Duration::from_mins(1);

/// Listens for silence on all webhooks.
pub(super) struct Ears {
    desk: Arc<Desk>,
    watches: HashMap<String, Watch>,
    /// Time since boot at the last look.
    looked_at: Duration,
    /// The same of the last judgement; `None` before the first.
    judged_at: Option<Duration>,
}

/// What was seen of one source since we listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watch {
    /// Wall time at which listening began.
    since: Timestamp,
    /// [`Heard::sequence`] at the last look.
    heard: Sequence,
    /// Up to here events were looked at.
    until: Sequence,
    /// Entries that polling found and nobody has pushed since.
    unheard: u64,
    /// Time since boot when the first of them was noticed.
    waits_since: Option<Duration>,
}

impl Watch {
    /// Begins to listen. What is in the ledger by then was made before.
    fn new(since: Timestamp, heard: Sequence, last: Sequence) -> Self {
        Self { since, heard, until: last.max(heard), unheard: 0, waits_since: None }
    }

    /// Takes up what was pushed: with a push, whatever was found before it is done with.
    fn hear(&mut self, heard: Sequence) {
        if heard != self.heard {
            *self = Self { heard, until: heard, unheard: 0, waits_since: None, ..*self };
        }
    }

    /// Takes up what polling found.
    fn find(&mut self, found: Unheard, now: Duration) {
        self.until = found.until;
        self.unheard += found.count;
        if self.unheard > 0 {
            self.waits_since.get_or_insert(now);
        }
    }

    /// How long the first entry that polling found has waited for its push.
    fn waits(&self, now: Duration) -> Option<Duration> {
        self.waits_since.map(|since| now.saturating_sub(since))
    }
}

/// What becomes of a webhook that is `silent`, or not, and of which `heard` is the last
/// push; the first entry that should have come has waited for `waits`.
fn turn(
    silent: Option<Silent>,
    heard: Sequence,
    waits: Option<Duration>,
    silent_after: Duration,
) -> Option<WebhookTurn> {
    match silent {
        Some(silent) => (heard != silent.sequence).then_some(WebhookTurn::Heard),
        None => waits
            .is_some_and(|waits| waits >= silent_after)
            .then_some(WebhookTurn::Silent { heard }),
    }
}

impl Ears {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        let looked_at = desk.clock.uptime();
        Self { desk, watches: HashMap::new(), looked_at, judged_at: None }
    }

    /// Listens until `stop`. What the ledger cannot tell or store now is asked for again.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let look = async {
                tokio::time::sleep(LOOK).await;
                self.look().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = look => {}
            }
        }
    }

    /// Looks at every webhook once.
    async fn look(&mut self) {
        let now = self.desk.clock.uptime();
        if now.saturating_sub(self.looked_at) > BREAK {
            self.watches.clear();
        }
        self.looked_at = now;
        let is_judging = self.judged_at.is_none_or(|at| now.saturating_sub(at) >= JUDGE);
        if is_judging {
            self.judged_at = Some(now);
        }
        let inlets = self.desk.inlets();
        self.watches.retain(|source, _| inlets.iter().any(|open| open.inlet.source == *source));
        for open in inlets {
            let source = &open.inlet.source;
            if let Err(error) = self.look_at(&open).await {
                tracing::debug!(source, %error, "whether the webhook is silent is not known");
            }
            if is_judging && let Err(error) = judge(&open.inlet).await {
                tracing::debug!(source, %error, "what was missed is not known");
            }
        }
    }

    async fn look_at(&mut self, open: &Open) -> Result<(), StorageError> {
        let (inlet, clock) = (&open.inlet, self.desk.clock.clone());
        let reader = inlet.ledger.reader();
        let heard = reader.find_heard(&inlet.source).await?;
        if open.has_put_off() {
            self.watches.remove(&inlet.source);
        }
        if !self.watches.contains_key(&inlet.source) {
            let last = reader.find_last_sequence().await?;
            let watch = Watch::new(clock.now(), heard.sequence, last);
            self.watches.insert(inlet.source.clone(), watch);
        }
        let Some(watch) = self.watches.get_mut(&inlet.source) else { return Ok(()) };
        watch.hear(heard.sequence);
        let found = reader.find_unheard(&inlet.source, watch.until, watch.since).await?;
        watch.find(found, clock.uptime());
        let waits = watch.waits(clock.uptime());
        match turn(heard.silent, heard.sequence, waits, inlet.push.silent_after) {
            Some(turn) => take(inlet, turn, &heard, watch.unheard, &clock).await,
            None => Ok(()),
        }
    }
}

/// Counts what was missed, in steps.
async fn judge(inlet: &Inlet) -> Result<(), StorageError> {
    while inlet.ledger.judge_missed(&inlet.source).await? {}
    Ok(())
}

/// Stores a turn with the event that tells of it, and says so.
async fn take(
    inlet: &Inlet,
    turn: WebhookTurn,
    heard: &Heard,
    unheard: u64,
    clock: &Clock,
) -> Result<(), StorageError> {
    let told = told(inlet, turn, heard, unheard, clock.now());
    let hearers = inlet.hearers.clone();
    if !inlet.ledger.turn_webhook(&inlet.source, turn, told, hearers).await? {
        return Ok(());
    }
    (inlet.wake)();
    let source = &inlet.source;
    match turn {
        WebhookTurn::Silent { .. } => tracing::warn!(
            source,
            entries = unheard,
            last_heard_at = heard.last_at.map(tracing::field::display),
            "the webhook is silent: polling found entries that were not pushed; look at its \
             state in GreenLake's console, and at the view push_log for what was turned away"
        ),
        WebhookTurn::Heard => tracing::info!(source, "the webhook is heard again"),
    }
    Ok(())
}

/// The event that tells of a turn at `now`. Its data, of a silence and of its end:
///
/// ```json
/// {"source": "production", "route": "push", "entries": 12, "silent_after_s": 3600.0,
///  "last_heard_at": "2026-11-22T03:00:00.123Z"}
/// {"source": "production", "route": "push", "silent_since": "2026-11-22T04:00:01Z"}
/// ```
/// `entries` were polled and not pushed; `last_heard_at` is null before the first push.
fn told(inlet: &Inlet, turn: WebhookTurn, heard: &Heard, unheard: u64, now: Timestamp) -> Event {
    let since = heard.silent.map_or(now, |silent| silent.since);
    let told = match turn {
        WebhookTurn::Silent { .. } => Notice {
            event_type: SILENT_TYPE,
            id: format!("silent-{}", now.to_rfc3339()),
            data: json!({
                "route": "push",
                "entries": unheard,
                "silent_after_s": inlet.push.silent_after.as_secs_f64(),
                "last_heard_at": heard.last_at.map(Timestamp::to_rfc3339_millis),
            }),
            description: format!("The webhook is silent: {unheard} entries were not pushed"),
        },
        WebhookTurn::Heard => Notice {
            event_type: HEARD_TYPE,
            id: format!("heard-{}", since.to_rfc3339()),
            data: json!({ "route": "push", "silent_since": since.to_rfc3339_secs() }),
            description: "The webhook is heard again".to_owned(),
        },
    };
    notice(&inlet.source, &inlet.workspace_id, now, told)
}

#[cfg(test)]
mod tests;
