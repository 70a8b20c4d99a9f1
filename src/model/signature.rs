//! Signatures of webhooks: GreenLake's own and Standard Webhooks'.
//!
//! Keys never print: none of these types implements `Debug` with its bytes or
//! `Display`. Every comparison is in constant time.

use std::fmt;

/// A key for [`sign_standard`]: `whsec_…` (HMAC-SHA256, scheme `v1`) or `whsk_…`
/// (ed25519, scheme `v1a`). Does not print.
#[derive(Clone)]
pub struct StandardKey(());

impl StandardKey {
    /// Reads a key in the form that Standard Webhooks gives it.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with the text, without repeating it.
    pub fn parse(_text: &str) -> Result<Self, KeyError> {
        Err(KeyError("not written yet"))
    }
}

impl fmt::Debug for StandardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandardKey(..)")
    }
}

/// Why a text is no key: a sentence that does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub &'static str);

/// The value of `webhook-signature`: one signature a key, separated by spaces.
#[must_use]
pub fn sign_standard(_keys: &[StandardKey], _id: &str, _timestamp: i64, _body: &[u8]) -> String {
    String::new()
}

/// The value of `HPE-Webhook-Signature` for `body`: `sha256=<64 lower-case hex digits>`.
#[must_use]
pub fn sign_greenlake(_secret: &[u8], _body: &[u8]) -> String {
    String::new()
}
