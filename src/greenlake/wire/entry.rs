//! One audit entry into the canonical event.
//!
//! `data` gets the form in which GreenLake itself pushes entries (HPE developer blog,
//! eventing framework, December 2024), so that a handler written for its webhooks works
//! behind us. What only polling knows is added; what we do not know is carried on.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::greenlake::wire::members::{Members, shared_text, text};
use crate::greenlake::wire::object::Object;
use crate::model::envelope::{CloudEvent, Data};
use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Facts};
use crate::model::timestamp::Timestamp;

/// Characters shown of a broken time; the whole entry is kept beside the reason.
const SHOWN_CHARS: usize = 40;

/// Room for the text of an ordinary `data`, in bytes.
const DATA_USUAL: usize = 1_024;

/// Reads one entry of either API version.
///
/// # Errors
/// A sentence on what is wrong: no id, no creation time, or nested too deep.
pub(super) fn read_entry(raw: &RawValue, workspace_id: &str) -> Result<Event, String> {
    let mut entry = Members::of(raw).ok_or("the entry is no object")?;
    let id = entry.take_text("id").filter(|id| !id.is_empty()).ok_or("`id` is no text")?;
    let created = entry.take_text("createdAt").ok_or("`createdAt` is no text")?;
    let created_at = Timestamp::parse_rfc3339(&created).ok_or_else(|| {
        let shown: String = created.chars().take(SHOWN_CHARS).collect();
        format!("`createdAt` is no RFC 3339 date-time: {shown:?}")
    })?;
    // The resource's type (`/audit-log/logs`) is the envelope's business.
    entry.take("type");

    let mut workspace = entry.take("workspace").and_then(Members::of);
    let own_id = workspace.as_mut().and_then(|workspace| workspace.take_text("id"));
    let workspace_id =
        own_id.filter(|id| !id.is_empty()).unwrap_or_else(|| workspace_id.to_owned());

    let facts = facts(&entry);
    let data = data(&id, created_at, &workspace_id, workspace, entry)?;
    let envelope = CloudEvent {
        id,
        source: AUDIT_SOURCE.to_owned(),
        event_type: AUDIT_TYPE.to_owned(),
        subject: Some(workspace_id.clone()),
        time: Some(created_at.to_rfc3339()),
        datacontenttype: Some("application/json".to_owned()),
        dataschema: None,
        extensions: BTreeMap::new(),
        data: Data::Json(data),
    };
    Ok(Event { workspace_id, occurred_at: created_at, envelope, facts })
}

fn facts(entry: &Members<'_>) -> Facts {
    let user = entry.get("user").and_then(Members::of);
    let info = entry.get("additionalInfo").and_then(Members::of);
    let text_at = |members: &Members<'_>, name| members.get(name).and_then(shared_text);
    Facts {
        category: text_at(entry, "category").map(|category| normalised(&category).into()),
        username: user
            .and_then(|user| text_at(&user, "username"))
            .or_else(|| text_at(entry, "username")),
        description: text_at(entry, "description"),
        ip_address: info
            .and_then(|info| text_at(&info, "ipAddress").or_else(|| text_at(&info, "ip_address")))
            .or_else(|| text_at(entry, "ipAddress")),
    }
}

/// A category as GreenLake pushes it: `User Management` → `user_management`. Each run of
/// characters that are neither letters nor digits becomes one underscore.
pub(super) fn normalised(category: &str) -> String {
    let lower = category.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("_")
}

fn data(
    id: &str,
    created_at: Timestamp,
    workspace_id: &str,
    workspace: Option<Members<'_>>,
    mut entry: Members<'_>,
) -> Result<Box<RawValue>, String> {
    let mut data = Object::with_capacity(DATA_USUAL);
    data.text("id", id);
    append_user(&mut data, &mut entry);
    append_workspace(&mut data, workspace_id, workspace);
    append_application(&mut data, &mut entry);
    let category = entry.take("category");
    match category.and_then(text) {
        Some(category) => data.text("category", &normalised(&category)),
        None => data.member("category", category),
    }
    data.member("description", entry.take("description"));
    data.json("created_at", &created_at.millis().to_string());
    append_time(&mut data, "updated_at", entry.take("updatedAt"));
    data.member("generation", entry.take("generation"));
    append_info(&mut data, &mut entry);
    data.member("has_details", entry.take("hasDetails"));
    data.members(entry.rest());
    data.finish()
}

/// v1 `user.username`, v2beta1 `username`.
fn append_user(data: &mut Object, entry: &mut Members<'_>) {
    if let Some(user) = entry.take("user") {
        data.json("user", user.get());
    } else if let Some(username) = entry.take("username") {
        let mut user = Object::default();
        user.json("username", username.get());
        data.object("user", &user);
    }
}

/// v1 `workspaceName`, v2beta1 `name` and `type`. The two are always there, as in a push.
fn append_workspace(data: &mut Object, id: &str, members: Option<Members<'_>>) {
    let mut workspace = Object::default();
    workspace.text("id", id);
    let Some(mut members) = members else {
        workspace.json("workspace_name", "null");
        workspace.json("workspace_type", "null");
        return data.object("workspace", &workspace);
    };
    let name = members.take("workspaceName").or_else(|| members.take("name"));
    let kind = members.take("workspaceType").or_else(|| members.take("type"));
    workspace.json("workspace_name", name.map_or("null", RawValue::get));
    workspace.json("workspace_type", kind.map_or("null", RawValue::get));
    workspace.members(members.rest());
    data.object("workspace", &workspace);
}

/// v1 `application` and `region` beside it, v2beta1 `serviceOffer` with its own region.
fn append_application(data: &mut Object, entry: &mut Members<'_>) {
    let mut region = None;
    if let Some(application) = entry.take("application") {
        data.json("application", application.get());
    } else if let Some(mut offer) = entry.get("serviceOffer").and_then(Members::of) {
        entry.take("serviceOffer");
        let mut application = Object::default();
        application.member("id", offer.take("id"));
        application.member("application_name", offer.take("name"));
        region = offer.take("region");
        application.members(offer.rest());
        data.object("application", &application);
    }
    data.member("region", entry.take("region").or(region));
}

/// v1 keeps the address among `additionalInfo`, v2beta1 beside it.
fn append_info(data: &mut Object, entry: &mut Members<'_>) {
    let info = entry.take("additionalInfo");
    let beside = entry.take("ipAddress");
    let (Some(address), members) = (beside, info.map(Members::of)) else {
        return data.member("additional_info", info);
    };
    let mut written = Object::default();
    match &members {
        Some(None) => {
            data.member("additional_info", info);
            return data.member("ipAddress", Some(address));
        }
        Some(Some(members)) => {
            let same = |name| members.get(name).is_some_and(|own| own.get() == address.get());
            if !same("ipAddress") && !same("ip_address") {
                written.json("ip_address", address.get());
            }
            written.members(members.rest());
        }
        None => written.json("ip_address", address.get()),
    }
    data.object("additional_info", &written);
}

/// A time as epoch milliseconds; one that cannot be read stays as it is.
fn append_time<'a>(data: &mut Object<'a>, name: &'a str, value: Option<&RawValue>) {
    let at = value.and_then(text).and_then(|text| Timestamp::parse_rfc3339(&text));
    match at {
        Some(at) => data.json(name, &at.millis().to_string()),
        None => data.member(name, value),
    }
}

#[cfg(test)]
mod tests;
