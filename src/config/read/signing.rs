//! The signatures on a target's requests.

use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::sections::Signing;
use crate::model::signature::StandardKey;

/// A rotation needs two; each one costs a signature on every request.
const KEYS_MAX: usize = 8;

/// Reads `{ standard = […], greenlake = … }`.
pub(super) fn signing(mut section: Section<'_>) -> Signing {
    let keys = section.find("standard").and_then(|field| {
        let items = field.list("[{ file = \"…\" }]")?;
        if items.len() > KEYS_MAX {
            return field
                .fault(format!("has {} keys", items.len()), format!("write {KEYS_MAX} at most"));
        }
        Some(items)
    });
    let standard = keys.unwrap_or_default().iter().filter_map(key).collect();
    let greenlake = section.find("greenlake").and_then(|field| field.secret());
    section.finish();
    Signing { standard, greenlake }
}

fn key(field: &Field<'_>) -> Option<StandardKey> {
    match StandardKey::parse(field.secret()?.expose()) {
        Ok(key) => Some(key),
        Err(error) => field.fault(
            format!("is no Standard Webhooks key: {error}"),
            "write whsec_… (symmetric) or whsk_… (ed25519), base64 after the prefix",
        ),
    }
}
