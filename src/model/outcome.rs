//! What an attempt came to, and what follows from it.

use std::fmt;
use std::time::Duration;

/// Longest `Retry-After` that is obeyed: a target that asks for a year would bury its
/// deliveries without a word.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Why an attempt did not deliver; one word for tables, logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The host's name did not resolve.
    Dns,
    /// The address is one that may not be asked; nothing was sent.
    Address,
    /// Nobody listens there.
    Refused,
    /// The TLS handshake failed.
    Tls,
    /// No whole answer within the target's limit.
    Timeout,
    /// The connection broke.
    Reset,
    /// Any other trouble below HTTP.
    Network,
    /// A status that says "not now" or that an operator can mend.
    Status,
    /// A redirect; they are never followed.
    Redirect,
    /// A status that says "never, with this body".
    Rejected,
    /// 410: the target does not want anything any more.
    Gone,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Address => "address",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Network => "network",
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it.
    Delivered,
    /// Worth another attempt.
    Retry(Reason),
    /// The same bytes would be refused again.
    Rejected,
    /// Nothing may be sent to this target until an operator resumes it.
    Gone,
}

impl Outcome {
    /// Judges an HTTP status (CloudEvents web hook 1.0.2, 2.2; Standard Webhooks 1.0.0;
    /// `docs/delivery.md`).
    ///
    /// Statuses that nobody named are worth another attempt, as Knative's event delivery
    /// contract has it: an operator can mend them, and a dead letter cannot mend itself.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Retry(Reason::Redirect),
            400 | 413 | 415 | 422 => Self::Rejected,
            410 => Self::Gone,
            _ => Self::Retry(Reason::Status),
        }
    }

    /// Why it did not deliver; `None` when it did.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Delivered => None,
            Self::Retry(reason) => Some(reason),
            Self::Rejected => Some(Reason::Rejected),
            Self::Gone => Some(Reason::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_outcome() {
        for status in 100..=599 {
            let expected = match status {
                200..=299 => Outcome::Delivered,
                300..=399 => Outcome::Retry(Reason::Redirect),
                400 | 413 | 415 | 422 => Outcome::Rejected,
                410 => Outcome::Gone,
                // Named by the design: 401 403 404 405 407 408 425 429 and 5xx.
                _ => Outcome::Retry(Reason::Status),
            };
            assert_eq!(Outcome::of_status(status), expected, "{status}");
        }
    }

    #[test]
    fn only_a_delivery_has_no_reason() {
        assert_eq!(Outcome::of_status(204).reason(), None);
        for status in [100, 302, 404, 410, 422, 503] {
            assert!(Outcome::of_status(status).reason().is_some(), "{status}");
        }
    }
}
