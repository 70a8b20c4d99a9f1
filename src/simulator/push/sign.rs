//! GreenLake's HMAC, read from HPE's documents a second time: nothing of it is shared with
//! the receiver, so that the two check each other.
//!
//! HMAC-SHA256 under the secret's UTF-8 bytes, in lower-case hex (HPE developer blog,
//! webhook authentication mechanism, May 2026): over a challenge's text, and over a push's
//! raw body with `sha256=` in front.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::simulator::push::knobs::TwoSignatures;

/// 64 lower-case hex digits.
pub(super) fn digest(secret: &str, message: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mac = mac.expect("HMAC takes keys of any length").chain_update(message);
    hex::encode(mac.finalize().into_bytes())
}

/// How signatures are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing {
    /// With two secrets.
    pub(super) two: TwoSignatures,
    /// Without `sha256=`, as one of HPE's samples compares it.
    pub(super) is_bare: bool,
}

/// The values of `HPE-Webhook-Signature` for `body`, one header each.
pub(super) fn signatures(secrets: &[&str], body: &[u8], writing: Writing) -> Vec<String> {
    let prefix = if writing.is_bare { "" } else { "sha256=" };
    let values: Vec<String> =
        secrets.iter().map(|secret| format!("{prefix}{}", digest(secret, body))).collect();
    match writing.two {
        TwoSignatures::Headers => values,
        TwoSignatures::List => vec![values.join(", ")],
        TwoSignatures::First => values.into_iter().take(1).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors(kind: &str) -> Vec<Value> {
        let text = include_str!("../../../tests/vectors/vectors.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let vectors = vectors[kind].as_array().unwrap().clone();
        assert!(!vectors.is_empty());
        vectors
    }

    fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
        vector[key].as_str().unwrap()
    }

    #[test]
    fn signatures_and_challenges_are_the_vectors() {
        for vector in vectors("greenlake_challenge") {
            let answer =
                digest(text(&vector, "secret"), text(&vector, "challengeRequest").as_bytes());
            assert_eq!(answer, text(&vector, "verification"));
        }
        let writing = Writing { two: TwoSignatures::Headers, is_bare: false };
        for vector in vectors("greenlake_signature") {
            let body = text(&vector, "body").as_bytes();
            assert_eq!(
                signatures(&[text(&vector, "secret")], body, writing),
                [text(&vector, "header")]
            );
        }
    }

    #[test]
    fn two_secrets_are_told_in_each_form() {
        let [one, two] = ["one", "two"].map(|secret| digest(secret, b"{}"));
        let [a, b] = [format!("sha256={one}"), format!("sha256={two}")];
        for (form, is_bare, expected) in [
            (TwoSignatures::Headers, false, vec![a.clone(), b.clone()]),
            (TwoSignatures::List, false, vec![format!("{a}, {b}")]),
            (TwoSignatures::First, false, vec![a]),
            (TwoSignatures::Headers, true, vec![one, two]),
        ] {
            let writing = Writing { two: form, is_bare };
            assert_eq!(signatures(&["one", "two"], b"{}", writing), expected, "{form:?}");
        }
    }
}
