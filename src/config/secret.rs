//! A text that does not print, and how it is taken out of texts that others wrote.

use std::cmp::Reverse;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::form_urlencoded::byte_serialize;

/// What a secret shows of itself wherever it is printed.
pub const MASK: &str = "********";

/// A secret text. It does not print: `Debug` and `Display` show [`MASK`]; its memory
/// is wiped when it is dropped.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself, for the one place that puts it on the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// By their digests: how long it takes tells nothing of the texts.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        Sha256::digest(self.expose()) == Sha256::digest(other.expose())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Shortest text that is masked: masking a single letter would only spoil the rest.
const MASKED_MIN: usize = 4;

/// Forms that a [`Redactor`] remembers of earlier secrets beside its own: some 50 secrets,
/// so that rotating keys for years costs neither memory nor time.
const REMEMBERED_MAX: usize = 256;

/// Masks secrets in what a server said: it may repeat what it was sent.
///
/// Finds each secret as it is, as it stands in a URL or a form, and as it stands in JSON.
#[derive(Debug, Default)]
pub struct Redactor(Vec<Secret>);

impl Redactor {
    /// Masks `secrets`; those shorter than four bytes are left alone.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= MASKED_MIN);
        let mut forms: Vec<String> = secrets.flat_map(forms).collect();
        // A secret may be part of another one: the whole goes first.
        forms.sort_by_key(|form| Reverse(form.len()));
        forms.dedup();
        Self(forms.into_iter().map(Secret::new).collect())
    }

    /// Masks what `earlier` masked, too: after a rotation, a server may still repeat the
    /// secrets of before. At most 256 of their forms, longest first.
    #[must_use]
    pub fn remembering(mut self, earlier: &Self) -> Self {
        let own = self.0.len();
        for form in &earlier.0 {
            let is_there = || self.0.iter().any(|other| other.expose() == form.expose());
            if self.0.len() < own + REMEMBERED_MAX && !is_there() {
                self.0.push(form.clone());
            }
        }
        self.0.sort_by_key(|form| Reverse(form.expose().len()));
        self
    }

    /// `text` with every secret masked.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| text.replace(form.expose(), MASK))
    }
}

/// The forms in which `secret` may be met.
fn forms(secret: &str) -> [String; 5] {
    let form: String = byte_serialize(secret.as_bytes()).collect();
    // The serialiser writes a space as + and a plus as %2B.
    let percent = form.replace('+', "%20");
    let quoted = serde_json::to_string(secret).unwrap_or_default();
    let json = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
    let slashes = json.replace('/', "\\/");
    [secret.to_owned(), form, percent, json, slashes]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_form_that_servers_repeat() {
        let redactor = Redactor::new(["pass/+ \"%word", "pass", "abc"]);
        for text in [
            "pass/+ \"%word",
            "pass%2F%2B+%22%25word",
            "pass%2F%2B%20%22%25word",
            "pass/+ \\\"%word",
            "pass\\/+ \\\"%word",
            "pass",
        ] {
            assert_eq!(redactor.redact(&format!("<{text}>")), format!("<{MASK}>"), "{text}");
        }
        assert_eq!(redactor.redact("abc"), "abc");
    }

    #[test]
    fn secrets_of_before_are_masked_too_and_bounded() {
        let mut redactor = Redactor::new(["secret-0"]);
        for number in 1..=200 {
            redactor = Redactor::new([format!("secret-{number}").as_str()]).remembering(&redactor);
        }
        let said = redactor.redact("secret-200 secret-199");
        assert_eq!(said, format!("{MASK} {MASK}"));
        assert!(redactor.0.len() <= 5 + REMEMBERED_MAX, "{}", redactor.0.len());
    }

    #[test]
    fn secrets_are_the_same_when_their_texts_are() {
        assert_eq!(Secret::new("one"), Secret::new("one"));
        assert_ne!(Secret::new("one"), Secret::new("two"));
    }
}
