//! Rows of `push_log` for requests that brought nothing to store: written later, and only
//! so many, for any stranger can make them.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::receive::buckets::Buckets;
use crate::receive::inlet::Inlet;
use crate::storage::{Ledger, PushRequest};

/// Rows of one source at once, and then one each [`REFILL`]: 20 a minute are 2.9 million in
/// the hundred days that history is kept.
const BURST: u32 = 60;
const REFILL: Duration = Duration::from_secs(3);

/// Rows that wait for the ledger; more are dropped.
const WAITING: usize = 256;

/// Where rows go.
#[derive(Debug)]
pub(super) struct Rows {
    send: mpsc::Sender<(String, PushRequest)>,
    buckets: Buckets<String>,
}

/// Rows on their way.
#[derive(Debug)]
pub(super) struct Written(mpsc::Receiver<(String, PushRequest)>);

impl Rows {
    pub(super) fn new() -> (Self, Written) {
        let (send, receive) = mpsc::channel(WAITING);
        (Self { send, buckets: Buckets::new(BURST, REFILL) }, Written(receive))
    }

    /// Has `row` written, unless there were too many.
    pub(super) fn send(&self, inlet: &Inlet, row: PushRequest, now: Duration) {
        if self.buckets.take(inlet.source.clone(), now).is_ok() {
            // Full while the ledger is busy with what matters more.
            let _ = self.send.try_send((inlet.source.clone(), row));
        }
    }
}

impl Written {
    /// Writes rows until `stop`, and then those that are on their way.
    pub(super) async fn run(mut self, ledger: Ledger, stop: CancellationToken) {
        let mut rows = Vec::new();
        loop {
            tokio::select! {
                count = self.0.recv_many(&mut rows, WAITING) => if count == 0 { return },
                () = stop.cancelled() => {
                    self.0.close();
                    while let Ok(row) = self.0.try_recv() {
                        rows.push(row);
                    }
                    write(&ledger, std::mem::take(&mut rows)).await;
                    return;
                }
            }
            write(&ledger, std::mem::take(&mut rows)).await;
        }
    }
}

async fn write(ledger: &Ledger, rows: Vec<(String, PushRequest)>) {
    if rows.is_empty() {
        return;
    }
    if let Err(error) = ledger.log_pushes(rows).await {
        tracing::debug!(%error, "rows of push_log were not written");
    }
}
