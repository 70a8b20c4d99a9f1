//! The log of requests, and what each says of the events that came with it.

use std::time::Duration;

use crate::model::coverage::Span;
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::pushes::{self, PushRequest};
use crate::storage::script::Script;
use crate::storage::{Ledger, coverage};

/// The request that brought events.
#[derive(Clone, Debug)]
pub enum Request {
    /// We asked the audit log.
    Poll(PollRequest),
    /// The source pushed to our receiver.
    Push(PushRequest),
}

/// What keeps a sighting out of comparisons of the two routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// The poll was due only because of a push.
    Nudged,
    /// It was pushed together with others, and so waited for them.
    Batch,
    /// Polling, as it is configured, may never show it.
    Outside,
}

impl Label {
    /// The name in tables.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Nudged => "nudged",
            Self::Batch => "batch",
            Self::Outside => "outside",
        }
    }
}

impl Request {
    /// When its events were there to be seen.
    pub(super) fn seen_at(&self) -> Timestamp {
        match self {
            Self::Poll(request) => request.ended_at(),
            Self::Push(request) => request.received_at,
        }
    }

    /// What keeps the sighting of the event with this id out of comparisons.
    pub(super) fn label(&self, id: &str) -> Option<Label> {
        match self {
            Self::Poll(request) => request.is_nudged.then_some(Label::Nudged),
            Self::Push(request) if request.outside.contains(id) => Some(Label::Outside),
            Self::Push(request) => request.is_batch.then_some(Label::Batch),
        }
    }
}

/// What the events of a request were to the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Brought {
    /// No route had shown them.
    pub(super) new: u64,
    /// Its own route had not shown them.
    pub(super) sighted: u64,
    /// Its own route had shown them.
    pub(super) repeated: u64,
}

/// Writes the rows of requests of one source, with what each brought.
pub(super) fn insert(
    script: &mut Script,
    source_id: i64,
    requests: &[(&Request, Brought)],
) -> Result<(), StorageError> {
    let mut pushed = Vec::with_capacity(requests.len());
    for (request, brought) in requests {
        match request {
            Request::Poll(request) => insert_poll(script, source_id, request, *brought)?,
            Request::Push(request) => pushed.push((source_id, request, *brought)),
        }
    }
    pushes::insert(script, &pushed)
}

/// One request to the audit log, as `poll_log` keeps it.
#[derive(Clone, Debug)]
pub struct PollRequest {
    /// Our wall time when it was sent.
    pub started_at: Timestamp,
    /// Until the last byte of the answer, or until it failed.
    pub duration: Duration,
    /// What it served.
    pub tier: Tier,
    /// What was asked for.
    pub span: Span,
    /// Entries skipped.
    pub offset: u64,
    /// What it came to: `complete`, `split`, `page`, `outside`, `throttled`, … one word.
    pub outcome: &'static str,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// `count` of the answer.
    pub count: Option<u64>,
    /// `total` of the answer.
    pub total: Option<u64>,
    /// Bytes of the decoded body.
    pub bytes: u64,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// When the poll began that it was part of; the requests of one poll have it in common.
    pub run_at: Timestamp,
    /// Whether that poll was due only because of a push.
    pub is_nudged: bool,
}

impl PollRequest {
    /// When the answer was there.
    #[must_use]
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.plus(self.duration)
    }
}

fn insert_poll(
    script: &mut Script,
    source_id: i64,
    request: &PollRequest,
    brought: Brought,
) -> Result<(), StorageError> {
    let statement = script.add(
        "INSERT INTO poll_request
             (source_id, started_us, duration_us, from_us, until_us, skip, outcome, status,
              count, total, new, bytes, error, tier, sighted, run_us, nudged)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement
        .push(source_id)?
        .push(request.started_at.micros())?
        .push(whole(request.duration.as_micros()))?
        .push(Timestamp::from_secs(request.span.from).micros())?
        .push(Timestamp::from_secs(request.span.until).micros())?
        .push(whole(request.offset))?
        .push(request.outcome)?
        .push(request.status)?
        .push(request.count.map(whole))?
        .push(request.total.map(whole))?
        .push(whole(brought.new))?
        .push(whole(request.bytes))?
        .push(request.error.as_deref())?
        .push(request.tier.as_str())?
        .push(whole(brought.sighted))?
        .push(request.run_at.micros())?
        .push(request.is_nudged)?;
    Ok(())
}

impl Ledger {
    /// Writes the log row of a request that brought nothing to store.
    ///
    /// # Errors
    /// On any error the row is not stored.
    pub async fn log_request(
        &self,
        source: &str,
        request: PollRequest,
    ) -> Result<(), StorageError> {
        let source = source.to_owned();
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    let source_id = coverage::require_source(connection, &source).await?;
                    let mut script = Script::default();
                    insert_poll(&mut script, source_id, &request, Brought::default())?;
                    script.run(connection).await.map(drop)
                })
            })
            .await
    }
}

/// A count as SQL has it; beyond `i64` it stays at the end.
pub(super) fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
