//! The canonical event: one thing that happened, whichever way it came.

#[cfg(test)]
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(test)]
use crate::model::envelope::Data;
use crate::model::envelope::{CloudEvent, json};
use crate::model::timestamp::Timestamp;

/// The envelope's `source` of every audit entry (HPE developer blog on GreenLake's
/// webhooks, captured push; part of our contract with targets).
pub const AUDIT_SOURCE: &str = "//global.api.greenlake.hpe.com/audit-log";

/// The envelope's `type` of every audit entry (same source, same contract).
pub const AUDIT_TYPE: &str = "com.hpe.greenlake.audit-log.v1.logs.created";

/// Place of an event in the ledger: 1 for the first, without holes.
pub type Sequence = i64;

/// By which way an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// We asked the source for it.
    Poll,
    /// The source sent it to our receiver.
    Push,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 2] = [Self::Poll, Self::Push];

    /// The route's name in envelopes, tables and configuration: `poll` or `push`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Push => "push",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Route {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|route| route.as_str() == text).ok_or(())
    }
}

/// What people search an audit entry by. `None` where the source left it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Category, normalised: lower case with underscores (`user_management`).
    pub category: Option<Arc<str>>,
    /// Who did it, usually an e-mail address.
    pub username: Option<Arc<str>>,
    /// What was done, free text.
    pub description: Option<Arc<str>>,
    /// Address the user came from.
    pub ip_address: Option<Arc<str>>,
}

/// An event before the ledger has given it a sequence.
///
/// Two events are the same when `workspace_id`, `envelope.source` and `envelope.id`
/// are equal: for audit entries that is the workspace and the audit id, on both routes.
#[derive(Clone, Debug)]
pub struct Event {
    /// Workspace that the event belongs to: 32 hex digits in GreenLake.
    pub workspace_id: String,
    /// When it happened, by the source.
    pub occurred_at: Timestamp,
    /// The envelope without what the ledger adds at storing.
    pub envelope: CloudEvent,
    /// What people search by.
    pub facts: Facts,
}

/// What the ledger adds to the events that it stores at one moment, by one route.
#[derive(Clone, Debug)]
pub struct Seal {
    recorded_at: String,
    route: Route,
}

impl Seal {
    /// For events that are stored at `recorded_at` and came by `route`.
    #[must_use]
    pub fn new(recorded_at: Timestamp, route: Route) -> Self {
        Self { recorded_at: recorded_at.to_rfc3339_millis(), route }
    }

    /// The event's final envelope in the JSON format: what every target gets, now and at any
    /// replay.
    ///
    /// Adds `recordedtime`, `partitionkey`, `sequence` (19 digits, so that plain string
    /// order is ledger order) and `tailwaterroute`, as targets were promised. What an event
    /// other than an audit entry brings of the first three is left as it is: no
    /// intermediary may change `recordedtime` (CloudEvents extensions).
    #[must_use]
    pub fn text(&self, event: &Event, sequence: Sequence) -> String {
        let is_ours = event.envelope.event_type == AUDIT_TYPE;
        let brings = |name| event.envelope.extensions.contains_key(name);
        let sequence = format!("{sequence:019}");
        let mut added = [
            ("partitionkey", &*event.workspace_id),
            ("recordedtime", &self.recorded_at),
            ("sequence", &sequence),
            ("tailwaterroute", self.route.as_str()),
        ];
        let mut kept = 0;
        for at in 0..added.len() {
            let (name, _) = added[at];
            if is_ours || name == "tailwaterroute" || !brings(name) {
                added[kept] = added[at];
                kept += 1;
            }
        }
        json::to_text_with(&event.envelope, &added[..kept])
    }
}

#[cfg(test)]
impl Event {
    /// An audit entry with nothing in it but its id and its time.
    pub(crate) fn bare(id: &str, occurred_at: Timestamp) -> Self {
        let envelope = CloudEvent {
            id: id.to_owned(),
            source: AUDIT_SOURCE.to_owned(),
            event_type: AUDIT_TYPE.to_owned(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: BTreeMap::new(),
            data: Data::None,
        };
        let workspace_id = "3009de2825f211ec8a84fedebcb4a754".to_owned();
        Self { workspace_id, occurred_at, envelope, facts: Facts::default() }
    }
}

/// An item that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The item as it came.
    pub raw: String,
    /// What is wrong with it.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::envelope::ExtensionValue;

    #[test]
    fn a_seal_adds_what_targets_were_promised_in_the_order_of_names() {
        let at = Timestamp::from_secs(1_734_698_093);
        let mut event = Event::bare("one", at);
        let own = |text: &str| ExtensionValue::String(text.to_owned());
        for name in ["partitionkey", "sequence", "traceparent"] {
            event.envelope.extensions.insert(name.to_owned(), own("theirs"));
        }
        let seal = Seal::new(at, Route::Push);
        let extensions = |text: &str| {
            let event = json::parse(text.as_bytes()).unwrap();
            let shown = |(name, value): (&String, &ExtensionValue)| format!("{name}={value}");
            event.extensions.iter().map(shown).collect::<Vec<_>>()
        };
        let text = seal.text(&event, 7);
        let places: Vec<usize> = ["partitionkey", "recordedtime", "sequence", "tailwaterroute"]
            .iter()
            .map(|name| text.find(name).unwrap())
            .collect();
        assert!(places.is_sorted(), "{text}");
        assert_eq!(
            extensions(&text),
            [
                "partitionkey=3009de2825f211ec8a84fedebcb4a754",
                "recordedtime=2024-12-20T12:34:53.000Z",
                "sequence=0000000000000000007",
                "tailwaterroute=push",
                "traceparent=theirs",
            ],
            "an audit entry's are ours"
        );

        "com.hpe.greenlake.subscriptions.expiring".clone_into(&mut event.envelope.event_type);
        assert_eq!(
            extensions(&seal.text(&event, 8)),
            [
                "partitionkey=theirs",
                "recordedtime=2024-12-20T12:34:53.000Z",
                "sequence=theirs",
                "tailwaterroute=push",
                "traceparent=theirs",
            ],
            "what another event brings stays"
        );
    }
}
