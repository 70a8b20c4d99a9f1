//! Stand-ins for the tests of this module.

use std::collections::BTreeMap;

use crate::greenlake::Page;
use crate::model::envelope::{CloudEvent, Data};
use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Facts};
use crate::model::timestamp::Timestamp;

pub(crate) fn make_event(id: &str, second: i64) -> Event {
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
    Event {
        workspace_id: "3009de2825f211ec8a84fedebcb4a754".to_owned(),
        occurred_at: Timestamp::from_secs(second),
        envelope,
        facts: Facts::default(),
    }
}

pub(crate) fn make_page(events: Vec<Event>, count: u64, total: u64) -> Page {
    let asked_at = Timestamp::from_secs(0);
    Page { events, unreadable: Vec::new(), count, total, asked_at, bytes: 0 }
}
