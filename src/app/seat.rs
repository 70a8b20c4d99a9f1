//! A seat for each part of the daemon: who sits there runs alone.
//!
//! A part (a poller, a worker, upkeep) runs with settings of its own. When others are
//! wanted of it, it is let end first and only then starts again, so that two of one name
//! never run side by side, however fast settings change: of those that come meanwhile,
//! the last ones count. A part of which nothing is wanted waits in its seat.

use std::pin::pin;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What runs in a seat.
pub(super) trait Part: Send + 'static {
    /// What it runs with.
    type Settings: Clone + Send + Sync + 'static;

    /// Runs with `settings` until `stop`; may be called again afterwards.
    ///
    /// # Errors
    /// When it cannot go on: the process is to end.
    fn run(
        &mut self,
        settings: Self::Settings,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What is wanted of a part; `None`: that it waits.
pub(super) type Wanted<P> = watch::Sender<Option<<P as Part>::Settings>>;

/// Has `part` run with whatever is wanted of it, until `stop`.
///
/// # Errors
/// When the part fails, or ends without being asked to.
pub(super) async fn occupy<P: Part>(
    mut part: P,
    mut wanted: watch::Receiver<Option<P::Settings>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let settings = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            settings = next(&mut wanted) => settings,
        };
        let Some(settings) = settings else { return Ok(()) };
        let turn = stop.child_token();
        let mut running = pin!(part.run(settings, turn.clone()));
        tokio::select! {
            ended = &mut running => {
                ended?;
                anyhow::ensure!(stop.is_cancelled(), "a part ended without being asked to");
                return Ok(());
            }
            _ = wanted.changed() => turn.cancel(),
        }
        running.await?;
    }
}

/// Waits until something is wanted; `None` when nobody will want anything any more.
async fn next<S: Clone>(wanted: &mut watch::Receiver<Option<S>>) -> Option<S> {
    wanted.wait_for(Option::is_some).await.ok().and_then(|settings| settings.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Semaphore, mpsc};
    use tokio::task::JoinSet;

    use super::*;

    /// Tells with what it runs, and takes its time to end.
    struct Slow {
        running: Arc<AtomicUsize>,
        told: mpsc::UnboundedSender<u32>,
        may_end: Arc<Semaphore>,
    }

    impl Part for Slow {
        type Settings = u32;

        async fn run(&mut self, settings: u32, stop: CancellationToken) -> anyhow::Result<()> {
            assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "alone");
            self.told.send(settings)?;
            stop.cancelled().await;
            self.may_end.acquire().await?.forget();
            self.running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }

    struct Rig {
        wanted: watch::Sender<Option<u32>>,
        told: mpsc::UnboundedReceiver<u32>,
        may_end: Arc<Semaphore>,
        stop: CancellationToken,
        tasks: JoinSet<anyhow::Result<()>>,
    }

    fn seat(first: Option<u32>) -> Rig {
        let (tell, told) = mpsc::unbounded_channel();
        let may_end = Arc::new(Semaphore::new(0));
        let part = Slow { running: Arc::default(), told: tell, may_end: may_end.clone() };
        let (wanted, receiver) = watch::channel(first);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(occupy(part, receiver, stop.clone()));
        Rig { wanted, told, may_end, stop, tasks }
    }

    #[tokio::test]
    async fn a_part_starts_again_only_when_it_has_ended_and_with_the_last_settings() {
        let mut rig = seat(Some(1));
        assert_eq!(rig.told.recv().await, Some(1));
        for settings in [Some(2), None, Some(3)] {
            rig.wanted.send_replace(settings);
            tokio::task::yield_now().await;
        }
        assert!(rig.told.try_recv().is_err(), "the first is still ending");
        rig.may_end.add_permits(1);
        assert_eq!(rig.told.recv().await, Some(3));
        rig.may_end.add_permits(1);
        rig.stop.cancel();
        assert!(rig.tasks.join_next().await.unwrap().unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_part_of_which_nothing_is_wanted_waits() {
        let mut rig = seat(None);
        tokio::task::yield_now().await;
        assert!(rig.told.try_recv().is_err());
        rig.wanted.send_replace(Some(7));
        assert_eq!(rig.told.recv().await, Some(7));
        rig.may_end.add_permits(1);
        rig.wanted.send_replace(None);
        tokio::task::yield_now().await;
        rig.stop.cancel();
        assert!(rig.tasks.join_next().await.unwrap().unwrap().is_ok());
    }
}
