//! All webhooks of the workspace, and every decision about them. Waits for nothing.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tokio::time::Instant;

use crate::model::timestamp::Timestamp;
use crate::simulator::notice::Notice;
use crate::simulator::push::event::TYPE;
use crate::simulator::push::fate::{Chances, draw};
use crate::simulator::push::form::Form;
use crate::simulator::push::knobs::PushKnobs;
use crate::simulator::push::post::{Heard, Proof, Sent};
use crate::simulator::push::problem::Problem;
use crate::simulator::push::queue::Parcel;
use crate::simulator::push::standing::{Status, challenge_pause, pause};
use crate::simulator::push::webhook::{Subscription, Webhook};
use crate::simulator::refusal::dashed;

/// Webhooks of a workspace (HPE developer portal, webhook FAQ).
const WEBHOOKS_MAX: usize = 5;

/// Subscriptions of a webhook (HPE developer portal, webhook FAQ).
const SUBSCRIPTIONS_MAX: usize = 5;

/// What was pushed so far, over all webhooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Requests with events, repeats and retries included.
    pub requests: u64,
    /// Those that were answered 2xx.
    pub accepted: u64,
    /// Those that were not.
    pub failed: u64,
    /// Entries that the knob `drop_fraction` has kept back.
    pub withheld: u64,
    /// Entries that went unsent because the webhook was in error, disabled or gone, or too
    /// many waited.
    pub lost: u64,
    /// Entries that were dropped after their last try.
    pub given_up: u64,
    /// Bodies that were cut off.
    pub cut: u64,
    /// Entries and pushes that wait or are under way now.
    pub waiting: u64,
}

/// Something to do for a webhook, away from the board.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) webhook_id: String,
    pub(super) generation: u32,
    pub(super) form: Form,
    pub(super) task: Task,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Send this text to be answered, for the so many-th time.
    Challenge { text: String, tries: u32 },
    /// Send events.
    Push(Parcel),
}

/// The webhooks.
pub(super) struct Board {
    /// Newest first.
    webhooks: Vec<Webhook>,
    rng: StdRng,
    pub(super) pushed: Pushed,
}

impl Board {
    pub(super) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { webhooks: Vec::new(), rng, pushed: Pushed::default() }
    }

    /// What was pushed so far.
    pub(super) fn pushed(&self) -> Pushed {
        let waiting: usize = self.webhooks.iter().map(|webhook| webhook.queue.len()).sum();
        Pushed { waiting: waiting as u64, ..self.pushed }
    }

    pub(super) fn all(&mut self) -> &mut [Webhook] {
        &mut self.webhooks
    }

    pub(super) fn find(&mut self, id: &str) -> Result<&mut Webhook, Problem> {
        let found = self.webhooks.iter_mut().find(|webhook| webhook.id == id);
        found.ok_or_else(|| Problem::not_found("webhook"))
    }

    /// A new webhook without subscriptions; its id.
    pub(super) fn create(&mut self, form: Form, now: Timestamp) -> Result<String, Problem> {
        if self.webhooks.len() >= WEBHOOKS_MAX {
            let most = format!("a workspace has {WEBHOOKS_MAX} webhooks at most");
            return Err(Problem::field(most));
        }
        let id = self.new_id();
        self.webhooks.insert(0, Webhook::new(id.clone(), form, now));
        Ok(id)
    }

    /// Removes one that has no subscription (seen in a public client: HPE refuses others).
    pub(super) fn remove(&mut self, id: &str) -> Result<(), Problem> {
        if !self.find(id)?.subscriptions.is_empty() {
            return Err(Problem::bad_request("id", "the webhook has subscriptions"));
        }
        self.webhooks.retain(|webhook| webhook.id != id);
        Ok(())
    }

    /// Subscribes a webhook; the subscription's id.
    pub(super) fn subscribe(&mut self, id: &str, event_type: &str) -> Result<String, Problem> {
        let subscription = self.new_id();
        let webhook = self.find(id)?;
        if webhook.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let most = format!("a webhook has {SUBSCRIPTIONS_MAX} subscriptions at most");
            return Err(Problem::field(most));
        }
        let event_type = event_type.to_owned();
        webhook.subscriptions.push(Subscription { id: subscription.clone(), event_type });
        Ok(subscription)
    }

    /// Ends these subscriptions, whosever they are.
    pub(super) fn unsubscribe(&mut self, ids: &[String]) {
        for webhook in &mut self.webhooks {
            webhook.subscriptions.retain(|known| !ids.contains(&known.id));
        }
    }

    /// Lets every webhook have the entry at `place` of the store, as the knobs will;
    /// whether there is something to send.
    pub(super) fn offer(
        &mut self,
        place: u32,
        created_at: Timestamp,
        now: Timestamp,
        knobs: &PushKnobs,
    ) -> bool {
        let (at, mut is_queued) = (Instant::now(), false);
        for webhook in &mut self.webhooks {
            if !webhook.wants(TYPE) || created_at < webhook.created_at {
                continue;
            }
            if !webhook.status(at, knobs).keeps() || webhook.queue.is_full() {
                self.pushed.lost += 1;
                continue;
            }
            let rng = &mut self.rng;
            let mut chance = || rng.random_range(0.0..1.0);
            let chances = Chances {
                drop: chance(),
                delay: chance(),
                hold: chance(),
                hold_by: chance(),
                repeat: chance(),
                repeat_by: chance(),
            };
            let waits = draw(knobs, chances);
            self.pushed.withheld += u64::from(waits.is_empty());
            is_queued |= !waits.is_empty();
            for wait in waits {
                webhook.queue.add_entry(place, at + created_at.plus(wait).since(now));
            }
        }
        is_queued
    }

    /// All that is to be done now, and when there will be more.
    pub(super) fn take(&mut self, now: Instant, knobs: &PushKnobs) -> (Vec<Job>, Option<Instant>) {
        let (mut jobs, mut wake) = (Vec::new(), None);
        let mut sooner = |at: Option<Instant>| wake = wake.into_iter().chain(at).min();
        for webhook in &mut self.webhooks {
            let job = |webhook: &Webhook, task| Job {
                webhook_id: webhook.id.clone(),
                generation: webhook.generation,
                form: webhook.form.clone(),
                task,
            };
            if let Some((_, tries)) = webhook.challenge.take_if(|(due, _)| *due <= now) {
                let text = dashed(self.rng.random());
                jobs.push(job(webhook, Task::Challenge { text, tries: tries + 1 }));
            }
            sooner(webhook.challenge.map(|(due, _)| due));
            let status = webhook.status(now, knobs);
            if !status.keeps() {
                self.pushed.lost += webhook.queue.clear() as u64;
            }
            if !status.sends() {
                continue;
            }
            let rules = webhook.rules(knobs);
            while let Some(parcel) = webhook.queue.next(now, rules) {
                jobs.push(job(webhook, Task::Push(parcel)));
            }
            sooner(webhook.queue.wake(now, rules));
        }
        (jobs, wake)
    }

    /// What a challenge has come to; `None` for a webhook that was edited meanwhile.
    pub(super) fn settle_challenge(
        &mut self,
        job: &Job,
        tries: u32,
        proof: &Proof,
        knobs: &PushKnobs,
    ) -> Option<Notice> {
        let webhook = self.find(&job.webhook_id).ok()?;
        if webhook.generation != job.generation {
            return None;
        }
        webhook.rate = proof.rate;
        match (&proof.refused, challenge_pause(tries, knobs)) {
            (None, _) => webhook.standing.verified(),
            (Some(_), Some(pause)) => webhook.challenge = Some((Instant::now() + pause, tries)),
            (Some(why), None) => webhook.standing.refused(why.clone()),
        }
        let name = webhook.form.name.clone();
        Some(Notice::Challenged { name, refused: proof.refused.clone() })
    }

    /// What a push has come to.
    pub(super) fn settle_push(
        &mut self,
        job: &Job,
        mut parcel: Parcel,
        (sent, heard): (Sent, Heard),
        knobs: &PushKnobs,
        at: Timestamp,
    ) -> Notice {
        let (events, status) = (parcel.entries.len(), heard.status);
        self.pushed.requests += 1;
        let failure_id = self.new_id();
        let is_success = heard.is_success();
        *(if is_success { &mut self.pushed.accepted } else { &mut self.pushed.failed }) += 1;
        let Some(webhook) = self.webhooks.iter_mut().find(|one| one.id == job.webhook_id) else {
            self.pushed.lost += if is_success { 0 } else { events as u64 };
            return Notice::Pushed { events, status };
        };
        webhook.queue.done();
        parcel.tries += 1;
        if is_success {
            webhook.note((parcel, false), (sent, heard), at);
            return Notice::Pushed { events, status };
        }
        let now = Instant::now();
        webhook.standing.failed(parcel.tries, now);
        parcel.failure_id.get_or_insert(failure_id);
        let pause = pause(parcel.tries, knobs);
        webhook.note((parcel.clone(), pause.is_some()), (sent, heard), at);
        let Some(pause) = pause else {
            self.pushed.given_up += events as u64;
            return Notice::GivenUp { events };
        };
        webhook.queue.add_parcel(parcel, now + pause);
        Notice::Pushed { events, status }
    }

    /// Whether a webhook may be challenged now because its owner asks.
    pub(super) fn verify(&mut self, id: &str) -> Result<Job, Problem> {
        let text = dashed(self.rng.random());
        let webhook = self.find(id)?;
        let now = Instant::now();
        if webhook.status(now, &PushKnobs::default()) == Status::Disabled {
            return Err(Problem::bad_request("id", "the webhook is paused"));
        }
        if !webhook.form.wants_challenge() {
            let why = "challengeRequestEnabled is false: there is nothing to verify";
            return Err(Problem::bad_request("id", why));
        }
        webhook.challenge = None;
        let (form, generation) = (webhook.form.clone(), webhook.generation);
        let task = Task::Challenge { text, tries: u32::MAX };
        Ok(Job { webhook_id: id.to_owned(), generation, form, task })
    }

    fn new_id(&mut self) -> String {
        dashed(self.rng.random())
    }
}

#[cfg(test)]
mod tests;
