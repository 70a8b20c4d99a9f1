//! For `check --online`: a token, one page, and what is wrong in plain words.

use crate::config::{ApiVersion, SourceConfig};
use crate::greenlake::audit_log::{FetchError, Page, Query};
use crate::greenlake::client::AuditLog;
use crate::greenlake::exchange::Fault;
use crate::model::clock::Clock;
use crate::model::coverage::Span;
use crate::transport::Reason;

/// Difference of the clocks that is told. Polling does not mind, it goes by the source's
/// clock; certificates, signatures and people reading logs do.
const TOLERATED_OFFSET_SECS: i64 = 60;

/// How far back the probe's page reaches.
const PROBED_SECS: i64 = 3_600;

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
/// secret. It takes as long as two requests may (`poll.timeout` each) and stores nothing.
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
        narrow: String::new(),
        limit: 1,
        offset: 0,
    };
    match log.ask(&query).await {
        Ok(page) => findings.extend(page_findings(&page, source)),
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
    if source.api == ApiVersion::V2Beta1 && !source.filter.contains("serviceOffer/id") {
        findings.push(Finding {
            ok: true,
            what: "api = \"v2beta1\" without serviceOffer/id in the filter sees platform logs only"
                .to_owned(),
            instead: Some(
                "use api = \"v1\" for every service, or name up to 5 offers: \
                 filter = \"serviceOffer/id in ('…', '…')\""
                    .to_owned(),
            ),
        });
    }
    findings
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
