//! What the two routes tell differently about one and the same entry.
//!
//! Polling and push write the same thing in different ways (HPE developer portal, audit
//! logs; HPE developer blog, eventing framework): categories in other letters, times as
//! texts or as epoch milliseconds and cut to the second, names in camel or snake case. None of
//! that is a difference. Neither is what only one of them tells: each has fields that the
//! other one lacks.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::timestamp::Timestamp;

/// Fields named at most, so that two payloads that have nothing in common stay a short row.
const FIELDS_MAX: usize = 16;

/// Characters of a field's path at most: payloads choose their names.
const PATH_MAX: usize = 100;

/// Paths in `stored` of the values that `told` has too, but otherwise.
///
/// Both are JSON texts of a payload. In the order of their names, at most 16, each of at most
/// 100 characters; empty when none differs or one of the texts cannot be read.
#[must_use]
pub fn differing_fields(stored: &str, told: &str) -> Vec<String> {
    let (Some(stored), Some(told)) = (fields(stored), fields(told)) else { return Vec::new() };
    let differs = |(name, field): (&String, &Field)| {
        let other = told.get(name)?;
        (field.value != other.value).then(|| field.path.chars().take(PATH_MAX).collect())
    };
    stored.iter().filter_map(differs).take(FIELDS_MAX).collect()
}

/// A value that is neither an object nor null.
struct Field {
    path: String,
    /// As both routes would write it.
    value: Value,
}

/// The fields of a payload, by their path in lower case without underscores.
fn fields(payload: &str) -> Option<BTreeMap<String, Field>> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    let mut found = BTreeMap::new();
    // Objects that are still to be looked into, with their path.
    let mut open = vec![(String::new(), payload)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(members) => open.extend(members.into_iter().map(|(name, value)| {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                (path, value)
            })),
            Value::Null => {}
            value => {
                let name = path.replace('_', "").to_lowercase();
                let value = canonical(&name, value);
                found.insert(name, Field { path, value });
            }
        }
    }
    Some(found)
}

fn canonical(name: &str, value: Value) -> Value {
    match (name, &value) {
        ("createdat" | "updatedat", Value::String(text)) => {
            Timestamp::parse_rfc3339(text).map_or(value, |at| at.secs().into())
        }
        ("createdat" | "updatedat", Value::Number(number)) => {
            number.as_i64().map_or(value, |millis| millis.div_euclid(1_000).into())
        }
        ("category", Value::String(text)) => {
            let lower = text.to_lowercase();
            let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join("_").into()
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differing(stored: &Value, told: &Value) -> Vec<String> {
        differing_fields(&stored.to_string(), &told.to_string())
    }

    #[test]
    fn what_the_routes_only_write_differently_is_no_difference() {
        let pushed = json!({
            "id": "a", "user": {"username": "ada"}, "category": "user_management",
            "workspace": {"id": "w", "workspace_name": null}, "created_at": 1_734_698_093_161_i64,
            "updated_at": 1_734_698_093_161_i64, "has_details": false,
            "additional_info": {"ip_address": "192.0.2.7", "ip_address_str": "192.0.2.7"},
        });
        let polled = json!({
            "id": "a", "user": {"username": "ada"}, "category": "User  Management",
            "workspace": {"id": "w", "workspaceName": "Ours"}, "generation": 1,
            "createdAt": "2024-12-20T12:34:53.000000Z", "updated_at": 1_734_698_093_000_i64,
            "hasDetails": false, "additionalInfo": {"ipAddress": "192.0.2.7"},
        });
        assert_eq!(differing(&pushed, &polled), Vec::<String>::new());
        assert_eq!(differing(&polled, &pushed), Vec::<String>::new());
    }

    #[test]
    fn values_that_differ_are_named_as_they_are_stored() {
        let stored = json!({
            "description": "in", "created_at": 1_000, "category": "a", "user": {"username": "x"},
            "additional_info": {"ip_address": "192.0.2.7", "list": [1, 2]}, "only_here": 1,
        });
        let told = json!({
            "description": "out", "created_at": 2_000, "category": "b", "user": {"username": "y"},
            "additionalInfo": {"ipAddress": "192.0.2.8", "list": [1]}, "only_there": 1,
        });
        let expected = [
            "additional_info.ip_address",
            "additional_info.list",
            "category",
            "created_at",
            "description",
            "user.username",
        ];
        assert_eq!(differing(&stored, &told), expected);
    }

    #[test]
    fn strangers_payloads_stay_short_rows() {
        let many = |value: i64| -> Value {
            let name = |n: i64| format!("{n:03}{}", "x".repeat(500));
            Value::Object((0..100).map(|n| (name(n), value.into())).collect())
        };
        let found = differing(&many(1), &many(2));
        assert_eq!((found.len(), found[0].len()), (FIELDS_MAX, PATH_MAX));
        for text in ["", "7", "[1]", "{\"a\":", &"[".repeat(1_000)] {
            assert_eq!(differing_fields(text, "{\"a\":1}"), Vec::<String>::new(), "{text:.9}");
        }
    }
}
