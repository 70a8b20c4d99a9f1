//! Events of our own about a source, beside those that it brings: what polling has lost or
//! finds late, and whether its webhook is heard.

use std::collections::BTreeMap;

use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::model::envelope::{CloudEvent, Data};
use crate::model::event::{Event, Facts};
use crate::model::own_event::OWN_SOURCE;
use crate::model::timestamp::Timestamp;

/// What an event of our own says.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The envelope's `type`.
    pub event_type: &'static str,
    /// The same for the same occasion, so that it is stored once.
    pub id: String,
    /// A JSON object; `source` is added to it.
    pub data: Value,
    /// In a sentence.
    pub description: String,
}

/// The event about the source of that name, noticed at `now`.
#[must_use]
pub fn notice(name: &str, workspace_id: &str, now: Timestamp, notice: Notice) -> Event {
    let Notice { event_type, id, mut data, description } = notice;
    data["source"] = json!(name);
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let envelope = CloudEvent {
        id,
        source: format!("{OWN_SOURCE}{name}"),
        event_type: event_type.to_owned(),
        subject: Some(workspace_id.to_owned()),
        time: Some(now.to_rfc3339_millis()),
        datacontenttype: Some("application/json".to_owned()),
        dataschema: None,
        extensions: BTreeMap::new(),
        data: to_raw_value(&data).map_or(Data::None, Data::Json),
    };
    Event {
        workspace_id: workspace_id.to_owned(),
        occurred_at: now,
        envelope,
        facts: Facts { description: Some(description.into()), ..Facts::default() },
    }
}
