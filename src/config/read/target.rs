//! `[[target]]`.

use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use crate::config::address::UrlRule;
use crate::config::ca_file::CaFile;
use crate::config::document::Kind;
use crate::config::field::{Field, quoted};
use crate::config::read::headers::{auth, headers};
use crate::config::read::signing::signing;
use crate::config::read::{DAY, MINUTE};
use crate::config::reader::Section;
use crate::config::sections::{BatchConfig, Format, Order, RetryConfig, Signing, TargetConfig};
use crate::model::address::AddressPolicy;
use crate::model::event::Route;

const URL: &str = "https://siem.example.com/hooks/greenlake";

/// The host of the manual's example (RFC 2606, 3: never anybody's).
const MANUAL_HOST: &str = "siem.example.com";

/// What makes clients use a proxy that the configuration does not name.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

const SECOND: Duration = Duration::from_secs(1);
const CONCURRENCY: u32 = 16;
const TIMEOUT: Duration = Duration::from_secs(15);
const BATCH: BatchConfig = BatchConfig { max_events: 100, max_wait: SECOND };

/// A batch stays below 16 MiB at the largest entries seen.
const BATCH_EVENTS_MAX: u32 = 1000;

/// Default pauses in seconds: 5 s to 6 h, so that a short fault costs seconds and a long
/// one few attempts.
const RETRY_SECS: [u64; 9] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600];
const GIVE_UP: Duration = Duration::from_hours(72);

/// A pause below this only hammers.
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_STEPS_MAX: usize = 100;

/// Reads one target; `None` only when a fault has been told.
pub(super) fn target(
    mut section: Section<'_>,
    sources: &BTreeSet<String>,
    names: &mut BTreeSet<String>,
) -> Option<TargetConfig> {
    let name = section.name("siem", names);
    let url =
        section.require("url", &format!("{URL:?}")).and_then(|field| field.url(UrlRule::Any, URL));
    let sources = section.find("sources").map(|field| wanted(&field, sources));
    let routes = section.find("routes").map(|field| routes(&field));
    let format = section.choice("format", Format::Structured, &["template"]);
    let auth = section.find("auth").and_then(|field| auth(&field));
    let headers = headers(
        section.section("headers", "headers = { \"X-Team\" = \"platform\" }"),
        auth.is_some(),
    );
    let signing = signing(section.section("signing", "signing = { standard = [\"whsec_…\"] }"));
    let concurrency = section.integer("concurrency", CONCURRENCY, &(1..=1024));
    let rate = section.find("rate").and_then(|field| field.rate());
    let timeout = section.duration("timeout", TIMEOUT, &(SECOND..=10 * MINUTE));
    let order = section.choice("order", Order::None, &[]);
    let batch = batch(section.section("batch", "batch = { max_events = 100, max_wait = \"1s\" }"));
    let retry = retry(section.section("retry", "retry = { give_up = \"72h\" }"));
    let proxy = section.find("proxy").and_then(|field| field.proxy());
    let ca_file =
        section.find("ca_file").and_then(|field| field.path("\"ca.pem\"")).map(CaFile::new);
    let addresses = addresses(&mut section, url.as_ref(), proxy.is_some());
    let own_events = section.flag("own_events", false);
    let enabled = section.flag("enabled", true);
    for (key, idle) in [("filter", ""), ("handshake", "none")] {
        section.later(key, Some(idle));
    }
    advise(&section, url.as_ref(), format, &signing);
    section.finish();
    Some(TargetConfig {
        name: name?,
        url: url?,
        sources: sources.unwrap_or_else(|| vec!["*".to_owned()]),
        routes: routes.unwrap_or_else(|| Route::ALL.to_vec()),
        format,
        headers,
        auth,
        signing,
        concurrency: concurrency as usize,
        rate,
        timeout,
        order,
        batch,
        retry,
        proxy,
        ca_file,
        addresses,
        own_events,
        enabled,
    })
}

/// Reads `public_only` and tells what `url` or a proxy makes of it.
fn addresses(section: &mut Section<'_>, url: Option<&Url>, has_proxy: bool) -> AddressPolicy {
    if !section.flag("public_only", false) {
        return AddressPolicy::Ordinary;
    }
    let policy = AddressPolicy::PublicOnly;
    if let Some(Err(refusal)) = url.map(|url| policy.judge_host(url)) {
        section.fault(
            "url",
            refusal.to_string(),
            "write the URL of a public host, or public_only = false",
        );
    }
    let variable = PROXY_VARIABLES.iter().find(|name| section.notes.environment.has(name));
    let proxy = if has_proxy { Some(&"proxy") } else { variable };
    if let Some(proxy) = proxy {
        section.warn(
            "public_only",
            format!("cannot see where a proxy connects to, and {proxy} names one"),
            "leave the proxy out, or let it refuse addresses that are not public",
        );
    }
    policy
}

/// What is allowed, and yet seldom meant.
fn advise(section: &Section<'_>, url: Option<&Url>, format: Format, signing: &Signing) {
    if url.and_then(Url::host_str) == Some(MANUAL_HOST) {
        section.warn("url", "is still the manual's example", "write your own");
    }
    let is_signed = !signing.standard.is_empty() || signing.greenlake.is_some();
    if format == Format::Binary && is_signed {
        section.warn(
            "signing",
            "covers the body only, and format \"binary\" puts the attributes into ce- headers",
            "write format = \"structured\" if the receiver trusts them",
        );
    }
}

fn wanted(field: &Field<'_>, known: &BTreeSet<String>) -> Vec<String> {
    let example = "[\"*\"]";
    let items = field.list(example).unwrap_or_default();
    if matches!(&field.node.kind, Kind::List(items) if items.is_empty()) {
        field
            .tell("is empty, so that the target gets nothing", "write [\"*\"], or enabled = false");
    }
    let name = |item: &Field<'_>| {
        let text = item.filled("\"*\"")?;
        if text == "*" || known.contains(text) {
            return Some(text.to_owned());
        }
        let known: Vec<_> = known.iter().map(|name| format!("{name:?}")).collect();
        item.fault(
            format!("there is no source {}", quoted(text)),
            format!("write {} or \"*\"", known.join(", ")),
        )
    };
    items.iter().filter_map(name).collect()
}

fn routes(field: &Field<'_>) -> Vec<Route> {
    let example = "[\"poll\", \"push\"]";
    let Some(items) = field.list(example) else { return Vec::new() };
    if items.is_empty() {
        field.tell(
            "is empty, so that the target gets nothing",
            "write [\"poll\", \"push\"], or enabled = false",
        );
    }
    let route = |item: &Field<'_>| {
        let text = item.text("\"poll\"")?;
        match text.parse() {
            Ok(route) => Some(route),
            Err(()) => item
                .fault(format!("there is no route {}", quoted(text)), "write \"poll\" or \"push\""),
        }
    };
    let mut routes: Vec<Route> = items.iter().filter_map(route).collect();
    routes.sort_unstable();
    routes.dedup();
    routes
}

fn batch(mut section: Section<'_>) -> BatchConfig {
    let default = u32::try_from(BATCH.max_events).unwrap_or(BATCH_EVENTS_MAX);
    let max_events = section.integer("max_events", default, &(1..=BATCH_EVENTS_MAX));
    let max_wait = section.duration("max_wait", BATCH.max_wait, &(Duration::ZERO..=MINUTE));
    section.finish();
    BatchConfig { max_events: max_events as usize, max_wait }
}

fn retry(mut section: Section<'_>) -> RetryConfig {
    let schedule = section
        .find("schedule")
        .and_then(|field| steps(&field))
        .unwrap_or_else(|| RETRY_SECS.map(Duration::from_secs).to_vec());
    let give_up = section.duration("give_up", GIVE_UP, &(RETRY_MIN..=30 * DAY));
    if schedule.first().is_some_and(|first| give_up < *first) {
        section.fault(
            "give_up",
            "is shorter than the first step of schedule: nothing would be tried again",
            "write a longer one",
        );
    }
    section.finish();
    RetryConfig { schedule, give_up }
}

fn steps(field: &Field<'_>) -> Option<Vec<Duration>> {
    let example = "[\"5s\", \"30s\", \"2m\"]";
    let items = field.list(example)?;
    if items.is_empty() || items.len() > RETRY_STEPS_MAX {
        return field.fault(
            format!("has {} steps", items.len()),
            format!("write 1 to {RETRY_STEPS_MAX} of them, for example {example}"),
        );
    }
    // Every step is read before one that is wrong ends it, so that all faults are told.
    let steps: Vec<_> =
        items.iter().map(|item| item.duration(&(RETRY_MIN..=7 * DAY), "30s")).collect();
    steps.into_iter().collect()
}
