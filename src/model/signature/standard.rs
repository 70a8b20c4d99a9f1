//! Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signature;
use ed25519_dalek::ed25519::signature::{MultipartSigner, MultipartVerifier};
use hmac::Mac;

use crate::model::signature::MAX_SIGNATURES;
use crate::model::signature::key::{Signer, StandardKey, Verifier, VerifyKey};

/// Header with the message's id, the same at every attempt.
pub const WEBHOOK_ID: &str = "webhook-id";

/// Header with the time of the attempt, whole seconds since the Unix epoch.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";

/// Header with the signatures.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// How far a timestamp may be from the receiver's clock. The spec names no number; its
/// libraries use 5 minutes, enough for clocks set by NTP and for a slow request.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// The longest signature: `v1a,` and 64 bytes in base64, and the space before it.
const LONGEST: usize = 4 + 88 + 1;

/// Makes the value of `webhook-signature`: one signature a key, separated by spaces.
///
/// ```text
/// v1,<base64 of HMAC-SHA256> v1a,<base64 of ed25519>
/// ```
///
/// What is signed is `id.timestamp.body`, so `id` must hold no dot ([`webhook_id`] sees
/// to that). `timestamp` is the time of the attempt in seconds since the Unix epoch.
/// Empty when there are no keys. Standard Webhooks 1.0.0, "Signature scheme".
///
/// ```
/// use tailwater::model::signature::{
///     StandardKey, TOLERANCE, VerifyKey, sign_standard, verify_standard,
/// };
///
/// let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// let keys = [StandardKey::parse(secret)?];
/// let signatures = sign_standard(&keys, "evt_1", 1_614_265_330, b"{}");
///
/// let keys = [VerifyKey::parse(secret)?];
/// let now = 1_614_265_333;
/// verify_standard(&keys, "evt_1", "1614265330", &signatures, b"{}", now, TOLERANCE)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`webhook_id`]: crate::model::signature::webhook_id
#[must_use]
pub fn sign_standard(keys: &[StandardKey], id: &str, timestamp: i64, body: &[u8]) -> String {
    let head = format!("{id}.{timestamp}.");
    let mut signatures = String::with_capacity(keys.len() * LONGEST);
    for StandardKey(signer) in keys {
        if !signatures.is_empty() {
            signatures.push(' ');
        }
        match signer {
            Signer::V1(keyed) => {
                let mac = keyed.clone().chain_update(&head).chain_update(body).finalize();
                signatures.push_str("v1,");
                BASE64.encode_string(mac.into_bytes(), &mut signatures);
            }
            Signer::V1a(private) => {
                let signature = private.multipart_sign(&[head.as_bytes(), body]);
                signatures.push_str("v1a,");
                BASE64.encode_string(signature.to_bytes(), &mut signatures);
            }
        }
    }
    signatures
}

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// `webhook-id` is empty or holds a dot, which would make the signed text ambiguous.
    #[error("webhook-id is empty or holds a dot")]
    Id,
    /// `webhook-timestamp` is not a whole number of seconds.
    #[error("webhook-timestamp is not a whole number of seconds since 1970")]
    Timestamp,
    /// `webhook-timestamp` lies too far back: a replay, or a clock is wrong.
    #[error("webhook-timestamp is too old")]
    TooOld,
    /// `webhook-timestamp` lies too far ahead: a clock is wrong.
    #[error("webhook-timestamp is in the future")]
    TooNew,
    /// No signature fits any key.
    #[error("no signature in webhook-signature fits")]
    NoMatch,
}

/// Checks a request that was signed after Standard Webhooks.
///
/// `id`, `timestamp` and `signatures` are the three headers' values, `body` the exact
/// bytes received, `now_secs` the receiver's time in seconds since the Unix epoch. One
/// signature that fits one key is enough; signatures of unknown versions are skipped, and
/// only the first 16 are looked at. Comparisons take constant time.
///
/// # Errors
/// [`SignatureError::TooOld`] and [`SignatureError::TooNew`] if the timestamp is more than
/// `tolerance` away, [`SignatureError::NoMatch`] if nothing fits; the others if a header
/// cannot be read.
pub fn verify_standard(
    keys: &[VerifyKey],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), SignatureError> {
    if id.is_empty() || id.contains('.') {
        return Err(SignatureError::Id);
    }
    check_time(timestamp, now_secs, tolerance)?;
    let head = format!("{id}.{timestamp}.");
    let fits = signatures
        .split_ascii_whitespace()
        .take(MAX_SIGNATURES)
        .filter_map(|signature| signature.split_once(','))
        .any(|(version, encoded)| {
            keys.iter().any(|key| fits(key, version, encoded, &[head.as_bytes(), body]))
        });
    if fits { Ok(()) } else { Err(SignatureError::NoMatch) }
}

fn check_time(text: &str, now: i64, tolerance: Duration) -> Result<(), SignatureError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::Timestamp);
    }
    let timestamp: i64 = text.parse().map_err(|_| SignatureError::Timestamp)?;
    if now.abs_diff(timestamp) <= tolerance.as_secs() {
        Ok(())
    } else if timestamp < now {
        Err(SignatureError::TooOld)
    } else {
        Err(SignatureError::TooNew)
    }
}

fn fits(VerifyKey(verifier): &VerifyKey, version: &str, encoded: &str, parts: &[&[u8]]) -> bool {
    let mut bytes = [0; 64];
    let Ok(length) = BASE64.decode_slice(encoded, &mut bytes) else { return false };
    match (verifier, version) {
        (Verifier::V1(keyed), "v1") => parts
            .iter()
            .fold(keyed.clone(), Mac::chain_update)
            .verify_slice(&bytes[..length])
            .is_ok(),
        (Verifier::V1a(public), "v1a") if length == bytes.len() => {
            public.multipart_verify(parts, &Signature::from_bytes(&bytes)).is_ok()
        }
        _ => false,
    }
}
