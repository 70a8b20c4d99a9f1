//! A page of the list.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::greenlake::wire::entry::read_entry;
use crate::greenlake::wire::members::Name;
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
    // The lossy reading alone would take ten times as long.
    let text = str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    let page: Page<'_> = serde_json::from_str(&text).map_err(|error| not_a_page(&text, &error))?;
    let count = number(page.count).ok_or("has no whole number as `count`")?;
    let total = number(page.total).ok_or("has no whole number as `total`")?;
    let items = page.items.ok_or("has no `items`")?;
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

/// The members of a page, read in one go: a page is a megabyte or two. Of two with one name
/// the last counts.
#[derive(Default)]
struct Page<'a> {
    count: Option<&'a RawValue>,
    total: Option<&'a RawValue>,
    items: Option<Vec<&'a RawValue>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Page<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Page<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Page<'de>, M::Error> {
                let mut page = Page::default();
                while let Some(Name(name)) = map.next_key()? {
                    match &*name {
                        "count" => page.count = map.next_value()?,
                        "total" => page.total = map.next_value()?,
                        "items" => page.items = map.next_value()?,
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(page)
            }
        }

        deserializer.deserialize_map(Read)
    }
}

fn number(value: Option<&RawValue>) -> Option<u64> {
    value?.get().parse().ok()
}

fn not_a_page(text: &str, error: &serde_json::Error) -> String {
    let problem = match error.classify() {
        // JSON of another shape: of the members, `items` alone has to have one.
        Category::Data if text.trim_start().starts_with('{') => {
            return "has `items` that are no list".to_owned();
        }
        Category::Data => return "is JSON but no object".to_owned(),
        Category::Eof => "ends too early",
        Category::Syntax | Category::Io => "is no JSON",
    };
    format!("{problem} (line {}, column {})", error.line(), error.column())
}
