//! Looking up names, and which of their addresses may be connected to.
//!
//! The addresses that pass are the ones that the client connects to: a name that points
//! elsewhere a moment after it was looked at (DNS rebinding) gains nothing by it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::model::address::{AddressPolicy, Refusal};

/// Lookups under way for one client, at most. The system's lookup holds a thread for as
/// long as a dead name server makes it wait, also when nobody waits for the answer any
/// more, and the runtime has 512 for all: 128 targets with dead names leave half of them.
const LOOKUPS_MAX: usize = 2;

/// Finds the addresses of a name, and may take a while.
pub(super) type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Asks the system, as everything else on it does.
pub(super) fn system_lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

/// The names of one client.
pub(super) struct Names {
    policy: AddressPolicy,
    hosts: Vec<String>,
    lookup: Lookup,
    slots: Arc<Semaphore>,
}

impl Names {
    /// Judges the addresses of `hosts`; any other name is a proxy's.
    pub(super) fn new(policy: AddressPolicy, hosts: Vec<String>, lookup: Lookup) -> Self {
        let slots = Arc::new(Semaphore::new(LOOKUPS_MAX));
        Self { policy, hosts, lookup, slots }
    }
}

impl Resolve for Names {
    /// The addresses of `name` that may be asked; when there are only others, the
    /// [`Refusal`] of the first of them.
    fn resolve(&self, name: Name) -> Resolving {
        let is_judged = self.hosts.iter().any(|host| host == name.as_str());
        let policy = if is_judged { Some(self.policy) } else { None };
        let (lookup, slots) = (Arc::clone(&self.lookup), Arc::clone(&self.slots));
        Box::pin(async move {
            let slot = slots.acquire_owned().await?;
            let found = tokio::task::spawn_blocking(move || {
                let found = lookup(name.as_str());
                drop(slot);
                found
            });
            let found = found.await??;
            let passed = match policy {
                Some(policy) => passing(found, policy)?,
                None => found,
            };
            Ok(Box::new(passed.into_iter()) as Addrs)
        })
    }
}

fn passing(found: Vec<SocketAddr>, policy: AddressPolicy) -> Result<Vec<SocketAddr>, Refusal> {
    let (mut passed, mut refused) = (Vec::new(), None);
    for address in found {
        match policy.judge(address.ip()) {
            Ok(()) => passed.push(address),
            Err(refusal) => _ = refused.get_or_insert(refusal),
        }
    }
    match refused {
        Some(refusal) if passed.is_empty() => Err(refusal),
        _ => Ok(passed),
    }
}
