//! Keys in the text forms of Standard Webhooks.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::signature::sign_standard;

/// As lenient as the base64 readers of other languages, so that a key which the other
/// side takes is a key here: padding may be missing, unused bits may be set.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// HMAC with its key already mixed in; a signature starts from a copy.
pub(super) type KeyedHmac = Hmac<Sha256>;

/// A key for [`sign_standard`]: `whsec_…` (HMAC-SHA256, scheme `v1`) or `whsk_…`
/// (ed25519, scheme `v1a`). Does not print.
#[derive(Clone)]
pub struct StandardKey(pub(super) Signer);

#[derive(Clone)]
pub(super) enum Signer {
    V1(KeyedHmac),
    V1a(Box<SigningKey>),
}

impl StandardKey {
    /// Reads a key in the form that Standard Webhooks gives it.
    ///
    /// ```text
    /// whsec_<base64 of 24 to 64 bytes>              shared secret
    /// whsk_<base64 of 32 bytes>                     ed25519 seed
    /// whsk_<base64 of 64 bytes>                     ed25519 seed and public key
    /// ```
    ///
    /// Standard Webhooks 1.0.0, "Signature scheme".
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with the text, without repeating it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some(encoded) = text.strip_prefix("whsec_") {
            return Ok(Self(Signer::V1(shared_key(encoded)?)));
        }
        if let Some(encoded) = text.strip_prefix("whsk_") {
            return Ok(Self(Signer::V1a(Box::new(private_key(encoded)?))));
        }
        if text.starts_with("whpk_") {
            return Err(KeyError("a whpk_ key only verifies; signing takes the whsk_ key"));
        }
        Err(KeyError("a signing key starts with whsec_ or whsk_"))
    }
}

/// Keys are the same when they sign alike; both schemes sign the same text the same way.
impl PartialEq for StandardKey {
    fn eq(&self, other: &Self) -> bool {
        let signed = |key: &Self| sign_standard(std::slice::from_ref(key), "", 0, b"");
        signed(self) == signed(other)
    }
}

impl Eq for StandardKey {}

impl fmt::Debug for StandardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandardKey(..)")
    }
}

/// A key for [`verify_standard`]: a shared secret or an ed25519 public key. Does not
/// print.
///
/// [`verify_standard`]: crate::model::signature::verify_standard
#[derive(Clone)]
pub struct VerifyKey(pub(super) Verifier);

#[derive(Clone)]
pub(super) enum Verifier {
    V1(KeyedHmac),
    V1a(Box<VerifyingKey>),
}

impl VerifyKey {
    /// Reads `whsec_…`, `whpk_…` (base64 of the 32 byte public key) or `whsk_…`, of
    /// which only the public half is kept.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with the text, without repeating it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some(encoded) = text.strip_prefix("whsec_") {
            return Ok(Self(Verifier::V1(shared_key(encoded)?)));
        }
        if let Some(encoded) = text.strip_prefix("whpk_") {
            return Ok(Self(Verifier::V1a(Box::new(public_key(encoded)?))));
        }
        if let Some(encoded) = text.strip_prefix("whsk_") {
            return Ok(Self(Verifier::V1a(Box::new(private_key(encoded)?.verifying_key()))));
        }
        Err(KeyError("a verification key starts with whsec_, whpk_ or whsk_"))
    }
}

impl From<&StandardKey> for VerifyKey {
    fn from(key: &StandardKey) -> Self {
        Self(match &key.0 {
            Signer::V1(keyed) => Verifier::V1(keyed.clone()),
            Signer::V1a(private) => Verifier::V1a(Box::new(private.verifying_key())),
        })
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyKey(..)")
    }
}

/// Why a text is no key: a sentence that does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub &'static str);

/// Mixes `key`, of any length, into a fresh HMAC-SHA256.
pub(super) fn keyed(key: &[u8]) -> KeyedHmac {
    KeyedHmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// Whether two secrets are the same, in a time that tells nothing of where they differ.
#[must_use]
pub fn same_secret(given: &[u8], expected: &[u8]) -> bool {
    let digest = keyed(expected).chain_update(expected).finalize().into_bytes();
    keyed(expected).chain_update(given).verify_slice(&digest).is_ok()
}

fn shared_key(encoded: &str) -> Result<KeyedHmac, KeyError> {
    let bytes = decode(encoded, "the part after whsec_ is not base64")?;
    if !(24..=64).contains(&bytes.len()) {
        return Err(KeyError("the part after whsec_ must be base64 of 24 to 64 random bytes"));
    }
    Ok(keyed(&bytes))
}

fn private_key(encoded: &str) -> Result<SigningKey, KeyError> {
    let bytes = decode(encoded, "the part after whsk_ is not base64")?;
    if let Ok(pair) = <&[u8; 64]>::try_from(bytes.as_slice()) {
        return SigningKey::from_keypair_bytes(pair)
            .map_err(|_| KeyError("the two halves of the whsk_ key do not belong together"));
    }
    let seed = <&[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| {
        KeyError("the part after whsk_ must be base64 of 32 bytes (seed) or 64 (seed, public key)")
    })?;
    Ok(SigningKey::from_bytes(seed))
}

fn public_key(encoded: &str) -> Result<VerifyingKey, KeyError> {
    let bytes = decode(encoded, "the part after whpk_ is not base64")?;
    let point = <&[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| KeyError("the part after whpk_ must be base64 of 32 bytes"))?;
    VerifyingKey::from_bytes(point)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or(KeyError("the part after whpk_ is no usable ed25519 public key"))
}

fn decode(encoded: &str, fault: &'static str) -> Result<Vec<u8>, KeyError> {
    KEY_BASE64.decode(encoded).map_err(|_| KeyError(fault))
}
