//! Carries what the board decides: one task for all webhooks, one more a request.
//!
//! Wakes when something changed, or when the next thing is due. How long a request takes is
//! not measured here: what counts is when the receiver has it, and it says so itself.

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::Secret;
use crate::simulator::cloud::Cloud;
use crate::simulator::push::board::{Job, Task};
use crate::simulator::push::event::{batch_id, challenge, event};
use crate::simulator::push::form::Form;
use crate::simulator::push::knobs::PushKnobs;
use crate::simulator::push::post::{Order, Proof, Sent};
use crate::simulator::push::queue::Parcel;
use crate::simulator::push::sign::{Writing, signatures};

/// Pushes until `stop`; requests under way are cut off then.
pub(in crate::simulator) async fn run(cloud: &Cloud, stop: &CancellationToken) {
    let mut tasks = JoinSet::new();
    loop {
        let knobs = cloud.knobs().push;
        let (jobs, wake) = cloud.0.push.board().take(Instant::now(), &knobs);
        for job in jobs {
            let cloud = cloud.clone();
            tasks.spawn(async move { carry(&cloud, job).await });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = cloud.0.push.changed.notified() => {}
            Some(ended) = tasks.join_next() => ended.expect("no push panics"),
            () = due(wake) => {}
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn carry(cloud: &Cloud, job: Job) {
    match job.task.clone() {
        Task::Challenge { text, tries } => _ = prove(cloud, &job, &text, tries).await,
        Task::Push(parcel) => push(cloud, &job, parcel).await,
    }
}

/// Challenges a webhook, or asks for its rate alone, and settles what came of it.
pub(super) async fn prove(cloud: &Cloud, job: &Job, text: &str, tries: u32) -> Proof {
    let knobs = cloud.knobs().push;
    let (post, now) = (cloud.0.push.post(), cloud.clock().now());
    let workspace = &cloud.0.settings.workspace;
    let body = challenge(text, &batch_id(text), workspace, now, &knobs);
    // A challenge is signed like any push: whether HPE signs them is not published.
    let order = order(&job.form, body, &knobs);
    let proof = if job.form.wants_challenge() {
        post.challenge(&order, text, &job.form.secrets()).await
    } else {
        Proof { heard: <_>::default(), refused: None, rate: post.rate(&order).await }
    };
    let settled = cloud.0.push.board().settle_challenge(job, tries, &proof, &knobs);
    cloud.0.push.changed.notify_one();
    if let Some(notice) = settled {
        cloud.tell(|| notice);
    }
    proof
}

async fn push(cloud: &Cloud, job: &Job, parcel: Parcel) {
    let knobs = cloud.knobs().push;
    let (id, mut body) = packed(cloud, &parcel, &knobs);
    let is_cut = body.len() > knobs.body_max;
    // Signed as it is sent; whether HPE signs before or after it cuts is not published.
    body.truncate(knobs.body_max);
    let order = order(&job.form, body, &knobs);
    let heard = cloud.0.push.post().send(&order).await;
    let Order { signatures, body, authorization, .. } = order;
    let sent = Sent { id, signatures, has_authorization: authorization.is_some(), body };
    let now = cloud.clock().now();
    let notice = {
        let mut board = cloud.0.push.board();
        board.pushed.cut += u64::from(is_cut);
        board.settle_push(job, parcel, (sent, heard), &knobs, now)
    };
    cloud.0.push.changed.notify_one();
    cloud.tell(|| notice);
}

/// The id and the whole body of a push.
fn packed(cloud: &Cloud, parcel: &Parcel, knobs: &PushKnobs) -> (String, Vec<u8>) {
    let workspace = &cloud.0.settings.workspace;
    let store = cloud.store();
    let made = store.made();
    let events: Vec<(String, Vec<u8>)> =
        parcel.entries.iter().map(|at| event(&made[*at as usize], workspace, knobs)).collect();
    drop(store);
    let first = events.first().map(|(id, _)| id.clone()).unwrap_or_default();
    let mut bodies: Vec<Vec<u8>> = events.into_iter().map(|(_, body)| body).collect();
    if !parcel.is_batch {
        return (first, bodies.pop().unwrap_or_default());
    }
    let body = [b"[".as_slice(), &bodies.join(&b','), b"]"].concat();
    (batch_id(&first), body)
}

fn order(form: &Form, body: Vec<u8>, knobs: &PushKnobs) -> Order {
    let writing = Writing { two: knobs.two_signatures, is_bare: knobs.bare_signature };
    let key = form.key();
    let scheme = if knobs.bearer_key { "Bearer " } else { "" };
    let authorization = |key: &Secret| format!("{scheme}{}", key.expose());
    Order {
        url: form.destination.clone(),
        authorization: key.as_ref().map(authorization),
        signatures: signatures(&form.secrets(), &body, writing),
        body,
        timeout: knobs.timeout(),
    }
}
