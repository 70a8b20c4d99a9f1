//! GreenLake's side of webhooks: registers them, challenges them, pushes to them.
//!
//! A second reading of HPE's documents, sharing nothing with the receiver that it is to
//! test; what is published nowhere is a guess, and said to be one where it is made. The
//! entries are the very ones that the audit log shows: each is offered once it is made
//! (`board`), goes its way as the `knobs` will (`fate`), waits (`queue`), is written
//! (`event`), signed (`sign`) and sent (`courier`, `post`), again if need be, and
//! leaves its mark on the webhook (`standing`). Only this machine is sent to (`form`).

pub mod board;
pub mod knobs;
pub mod standing;

pub(super) mod api;
pub(super) mod courier;
pub(super) mod form;

mod event;
mod fate;
mod post;
mod problem;
mod queue;
mod sign;
mod subscriptions;
mod webhook;

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::timestamp::Timestamp;
use crate::simulator::cloud::Cloud;
use crate::simulator::push::board::{Board, Pushed};
use crate::simulator::push::event::TYPE;
use crate::simulator::push::form::Form;
use crate::simulator::push::knobs::PushKnobs;
use crate::simulator::push::post::Post;

pub use knobs::{Shape, TwoSignatures};
pub use standing::{Status, TRIES};

/// The push side of one cloud.
pub(super) struct Push {
    board: Mutex<Board>,
    /// There may be something to do.
    changed: Notify,
    /// Made with the first request: most clouds never push.
    post: OnceLock<Post>,
}

impl Push {
    /// No webhooks; chances and ids are drawn from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let board = Mutex::new(Board::new(seed));
        Self { board, changed: Notify::new(), post: OnceLock::new() }
    }

    /// Lets the webhooks have an entry.
    pub(super) fn offer(
        &self,
        place: u32,
        created_at: Timestamp,
        now: Timestamp,
        knobs: &PushKnobs,
    ) {
        if self.board().offer(place, created_at, now, knobs) {
            self.changed.notify_one();
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self) -> Post {
        self.post.get_or_init(Post::new).clone()
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

impl Cloud {
    /// Registers a webhook for audit-log entries as its owner would by the API: `form` is
    /// the body of the `POST`, an object of texts and flags. Entries made from now on are
    /// pushed once it has answered its challenge. Returns its id.
    ///
    /// # Errors
    /// What the API would say; nothing is registered then.
    pub fn register(&self, form: &Value) -> Result<String, String> {
        let form = Form::new(form.to_string().as_bytes()).map_err(|problem| problem.message)?;
        let mut board = self.0.push.board();
        let registered = board
            .create(form, self.clock().now())
            .and_then(|id| board.subscribe(&id, TYPE).map(|_| id))
            .map_err(|problem| problem.message);
        drop(board);
        self.0.push.changed.notify_one();
        registered
    }

    /// Every webhook as the API shows it, newest first.
    #[must_use]
    pub fn webhooks(&self) -> Vec<Value> {
        let (now, knobs) = (Instant::now(), self.knobs().push);
        self.0.push.board().all().iter_mut().map(|webhook| webhook.shown(now, &knobs)).collect()
    }

    /// What was pushed so far.
    #[must_use]
    pub fn pushed(&self) -> Pushed {
        self.0.push.board().pushed()
    }

    /// Has the courier look again: knobs may have changed what is due.
    pub(super) fn nudge_pushes(&self) {
        self.0.push.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
