//! Whose request is it: the signature over the raw bytes, and the key if one is asked for.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::config::{PushConfig, Secret};
use crate::model::signature::{GREENLAKE_SIGNATURE, same_secret, verify_greenlake};
use crate::receive::challenge::is_answerable;
use crate::storage::SignedBy;

/// Why a request is not GreenLake's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It has no signature.
    Unsigned,
    /// Its signature fits neither secret.
    Forged,
    /// It is signed, and `Authorization` is not what is asked for.
    WrongKey,
}

impl Stranger {
    /// In words, for `push_log`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "no signature",
            Self::Forged => "the signature fits no secret of this source",
            Self::WrongKey => "the signature fits, but Authorization is not the API key",
        }
    }
}

/// With which secrets `body` was signed, if the request is GreenLake's.
///
/// A body that could be the text of a challenge proves nothing: anybody may have it
/// answered (see [`challenge`](crate::receive::challenge)).
pub(super) fn authenticate(
    push: &PushConfig,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<SignedBy, Stranger> {
    let values: Vec<&str> = headers
        .get_all(GREENLAKE_SIGNATURE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    if values.is_empty() {
        return Err(Stranger::Unsigned);
    }
    if is_answerable(body) {
        return Err(Stranger::Forged);
    }
    let fits =
        |secret: &Secret| verify_greenlake(&[secret.expose().as_bytes()], &values, body).is_some();
    let signed_by = match (fits(&push.secret), push.secondary_secret.as_ref().is_some_and(fits)) {
        (true, false) => SignedBy::Primary,
        (false, true) => SignedBy::Secondary,
        (true, true) => SignedBy::Both,
        (false, false) => return Err(Stranger::Forged),
    };
    match &push.api_key {
        Some(key) if !is_allowed(key, headers) => Err(Stranger::WrongKey),
        _ => Ok(signed_by),
    }
}

/// `Authorization: <key>`, as GreenLake sends its API keys (HPE developer blog, webhook
/// authentication, 2026-05), or `Authorization: Bearer <key>`. One header, or none fits.
fn is_allowed(key: &Secret, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let (given, key) = (value.as_bytes(), key.expose().as_bytes());
    let bare = same_secret(given, key);
    let bearer =
        given.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    bare | bearer.is_some_and(|(_, token)| same_secret(token.trim_ascii(), key))
}

#[cfg(test)]
mod tests;
