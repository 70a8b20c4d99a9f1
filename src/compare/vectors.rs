//! What scipy and numpy say, for tests.

use serde_json::Value;

/// The figures of `tests/vectors/statistics.json`.
pub(super) fn statistics() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/statistics.json")).unwrap()
}

/// An array of whole numbers.
pub(super) fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect()
}
