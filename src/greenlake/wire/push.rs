//! What GreenLake pushes: audit entries in three shapes, other events, challenges.
//!
//! - **A**, seen in a capture (HPE developer blog, eventing framework, December 2024): the
//!   entry in `snake_case`, `created_at` in epoch milliseconds, `data.id` = the envelope's.
//! - **B**, the event catalogue's form (HPE developer portal, audit logs): the publisher's
//!   input, without the entry's id. Never seen; it is known by the envelope's id.
//! - **C**, HPE's own standard for events: the entry as the REST API shows it, under an
//!   envelope with an id of its own. Never seen; it is known by `data.id`.
//!
//! An entry that is pushed and one that is polled become the same event: same source,
//! same id. `data` is passed on as it came.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::greenlake::wire::entry::normalised;
use crate::greenlake::wire::members::{Members, text};
use crate::model::envelope::{CloudEvent, Data};
use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Facts};
use crate::model::timestamp::Timestamp;

/// End of the type of a challenge; some of HPE's samples lack the `com.` in front.
const CHALLENGE_TYPE: &str = "webhooks.verification";

/// The platform itself among the applications (HPE developer portal, audit logs).
const PLATFORM: &str = "00000000-0000-0000-0000-000000000000";

/// Digits of a workspace's id.
const WORKSPACE_DIGITS: usize = 32;

/// A pushed event in our form.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The event, under its own workspace where it names one.
    pub event: Event,
    /// In which lists polling can find it.
    pub listed: Listed,
}

/// In which lists of the audit log an event can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// In those of the platform and in those of all services.
    Platform,
    /// In those of all services alone.
    Service,
    /// In none, or under an id that the push does not tell.
    Nowhere,
}

/// The text to be answered, if the event is a challenge: a type that ends in
/// `webhooks.verification` and a text in `data.challengeRequest`.
#[must_use]
pub fn find_challenge(event: &CloudEvent) -> Option<String> {
    let Data::Json(data) = &event.data else { return None };
    if !event.event_type.ends_with(CHALLENGE_TYPE) {
        return None;
    }
    Members::of(data)?.take_text("challengeRequest")
}

/// Reads a pushed event; one without a workspace gets `workspace_id`, one without a time
/// `received_at`.
///
/// # Errors
/// A sentence on what is wrong: an audit entry without an object in `data`, or with an id
/// that is none.
pub fn read_push(
    envelope: CloudEvent,
    workspace_id: &str,
    received_at: Timestamp,
) -> Result<Pushed, String> {
    if is_entry(&envelope.event_type) {
        return read_entry_push(envelope, workspace_id, received_at);
    }
    let subject = envelope.subject.clone().filter(|subject| is_workspace(subject));
    let event = Event {
        workspace_id: subject.unwrap_or_else(|| workspace_id.to_owned()),
        occurred_at: time_of(&envelope).unwrap_or(received_at),
        envelope,
        facts: Facts::default(),
    };
    Ok(Pushed { event, listed: Listed::Nowhere })
}

/// `com.hpe.greenlake.audit-log.<version>.logs.created`, with or without `com.`.
fn is_entry(event_type: &str) -> bool {
    let event_type = event_type.strip_prefix("com.").unwrap_or(event_type);
    event_type.starts_with("hpe.greenlake.audit-log.") && event_type.ends_with(".logs.created")
}

fn is_workspace(text: &str) -> bool {
    text.len() == WORKSPACE_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn time_of(envelope: &CloudEvent) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(envelope.time.as_deref()?)
}

fn read_entry_push(
    mut envelope: CloudEvent,
    workspace_id: &str,
    received_at: Timestamp,
) -> Result<Pushed, String> {
    let Data::Json(raw) = &envelope.data else {
        return Err("the audit entry's data is no JSON".to_owned());
    };
    let data = Members::of(raw).ok_or("the audit entry's data is no object")?;
    let entry = Entry(&data);
    let own_id = entry.text(&["id"]);
    let application = entry.text(&["application", "id"]);
    let listed = match (&own_id, application.as_deref()) {
        (None, _) => Listed::Nowhere,
        (Some(_), Some(PLATFORM)) => Listed::Platform,
        (Some(_), _) => Listed::Service,
    };
    let workspace_id = entry
        .text(&["workspace", "id"])
        .or_else(|| entry.text(&["customer_id"]))
        .or_else(|| envelope.subject.clone().filter(|subject| is_workspace(subject)))
        .unwrap_or_else(|| workspace_id.to_owned());
    let occurred_at = entry.created_at().or_else(|| time_of(&envelope)).unwrap_or(received_at);
    let facts = entry.facts();
    if let Some(id) = own_id {
        envelope.id = id;
    }
    AUDIT_SOURCE.clone_into(&mut envelope.source);
    AUDIT_TYPE.clone_into(&mut envelope.event_type);
    envelope.subject = Some(workspace_id.clone());
    envelope.time.get_or_insert_with(|| occurred_at.to_rfc3339());
    envelope.datacontenttype.get_or_insert_with(|| "application/json".to_owned());
    envelope.check().map_err(|error| error.to_string())?;
    Ok(Pushed { event: Event { workspace_id, occurred_at, envelope, facts }, listed })
}

/// The data of an audit entry in any of the three shapes.
struct Entry<'a>(&'a Members<'a>);

impl<'a> Entry<'a> {
    /// The value that `path` leads to; `None` if it is not there or null.
    fn get(&self, path: &[&str]) -> Option<&'a RawValue> {
        let (last, folders) = path.split_last()?;
        let mut inner: Option<Members<'a>> = None;
        for name in folders {
            let value = inner.as_ref().unwrap_or(self.0).get(name)?;
            inner = Some(Members::of(value)?);
        }
        inner.as_ref().unwrap_or(self.0).get(last)
    }

    /// The text that `path` leads to; `None` if it is not there, empty or something else.
    fn text(&self, path: &[&str]) -> Option<String> {
        self.get(path).and_then(text).filter(|text| !text.is_empty())
    }

    fn first(&self, paths: &[&[&str]]) -> Option<String> {
        paths.iter().find_map(|path| self.text(path))
    }

    /// Epoch milliseconds in A, a text in B and C.
    fn created_at(&self) -> Option<Timestamp> {
        if let Some(millis) = self.get(&["created_at"]).and_then(|raw| raw.get().parse().ok()) {
            return Some(Timestamp::from_micros(i64::saturating_mul(millis, 1_000)));
        }
        let paths: [&[&str]; 3] =
            [&["createdAt"], &["audit_info", "audit_created_at"], &["created_at"]];
        Timestamp::parse_rfc3339(&self.first(&paths)?)
    }

    fn facts(&self) -> Facts {
        let shared = |text: Option<String>| text.map(Arc::from);
        Facts {
            category: self
                .first(&[&["category"], &["audit_info", "category"]])
                .map(|category| normalised(&category).into()),
            username: shared(self.first(&[
                &["user", "username"],
                &["username"],
                &["audit_info", "username"],
            ])),
            description: shared(self.first(&[&["description"], &["audit_info", "description"]])),
            ip_address: shared(self.first(&[
                &["additional_info", "ip_address"],
                &["additional_info", "ip_address_str"],
                &["additionalInfo", "ipAddress"],
                &["ipAddress"],
                &["audit_info", "additional_info", "ip_address"],
            ])),
        }
    }
}

#[cfg(test)]
mod tests;
