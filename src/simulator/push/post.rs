//! Requests of the simulated cloud to a webhook's destination.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::config::secret::MASK;
use crate::simulator::push::sign::digest;
use crate::transport::explain;

/// Bytes of an answer that are read: the answer to a challenge has some 90.
const ANSWER_MAX: usize = 4 * 1024;

/// Who asks for a rate. What GreenLake sends is not published; CloudEvents web hook 1.0.2,
/// 4.1.1, demands a DNS name.
const ORIGIN: &str = "global.api.greenlake.hpe.com";

/// A request to make. The key does not print.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) url: String,
    /// What `Authorization` carries.
    pub(super) authorization: Option<String>,
    /// Values of `HPE-Webhook-Signature`.
    pub(super) signatures: Vec<String>,
    pub(super) body: Vec<u8>,
    pub(super) timeout: Duration,
}

/// What was sent, as the list of deliveries has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// The event's id, or the batch's.
    pub(super) id: String,
    pub(super) signatures: Vec<String>,
    pub(super) has_authorization: bool,
    pub(super) body: Vec<u8>,
}

/// What the receiver said to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// `None`: no answer came.
    pub(super) status: Option<u16>,
    pub(super) headers: BTreeMap<String, Vec<String>>,
    pub(super) body: Vec<u8>,
    /// Why none came.
    pub(super) error: Option<String>,
}

/// What a challenge has come to.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) heard: Heard,
    /// Why it failed.
    pub(super) refused: Option<String>,
    /// The rate that the receiver grants; -1: any.
    pub(super) rate: Option<i64>,
}

/// Makes requests; clones share connections.
#[derive(Clone, Debug)]
pub(super) struct Post(Client);

impl Post {
    /// No redirects, no proxy, no certificates: it asks its own machine alone.
    pub(super) fn new() -> Self {
        let builder = Client::builder().no_proxy().redirect(Policy::none()).referer(false);
        let built = builder.tls_certs_only(Vec::new()).tcp_nodelay(true).build();
        Self(built.expect("nothing is read for it that could be missing"))
    }

    /// Sends `order`.
    pub(super) async fn send(&self, order: &Order) -> Heard {
        let mut request = self.request(Method::POST, order);
        for signature in &order.signatures {
            request = request.header("HPE-Webhook-Signature", signature);
        }
        hear(request.header("content-type", "application/json").body(order.body.clone())).await
    }

    /// Sends a challenge, and judges the answer by each of `secrets`; asks for the rate of
    /// a receiver that has answered it.
    ///
    /// HPE's own sample answers 201 with further keys and is said to work: any 2xx will do.
    pub(super) async fn challenge(&self, order: &Order, text: &str, secrets: &[&str]) -> Proof {
        let heard = self.send(order).await;
        let refused = judge(&heard, text, secrets);
        let rate = match refused {
            None => self.rate(order).await,
            Some(_) => None,
        };
        Proof { heard, refused, rate }
    }

    /// Asks for no challenge, but for the rate.
    pub(super) async fn rate(&self, order: &Order) -> Option<i64> {
        let request = self.request(Method::OPTIONS, order);
        granted(&hear(request.header("WebHook-Request-Origin", ORIGIN)).await)
    }

    fn request(&self, method: Method, order: &Order) -> RequestBuilder {
        let request = self.0.request(method, &order.url).timeout(order.timeout);
        match &order.authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    }
}

async fn hear(request: RequestBuilder) -> Heard {
    match request.send().await {
        Ok(response) => read(response).await,
        Err(error) => Heard { error: Some(explain(&error)), ..Heard::default() },
    }
}

/// The answer up to [`ANSWER_MAX`]; one that breaks off counts by its status.
async fn read(mut response: Response) -> Heard {
    let (status, headers) = (response.status().as_u16(), listed(response.headers()));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= ANSWER_MAX {
            break;
        }
    }
    Heard { status: Some(status), headers, body, error: None }
}

fn listed(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        listed.entry(name.as_str().to_owned()).or_default().push(value);
    }
    listed
}

/// What is wrong with the answer to a challenge, in HPE's words.
fn judge(heard: &Heard, text: &str, secrets: &[&str]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        verification: String,
    }
    let mismatch = || Some("HMAC validation failed. Please verify webhook secret.".to_owned());
    if let Some(error) = &heard.error {
        return Some(format!("Webhook URL unreachable. error: {error}"));
    }
    if !heard.is_success() {
        let status = heard.status.unwrap_or(0);
        return Some(format!("Webhook URL unreachable. error: status {status}"));
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&heard.body) else { return mismatch() };
    let fits = |secret: &&str| digest(secret, text.as_bytes()) == answer.verification;
    if secrets.iter().any(fits) { None } else { mismatch() }
}

/// `WebHook-Allowed-Rate`: requests a minute, or `*` (CloudEvents web hook 1.0.2, 4.2.5).
fn granted(heard: &Heard) -> Option<i64> {
    let value = heard.headers.get("webhook-allowed-rate")?.first()?;
    match value.trim() {
        _ if !heard.is_success() => None,
        "*" => Some(-1),
        rate => rate.parse().ok().filter(|rate| *rate > 0),
    }
}

impl Sent {
    /// As a map of arrays; the key is masked.
    pub(super) fn shown_headers(&self) -> Value {
        let mut headers = BTreeMap::from([
            ("Content-Type", vec!["application/json".to_owned()]),
            ("Hpe-Webhook-Signature", self.signatures.clone()),
        ]);
        if self.has_authorization {
            headers.insert("Authorization", vec![MASK.to_owned()]);
        }
        serde_json::to_value(headers).expect("texts")
    }
}

impl Heard {
    pub(super) fn shown_headers(&self) -> Value {
        serde_json::to_value(&self.headers).expect("texts")
    }

    /// The answer's text, or why there is none.
    pub(super) fn shown_body(&self) -> String {
        match &self.error {
            Some(error) => error.clone(),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(status: u16, body: &str) -> Heard {
        Heard { status: Some(status), body: body.as_bytes().to_vec(), ..Heard::default() }
    }

    #[test]
    fn answers_to_a_challenge_are_judged_by_either_secret() {
        let [first, second] = ["first", "second"].map(|secret| digest(secret, b"text"));
        let answer = |digest: &str| format!("{{\"verification\":\"{digest}\"}}");
        let more = format!("{{\"verification\":\"{first}\",\"httpStatusCode\":201}}");
        for (heard, expected) in [
            (heard(200, &answer(&first)), None),
            (heard(200, &answer(&second)), None),
            (heard(201, &more), None),
            (heard(200, &answer(&first.to_uppercase())), Some("HMAC validation failed")),
            (heard(200, &answer("text")), Some("HMAC validation failed")),
            (heard(200, &format!("\"{first}\"")), Some("HMAC validation failed")),
            (heard(200, ""), Some("HMAC validation failed")),
            (heard(404, &answer(&first)), Some("unreachable. error: status 404")),
            (
                Heard { error: Some("refused".to_owned()), ..Heard::default() },
                Some("unreachable. error: refused"),
            ),
        ] {
            let found = judge(&heard, "text", &["first", "second"]);
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) if found.contains(expected) => {}
                _ => panic!("{heard:?}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_rate_is_a_number_or_any() {
        for (value, expected) in
            [("120", Some(120)), (" 7 ", Some(7)), ("*", Some(-1)), ("0", None), ("many", None)]
        {
            let mut heard = heard(200, "");
            heard.headers.insert("webhook-allowed-rate".to_owned(), vec![value.to_owned()]);
            assert_eq!(granted(&heard), expected, "{value}");
            heard.status = Some(403);
            assert_eq!(granted(&heard), None);
        }
        assert_eq!(granted(&heard(200, "")), None);
    }

    #[test]
    fn a_key_is_masked_where_it_is_shown() {
        let sent = Sent { has_authorization: true, ..Sent::default() };
        assert_eq!(sent.shown_headers()["Authorization"][0], MASK);
    }
}
