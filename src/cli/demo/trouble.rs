//! The trouble that the demo makes on purpose, and what was seen of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::simulator::Cloud;
use crate::simulator::faults::{Fault, FaultKind, HintForm};
use crate::simulator::notice::Notice;
use crate::simulator::sink::{Arrival, SinkFault, SinkHandle};

/// Peace between two faults of the flaky target.
const TARGET_STEP: Duration = Duration::from_secs(1);

/// How often it is looked at whether the flaky target has failed.
const LOOK: Duration = Duration::from_millis(50);

/// Time from one fault of the cloud to the next.
const CLOUD_STEP: Duration = Duration::from_secs(4);

/// What was seen of the trouble; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Sightings>>);

/// The flaky target's bad answers, and the newest trouble in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Sightings {
    /// Bad answers by status; `None`: the connection broke after the event was taken.
    pub(super) answers: BTreeMap<Option<u16>, u64>,
    /// Some went by unseen: the counts are lower limits.
    pub(super) is_partial: bool,
    /// The newest trouble.
    pub(super) last: Option<String>,
}

impl Seen {
    /// What was seen so far.
    pub(super) fn so_far(&self) -> Sightings {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Sightings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes one fault after the other at the cloud and at the flaky target, until `calm`.
pub(super) async fn make(cloud: Cloud, flaky: SinkHandle, calm: CancellationToken) {
    tokio::select! {
        () = calm.cancelled() => {}
        () = trouble_cloud(&cloud) => {}
        () = trouble_target(&flaky) => {}
    }
    cloud.faults().clear();
    flaky.faults().clear();
}

async fn trouble_cloud(cloud: &Cloud) {
    let faults = [
        Fault::new(FaultKind::ServerError),
        Fault::new(FaultKind::ExpireTokens),
        Fault::new(FaultKind::TooManyRequests).hint(HintForm::RetryAfter, 1),
    ];
    sleep(CLOUD_STEP / 2).await;
    for fault in faults.iter().cycle() {
        cloud.faults().set(vec![fault.clone().times(1)]);
        sleep(CLOUD_STEP).await;
    }
}

/// Events come in crowds, one a poll: each fault stays until it has hit some of one.
async fn trouble_target(flaky: &SinkHandle) {
    let throttled = SinkFault { retry_after: Some(1), ..SinkFault::status(429) };
    let faults = [
        SinkFault::status(503).every(3).first(9),
        SinkFault { is_taken: true, ..SinkFault::drop() }.every(5).first(10),
        throttled.first(1),
    ];
    for fault in faults.iter().cycle() {
        let failed = flaky.report().failed_on_demand;
        flaky.faults().set(fault.clone());
        while flaky.report().failed_on_demand == failed {
            sleep(LOOK).await;
        }
        sleep(TARGET_STEP).await;
    }
}

/// Takes note of bad answers until `stop`, those that are waiting included.
pub(super) async fn watch(
    seen: Seen,
    mut notices: Receiver<Notice>,
    mut arrivals: Receiver<Arrival>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            arrival = arrivals.recv() => match arrival {
                Ok(Arrival::Refused { status, .. }) => note(&seen, status),
                Ok(Arrival::Event { .. }) => {}
                Err(RecvError::Lagged(_)) => seen.lock().is_partial = true,
                Err(RecvError::Closed) => return,
            },
            notice = notices.recv() => match notice {
                Ok(Notice::Refused { reason, .. }) => {
                    seen.lock().last = Some(format!("the cloud answered {reason}"));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            () = stop.cancelled() => return,
        }
    }
}

fn note(seen: &Seen, status: Option<u16>) {
    let mut seen = seen.lock();
    *seen.answers.entry(status).or_default() += 1;
    seen.last = Some(match status {
        Some(status) => format!("flaky answered {status}"),
        None => "flaky hung up without an answer".to_owned(),
    });
}
