//! For `check --online`: a token, one page, and what is wrong in plain words.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{ApiVersion, SourceConfig};
use crate::greenlake::audit_log::{FetchError, Page, Query};
use crate::greenlake::client::AuditLog;
use crate::greenlake::exchange::Fault;
use crate::greenlake::wire::names_service;
use crate::model::clock::Clock;
use crate::model::coverage::Span;
use crate::model::envelope::Data;
use crate::model::event::Event;
use crate::transport::Reason;

/// Difference of the clocks that is told. Polling does not mind, it goes by the source's
/// clock; certificates, signatures and people reading logs do.
const TOLERATED_OFFSET_SECS: i64 = 60;

/// How far back the probe's page reaches.
const PROBED_SECS: i64 = 3_600;

/// How far back services are looked for that a source leaves out, and in how many of the
/// latest entries: one request, of the largest size.
const SERVICES_SECS: i64 = 24 * 3_600;
const SERVICES_LIMIT: u32 = 2_000;

/// Services named in one finding: more are for a person with the console to choose from.
const SERVICES_NAMED: usize = 10;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, one sentence.
    pub what: String,
    /// What to do about it. With `ok` it is advice, not a fault; `None`: nothing.
    pub instead: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { ok: true, what: what.into(), instead: None }
    }

    fn bad(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { ok: false, what: what.into(), instead: Some(instead.into()) }
    }
}

/// Fetches a token and one entry of the last hour and says what it found, in order.
///
/// Stops at the first fault that makes the next step pointless. Never empty; holds no
/// secret. It takes as long as two requests may (`poll.timeout` each), with v2beta1 two
/// more, and stores nothing.
pub async fn probe(source: &SourceConfig, clock: Clock) -> Vec<Finding> {
    let log = match AuditLog::new(source, clock) {
        Ok(log) => log,
        Err(error) => {
            return vec![Finding::bad(
                error.to_string(),
                "correct ca_file or proxy of this source",
            )];
        }
    };
    if let Err(fault) = log.authenticate().await {
        return vec![bad_token(&fault)];
    }
    let mut findings = vec![Finding::good("the token endpoint gave a token")];
    let now = log.server_now().secs();
    let query = Query {
        span: Span { from: now - PROBED_SECS, until: now + 1 },
        narrow: log.parts()[0].clone(),
        limit: 1,
        offset: 0,
    };
    match log.ask(&query).await {
        Ok(page) => {
            findings.extend(page_findings(&page, source));
            if source.api == ApiVersion::V2Beta1 {
                findings.push(look_for_others(source, log.clock().clone()).await);
            }
        }
        Err(fault) => findings.push(bad_page(&fault)),
    }
    findings.extend(log.clock_offset().map(clock_finding));
    findings
}

fn page_findings(page: &Page, source: &SourceConfig) -> Vec<Finding> {
    let mut findings = vec![Finding::good(format!(
        "the audit log answered: {} entries in the last hour",
        page.total
    ))];
    let foreign = page.events.iter().find(|event| event.workspace_id != source.workspace_id);
    if let Some(event) = foreign {
        findings.push(Finding::bad(
            format!(
                "the entries belong to workspace {}, not {}",
                event.workspace_id, source.workspace_id
            ),
            format!(
                "set workspace_id = \"{}\", or use that workspace's API client",
                event.workspace_id
            ),
        ));
    }
    if let Some(item) = page.unreadable.first() {
        findings.push(Finding::bad(
            format!("an entry could not be read: {}", item.reason),
            "such entries go to quarantine; report it with the entry's raw text",
        ));
    }
    findings
}

/// What v1, which shows the logs of every service, has and `source` leaves out.
async fn look_for_others(source: &SourceConfig, clock: Clock) -> Finding {
    let everything = SourceConfig { api: ApiVersion::V1, filter: String::new(), ..source.clone() };
    let Ok(log) = AuditLog::new(&everything, clock) else {
        return Finding::good("what other services there are was not looked for");
    };
    let now = log.server_now().secs();
    let span = Span { from: now - SERVICES_SECS, until: now + 1 };
    let query = Query { span, narrow: String::new(), limit: SERVICES_LIMIT, offset: 0 };
    match log.fetch(&query).await {
        Ok(page) => others_finding(&page, source),
        Err(error) => Finding::good(format!("what other services there are is not known: {error}")),
    }
}

fn others_finding(page: &Page, source: &SourceConfig) -> Finding {
    let services = page.events.iter().filter_map(service_of);
    let others: BTreeMap<String, String> =
        services.filter(|(id, _)| !names_service(source, id)).collect();
    let latest = page.events.len();
    if others.is_empty() {
        return Finding::good(format!(
            "no other service wrote any of the latest {latest} entries of a day"
        ));
    }
    let named = others.iter().map(|(id, name)| format!("{name} ({id})"));
    let named: Vec<String> = named.take(SERVICES_NAMED).collect();
    let ids: Vec<String> = others.keys().take(SERVICES_NAMED).map(|id| format!("{id:?}")).collect();
    Finding {
        ok: true,
        what: format!(
            "{} other services wrote to the audit log within a day, and this source leaves them \
             out: {}",
            others.len(),
            named.join(", ")
        ),
        instead: Some(format!(
            "add {} to services, or use api = \"v1\" for every service",
            ids.join(", ")
        )),
    }
}

/// The id and the name of the service that an entry belongs to.
fn service_of(event: &Event) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Placed {
        application: Application,
    }
    #[derive(Deserialize)]
    struct Application {
        id: String,
        application_name: Option<String>,
    }
    let Data::Json(data) = &event.envelope.data else { return None };
    let Application { id, application_name } =
        serde_json::from_str::<Placed>(data.get()).ok()?.application;
    Some((id, application_name.unwrap_or_else(|| "without a name".to_owned())))
}

fn clock_finding(offset_secs: i64) -> Finding {
    let (by, way) = (offset_secs.abs(), if offset_secs > 0 { "behind" } else { "ahead of" });
    if by <= TOLERATED_OFFSET_SECS {
        return Finding::good(format!(
            "this machine's clock is within {TOLERATED_OFFSET_SECS} s of the source's"
        ));
    }
    Finding::bad(
        format!("this machine's clock is {by} s {way} the source's"),
        "set the clock, for example with systemd-timesyncd or chrony",
    )
}

fn bad_token(fault: &Fault) -> Finding {
    let instead = match &fault.error {
        FetchError::AuthFailed { .. } => {
            "compare client_id, client_secret and workspace_id with the personal API client in the \
             GreenLake console; a secret is shown only once, so make a new client if it is lost"
        }
        error => advice(error, fault.reason, "token_url"),
    };
    Finding::bad(fault.to_string(), instead)
}

fn bad_page(fault: &Fault) -> Finding {
    let instead = match &fault.error {
        FetchError::Forbidden { .. } => {
            "give the API client's user a role with ccs.audit-trail.view, such as Observer"
        }
        FetchError::AuthFailed { .. } => {
            "check that the API client is enabled and was made in this workspace"
        }
        error => advice(error, fault.reason, "base_url"),
    };
    Finding::bad(fault.to_string(), instead)
}

fn advice(error: &FetchError, reason: Option<Reason>, key: &str) -> &'static str {
    let is_token = key == "token_url";
    match (error, reason) {
        (_, Some(Reason::Dns)) if is_token => "check the host in token_url, and this machine's DNS",
        (_, Some(Reason::Dns)) => "check the host in base_url, and this machine's DNS",
        (_, Some(Reason::Address)) => {
            "write HPE's host, or find out who answers this machine's DNS"
        }
        (_, Some(Reason::Refused)) => {
            "nobody listens there: check host, port and proxy, and the firewall"
        }
        (_, Some(Reason::Tls)) => {
            "if a proxy inspects TLS, put its certificate authority in ca_file; else check the host \
             and this machine's clock"
        }
        (_, Some(Reason::Timeout | Reason::Reset)) => {
            "check the network, the firewall and the proxy between here and there"
        }
        (_, Some(Reason::Other)) => "check the network and the proxy",
        (FetchError::Throttled { .. } | FetchError::Unavailable { .. }, None) => {
            "the service is busy or down: try again later"
        }
        (FetchError::Rejected { status: 400, .. }, None) => {
            "correct filter: every value in single quotes, terms joined by and"
        }
        (FetchError::Unreadable { .. }, None) if is_token => "check token_url",
        (FetchError::AuthFailed { .. } | FetchError::Forbidden { .. }, None) => {
            "check the API client in the GreenLake console"
        }
        (FetchError::Rejected { .. } | FetchError::Unreadable { .. }, None) => {
            "check base_url and api"
        }
    }
}
