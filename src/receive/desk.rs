//! What all connections share: the inlets by path, and the limits.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::model::clock::Clock;
use crate::receive::body::Room;
use crate::receive::buckets::Buckets;
use crate::receive::inlet::{Inlet, Open};
use crate::receive::rows::Rows;

/// Challenges of one network at once, and then one each [`CHALLENGE_REFILL`]. GreenLake
/// sends one when a webhook is made, changed or verified.
const CHALLENGES: u32 = 20;
const CHALLENGE_REFILL: Duration = Duration::from_secs(3);

/// What all connections share.
pub(super) struct Desk {
    inlets: RwLock<HashMap<String, Arc<Open>>>,
    pub(super) clock: Clock,
    pub(super) room: Room,
    pub(super) challenges: Buckets<IpAddr>,
    pub(super) rows: Rows,
    pub(super) is_behind_proxy: bool,
}

/// Exchanges what a running receiver takes in.
#[derive(Clone)]
pub struct Inlets(pub(super) Arc<Desk>);

impl Inlets {
    /// Puts these in the place of the present ones. Requests under way end as they began.
    pub fn replace(&self, inlets: Vec<Inlet>) {
        self.0.replace(inlets);
    }
}

impl fmt::Debug for Inlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inlets(..)")
    }
}

impl Desk {
    pub(super) fn new(clock: Clock, rows: Rows, is_behind_proxy: bool) -> Self {
        Self {
            inlets: RwLock::default(),
            clock,
            room: Room::new(),
            challenges: Buckets::new(CHALLENGES, CHALLENGE_REFILL),
            rows,
            is_behind_proxy,
        }
    }

    /// The inlet at `path`, compared exactly.
    pub(super) fn find(&self, path: &str) -> Option<Arc<Open>> {
        self.inlets.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// All inlets, in no order.
    pub(super) fn inlets(&self) -> Vec<Arc<Open>> {
        self.inlets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn replace(&self, inlets: Vec<Inlet>) {
        let open = |inlet: Inlet| (inlet.push.path.clone(), Arc::new(Open::new(inlet)));
        let inlets = inlets.into_iter().map(open).collect();
        *self.inlets.write().unwrap_or_else(PoisonError::into_inner) = inlets;
    }
}
