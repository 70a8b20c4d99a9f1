//! GreenLake's own signature, and the answer to its challenge.

use hmac::Mac;

use crate::model::signature::MAX_SIGNATURES;
use crate::model::signature::key::{KeyedHmac, keyed};

/// Header with GreenLake's signature, in lower case; HPE writes `HPE-Webhook-Signature`.
pub const GREENLAKE_SIGNATURE: &str = "hpe-webhook-signature";

/// What HPE's header puts before the digest; some senders leave it out.
const PREFIX: &str = "sha256=";

/// Bytes of an HMAC-SHA256.
const DIGEST: usize = 32;

/// Makes the value of `HPE-Webhook-Signature`: `sha256=<64 lower-case hex digits>`.
///
/// HMAC-SHA256 of the body under the UTF-8 bytes of the secret (HPE developer blog,
/// webhook authentication mechanism, 2026-05).
///
/// ```
/// use tailwater::model::signature::{sign_greenlake, verify_greenlake};
///
/// let header = sign_greenlake(b"s3cr3tKey", b"{}");
/// assert_eq!(verify_greenlake(&[b"s3cr3tKey"], &[&header], b"{}"), Some(0));
/// assert_eq!(verify_greenlake(&[b"s3cr3tKey"], &[&header], b"{ }"), None);
/// ```
#[must_use]
pub fn sign_greenlake(secret: &[u8], body: &[u8]) -> String {
    let digest: [u8; DIGEST] = keyed(secret).chain_update(body).finalize().into_bytes().into();
    let mut value = String::with_capacity(PREFIX.len() + 2 * DIGEST);
    value.push_str(PREFIX);
    value.push_str(&hex::encode(digest));
    value
}

/// Makes the `verification` that answers GreenLake's challenge: 64 lower-case hex digits.
///
/// HMAC-SHA256 of the challenge's text as it came, which need not be a UUID.
#[must_use]
pub fn challenge_answer(secret: &[u8], challenge: &str) -> String {
    hex::encode(keyed(secret).chain_update(challenge).finalize().into_bytes())
}

/// Finds the secret under which `body` was signed: its place in `secrets`, or `None`.
///
/// `header_values` are all values of `HPE-Webhook-Signature`, each one digest or a list
/// by commas or spaces, with or without `sha256=`: how HPE sends two signatures during
/// rotation is not published. Only the first 16 digests are looked at. An empty secret
/// fits nothing. Comparisons take constant time.
#[must_use]
pub fn verify_greenlake(secrets: &[&[u8]], header_values: &[&str], body: &[u8]) -> Option<usize> {
    let digests: Vec<[u8; DIGEST]> = header_values
        .iter()
        .flat_map(|value| value.split([',', ' ', '\t']))
        .filter_map(digest)
        .take(MAX_SIGNATURES)
        .collect();
    if digests.is_empty() {
        return None;
    }
    secrets.iter().position(|secret| !secret.is_empty() && fits(keyed(secret), &digests, body))
}

fn fits(keyed: KeyedHmac, digests: &[[u8; DIGEST]], body: &[u8]) -> bool {
    let mac = keyed.chain_update(body);
    digests.iter().any(|digest| mac.clone().verify_slice(digest).is_ok())
}

fn digest(text: &str) -> Option<[u8; DIGEST]> {
    let digits = match text.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => text,
    };
    let mut bytes = [0; DIGEST];
    hex::decode_to_slice(digits, &mut bytes).ok().map(|()| bytes)
}
