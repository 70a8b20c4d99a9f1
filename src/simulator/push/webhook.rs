//! One registered webhook: what it is, how it stands, what waits for it, what became of it.

use std::collections::VecDeque;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::model::timestamp::Timestamp;
use crate::simulator::push::event::TYPE;
use crate::simulator::push::form::Form;
use crate::simulator::push::knobs::PushKnobs;
use crate::simulator::push::post::{Heard, Sent};
use crate::simulator::push::queue::{Parcel, Queue, Rules};
use crate::simulator::push::standing::{Standing, Status};

/// Deliveries that are remembered, and the most that one answer lists (HPE developer
/// portal, webhook API: 200).
const DELIVERIES_MAX: usize = 200;

/// Who has made everything here, as far as anybody can tell.
const OWNER: &str = "sample.user@example.com";

/// A webhook.
pub(super) struct Webhook {
    pub(super) id: String,
    pub(super) form: Form,
    pub(super) standing: Standing,
    /// Grows with each change: what was begun before it counts no more.
    pub(super) generation: u32,
    pub(super) created_at: Timestamp,
    updated_at: Timestamp,
    pub(super) subscriptions: Vec<Subscription>,
    /// When its challenge is due, and how often it has failed.
    pub(super) challenge: Option<(Instant, u32)>,
    /// Requests a minute that its receiver grants; `None`: it has not said, -1: any.
    pub(super) rate: Option<i64>,
    pub(super) queue: Queue,
    deliveries: VecDeque<Delivery>,
}

/// What a webhook is told of.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) event_type: String,
}

/// One try of one push.
#[derive(Clone, Debug)]
struct Delivery {
    parcel: Parcel,
    will_retry: bool,
    at: Timestamp,
    sent: Sent,
    heard: Heard,
}

impl Webhook {
    pub(super) fn new(id: String, form: Form, now: Timestamp) -> Self {
        let mut webhook = Self {
            standing: Standing::edited(false, OWNER),
            id,
            form,
            generation: 0,
            created_at: now,
            updated_at: now,
            subscriptions: Vec::new(),
            challenge: None,
            rate: None,
            queue: Queue::default(),
            deliveries: VecDeque::new(),
        };
        webhook.begin_anew(now);
        webhook
    }

    /// Takes another form. Whatever is edited or resumed is challenged again (HPE user
    /// guide, webhooks).
    pub(super) fn edit(&mut self, form: Form, now: Timestamp) {
        self.form = form;
        self.begin_anew(now);
    }

    fn begin_anew(&mut self, now: Timestamp) {
        self.generation += 1;
        self.updated_at = now;
        self.rate = None;
        self.standing = Standing::edited(self.form.paused, OWNER);
        self.challenge = (!self.form.paused).then(|| (Instant::now(), 0));
    }

    pub(super) fn status(&mut self, now: Instant, knobs: &PushKnobs) -> Status {
        self.standing.status(now, knobs)
    }

    /// What its queue has to keep to.
    pub(super) fn rules(&self, knobs: &PushKnobs) -> Rules {
        Rules {
            batch_events: self.form.batching.then_some(knobs.batch_events.max(1)),
            batch_wait: knobs.batch_wait(),
            rate: self.rate.and_then(|rate| usize::try_from(rate).ok()),
        }
    }

    pub(super) fn wants(&self, event_type: &str) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.event_type == event_type)
    }

    /// Takes note of a try; the oldest goes when there are too many.
    pub(super) fn note(
        &mut self,
        (parcel, will_retry): (Parcel, bool),
        (sent, heard): (Sent, Heard),
        at: Timestamp,
    ) {
        self.deliveries.truncate(DELIVERIES_MAX - 1);
        self.deliveries.push_front(Delivery { parcel, will_retry, at, sent, heard });
    }

    /// The failed push that is known by this id, to be tried anew.
    pub(super) fn find_failure(&self, failure_id: &str) -> Option<Parcel> {
        let is_it = |known: &Option<String>| known.as_deref() == Some(failure_id);
        let found = self.deliveries.iter().find(|delivery| is_it(&delivery.parcel.failure_id))?;
        Some(Parcel { tries: 0, ..found.parcel.clone() })
    }

    /// As the API shows it: without its secrets.
    pub(super) fn shown(&mut self, now: Instant, knobs: &PushKnobs) -> Value {
        let status = self.status(now, knobs);
        let form = &self.form;
        let mut shown = json!({ "id": self.id, "type": "events/webhook", "name": form.name,
            "description": form.description, "destination": form.destination,
            "paused": form.paused, "status": status, "resourceUri": uri(&self.id),
            "generation": self.generation, "hpePrincipal": "user:simulated",
            "createdBy": OWNER, "createdAt": self.created_at.to_rfc3339_millis(),
            "updatedAt": self.updated_at.to_rfc3339_millis(), "clientId": form.client_id,
            "issuerUrl": form.issuer_url, "authType": form.auth_type,
            "dualSecret": !form.secondary_secret.is_empty(), "batching": form.batching,
            "challengeRequestEnabled": form.wants_challenge(),
            "endpointRateLimit": self.rate });
        if let Some(reason) = self.standing.reason() {
            shown["stateReason"] = json!(reason);
        }
        shown
    }

    /// What became of its pushes, newest first.
    pub(super) fn shown_deliveries(&self, workspace_id: &str) -> Vec<Value> {
        let subject = format!("events.{workspace_id}.{}", self.id);
        let shown = |delivery: &Delivery| {
            let Delivery { parcel, will_retry, at, sent, heard } = delivery;
            let at = at.to_rfc3339_millis();
            let description = if parcel.is_batch {
                format!("Batch of {} events", parcel.entries.len())
            } else {
                TYPE.to_owned()
            };
            json!({ "id": sent.id, "type": "events/webhook-delivery", "subject": subject,
                "httpResponseCode": heard.status.unwrap_or(0),
                "requestHeaders": sent.shown_headers(),
                "requestBody": text(&sent.body), "responseHeaders": heard.shown_headers(),
                "responseBody": heard.shown_body(),
                "status": if heard.is_success() { "SUCCESS" } else { "FAILURE" },
                "retryStatus": if *will_retry { "RETRY" } else { "NORETRY" },
                "failureId": parcel.failure_id, "description": description,
                "createdAt": at, "updatedAt": at, "generation": parcel.tries })
        };
        self.deliveries.iter().map(shown).collect()
    }
}

/// The path by which the API knows a webhook.
pub(super) fn uri(id: &str) -> String {
    format!("/events/v1beta1/webhooks/{id}")
}

/// Bytes of a request's body that a list of deliveries shows.
const SHOWN_BODY: usize = 8 * 1024;

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(SHOWN_BODY)]).into_owned()
}

impl Heard {
    /// Whether the receiver has taken it: any 2xx.
    pub(super) fn is_success(&self) -> bool {
        self.status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .is_some_and(|status| status.is_success())
    }
}
