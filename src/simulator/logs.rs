//! `GET /audit-log/v1/logs` and `GET /audit-log/v2beta1/logs`, and what lies below them.

use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use url::form_urlencoded;

use crate::simulator::cloud::Cloud;
use crate::simulator::entry::{Entry, Workspace};
use crate::simulator::faults::{FaultKind, Hint, HintForm};
use crate::simulator::filter::Version;
use crate::simulator::knobs::Remaining;
use crate::simulator::notice::Notice;
use crate::simulator::quota::Allowance;
use crate::simulator::refusal::Refusal;
use crate::simulator::render::{self, Count, Envelope};
use crate::simulator::request::{self, Deafness};
use crate::simulator::spoil;
use crate::simulator::store::Found;
use crate::simulator::tokens::Standing;

pub(super) fn routes() -> Router<Cloud> {
    use Version::{V1, V2Beta1};
    Router::new()
        .route("/audit-log/v1/logs", list(V1))
        .route("/audit-log/v2beta1/logs", list(V2Beta1))
        .route("/audit-log/v1/logs/{id}/detail", below(|entry, _| render::detail(V1, entry)))
        .route("/audit-log/v2beta1/logs/{id}", below(render::single))
        .route(
            "/audit-log/v2beta1/logs/{id}/details",
            below(|entry, _| render::detail(V2Beta1, entry)),
        )
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
}

fn list(version: Version) -> MethodRouter<Cloud> {
    get(async move |State(cloud): State<Cloud>, uri: Uri, headers: HeaderMap| {
        let give = |kind| page(&cloud, version, &uri, kind);
        answer(&cloud, &uri, &headers, give).await
    })
}

type Render = fn(&Entry, &Workspace) -> Vec<u8>;

fn below(render: Render) -> MethodRouter<Cloud> {
    get(async move |State(cloud): State<Cloud>, Path(id), uri: Uri, headers: HeaderMap| {
        let id: String = id;
        let give = |_| {
            let now = cloud.clock().now();
            let store = cloud.store();
            let entry = store.find(&id, now).ok_or(Refusal::NotFound)?;
            Ok(json(render(entry, &cloud.0.settings.workspace)))
        };
        answer(&cloud, &uri, &headers, give).await
    })
}

/// What every request to the audit log goes through before and after `give`.
async fn answer(
    cloud: &Cloud,
    uri: &Uri,
    headers: &HeaderMap,
    give: impl FnOnce(Option<FaultKind>) -> Result<Response, Refusal>,
) -> Response {
    let counters = &cloud.0.counters;
    counters.log_requests.fetch_add(1, Relaxed);
    let verdict = cloud.0.faults.draw(request::place(uri.query().unwrap_or_default()));
    let knobs = cloud.knobs();
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
    }
    let allowance = cloud.0.quota.take(cloud.clock().uptime(), knobs.requests_per_minute);
    let given = admit(cloud, headers, verdict.kind, allowance)
        .and_then(|()| refuse_on_demand(cloud, verdict.kind, verdict.hint))
        .and_then(|()| give(verdict.kind));
    let mut response = given.unwrap_or_else(|refusal| {
        match &refusal {
            Refusal::Unauthorized(_) | Refusal::Forbidden => &counters.unauthorized,
            Refusal::TooManyRequests(..) => &counters.throttled,
            _ => return told(cloud, uri, refusal),
        }
        .fetch_add(1, Relaxed);
        told(cloud, uri, refusal)
    });
    // A hint asked for must be the only one, or none at all.
    let is_on_demand =
        matches!(verdict.kind, Some(FaultKind::TooManyRequests | FaultKind::ServerError));
    if !(is_on_demand && response.status() != StatusCode::OK) {
        allowance.tell(knobs.limit_headers, cloud.clock().now(), response.headers_mut());
    }
    response
}

fn told(cloud: &Cloud, uri: &Uri, refusal: Refusal) -> Response {
    let reason = match &refusal {
        Refusal::BadRequest(issue) => issue.description.clone(),
        _ => String::new(),
    };
    let response = refusal.into_response();
    cloud.tell(|| Notice::Refused {
        request: shown(uri),
        reason: format!("{} {reason}", response.status()).trim_end().to_owned(),
    });
    response
}

/// Token and quota.
fn admit(
    cloud: &Cloud,
    headers: &HeaderMap,
    kind: Option<FaultKind>,
    allowance: Allowance,
) -> Result<(), Refusal> {
    let now = cloud.clock().now();
    if kind == Some(FaultKind::ExpireTokens) {
        cloud.0.tokens.expire_all(now);
    }
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return Err(Refusal::Unauthorized("missing"));
    };
    match cloud.0.tokens.check(token, now) {
        Standing::Valid => {}
        Standing::Expired => return Err(Refusal::Unauthorized("expired")),
        Standing::Foreign => return Err(Refusal::Forbidden),
    }
    if !allowance.is_within {
        let hint = Hint { form: HintForm::RatelimitReset, seconds: allowance.reset.cast_signed() };
        return Err(Refusal::TooManyRequests(hint, now));
    }
    Ok(())
}

fn refuse_on_demand(cloud: &Cloud, kind: Option<FaultKind>, hint: Hint) -> Result<(), Refusal> {
    let now = cloud.clock().now();
    match kind {
        Some(FaultKind::Forbidden) => Err(Refusal::Forbidden),
        Some(FaultKind::TooManyRequests) => Err(Refusal::TooManyRequests(hint, now)),
        Some(FaultKind::ServerError) => Err(Refusal::Internal(hint, now)),
        _ => Ok(()),
    }
}

fn page(
    cloud: &Cloud,
    version: Version,
    uri: &Uri,
    kind: Option<FaultKind>,
) -> Result<Response, Refusal> {
    let settings = &cloud.0.settings;
    let deaf = Deafness {
        to_filter: kind == Some(FaultKind::IgnoreFilter),
        to_offset: kind == Some(FaultKind::IgnoreOffset),
    };
    let query = uri.query().unwrap_or_default();
    let knobs = cloud.knobs();
    let mut asked = request::read(version, query, &settings.workspace, deaf, knobs.repeated_filter)
        .map_err(Refusal::BadRequest)?;
    if kind == Some(FaultKind::InsertWhilePaging) {
        cloud.insert_into(&asked.selection);
    }
    let mut store = cloud.store();
    let now = cloud.clock().now();
    if kind == Some(FaultKind::ClampOffset) {
        let total = store.select(&asked.selection, now).total;
        let last = total.saturating_sub(1) / asked.selection.limit.max(1);
        let last = last * asked.selection.limit;
        asked.selection.offset = asked.selection.offset.min(last);
    }
    if kind == Some(FaultKind::ShortPage) {
        asked.selection.limit = asked.selection.limit.div_ceil(2);
    }
    asked.selection.shuffles_ties = kind == Some(FaultKind::ShuffleTies);
    let mut found = store.select(&asked.selection, now);
    if kind == Some(FaultKind::EmptyPage) {
        found.page.clear();
    }
    let envelope = Envelope {
        offset: asked.selection.offset,
        count: match kind {
            Some(FaultKind::WrongCount) => Count::Wrong,
            Some(FaultKind::MissingCount) => Count::Missing,
            _ => Count::Right,
        },
        total: match kind {
            Some(FaultKind::MissingTotal) => None,
            Some(FaultKind::SmallTotal) => Some(found.page.len().saturating_sub(1)),
            _ => Some(found.total),
        },
        remaining: match knobs.remaining {
            Remaining::Described => found.is_capped,
            Remaining::Always => true,
            Remaining::Never => false,
        },
        has_items: kind != Some(FaultKind::NullItems),
        is_first_broken: kind == Some(FaultKind::BrokenItem),
    };
    let body = render::page(version, &found, &settings.workspace, &asked.columns, envelope);
    count_page(cloud, uri, &found, body.len());
    Ok(match kind {
        Some(FaultKind::CutBody) => spoil::cut(&body),
        Some(FaultKind::Garbage) => spoil::garbage(),
        Some(FaultKind::HangUp) => spoil::hang_up(),
        _ => json(body),
    })
}

fn count_page(cloud: &Cloud, uri: &Uri, found: &Found<'_>, bytes: usize) {
    cloud.0.counters.pages.fetch_add(1, Relaxed);
    cloud.0.counters.bytes.fetch_add(bytes as u64, Relaxed);
    let (count, total) = (found.page.len(), found.total);
    cloud.tell(|| Notice::Page { request: shown(uri), count, total });
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A request as people read it.
fn shown(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut text = uri.path().to_owned();
    for (name, value) in form_urlencoded::parse(query) {
        text.extend([" ", &name, "=", &value]);
    }
    // The query is anybody's text: no line break or escape code may act on a terminal.
    text.replace(char::is_control, "?")
}
