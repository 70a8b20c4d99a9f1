//! What all requests share: how to look at the daemon, the token, and the figures of the
//! ledger, which are read by one request at a time and kept for the others.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::admin::readiness::LedgerState;
use crate::admin::running::Look;
use crate::config::Secret;
use crate::model::clock::Clock;
use crate::model::timestamp::Timestamp;
use crate::storage::{Figures, Ledger};

/// How long what the ledger said is good at least: many who ask at once ask it once.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Figures that took long to read are kept so many times as long: reading them never takes
/// more than a tenth of one reader.
const REST: u32 = 10;

/// What all requests share.
pub(super) struct Desk {
    pub(super) look: Look,
    pub(super) clock: Clock,
    /// When this began: the process's start, as far as anybody outside could see it.
    pub(super) began_at: Timestamp,
    token: RwLock<Option<Secret>>,
    /// `None` once the daemon has stopped.
    ledger: RwLock<Option<Ledger>>,
    probed: Mutex<Option<Kept<LedgerState>>>,
    figures: Mutex<Option<Kept<Option<Arc<Figures>>>>>,
}

/// Something that is good until a time since boot.
struct Kept<T> {
    value: T,
    until: Duration,
}

impl Desk {
    pub(super) fn new(look: Look, ledger: Ledger, clock: Clock, token: Option<Secret>) -> Self {
        Self {
            look,
            began_at: clock.now(),
            clock,
            token: RwLock::new(token),
            ledger: RwLock::new(Some(ledger)),
            probed: Mutex::default(),
            figures: Mutex::default(),
        }
    }

    pub(super) fn token(&self) -> Option<Secret> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change_token(&self, token: Option<Secret>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Lets the ledger go.
    pub(super) fn leave(&self) {
        *self.ledger.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn ledger(&self) -> Option<Ledger> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the ledger stands, by writing a little to it.
    pub(super) async fn probe(&self) -> LedgerState {
        let mut probed = self.probed.lock().await;
        if let Some(kept) = probed.as_ref().filter(|kept| self.clock.uptime() < kept.until) {
            return kept.value.clone();
        }
        let value = match self.ledger() {
            None => LedgerState { fault: Some("it is closed".to_owned()), free: None },
            Some(ledger) => LedgerState {
                fault: ledger.probe().await.err().map(|error| error.to_string()),
                free: ledger.free_space().ok(),
            },
        };
        *probed = Some(Kept { value: value.clone(), until: self.clock.uptime() + GOOD_FOR });
        value
    }

    /// Figures of the ledger and of these targets, read within the last second or longer
    /// ago where that took long; `None` when it cannot be read.
    pub(super) async fn figures(&self, targets: &[String]) -> Option<Arc<Figures>> {
        let mut figures = self.figures.lock().await;
        let began = self.clock.uptime();
        if let Some(kept) = figures.as_ref().filter(|kept| began < kept.until) {
            return kept.value.clone();
        }
        let value = match self.ledger()?.find_figures(targets).await {
            Ok(found) => Some(Arc::new(found)),
            Err(error) => {
                tracing::warn!(%error, "the ledger's figures cannot be read");
                None
            }
        };
        let ended = self.clock.uptime();
        let rest = ended.saturating_sub(began).saturating_mul(REST);
        *figures = Some(Kept { value: value.clone(), until: ended + rest.max(GOOD_FOR) });
        value
    }
}
