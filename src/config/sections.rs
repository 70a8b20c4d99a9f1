//! The sections of the configuration and their defaults.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::config::ca_file::CaFile;
use crate::config::inbound::{AdminConfig, PushConfig, ReceiverConfig};
use crate::config::secret::Secret;
use crate::model::address::AddressPolicy;
use crate::model::event::Route;
use crate::model::rate::Rate;
use crate::model::signature::StandardKey;
use crate::model::timestamp::Timestamp;

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[storage]`
    pub storage: StorageConfig,
    /// `[[source]]`, at least one, names unique.
    pub sources: Vec<SourceConfig>,
    /// `[[target]]`, names unique.
    pub targets: Vec<TargetConfig>,
    /// `[receiver]`; there whenever a source has a `[source.push]`, and only then.
    pub receiver: Option<ReceiverConfig>,
    /// `[admin]`; `None`: nobody can ask how things stand.
    pub admin: Option<AdminConfig>,
    /// `[log]`
    pub log: LogConfig,
}

/// `[storage]`: the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The ledger's file. Relative to the directory the process runs in.
    pub path: PathBuf,
    /// How long history is kept.
    pub keep: Duration,
    /// Bytes free on the ledger's file system below which polling pauses.
    pub min_free: u64,
}

/// How `services` calls the GreenLake platform itself.
pub const PLATFORM: &str = "platform";

/// Services that one filter may name (HPE developer portal, audit logs v2beta1).
pub const SERVICES_PER_FILTER: usize = 5;

/// `[[source]]`: one GreenLake workspace. `Debug` shows its name alone: URLs carry keys.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Name in logs, metrics and paths.
    pub name: String,
    /// 32 hex digits.
    pub workspace_id: String,
    /// OAuth2 client id.
    pub client_id: String,
    /// OAuth2 client secret.
    pub client_secret: Secret,
    /// API host, without a trailing slash in its path.
    pub base_url: Url,
    /// Token endpoint, placeholders filled in.
    pub token_url: Url,
    /// How the client proves itself to the token endpoint.
    pub token_auth: TokenAuth,
    /// Version of the audit-log API.
    pub api: ApiVersion,
    /// The user's own filter in HPE's grammar; empty for none.
    pub filter: String,
    /// Services whose logs `v2beta1` is asked for: [`PLATFORM`] or ids. Without effect
    /// where the filter names services, and for `v1`, which has the logs of all.
    pub services: Vec<String>,
    /// Proxy for this source; `None`: the environment's.
    pub proxy: Option<Url>,
    /// PEM file with further certificate authorities to trust.
    pub ca_file: Option<CaFile>,
    /// `[source.poll]`
    pub poll: PollConfig,
    /// `[source.push]`; `None`: no receiver for this source.
    pub push: Option<PushConfig>,
}

impl fmt::Debug for SourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where the client's id and secret go in a token request: HPE's samples show both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAuth {
    /// In the form body, as HPE's own clients do.
    Body,
    /// In an HTTP Basic header.
    Basic,
}

/// Version of the audit-log API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiVersion {
    /// `v1`: logs of every service.
    V1,
    /// `v2beta1`: logs of the services that are named, at most five in a filter.
    V2Beta1,
}

/// `[source.poll]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollConfig {
    /// Whether this source is polled.
    pub enabled: bool,
    /// When polls are due.
    pub schedule: Schedule,
    /// Each due time is delayed by up to this much, at random.
    pub jitter: Duration,
    /// How long after its creation an entry may become visible.
    pub overlap: Overlap,
    /// Where history begins at the very first start.
    pub start: Start,
    /// Entries asked for in one request, 1 to 2000.
    pub page_limit: u32,
    /// Limit of one request from connecting to the last byte.
    pub timeout: Duration,
}

/// When polls are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One interval after the last due time.
    Interval(Duration),
    /// A cron line with six or seven fields, seconds first, UTC.
    Cron(String),
}

/// How far back each poll reads again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Always this far.
    Fixed(Duration),
    /// As far as the lateness of the entries so far demands: from 2 minutes to 6 hours.
    Auto,
}

/// Where history begins at the very first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first start.
    Now,
    /// This long before the first start.
    Back(Duration),
    /// At this instant.
    At(Timestamp),
}

/// `[[target]]`: one webhook. `Debug` shows its name alone: URLs carry keys.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// Name in logs, tables and commands.
    pub name: String,
    /// Where to POST. May carry a key in its query: shown without query and user-info.
    pub url: Url,
    /// Names of sources, or `*`.
    pub sources: Vec<String>,
    /// Routes whose events it gets, by the event's first route.
    pub routes: Vec<Route>,
    /// Form of the body.
    pub format: Format,
    /// Further headers; values may hold secrets and do not print.
    pub headers: Vec<(String, Secret)>,
    /// Who we say we are.
    pub auth: Option<Auth>,
    /// Signatures to add.
    pub signing: Signing,
    /// Attempts under way at once.
    pub concurrency: usize,
    /// Requests that it gets, at most; `None`: as many as it takes.
    pub rate: Option<Rate>,
    /// Limit of one attempt from connecting to the end of the answer.
    pub timeout: Duration,
    /// Whether order matters.
    pub order: Order,
    /// For [`Format::Batch`].
    pub batch: BatchConfig,
    /// When to try again, and when to stop.
    pub retry: RetryConfig,
    /// Proxy for this target; `None`: the environment's.
    pub proxy: Option<Url>,
    /// PEM file with further certificate authorities to trust.
    pub ca_file: Option<CaFile>,
    /// Which addresses it may have.
    pub addresses: AddressPolicy,
    /// Whether it gets our own events about the other targets.
    pub own_events: bool,
    /// Whether new events are delivered to it.
    pub enabled: bool,
}

impl fmt::Debug for TargetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TargetConfig {
    /// Whether an event of `source` that came first by `route` goes to this target.
    #[must_use]
    pub fn wants(&self, source: &str, route: Route) -> bool {
        self.enabled
            && self.routes.contains(&route)
            && self.sources.iter().any(|name| name == "*" || name == source)
    }
}

/// Form of the body that a target gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One CloudEvent in JSON.
    Structured,
    /// The data as the body, the attributes as `ce-` headers.
    Binary,
    /// A JSON array of CloudEvents.
    Batch,
}

/// Whether a target's order matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Deliveries overtake each other.
    None,
    /// Oldest first, one at a time; one that fails holds up the rest.
    Strict,
}

/// Who we say we are to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Basic …`
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// `Authorization: Bearer …`
    Bearer(Secret),
}

/// Signatures on each request to a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signing {
    /// Standard Webhooks keys; the request carries one signature for each.
    pub standard: Vec<StandardKey>,
    /// Secret for `HPE-Webhook-Signature`.
    pub greenlake: Option<Secret>,
}

/// How events are gathered into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// Events in one request, at most.
    pub max_events: usize,
    /// How long the first event of a batch waits for others.
    pub max_wait: Duration,
}

/// When a delivery is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// Pauses between attempts; the last one repeats.
    pub schedule: Vec<Duration>,
    /// Age of the first attempt at which a delivery is given up.
    pub give_up: Duration,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Form of the lines.
    pub format: LogFormat,
    /// `info`, or directives such as `info,tailwater::poll=debug`.
    pub filter: String,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Journald under systemd, text otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
    /// The journal's own protocol, with fields.
    Journald,
}
