//! Entries as the two API versions write them; key order as in published answers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::model::timestamp::Timestamp;
use crate::simulator::entry::{Entry, Workspace};
use crate::simulator::filter::Version;
use crate::simulator::request::Columns;
use crate::simulator::store::Found;

/// What goes into the envelope of a page besides its items.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) offset: usize,
    pub(super) count: Count,
    /// `None` leaves it out.
    pub(super) total: Option<usize>,
    pub(super) remaining: bool,
    /// Writes `items`, else null.
    pub(super) has_items: bool,
    /// Leaves the id out of the first item.
    pub(super) is_first_broken: bool,
}

/// How truthful `count` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Right,
    Wrong,
    Missing,
}

/// The body of a page.
pub(super) fn page(
    version: Version,
    found: &Found<'_>,
    workspace: &Workspace,
    columns: &Columns,
    envelope: Envelope,
) -> Vec<u8> {
    let count = match envelope.count {
        Count::Right => Some(found.page.len()),
        Count::Wrong => Some(found.page.len() + 1),
        Count::Missing => None,
    };
    let id = |place: usize, entry| {
        let entry: &Entry = entry;
        (place > 0 || !envelope.is_first_broken).then_some(&*entry.id)
    };
    let entries = found.page.iter().enumerate();
    let Envelope { offset, total, remaining, has_items, .. } = envelope;
    match version {
        Version::V1 => {
            let items = entries.map(|(at, e)| item_v1(id(at, e), e, workspace, columns));
            let items = has_items.then(|| items.collect());
            json(&PageV1 { items, count, total, offset, remaining })
        }
        Version::V2Beta1 => {
            let items = entries.map(|(at, e)| item_v2(id(at, e), e, workspace, columns));
            let items = has_items.then(|| items.collect());
            json(&PageV2 { count, offset, total, remaining, items })
        }
    }
}

/// One entry by itself, as v2beta1 has it.
pub(super) fn single(entry: &Entry, workspace: &Workspace) -> Vec<u8> {
    json(&item_v2(Some(&entry.id), entry, workspace, &Columns::default()))
}

/// One entry by itself, as v1 has it in its lists.
pub(super) fn rest_v1(entry: &Entry, workspace: &Workspace) -> Box<RawValue> {
    let item = item_v1(Some(&entry.id), entry, workspace, &Columns::default());
    to_raw_value(&item).expect("texts, numbers and maps with text keys")
}

/// The detail record of an entry.
pub(super) fn detail(version: Version, entry: &Entry) -> Vec<u8> {
    let kind = match version {
        Version::V1 => "audit_details",
        Version::V2Beta1 => "/audit-log/log/details",
    };
    json(&serde_json::json!({ "id": &*entry.id, "type": kind, "header": &*entry.category,
        "body": [&entry.description] }))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts, numbers and maps with text keys")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageV1<'a> {
    items: Option<Vec<ItemV1<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    offset: usize,
    #[serde(rename = "remainingRecords")]
    remaining: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageV2<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    offset: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    #[serde(rename = "remainingRecords")]
    remaining: bool,
    items: Option<Vec<ItemV2<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemV1<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserV1<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<WorkspaceV1<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    application: ApplicationV1<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    generation: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_info: Option<BTreeMap<&'a str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_details: Option<bool>,
}

#[derive(Serialize)]
struct UserV1<'a> {
    username: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkspaceV1<'a> {
    id: &'a str,
    workspace_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApplicationV1<'a> {
    id: &'a str,
    application_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemV2<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_offer: Option<ServiceOffer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<WorkspaceV2<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_info: Option<BTreeMap<&'a str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_details: Option<bool>,
}

#[derive(Serialize)]
struct ServiceOffer<'a> {
    id: &'a str,
    name: &'a str,
    region: &'a str,
}

#[derive(Serialize)]
struct WorkspaceV2<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

fn item_v1<'a>(
    id: Option<&'a str>,
    entry: &'a Entry,
    workspace: &'a Workspace,
    columns: &Columns,
) -> ItemV1<'a> {
    let created_at = || columns.has("createdAt").then(|| whole_second(entry.created_at, "000000"));
    let mut info = info(entry);
    if let Some(address) = entry.ip_address {
        info.insert("ipAddress", address.to_string());
    }
    ItemV1 {
        id,
        kind: "/audit-log/logs",
        user: columns.has("user").then_some(UserV1 { username: &entry.username }),
        workspace: columns
            .has("workspace")
            .then_some(WorkspaceV1 { id: &workspace.id, workspace_name: &workspace.name }),
        category: columns.has("category").then_some(&entry.category),
        application: ApplicationV1 { id: &entry.service.id, application_name: &entry.service.name },
        region: entry.service.region.as_deref(),
        description: columns.has("description").then_some(&entry.description),
        generation: 1,
        created_at: created_at(),
        updated_at: created_at(),
        additional_info: columns.has("additionalInfo").then_some(info),
        has_details: columns.has("hasDetails").then_some(entry.has_details),
    }
}

fn item_v2<'a>(
    id: Option<&'a str>,
    entry: &'a Entry,
    workspace: &'a Workspace,
    columns: &Columns,
) -> ItemV2<'a> {
    let info = info(entry);
    ItemV2 {
        id,
        kind: "/audit-log/log",
        service_offer: columns.has("serviceOffer").then_some(ServiceOffer {
            id: &entry.service.id,
            name: &entry.service.name,
            region: entry.service.region.as_deref().unwrap_or("global"),
        }),
        username: columns.has("username").then_some(&entry.username),
        category: columns.has("category").then_some(&entry.category),
        description: columns.has("description").then_some(&entry.description),
        workspace: columns.has("workspace").then_some(WorkspaceV2 {
            id: &workspace.id,
            name: &workspace.name,
            kind: &workspace.kind,
        }),
        created_at: columns.has("createdAt").then(|| whole_second(entry.created_at, "0")),
        ip_address: entry.ip_address.filter(|_| columns.has("ipAddress")),
        additional_info: (columns.has("additionalInfo") && !info.is_empty()).then_some(info),
        has_details: columns.has("hasDetails").then_some(entry.has_details),
    }
}

fn info(entry: &Entry) -> BTreeMap<&str, String> {
    entry.info.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

/// Real answers show whole seconds, with a fraction of zeros.
fn whole_second(at: Timestamp, zeros: &str) -> String {
    let mut text = at.to_rfc3339_secs();
    text.pop();
    text + "." + zeros + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace {
            id: "3009de2825f211ec8a84fedebcb4a754".to_owned(),
            name: "Example workspace".to_owned(),
            kind: "STANDALONE".to_owned(),
        }
    }

    fn entry() -> Entry {
        let at = Timestamp::parse_rfc3339("2023-12-14T17:09:02.720Z").unwrap();
        let mut entry = Entry::new("IIhNaYwB1rI6_zwDmuiA", at, "User jane@example.com logged out");
        entry.ip_address = Some("203.0.113.7".parse().unwrap());
        entry
    }

    fn render(version: Version, is_first_broken: bool) -> String {
        let entry = entry();
        let found = Found { page: vec![&entry], total: 10, is_capped: false };
        let envelope = Envelope {
            offset: 0,
            count: Count::Right,
            total: Some(10),
            remaining: false,
            has_items: true,
            is_first_broken,
        };
        let body = page(version, &found, &workspace(), &Columns::default(), envelope);
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_v1_page_is_the_published_one() {
        assert_eq!(
            render(Version::V1, false),
            concat!(
                r#"{"items":[{"id":"IIhNaYwB1rI6_zwDmuiA","type":"/audit-log/logs","#,
                r#""user":{"username":"jane@example.com"},"#,
                r#""workspace":{"id":"3009de2825f211ec8a84fedebcb4a754","workspaceName":"Example workspace"},"#,
                r#""category":"User Management","#,
                r#""application":{"id":"00000000-0000-0000-0000-000000000000","applicationName":"HPE GreenLake platform"},"#,
                r#""description":"User jane@example.com logged out","generation":1,"#,
                r#""createdAt":"2023-12-14T17:09:02.000000Z","updatedAt":"2023-12-14T17:09:02.000000Z","#,
                r#""additionalInfo":{"ipAddress":"203.0.113.7"},"hasDetails":false}],"#,
                r#""count":1,"total":10,"offset":0,"remainingRecords":false}"#,
            )
        );
    }

    #[test]
    fn a_v2beta1_page_is_the_published_one() {
        assert_eq!(
            render(Version::V2Beta1, false),
            concat!(
                r#"{"count":1,"offset":0,"total":10,"remainingRecords":false,"items":["#,
                r#"{"id":"IIhNaYwB1rI6_zwDmuiA","type":"/audit-log/log","#,
                r#""serviceOffer":{"id":"00000000-0000-0000-0000-000000000000","name":"HPE GreenLake platform","region":"global"},"#,
                r#""username":"jane@example.com","category":"User Management","#,
                r#""description":"User jane@example.com logged out","#,
                r#""workspace":{"id":"3009de2825f211ec8a84fedebcb4a754","name":"Example workspace","type":"STANDALONE"},"#,
                r#""createdAt":"2023-12-14T17:09:02.0Z","ipAddress":"203.0.113.7","hasDetails":false}]}"#,
            )
        );
    }

    #[test]
    fn a_broken_item_has_no_id() {
        assert!(render(Version::V1, true).starts_with(r#"{"items":[{"type":"#));
    }
}
