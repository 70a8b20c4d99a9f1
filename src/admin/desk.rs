//! What all requests share: how to look at the daemon, the token, and the figures of the
//! ledger, which are read one reading at a time and kept for all who ask meanwhile. A
//! reading goes on when whoever asked for it has left, so that it ends some time.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

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

/// How long a request waits for figures that are being read: half of what it may take.
const PATIENCE: Duration = Duration::from_secs(5);

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
    figures: watch::Sender<Option<Kept<Option<Arc<Figures>>>>>,
    /// Somebody wants figures.
    wanted: Notify,
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
            figures: watch::Sender::default(),
            wanted: Notify::new(),
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

    /// Figures of the ledger, read within the last second, or longer ago where that takes
    /// long; `None` when it cannot be read.
    pub(super) async fn figures(&self) -> Option<Arc<Figures>> {
        let mut seen = self.figures.subscribe();
        if !self.has_good_figures() {
            self.wanted.notify_one();
            // Those of before are better than none.
            let _ = timeout(PATIENCE, seen.changed()).await;
        }
        self.figures.borrow().as_ref()?.value.clone()
    }

    /// Reads figures of the ledger whenever somebody wants some, until `stop`.
    pub(super) async fn gather(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wanted.notified() => {}
            }
            if self.has_good_figures() {
                continue;
            }
            let began = self.clock.uptime();
            let value = tokio::select! {
                () = stop.cancelled() => return,
                value = self.read() => value,
            };
            let ended = self.clock.uptime();
            let rest = ended.saturating_sub(began).saturating_mul(REST);
            self.figures.send_replace(Some(Kept { value, until: ended + rest.max(GOOD_FOR) }));
        }
    }

    async fn read(&self) -> Option<Arc<Figures>> {
        let targets = (self.look)().targets;
        match self.ledger()?.find_figures(&targets).await {
            Ok(found) => Some(Arc::new(found)),
            Err(error) => {
                tracing::warn!(%error, "the ledger's figures cannot be read");
                None
            }
        }
    }

    fn has_good_figures(&self) -> bool {
        let kept = self.figures.borrow();
        kept.as_ref().is_some_and(|kept| self.clock.uptime() < kept.until)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_share_what_is_read_and_later_ones_get_it_anew() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_750_000_000));
        let ledger = Ledger::open(&folder.path().join("t.db"), clock.clone()).await.unwrap();
        let desk = Desk::new(Arc::new(Default::default), ledger, clock.clone(), None);
        let stop = CancellationToken::new();
        let asking =
            async {
                let first = desk.figures().await.unwrap();
                for same in join_all((0..20).map(|_| desk.figures())).await {
                    assert!(Arc::ptr_eq(&first, &same.unwrap()));
                }
                clock.advance(GOOD_FOR);
                let later: Vec<_> = join_all((0..20).map(|_| desk.figures())).await;
                assert!(!Arc::ptr_eq(&first, later[0].as_ref().unwrap()));
                assert!(
                    later.windows(2).all(|pair| pair[0].as_ref().map(Arc::as_ptr)
                        == pair[1].as_ref().map(Arc::as_ptr))
                );
                // Where reading takes for ever, those of before are told.
                clock.advance(GOOD_FOR);
                stop.cancel();
                assert!(desk.figures().await.is_some());
            };
        tokio::join!(desk.gather(stop.clone()), asking);
    }
}
