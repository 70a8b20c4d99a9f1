//! What a poller sees of the world: its audit log and its ledger. Any call may fail, or be
//! the last one of the process.

use std::future::pending;
use std::io;
use std::time::Duration;

use tailwater::greenlake::{FetchError, Page, Query};
use tailwater::model::coverage::Coverage;
use tailwater::model::lateness::{Curve, Learnt};
use tailwater::model::timestamp::Timestamp;
use tailwater::poll::{Keep, Log};
use tailwater::storage::{Ingest, Ingested, PollRequest, StorageError};

use crate::world::{Fate, Shared, World, failure, index_of, lock, refusal};

/// Does `work` unless fate is against it; `failure` is how it fails, by number.
async fn live<T: Send, E: Send>(
    world: &Shared,
    failure: fn(u64) -> E,
    work: impl FnOnce(&mut World) -> Result<T, E> + Send,
) -> Result<T, E> {
    let fate = lock(world).turn();
    if let Some(Fate::Fails(way)) = fate {
        return Err(failure(way));
    }
    if fate == Some(Fate::DiesBefore) {
        pending::<()>().await;
    }
    let done = work(&mut lock(world));
    if fate == Some(Fate::DiesAfter) {
        pending::<()>().await;
    }
    done
}

/// The audit log of one source, as a poller sees it.
#[derive(Clone)]
pub(crate) struct SimLog {
    pub(crate) world: Shared,
    pub(crate) index: usize,
}

impl Log for SimLog {
    async fn fetch(&self, query: &Query) -> Result<Page, FetchError> {
        let (index, query) = (self.index, query.clone());
        live(&self.world, refusal, move |world| world.fetch(index, &query)).await
    }

    fn server_now(&self) -> Timestamp {
        let mut world = lock(&self.world);
        let now = world.server_now(self.index);
        world.sources[self.index].told_time = now;
        Timestamp::from_micros(now)
    }

    fn parts(&self) -> Vec<String> {
        vec![String::new()]
    }
}

/// The ledger, as a poller sees it.
#[derive(Clone)]
pub(crate) struct SimKeep(pub(crate) Shared);

impl Keep for SimKeep {
    async fn ingest(&self, ingest: Ingest) -> Result<Ingested, StorageError> {
        live(&self.0, failure, move |world| world.ingest(ingest)).await
    }

    async fn log_request(&self, _source: &str, _request: PollRequest) -> Result<(), StorageError> {
        live(&self.0, failure, |world| {
            let fails = world.is_rough && world.dice.one_in(world.odds.store_fails);
            if fails { Err(StorageError::Busy) } else { Ok(()) }
        })
        .await
    }

    async fn find_coverage(&self, source: &str) -> Result<Option<Coverage>, StorageError> {
        let index = index_of(source);
        live(&self.0, failure, move |world| Ok(world.sources[index].shelf.coverage.clone())).await
    }

    async fn find_learnt(&self, source: &str) -> Result<Option<Learnt>, StorageError> {
        let index = index_of(source);
        live(&self.0, failure, move |world| Ok(world.sources[index].shelf.learnt.clone())).await
    }

    async fn find_curve(&self, source: &str, _window: Duration) -> Result<Curve, StorageError> {
        let index = index_of(source);
        live(&self.0, failure, move |world| {
            Ok(world.sources[index].shelf.samples.iter().copied().collect())
        })
        .await
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(lock(&self.0).free)
    }
}
