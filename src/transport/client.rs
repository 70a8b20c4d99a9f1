//! Making a client.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Proxy};
use url::Url;

use crate::model::address::AddressPolicy;
use crate::transport::names::{Lookup, Names, system_lookup};
use crate::transport::reason::explain;

/// Who we say we are in `User-Agent`.
const USER_AGENT: &str = concat!("tailwater/", env!("CARGO_PKG_VERSION"));

/// Keep-alive probes on connections: shorter than the 350 s after which common cloud
/// load balancers forget an idle connection without a word.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

/// An HTTP/2 connection that hears nothing for so long is asked whether anybody is there,
/// also while it is idle: requests that end sooner than this by their own limits would
/// otherwise never leave it the time.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// One that does not answer that within so long is given up. All requests to a host share
/// it: without this, each of them would wait for its own limit on a connection that a
/// firewall has forgotten, and so would the next, for a quarter of an hour.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client is to be like.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Limit of connecting, TLS included.
    pub connect_timeout: Duration,
    /// Limit of one request from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Limit of the pause between two pieces of an answer.
    pub read_timeout: Duration,
    /// Proxy for all requests; `None`: the environment's (`HTTPS_PROXY`, `NO_PROXY` …).
    pub proxy: Option<Url>,
    /// PEM file with certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Which addresses the names of `hosts` may have.
    pub addresses: AddressPolicy,
    /// Hosts that are asked, as they stand in URLs. Any other name is a proxy's, whose
    /// addresses are the operator's own matter.
    pub hosts: Vec<String>,
    /// Whether to ask for compressed answers and decompress them.
    pub gzip: bool,
    /// Idle connections kept for each host, at most.
    pub pool_max_idle_per_host: usize,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
}

impl Default for ClientOptions {
    /// 10 s to connect, 30 s in all and between two pieces, 16 idle connections for 90 s,
    /// no compression, the environment's proxy, the system's authorities.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            proxy: None,
            ca_file: None,
            addresses: AddressPolicy::Ordinary,
            hosts: Vec::new(),
            gzip: false,
            pool_max_idle_per_host: 16,
            pool_idle_timeout: Duration::from_secs(90),
        }
    }
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file with certificate authorities could not be read.
    #[error("cannot read the CA file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no certificate in PEM form, or a broken one.
    #[error("the CA file {} {problem}: it must hold PEM blocks that begin with -----BEGIN CERTIFICATE-----", path.display())]
    CaPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The proxy's URL is none that a proxy can have.
    #[error("the proxy {proxy} is no http:// or https:// URL of a proxy")]
    Proxy {
        /// The proxy without user-info and query.
        proxy: String,
    },
    /// The TLS library refused, for example because the system has no authorities.
    #[error("cannot set up TLS ({message}); are the system's CA certificates installed?")]
    Tls {
        /// What it said.
        message: String,
    },
}

/// Makes a client that follows no redirect and waits for nothing without a limit.
///
/// It keeps connections alive, trusts the system's certificate authorities and those of
/// `ca_file`, and connects to no address that [`ClientOptions::addresses`] refuses: where
/// a URL has a name; an address that stands in a URL is for the caller to judge, because
/// it is never looked up. Behind a proxy it is the proxy that looks names up. One client for each source and target keeps their pools apart.
///
/// # Errors
/// [`TransportError`] says which file or proxy is wrong, and how.
pub fn client(options: &ClientOptions) -> Result<Client, TransportError> {
    with_lookup(options, Arc::new(system_lookup))
}

/// As [`client`], with names looked up by `lookup`.
pub(super) fn with_lookup(
    options: &ClientOptions,
    lookup: Lookup,
) -> Result<Client, TransportError> {
    let names = Names::new(options.addresses, options.hosts.clone(), lookup);
    let mut builder = ClientBuilder::new()
        .dns_resolver(names)
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .gzip(options.gzip)
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .read_timeout(options.read_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .pool_max_idle_per_host(options.pool_max_idle_per_host)
        .pool_idle_timeout(options.pool_idle_timeout);
    if let Some(url) = &options.proxy {
        builder = builder.proxy(proxy(url)?);
    }
    if let Some(path) = &options.ca_file {
        builder = builder.tls_certs_merge(authorities(path)?);
    }
    builder.build().map_err(|error| TransportError::Tls { message: explain(&error) })
}

/// `url` without what may hold a key: user-info, query and fragment.
#[must_use]
pub fn redact(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Both refuse only URLs that cannot have user-info, such as `mailto:`.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

fn proxy(url: &Url) -> Result<Proxy, TransportError> {
    let refused = || TransportError::Proxy { proxy: redact(url) };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refused());
    }
    Proxy::all(url.clone()).map_err(|_| refused())
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, TransportError> {
    let bad = |problem| TransportError::CaPem { path: path.to_owned(), problem };
    let pem = fs::read(path)
        .map_err(|source| TransportError::CaFile { path: path.to_owned(), source })?;
    let found =
        Certificate::from_pem_bundle(&pem).map_err(|_| bad("holds a broken certificate"))?;
    if found.is_empty() { Err(bad("holds no certificate")) } else { Ok(found) }
}
