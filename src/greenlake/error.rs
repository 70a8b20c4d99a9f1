//! HPE's error bodies as one paragraph for people.

use std::time::Duration;

use serde_json::Value;

use crate::config::Redactor;
use crate::greenlake::throttle::seconds_up;

/// Characters shown of a body that is not HPE's JSON: enough to recognise a proxy's page.
const EXCERPT_CHARS: usize = 200;

/// Characters of the whole text: HPE's own samples need fewer than 400.
const TEXT_CHARS: usize = 2_000;

/// What a refusing answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Message, issues and debug id, or the body's beginning; empty for an empty body.
    pub(crate) text: String,
    /// `retryAfterSeconds`, the longest where there are several.
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads the body of an audit-log answer.
    ///
    /// HPE's form is `errorCode`, `message`, `debugId` and `errorDetails[]` with issues,
    /// metadata or `retryAfterSeconds` (the interface description of audit-log v2beta1). Any
    /// other body is shown by its first 200 characters. None of `secrets` is shown even
    /// if the answer repeats it.
    pub(crate) fn of_api(body: &[u8], secrets: &Redactor) -> Self {
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            let excerpt = String::from_utf8_lossy(body);
            return Self { text: clean(&excerpt, secrets, EXCERPT_CHARS), retry_after: None };
        };
        let text = hpe_text(&json).unwrap_or_else(|| json.to_string());
        let retry_after = details(&json).chain([&json]).filter_map(retry_after_seconds).max();
        Self { text: clean(&text, secrets, TEXT_CHARS), retry_after }
    }

    /// Reads the body of a token endpoint's answer: RFC 6749, 5.2 (`error`,
    /// `error_description`) or HPE's form. Any other body is not shown at all.
    pub(crate) fn of_token_endpoint(body: &[u8], secrets: &Redactor) -> Self {
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let standard = joined(&[text_at(&json, "error"), text_at(&json, "error_description")]);
        let text = standard.or_else(|| hpe_text(&json)).unwrap_or_default();
        let retry_after = details(&json).chain([&json]).filter_map(retry_after_seconds).max();
        Self { text: clean(&text, secrets, TEXT_CHARS), retry_after }
    }

    /// The text in brackets behind a sentence: ` (text)`, or nothing.
    pub(crate) fn bracketed(&self) -> String {
        if self.text.is_empty() { String::new() } else { format!(" ({})", self.text) }
    }
}

fn hpe_text(json: &Value) -> Option<String> {
    let mut text = joined(&[text_at(json, "errorCode"), text_at(json, "message")])?;
    for detail in details(json) {
        for issue in list(detail, "issues") {
            let place = [text_at(issue, "source"), text_at(issue, "subject")];
            let place = place.into_iter().flatten().collect::<Vec<_>>().join(" ");
            let place = Some(place.as_str()).filter(|place| !place.is_empty());
            let issue = joined(&[place, text_at(issue, "description")]);
            text.extend(issue.map(|issue| format!("; {issue}")));
        }
        for (key, value) in detail.get("metadata").and_then(Value::as_object).into_iter().flatten()
        {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.extend(["; ", key.as_str(), " ", value.as_str()]);
        }
    }
    if let Some(id) = text_at(json, "debugId") {
        text.extend(["; debugId ", id]);
    }
    Some(text)
}

/// The parts that are there, with a colon between them; `None` if none is.
fn joined(parts: &[Option<impl AsRef<str>>]) -> Option<String> {
    let parts: Vec<&str> = parts.iter().flatten().map(AsRef::as_ref).collect();
    if parts.is_empty() { None } else { Some(parts.join(": ")) }
}

fn details(json: &Value) -> impl Iterator<Item = &Value> {
    list(json, "errorDetails")
}

fn list<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    json.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text_at<'a>(json: &'a Value, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn retry_after_seconds(json: &Value) -> Option<Duration> {
    let value = json.get("retryAfterSeconds")?;
    seconds_up(value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?)
}

/// Text on one line, without control characters and `secrets`, cut to `limit` characters.
fn clean(text: &str, secrets: &Redactor, limit: usize) -> String {
    let text = secrets.redact(text);
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|w| !w.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: &str) -> Vec<u8> {
        let all = include_str!("../../tests/vectors/greenlake/errors.json");
        let all: Value = serde_json::from_str(all).expect("JSON");
        serde_json::to_vec(&all[status]).expect("JSON")
    }

    #[test]
    fn every_sample_becomes_one_paragraph() {
        for (status, text, wait) in [
            (
                "400",
                "HPE_GL_ERROR_BAD_REQUEST: Bad request error; query.parameter limit: \
                 Invalid limit value '3000' provided. Maximum allowed limit is 2000.; \
                 debugId 90pq12rs-5678-9012-3456-789012345678",
                None,
            ),
            (
                "401",
                "HPE_GL_ERROR_UNAUTHORIZED: UNAUTHORIZED; access_token expired; \
                 debugId abbeeb59-12cb-49a3-9ce5-55edba12213f",
                None,
            ),
            (
                "429",
                "hpe.greenlake.too_many_requests: Too many requests. Please try again later.; \
                 debugId 123123-12313-123123-123123",
                None,
            ),
            (
                "500",
                "HPE_GL_ERROR_INTERNAL_SERVER_ERROR: Internal server error; \
                 debugId 12312-123123-123123-1231212",
                Some(30),
            ),
        ] {
            let refusal = Refusal::of_api(&sample(status), &Redactor::default());
            assert_eq!(refusal.text, text);
            assert_eq!(refusal.retry_after, wait.map(Duration::from_secs));
        }
    }

    #[test]
    fn a_foreign_body_is_shown_by_its_beginning_on_one_line() {
        let page = format!("<html>\r\n\u{1b}[31mBad\tgateway\u{0}{}", "x".repeat(500));
        let text = Refusal::of_api(page.as_bytes(), &Redactor::default()).text;
        assert!(text.starts_with("<html> [31mBad gateway xxx"), "{text}");
        assert_eq!(text.chars().count(), EXCERPT_CHARS + 1);
        assert_eq!(Refusal::of_api(b"", &Redactor::default()), Refusal::default());
        assert_eq!(Refusal::of_api(b"\xff\xfe", &Redactor::default()).text, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn bodies_of_odd_types_do_no_harm() {
        for (body, wait) in [
            (r#"{"message":"m","errorDetails":[{"retryAfterSeconds":"30"}]}"#, Some(30)),
            (r#"{"message":"m","retryAfterSeconds":1.2}"#, Some(2)),
            (r#"{"message":"m","errorDetails":[{"retryAfterSeconds":-30}]}"#, None),
            (r#"{"message":"m","errorDetails":{"retryAfterSeconds":[]}}"#, None),
            (r#"{"message":"m","errorDetails":[null,1,{"issues":[null,{"subject":3}]}]}"#, None),
        ] {
            let refusal = Refusal::of_api(body.as_bytes(), &Redactor::default());
            assert_eq!(refusal.text, "m", "{body}");
            assert_eq!(refusal.retry_after, wait.map(Duration::from_secs), "{body}");
        }
    }

    #[test]
    fn a_token_endpoint_is_quoted_by_its_standard_fields_only() {
        let standard = br#"{"error":"invalid_client","error_description":"Unknown secret s3cr3t","x":"s3cr3t"}"#;
        let refusal = Refusal::of_token_endpoint(standard, &Redactor::new(["s3cr3t"]));
        assert_eq!(refusal.text, "invalid_client: Unknown secret ********");
        assert_eq!(Refusal::of_token_endpoint(b"access_token=abc", &Redactor::default()).text, "");
        assert_eq!(
            Refusal::of_token_endpoint(br#"{"access_token":"abc"}"#, &Redactor::default()).text,
            ""
        );
        assert!(
            Refusal::of_token_endpoint(&sample("429"), &Redactor::default())
                .text
                .contains("Too many requests")
        );
    }
}
