//! GreenLake's challenge: proof that we hold the secret.
//!
//! The answer is the HMAC of a text of the sender's choice, and a delivery's signature is
//! the HMAC of its body, under the same secret. Whoever could have any text answered could
//! have an event of his own signed. So the two are kept apart by how they begin: nothing
//! that begins like JSON's objects and arrays is answered, and only that is taken as
//! signed.

use crate::config::Secret;
use crate::model::signature::challenge_answer;

/// Longest text that is answered: GreenLake's have 21 to 36 (HPE developer blog).
const TEXT_MAX: usize = 1024;

/// Longest body without a signature that is looked at; a challenge has some 400 bytes.
pub(super) const BODY_MAX: usize = 16 * 1024;

/// Whether `text` may be answered. If it may, it is never taken as a signed body.
pub(super) fn is_answerable(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    !text.is_empty() && text.len() <= TEXT_MAX && !matches!(first, Some(b'{' | b'['))
}

/// The answer under the first secret, which GreenLake tries first during a rotation;
/// `None` for a text that is not answered.
pub(super) fn answer(secret: &Secret, text: &str) -> Option<String> {
    is_answerable(text.as_bytes()).then(|| challenge_answer(secret.expose().as_bytes(), text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::signature::{sign_greenlake, verify_greenlake};

    #[test]
    fn published_forms_are_answered_to_the_letter() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/vectors.json")).unwrap();
        let vectors = vectors["greenlake_challenge"].as_array().unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let secret = Secret::new(vector["secret"].as_str().unwrap());
            let answered = answer(&secret, vector["challengeRequest"].as_str().unwrap());
            assert_eq!(answered.as_deref(), vector["verification"].as_str());
        }
        let secret = Secret::new("s3cr3tKey");
        for text in ["a", " a ", "Ünïcödé", "a\"b", "1{"] {
            assert!(answer(&secret, text).is_some(), "{text}");
        }
        for text in ["", "{}", " \n[", "[1]", &"a".repeat(TEXT_MAX + 1)] {
            assert_eq!(answer(&secret, text), None, "{text}");
        }
    }

    proptest! {
        /// No text has both: an answer, and a place as a signed event.
        #[test]
        fn an_answer_is_never_the_signature_of_an_event(text in "[ \t\r\n]{0,3}\\PC{0,40}") {
            let secret = Secret::new("s3cr3tKey");
            if let Some(digest) = answer(&secret, &text) {
                let signed = verify_greenlake(&[b"s3cr3tKey"], &[&digest], text.as_bytes());
                prop_assert_eq!(signed, Some(0), "the digest itself would fit");
                prop_assert!(is_answerable(text.as_bytes()));
                let event = crate::model::envelope::json::parse(text.as_bytes());
                prop_assert!(event.is_err());
            }
            let event = format!("{{{text}");
            prop_assert_eq!(answer(&secret, &event), None);
            prop_assert_ne!(sign_greenlake(b"s3cr3tKey", event.as_bytes()), "");
        }
    }
}
