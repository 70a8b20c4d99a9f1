//! The way of one request, from its head to its answer.
//!
//! Size and time, then the signature over the raw bytes, then reading, then the ledger,
//! then 2xx: nothing is acknowledged that is not on disk (I6).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use tokio::time::timeout;

use crate::model::envelope::EnvelopeError;
use crate::model::event::{Route, Unreadable};
use crate::model::timestamp::Timestamp;
use crate::receive::answer::Answer;
use crate::receive::authenticate::{Stranger, authenticate};
use crate::receive::body::BodyFault;
use crate::receive::buckets::network;
use crate::receive::challenge;
use crate::receive::decode::{Message, Parcel, read, read_challenge};
use crate::receive::desk::Desk;
use crate::receive::inlet::Open;
use crate::receive::permission;
use crate::storage::{Ingest, PushRequest, Request as Brought, SignedBy};
use crate::transport::Seat;

/// How long an answer waits for the commit. It may still come: then the repeat is known.
const COMMIT_MAX: Duration = Duration::from_secs(30);

/// Answers one request.
pub(super) async fn accept(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(seat): Extension<Seat>,
    request: Request,
) -> Response<Body> {
    let Some(open) = desk.find(request.uri().path()) else {
        return Answer::NotFound.into_response();
    };
    let response = respond(&desk, &open, peer, &seat, request).await;
    open.inlet.tally.count(response.status());
    response
}

async fn respond(
    desk: &Desk,
    open: &Open,
    peer: SocketAddr,
    seat: &Seat,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match parts.method {
        Method::POST => {}
        Method::OPTIONS => return permission::answer(&open.inlet.push.origins, &parts.headers),
        _ => return Answer::Method.into_response(),
    }
    let held = match desk.room.read(body).await {
        Ok(held) => held,
        Err(fault) => return faulty(fault).into_response(),
    };
    let _busy = seat.busy();
    let peer = sender(&parts.headers, peer.ip(), desk.is_behind_proxy);
    let call = Call {
        desk,
        open,
        headers: &parts.headers,
        body: &held.bytes,
        received_at: desk.clock.now(),
        began: desk.clock.uptime(),
    };
    call.answer(peer).await.into_response()
}

const fn faulty(fault: BodyFault) -> Answer {
    match fault {
        BodyFault::TooLarge => Answer::TooLarge,
        BodyFault::TooSlow => Answer::TooSlow,
        BodyFault::Cut => Answer::Unreadable,
        BodyFault::NoRoom => Answer::Unavailable,
    }
}

/// Who sends: behind a proxy, the last address that it added.
fn sender(headers: &HeaderMap, peer: IpAddr, is_behind_proxy: bool) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    let last = last.and_then(|text| text.trim().parse().ok());
    network(last.filter(|_| is_behind_proxy).unwrap_or(peer))
}

/// One POST whose body is here.
struct Call<'a> {
    desk: &'a Desk,
    open: &'a Open,
    headers: &'a HeaderMap,
    body: &'a [u8],
    received_at: Timestamp,
    /// Time since boot at the same moment.
    began: Duration,
}

impl Call<'_> {
    async fn answer(&self, peer: IpAddr) -> Answer {
        let signed_by = match authenticate(&self.open.inlet.push, self.headers, self.body) {
            Ok(signed_by) => signed_by,
            Err(stranger) => return self.turn_away(stranger, peer),
        };
        self.open.tell_signed(signed_by);
        match read(&self.open.inlet, self.headers, self.body, self.received_at) {
            Ok(Message::Challenge(text)) => self.verify(&text, peer),
            Ok(Message::Events(parcel)) => self.store(signed_by, parcel).await,
            Err(EnvelopeError::MediaType) => {
                self.refuse(signed_by, Answer::MediaType, &EnvelopeError::MediaType)
            }
            Err(error @ EnvelopeError::TooManyEvents) => {
                self.refuse(signed_by, Answer::TooLarge, &error)
            }
            Err(error) => self.store(signed_by, self.quarantined(&error)).await,
        }
    }

    /// Without a signature of ours, only a challenge is answered.
    fn turn_away(&self, stranger: Stranger, peer: IpAddr) -> Answer {
        if self.body.len() <= challenge::BODY_MAX
            && let Some(text) = read_challenge(self.headers, self.body)
        {
            return self.verify(&text, peer);
        }
        self.open.tell_refused(stranger);
        self.log(self.row(StatusCode::UNAUTHORIZED, None, Some(stranger.as_str().to_owned())));
        Answer::Unauthorized
    }

    fn verify(&self, text: &str, peer: IpAddr) -> Answer {
        if let Err(wait) = self.desk.challenges.take(peer, self.began) {
            return Answer::TooMany(wait);
        }
        let source = &self.open.inlet.source;
        let answer = if let Some(digest) = challenge::answer(&self.open.inlet.push.secret, text) {
            tracing::info!(source, "GreenLake's challenge is answered");
            Answer::Verified(digest)
        } else {
            tracing::warn!(source, "a challenge that could be an event was not answered");
            Answer::Unreadable
        };
        self.log(PushRequest { count: 1, ..self.row(answer.status(), None, None) });
        answer
    }

    fn refuse(&self, signed_by: SignedBy, answer: Answer, error: &EnvelopeError) -> Answer {
        self.log(self.row(answer.status(), Some(signed_by), Some(error.to_string())));
        answer
    }

    /// A message that is signed, and of which nothing can be read.
    fn quarantined(&self, error: &EnvelopeError) -> Parcel {
        let raw = String::from_utf8_lossy(self.body).into_owned();
        let item = Unreadable { raw, reason: error.to_string() };
        Parcel { unreadable: vec![item], count: 1, ..Parcel::default() }
    }

    /// Keeps what came; the answer is true once it is on disk.
    async fn store(&self, signed_by: SignedBy, parcel: Parcel) -> Answer {
        let inlet = &self.open.inlet;
        if let Err(why) = self.open.require_room(self.began) {
            return self.put_off(&why);
        }
        if parcel.foreign > 0 {
            let (source, foreign) = (&inlet.source, parcel.foreign);
            tracing::warn!(source, foreign, "events of another workspace were pushed, and kept");
        }
        let is_lost = parcel.events.is_empty() && !parcel.unreadable.is_empty();
        let answer = if is_lost { Answer::Unreadable } else { Answer::Taken };
        let reason = parcel.unreadable.first().map(|item| item.reason.clone());
        let row = PushRequest {
            count: parcel.count,
            is_batch: parcel.is_batch,
            outside: parcel.outside,
            ..self.row(answer.status(), Some(signed_by), reason)
        };
        let quarantined = parcel.unreadable.len();
        let ingest = Ingest {
            source: inlet.source.clone(),
            route: Route::Push,
            events: parcel.events,
            unreadable: parcel.unreadable,
            targets: inlet.targets.clone(),
            coverage: None,
            request: Some(Brought::Push(row)),
            shown: None,
            learnt: None,
        };
        let ingested = match timeout(COMMIT_MAX, inlet.ledger.ingest(ingest)).await {
            Ok(Ok(ingested)) => ingested,
            Ok(Err(error)) => return self.put_off(&error.to_string()),
            Err(_) => return self.put_off("the ledger did not answer in time"),
        };
        self.open.tell_stored(Ok(()));
        inlet.tally.add_new(ingested.new);
        if ingested.new > 0 {
            (inlet.wake)();
            inlet.nudge.iter().for_each(|nudge| nudge.notify_one());
        }
        if quarantined > 0 {
            let (source, new) = (&inlet.source, ingested.quarantined);
            tracing::warn!(
                source,
                quarantined,
                new,
                "what was pushed cannot be read: see quarantine"
            );
        }
        tracing::debug!(source = inlet.source, new = ingested.new, "pushed");
        answer
    }

    fn put_off(&self, why: &str) -> Answer {
        self.open.tell_stored(Err(why));
        Answer::Unavailable
    }

    fn row(
        &self,
        status: StatusCode,
        secret: Option<SignedBy>,
        error: Option<String>,
    ) -> PushRequest {
        PushRequest {
            received_at: self.received_at,
            duration: self.desk.clock.uptime().saturating_sub(self.began),
            status: status.as_u16(),
            count: 0,
            is_batch: false,
            outside: HashSet::new(),
            bytes: self.body.len() as u64,
            secret,
            error,
        }
    }

    /// Has a row written that need not be on disk before the answer.
    fn log(&self, row: PushRequest) {
        self.desk.rows.send(&self.open.inlet, row, self.began);
    }
}
