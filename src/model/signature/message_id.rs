//! The value of `webhook-id`: the same at every attempt, never with a dot.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::model::event::AUDIT_SOURCE;

/// Longest id passed on as it is. GreenLake's have 20 characters; headers are small.
const LONGEST_PLAIN: usize = 128;

/// Marks ids that we made; a source's own id that starts so is hashed, too.
const DERIVED: &str = "tw_";

/// Makes the `webhook-id` of an event from its envelope's `source` and `id`.
///
/// Depends on nothing else, so it is the same at every attempt, replay and restart. Holds
/// only `A-Z a-z 0-9 _ -`: Standard Webhooks 1.0.0 forbids the dot. An audit entry's id is
/// passed on as it is; any other is `tw_` and the SHA-256 of source and id in hex, so that
/// two sources with the same id stay two messages.
#[must_use]
pub fn webhook_id<'a>(source: &str, id: &'a str) -> Cow<'a, str> {
    if source == AUDIT_SOURCE && is_plain(id) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(derive([(source, id)]))
}

/// Makes the `webhook-id` of a batch from the `source` and `id` of its events, in order.
///
/// The same events in the same order give the same id; `tw_` and 64 hex digits.
#[must_use]
pub fn batch_webhook_id<'a>(events: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    derive(events)
}

fn is_plain(id: &str) -> bool {
    (1..=LONGEST_PLAIN).contains(&id.len())
        && !id.starts_with(DERIVED)
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Lengths go in first: otherwise `a` + `bc` and `ab` + `c` would be one message.
fn derive<'a>(events: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut hash = Sha256::new();
    for text in events.into_iter().flat_map(|(source, id)| [source, id]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    format!("{DERIVED}{}", hex::encode(hash.finalize()))
}
