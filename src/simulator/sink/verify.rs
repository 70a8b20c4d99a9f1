//! Whether a request is signed as it should be.

use std::fmt;

use axum::http::HeaderMap;
use serde::Serialize;

use crate::model::signature::{TOLERANCE, verify_greenlake, verify_standard};
use crate::model::timestamp::Timestamp;
use crate::simulator::sink::SinkSettings;

const GREENLAKE: &str = "hpe-webhook-signature";
const STANDARD: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// What became of a request's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// Every wanted signature fits.
    Good,
    /// A wanted signature is there and does not fit.
    Bad,
    /// A wanted signature is missing.
    Missing,
    /// None was wanted: not looked at.
    Unchecked,
}

impl Signature {
    /// Whether the request may be taken.
    #[must_use]
    pub fn is_acceptable(self) -> bool {
        matches!(self, Self::Good | Self::Unchecked)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "ok",
            Self::Bad => "BAD",
            Self::Missing => "MISSING",
            Self::Unchecked => "not checked",
        })
    }
}

/// Checks `body` against every kind of key that the sink has.
pub(super) fn verify(
    settings: &SinkSettings,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Signature {
    let wanted = [
        (!settings.keys.is_empty()).then(|| standard(settings, headers, body, now)),
        (!settings.greenlake_secrets.is_empty()).then(|| greenlake(settings, headers, body)),
    ];
    let found = || wanted.iter().flatten();
    if found().next().is_none() {
        return Signature::Unchecked;
    }
    [Signature::Bad, Signature::Missing]
        .into_iter()
        .find(|fault| found().any(|signature| signature == fault))
        .unwrap_or(Signature::Good)
}

fn standard(
    settings: &SinkSettings,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Signature {
    let [id, timestamp, signatures] =
        STANDARD.map(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    let (Some(id), Some(timestamp), Some(signatures)) = (id, timestamp, signatures) else {
        return Signature::Missing;
    };
    match verify_standard(&settings.keys, id, timestamp, signatures, body, now.secs(), TOLERANCE) {
        Ok(()) => Signature::Good,
        Err(_) => Signature::Bad,
    }
}

fn greenlake(settings: &SinkSettings, headers: &HeaderMap, body: &[u8]) -> Signature {
    let values: Vec<_> =
        headers.get_all(GREENLAKE).iter().filter_map(|value| value.to_str().ok()).collect();
    let secrets: Vec<_> =
        settings.greenlake_secrets.iter().map(|secret| secret.expose().as_bytes()).collect();
    if values.is_empty() {
        return Signature::Missing;
    }
    match verify_greenlake(&secrets, &values, body) {
        Some(_) => Signature::Good,
        None => Signature::Bad,
    }
}
