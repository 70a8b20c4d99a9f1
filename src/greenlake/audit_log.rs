//! What one request to the audit log asks, and what it comes to.

use std::time::Duration;

use crate::model::coverage::Span;
use crate::model::event::{Event, Unreadable};
use crate::model::timestamp::Timestamp;

/// One request: the entries created within `span`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Half-open, whole seconds.
    pub span: Span,
    /// One further term in HPE's grammar (`hasDetails eq 'true'`), joined by `and` after
    /// the user's own filter; empty for none.
    pub narrow: String,
    /// Entries in the answer, at most; 1 to 2000.
    pub limit: u32,
    /// Entries to skip, from 0.
    pub offset: u64,
}

/// One answer, read whole.
#[derive(Debug)]
pub struct Page {
    /// The readable entries, newest first, whatever the order of the answer.
    pub events: Vec<Event>,
    /// Entries that could not be read, with their raw JSON.
    pub unreadable: Vec<Unreadable>,
    /// `count` as the answer states it.
    pub count: u64,
    /// `total` as the answer states it: all entries that match, capped at 10,000.
    pub total: u64,
    /// Server time when the request was sent, by the last `Date` and our own clock;
    /// never later than the truth by more than the network's delay.
    pub asked_at: Timestamp,
    /// Bytes of the decoded body.
    pub bytes: u64,
}

/// Why a request brought no page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The answer asked us to wait: 429, or 5xx with a hint.
    #[error("throttled, {message}")]
    Throttled {
        /// How long to wait, at most 1 h.
        wait: Duration,
        /// HPE's message and debug id.
        message: String,
    },
    /// 401 twice, the second time with a fresh token; or the token endpoint refused us.
    #[error("{message}")]
    AuthFailed {
        /// What was refused, in plain words.
        message: String,
    },
    /// 403: the credentials lack the role.
    #[error("{message}")]
    Forbidden {
        /// HPE's message and debug id.
        message: String,
    },
    /// 400 or another 4xx: the same request would be refused again.
    #[error("{message}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// HPE's message, issues and debug id.
        message: String,
    },
    /// 5xx without a hint, or the network: worth another try.
    #[error("{message}")]
    Unavailable {
        /// HTTP status, if there was an answer.
        status: Option<u16>,
        /// What happened.
        message: String,
    },
    /// The answer was cut, too large, or no page at all.
    #[error("{message}")]
    Unreadable {
        /// What is wrong with it.
        message: String,
    },
}
