//! The thread on which the ledger is written.
//!
//! It has no work but that: on the threads that also read pages and serve requests, each
//! statement would wait for its turn. What it runs outlives the program's own runtime, whose
//! timers end with it; so it has timers of its own.

use std::future::Future;
use std::io;
use std::thread;

use tokio_util::task::TaskTracker;

/// Starts `work` on a thread of its own; what comes back can be waited for.
///
/// # Errors
/// When the system has no thread to give.
pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> io::Result<TaskTracker> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let tracker = TaskTracker::new();
    let token = tracker.token();
    tracker.close();
    thread::Builder::new().name("ledger".to_owned()).spawn(move || {
        runtime.block_on(work);
        drop(token);
    })?;
    Ok(tracker)
}
