//! A webhook as its owner writes it, and what HPE refuses of it (HPE developer portal,
//! webhook API and FAQ).

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};

use crate::config::Secret;
use crate::simulator::push::problem::Problem;

const NAME: RangeInclusive<usize> = 1..=50;
const DESCRIPTION: RangeInclusive<usize> = 0..=100;
const SECRET: RangeInclusive<usize> = 4..=100;

/// What an owner may set; a field that is not here is refused. Does not print.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) destination: String,
    pub(super) secret: String,
    pub(super) secondary_secret: String,
    /// `Oauth`, `APIKey` or nothing.
    pub(super) auth_type: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) issuer_url: String,
    pub(super) api_key: String,
    pub(super) batching: bool,
    /// Left out: true.
    pub(super) challenge_request_enabled: Option<bool>,
    /// For changes alone.
    pub(super) paused: bool,
}

impl Form {
    /// Reads a new webhook.
    ///
    /// # Errors
    /// The answer of the API.
    pub(super) fn new(body: &[u8]) -> Result<Self, Problem> {
        let fields = object(body)?;
        if fields.get("paused").is_some() {
            return Err(Problem::field("unknown field `paused`"));
        }
        Self::read(fields)
    }

    /// This one with the changes of an RFC 7396 merge patch: null takes a field back to
    /// its default.
    ///
    /// # Errors
    /// The answer of the API; nothing is changed then.
    pub(super) fn patched(&self, body: &[u8]) -> Result<Self, Problem> {
        let mut fields = serde_json::to_value(self).expect("texts and flags");
        merge(&mut fields, object(body)?);
        Self::read(fields)
    }

    fn read(fields: Value) -> Result<Self, Problem> {
        let form: Self =
            serde_json::from_value(fields).map_err(|error| Problem::field(error.to_string()))?;
        form.check().map_err(Problem::field)?;
        Ok(form)
    }

    /// The secrets that sign its pushes and may answer its challenges, the first one first.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let second = Some(self.secondary_secret.as_str()).filter(|text| !text.is_empty());
        std::iter::once(self.secret.as_str()).chain(second).collect()
    }

    pub(super) fn wants_challenge(&self) -> bool {
        self.challenge_request_enabled.unwrap_or(true)
    }

    pub(super) fn key(&self) -> Option<Secret> {
        (self.auth_type == "APIKey").then(|| Secret::new(self.api_key.as_str()))
    }

    fn check(&self) -> Result<(), String> {
        length("name", &self.name, &NAME)?;
        length("description", &self.description, &DESCRIPTION)?;
        length("secret", &self.secret, &SECRET)?;
        if !self.secondary_secret.is_empty() {
            length("secondarySecret", &self.secondary_secret, &SECRET)?;
        }
        match self.auth_type.as_str() {
            "APIKey" if self.api_key.is_empty() => return Err("apiKey is missing".to_owned()),
            "" | "APIKey" => {}
            "Oauth" => {
                return Err("this simulator fetches no tokens: use APIKey, or the knob \
                            bearer_key with it"
                    .to_owned());
            }
            _ => return Err("authType is \"Oauth\", \"APIKey\" or \"\"".to_owned()),
        }
        destination(&self.destination).map(drop)
    }
}

fn object(body: &[u8]) -> Result<Value, Problem> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Problem::bad_request("body", "a JSON object is expected")),
        Err(error) => Err(Problem::bad_request("body", error.to_string())),
    }
}

/// RFC 7396, 2.
pub(in crate::simulator) fn merge(into: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *into = patch;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = into.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn length(field: &str, text: &str, allowed: &RangeInclusive<usize>) -> Result<(), String> {
    let (least, most) = (allowed.start(), allowed.end());
    if allowed.contains(&text.chars().count()) {
        return Ok(());
    }
    Err(format!("{field} must have {least} to {most} characters"))
}

/// Where events may be sent.
///
/// HPE demands HTTPS at a public address, and no query. This stand-in keeps to its own
/// machine and to plain HTTP: it asks nobody else.
pub(super) fn destination(text: &str) -> Result<Url, String> {
    let invalid = |why: String| format!("Invalid URL, Error: {why}");
    let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
    if url.query().is_some() {
        return Err(invalid("destination URL must not contain query parameters".to_owned()));
    }
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("destination URL must not contain user or fragment".to_owned()));
    }
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if is_here && url.scheme() == "http" {
        return Ok(url);
    }
    let why = "HPE asks for HTTPS at a public address; this simulator sends to its own machine \
               alone, in plain HTTP: use http://127.0.0.1:PORT/PATH";
    Err(invalid(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(name: &str, value: &Value) -> Value {
        let mut fields = json!({ "name": "a", "destination": "http://127.0.0.1:1/hook",
            "secret": "s3cr3tKey" });
        merge(&mut fields, json!({ name: value }));
        fields
    }

    fn refused(fields: &Value) -> Option<String> {
        Form::new(fields.to_string().as_bytes()).err().map(|problem| problem.message)
    }

    #[test]
    fn documented_limits_hold() {
        for (name, value) in [
            ("name", json!("x".repeat(50))),
            ("name", json!("ü".repeat(50))),
            ("description", json!("x".repeat(100))),
            ("secret", json!("abcd")),
            ("secret", json!("x".repeat(100))),
            ("secondarySecret", json!("")),
            ("destination", json!("http://localhost:8480/a")),
            ("destination", json!("http://[::1]/a")),
            ("batching", json!(true)),
            ("authType", json!("")),
            ("description", Value::Null),
        ] {
            assert_eq!(refused(&with(name, &value)), None, "{name} {value}");
        }
        for (name, value, hint) in [
            ("name", json!(""), "1 to 50"),
            ("name", json!("x".repeat(51)), "1 to 50"),
            ("name", json!(7), "string"),
            ("description", json!("x".repeat(101)), "0 to 100"),
            ("secret", json!("abc"), "4 to 100"),
            ("secret", json!("x".repeat(101)), "4 to 100"),
            ("secret", Value::Null, "4 to 100"),
            ("secondarySecret", json!("abc"), "4 to 100"),
            ("authType", json!("Basic"), "authType"),
            ("authType", json!("APIKey"), "apiKey"),
            ("authType", json!("Oauth"), "APIKey"),
            ("paused", json!(true), "paused"),
            ("colour", json!("red"), "colour"),
            ("destination", json!("nowhere"), "Invalid URL"),
            ("destination", json!("http://127.0.0.1/a?b=c"), "query parameters"),
            ("destination", json!("http://127.0.0.1/a?"), "query parameters"),
            ("destination", json!("http://u:p@127.0.0.1/"), "user"),
            ("destination", json!("http://example.com/"), "own machine alone"),
            ("destination", json!("https://10.0.0.1/"), "own machine alone"),
            ("destination", json!("https://127.0.0.1/"), "plain HTTP"),
        ] {
            let told = refused(&with(name, &value)).unwrap_or_default();
            assert!(told.contains(hint), "{name} {value}: {told}");
        }
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let form = Form::new(with("batching", &json!(true)).to_string().as_bytes()).unwrap();
        let rotated = form.patched(br#"{"secondarySecret":"another"}"#).unwrap();
        assert_eq!(rotated.secrets(), ["s3cr3tKey", "another"]);
        assert!(rotated.batching);
        let done = rotated.patched(br#"{"secret":"another","secondarySecret":""}"#).unwrap();
        assert_eq!(done.secrets(), ["another"]);
        assert!(!done.patched(br#"{"batching":null,"paused":true}"#).unwrap().batching);
        for bad in [r#"{"name":""}"#, r#"{"colour":1}"#, "[]", "{", r#"{"secret":null}"#] {
            assert!(form.patched(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
