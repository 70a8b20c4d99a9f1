//! What the two routes cost: their requests, summed up by the database.

use serde::Serialize;
use sqlx::FromRow;

use crate::model::timestamp::Timestamp;
use crate::storage::Reader;
use crate::storage::error::StorageError;

/// What polling cost in a stretch of time, for one tier of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct PollCost {
    /// `hot`: the present; `past`: unsettled time before it; `hourly`, `daily`: sweeps.
    pub tier: String,
    /// Requests to the audit log.
    pub requests: u64,
    /// Those that brought no answer of use: throttled, refused, timed out.
    pub failed: u64,
    /// Answers that showed nothing that polling had not shown before.
    pub empty: u64,
    /// Entries in the answers, however often.
    pub read: u64,
    /// Entries that polling showed for the first time.
    pub shown: u64,
    /// Events that no route had shown before.
    pub new: u64,
    /// Bytes of decoded answers.
    pub bytes: u64,
}

/// What push cost in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct PushCost {
    /// Requests that the receiver got and logged.
    pub requests: u64,
    /// Those that it did not take: unsigned, unreadable, too large, challenges too fast.
    pub refused: u64,
    /// Requests taken that brought nothing that push had not brought before, challenges
    /// among them.
    pub empty: u64,
    /// Events in what was taken, however often.
    pub read: u64,
    /// Events that had been pushed before.
    pub repeated: u64,
    /// Events that push showed for the first time.
    pub shown: u64,
    /// Events that no route had shown before.
    pub new: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

impl Reader {
    /// What a source's requests to the audit log cost that were sent in `[from, until)`, by
    /// tier: hot, past, hourly, daily; tiers without a request are left out.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn sum_poll_costs(
        &self,
        source: &str,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Vec<PollCost>, StorageError> {
        let mut costs = sqlx::query_as::<_, PollCost>(
            "SELECT tier, count(*) AS requests,
                    sum(status IS NULL OR status <> 200) AS failed,
                    sum(status = 200 AND sighted = 0) AS empty,
                    sum(coalesce(count, 0)) AS read,
                    sum(sighted) AS shown, sum(new) AS new, sum(bytes) AS bytes
             FROM poll_request
             WHERE started_us >= $1 AND started_us < $2
               AND source_id = (SELECT id FROM source WHERE name = $3)
             GROUP BY tier",
        )
        .bind(from.micros())
        .bind(until.micros())
        .bind(source)
        .fetch_all(&self.0)
        .await?;
        let tiers = ["hot", "past", "hourly", "daily"];
        costs.sort_by_key(|cost| tiers.iter().position(|tier| *tier == cost.tier));
        Ok(costs)
    }

    /// What a source's pushes cost that were received in `[from, until)`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn sum_push_cost(
        &self,
        source: &str,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<PushCost, StorageError> {
        let cost = sqlx::query_as::<_, PushCost>(
            "SELECT count(*) AS requests,
                    coalesce(sum(status >= 300), 0) AS refused,
                    coalesce(sum(status < 300 AND sighted = 0), 0) AS empty,
                    coalesce(sum(sighted + repeated), 0) AS read,
                    coalesce(sum(repeated), 0) AS repeated,
                    coalesce(sum(sighted), 0) AS shown,
                    coalesce(sum(new), 0) AS new, coalesce(sum(bytes), 0) AS bytes
             FROM push_request
             WHERE received_us >= $1 AND received_us < $2
               AND source_id = (SELECT id FROM source WHERE name = $3)",
        )
        .bind(from.micros())
        .bind(until.micros())
        .bind(source)
        .fetch_one(&self.0)
        .await?;
        Ok(cost)
    }
}
