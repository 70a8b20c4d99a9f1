//! What a target's requests carry besides the event: headers and who we are.

use http::{HeaderName, HeaderValue};

use crate::config::document::Kind;
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::secret::Secret;
use crate::config::sections::Auth;

/// Headers that we or the HTTP library write.
const OWNED: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "hpe-webhook-signature",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Families of headers that we write: Standard Webhooks', CloudEvents' (HTTP binding
/// 1.0.2, 3.1.3).
const OWNED_PREFIXES: [&str; 2] = ["webhook-", "ce-"];

/// Servers refuse heads of more than 8 KiB.
const HEADERS_MAX: usize = 50;

const AUTH_FORMS: &str = "write { bearer = { file = \"…\" } } or { basic = { username = \"…\", password = { file = \"…\" } } }";

/// Reads further headers. `is_authenticated`: `Authorization` is written already.
pub(super) fn headers(mut section: Section<'_>, is_authenticated: bool) -> Vec<(String, Secret)> {
    let entries = section.entries();
    if entries.len() > HEADERS_MAX {
        section.fault(
            "",
            format!("has {} headers", entries.len()),
            format!("write {HEADERS_MAX} at most"),
        );
    }
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, field) in entries {
        let is_new = headers.iter().all(|(other, _)| !other.eq_ignore_ascii_case(name));
        if !is_new {
            field.tell("stands here twice", "write it once");
        } else if let Some(value) = header(name, &field, is_authenticated) {
            headers.push((name.to_owned(), value));
        }
    }
    headers
}

fn header(name: &str, field: &Field<'_>, is_authenticated: bool) -> Option<Secret> {
    let lower = name.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return field.fault("is no name of a header", "write letters, digits and dashes");
    }
    if OWNED.contains(&lower.as_str())
        || OWNED_PREFIXES.iter().any(|start| lower.starts_with(start))
    {
        return field.fault("is a header that Tailwater writes itself", "leave it out");
    }
    if lower == "authorization" && is_authenticated {
        return field.fault("stands beside auth, which writes this header", "leave one out");
    }
    sendable(field)
}

/// A secret that can stand in a header.
fn sendable(field: &Field<'_>) -> Option<Secret> {
    let secret = field.secret()?;
    let is_sendable = HeaderValue::from_str(secret.expose()).is_ok() && secret.expose().is_ascii();
    if is_sendable {
        return Some(secret);
    }
    field.fault("has characters that no header can carry", "write printable ASCII on one line")
}

/// Reads `{ bearer = … }` or `{ basic = { … } }`.
pub(super) fn auth(field: &Field<'_>) -> Option<Auth> {
    if !matches!(field.node.kind, Kind::Table(_)) {
        return field.fault(format!("is {}, not a table", field.node.kind.name()), AUTH_FORMS);
    }
    let mut section = Section::of(field, "target.auth".to_owned());
    let bearer = section.find("bearer");
    let basic = section.find("basic");
    section.later("oauth2", None);
    section.later("mtls", None);
    let auth = match (&bearer, &basic) {
        (Some(_), Some(_)) => field.fault("names two ways to authenticate", AUTH_FORMS),
        (Some(bearer), None) => sendable(bearer).map(Auth::Bearer),
        (None, Some(basic)) => self::basic(basic),
        (None, None) if section.is_empty() => {
            field.fault("names no way to authenticate", AUTH_FORMS)
        }
        (None, None) => None,
    };
    section.finish();
    auth
}

fn basic(field: &Field<'_>) -> Option<Auth> {
    if !matches!(field.node.kind, Kind::Table(_)) {
        return field.fault(format!("is {}, not a table", field.node.kind.name()), AUTH_FORMS);
    }
    let mut section = Section::of(field, "target.auth.basic".to_owned());
    let username = section.require("username", "\"…\"").and_then(|field| {
        let text = field.filled("\"…\"")?;
        // RFC 7617, 2: the first colon ends the user name.
        if text.contains(':') || text.chars().any(char::is_control) {
            return field.fault("has a colon or a control character in it", "leave it out");
        }
        Some(text.to_owned())
    });
    let password = section.require("password", "{ file = \"…\" }").and_then(|field| field.secret());
    section.finish();
    Some(Auth::Basic { username: username?, password: password? })
}
