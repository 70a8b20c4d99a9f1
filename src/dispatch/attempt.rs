//! One HTTP request for a delivery, and what it came to.

use std::time::Duration;

use reqwest::{Method, Request, Response};

use crate::dispatch::request::{Message, signed_headers};
use crate::dispatch::target::Target;
use crate::model::clock::Clock;
use crate::model::delivery::Attempt;
use crate::model::outcome::{Outcome, RETRY_AFTER_MAX, Reason};
use crate::transport;

/// Bytes of an answer that are read, so that the connection can serve again; what is
/// longer costs the target its connection.
const ANSWER_MAX: u64 = 64 * 1024;

/// Bytes of an answer that are kept.
const ANSWER_KEPT: usize = 2 * 1024;

/// Makes one request and judges its answer. Never waits longer than the target's limit.
///
/// Dropping it leaves unknown whether the target has the message; the delivery is still
/// pending.
pub(super) async fn attempt(target: &Target, mut message: Message, clock: &Clock) -> Attempt {
    if let Err(refusal) = target.config.addresses.judge_host(&target.url) {
        let reason = Reason::Address;
        return unsent(clock, Outcome::Retry(reason), &format!("{reason}: {refusal}"));
    }
    let (started_at, since) = (clock.now(), clock.uptime());
    let mut request = Request::new(Method::POST, target.url.clone());
    *request.headers_mut() = signed_headers(target, &mut message, started_at);
    *request.body_mut() = Some(message.body.into());
    let answer = target.client.execute(request).await;
    let (status, outcome, retry_after, text) = match answer {
        Ok(response) => judge(target, response, clock).await,
        Err(error) => {
            let reason = reason_of(&error);
            (None, Outcome::Retry(reason), None, Some(transport::explain(&error)))
        }
    };
    let duration = clock.uptime().saturating_sub(since);
    let answer = text.map(|text| kept(&target.redact(&text)));
    Attempt { started_at, duration, status, outcome, retry_after, answer }
}

/// An attempt that was never sent, and what it comes to all the same.
pub(super) fn unsent(clock: &Clock, outcome: Outcome, why: &str) -> Attempt {
    Attempt {
        started_at: clock.now(),
        duration: Duration::ZERO,
        status: None,
        outcome,
        retry_after: None,
        answer: Some(kept(why)),
    }
}

async fn judge(
    target: &Target,
    response: Response,
    clock: &Clock,
) -> (Option<u16>, Outcome, Option<Duration>, Option<String>) {
    let status = response.status().as_u16();
    let outcome = Outcome::of_status(status);
    let retry_after = match outcome {
        Outcome::Delivered => None,
        _ => capped(target, transport::retry_after(response.headers(), clock.now())),
    };
    // The status is the answer. A body that is cut or too long takes nothing from it.
    let body = transport::read_bounded(response, ANSWER_MAX).await.unwrap_or_default();
    let text = (!body.is_empty()).then(|| String::from_utf8_lossy(&body).into_owned());
    (Some(status), outcome, retry_after, text)
}

fn capped(target: &Target, asked: Option<Duration>) -> Option<Duration> {
    let asked = asked?;
    if asked > RETRY_AFTER_MAX {
        tracing::warn!(
            target.name = target.name(),
            "the target asked to wait {asked:?}; waiting {RETRY_AFTER_MAX:?}, the longest allowed"
        );
    }
    Some(asked.min(RETRY_AFTER_MAX))
}

fn reason_of(error: &reqwest::Error) -> Reason {
    match transport::network_reason(error) {
        transport::Reason::Dns => Reason::Dns,
        transport::Reason::Address => Reason::Address,
        transport::Reason::Refused => Reason::Refused,
        transport::Reason::Tls => Reason::Tls,
        transport::Reason::Timeout => Reason::Timeout,
        transport::Reason::Reset => Reason::Reset,
        transport::Reason::Other => Reason::Network,
    }
}

/// The beginning of `text`, without control characters.
fn kept(text: &str) -> String {
    let mut end = text.len().min(ANSWER_KEPT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let readable = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text[..end].chars().map(readable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_answer_is_short_and_printable() {
        assert_eq!(kept("a\u{1b}[31mb\nc"), "a [31mb\nc");
        let long = "é".repeat(ANSWER_KEPT);
        assert!(kept(&long).len() <= ANSWER_KEPT);
    }
}
