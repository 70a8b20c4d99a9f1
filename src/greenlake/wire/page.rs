//! A page of the list.

use serde_json::value::RawValue;

use crate::greenlake::wire::entry::read_entry;
use crate::greenlake::wire::members::Members;
use crate::model::event::{Event, Unreadable};

/// Entries in one answer: the API's own limit (HPE developer portal, audit logs). An
/// answer with more was not made for our question.
const MAX_ENTRIES: usize = 2_000;

/// What a page holds.
pub(crate) struct Entries {
    /// The readable entries in the order of the page.
    pub(crate) events: Vec<Event>,
    /// The others, in the same order.
    pub(crate) unreadable: Vec<Unreadable>,
    /// `count` as stated.
    pub(crate) count: u64,
    /// `total` as stated.
    pub(crate) total: u64,
}

/// Reads an answer's body. Entries without a workspace get `workspace_id`.
///
/// One that cannot be read is set aside with its text; the rest goes on. Bytes that are
/// no UTF-8 become U+FFFD, so that one bad entry does not hide a page.
///
/// # Errors
/// A sentence on why the body is no page; it does not quote the body.
pub(crate) fn read_page(body: &[u8], workspace_id: &str) -> Result<Entries, String> {
    let text = String::from_utf8_lossy(body);
    let page: &RawValue = serde_json::from_str(&text).map_err(|error| not_json(&error))?;
    let mut page = Members::of(page).ok_or("is JSON but no object")?;

    let count = number(page.take("count")).ok_or("has no whole number as `count`")?;
    let total = number(page.take("total")).ok_or("has no whole number as `total`")?;
    let items = page.take("items").ok_or("has no `items`")?;
    let items: Vec<&RawValue> =
        serde_json::from_str(items.get()).map_err(|_| "has `items` that are no list")?;
    if items.len() > MAX_ENTRIES {
        return Err(format!("holds {} entries, more than the limit {MAX_ENTRIES}", items.len()));
    }

    let mut entries =
        Entries { events: Vec::with_capacity(items.len()), unreadable: Vec::new(), count, total };
    for item in items {
        match read_entry(item, workspace_id) {
            Ok(event) => entries.events.push(event),
            Err(reason) => {
                entries.unreadable.push(Unreadable { raw: item.get().to_owned(), reason });
            }
        }
    }
    Ok(entries)
}

fn number(value: Option<&RawValue>) -> Option<u64> {
    value?.get().parse().ok()
}

fn not_json(error: &serde_json::Error) -> String {
    let problem = if error.is_eof() { "ends too early" } else { "is no JSON" };
    format!("{problem} (line {}, column {})", error.line(), error.column())
}
