//! A ledger of ten million events beside an empty one: what a poll costs, and a start.
//!
//! The large one is grown from two thousand events that the bridge itself has stored and
//! delivered: their rows are multiplied, whatever columns they have, with random ids and
//! with bodies cut short, which saves the disk and changes no index.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tokio::task::JoinSet;

use crate::fixture::{Bridge, Setup, Sink, median, mib, target};
use crate::{Args, start_cloud};

/// Events whose rows are multiplied.
const SEED: u64 = 2_000;

/// Copies in one transaction.
const COPIES: u64 = 50;

/// Entries that each poll reads again: one a second over the overlap of 15 minutes.
const AGAIN: u64 = 900;

/// Starts of each ledger; the median counts.
const STARTS: usize = 3;

const POLL: &str = "interval = \"1s\"\nstart = \"15m\"";

/// Grows a ledger, and measures it beside an empty one, at the same time.
pub(crate) async fn measure(args: &Args, dir: &Path) -> Result<()> {
    seed(dir).await?;
    let path = dir.join("large.db");
    let started = Instant::now();
    let events = grow(&path, args.ledger).await?;
    let size = std::fs::metadata(&path)?.len() / 1024;
    println!("ledger of {events} events, {:.0} MiB, grown in {:.0?}", mib(size), started.elapsed());
    let mut serving = JoinSet::new();
    let cloud = start_cloud(&mut serving, AGAIN, Duration::from_mins(15), 1.0).await?;
    let setup = |name| Setup { dir, name, cloud: &cloud, poll: POLL, targets: "" }.write();
    let (large, empty) = (setup("large")?, setup("empty")?);
    // The first close lets SQLite look at its indexes, as after any clean stop.
    Bridge::start(&large)?.0.stop()?;
    for (name, is_cold) in [("as it is", false), ("out of the page cache", true)] {
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            if is_cold {
                forget(&path)?;
            }
            let (bridge, took) = Bridge::start(&large)?;
            starts.push(took.as_secs_f64());
            bridge.stop()?;
        }
        println!("start to ready, {name:<22} {:>6.3} s (reach 1)", median(starts));
    }
    polls(args, &large, &empty).await
}

/// Runs both bridges side by side, so that whatever else goes on meets both.
async fn polls(args: &Args, large: &Path, empty: &Path) -> Result<()> {
    let bridges = [Bridge::start(large)?.0, Bridge::start(empty)?.0];
    tokio::time::sleep(Duration::from_secs(5)).await;
    let read = || -> Result<[f64; 2]> { Ok([bridges[0].processor()?, bridges[1].processor()?]) };
    let before = read()?;
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let after = read()?;
    let spent = Duration::from_secs(args.seconds).as_secs_f64();
    let [large, empty] = [0, 1].map(|at| (after[at] - before[at]) / spent / 1_000.0);
    println!("one poll a second of {AGAIN} known entries and one new, processor time of a second:");
    println!("large, empty                  {large:>10.1} {empty:>8.1} ms");
    println!("large / empty                 {:>10.2}   (reach 1.20)", large / empty);
    let [large, empty] = [bridges[0].memory("VmRSS:")?, bridges[1].memory("VmRSS:")?];
    println!("resident memory large, empty  {:>10.1} {:>8.1} MiB", mib(large), mib(empty));
    Ok(())
}

/// Lets the bridge itself store and deliver the first events.
async fn seed(dir: &Path) -> Result<()> {
    let mut serving = JoinSet::new();
    let cloud = start_cloud(&mut serving, SEED, Duration::from_hours(1), 0.0).await?;
    let (sink, url) = Sink::start(&mut serving).await?;
    let (poll, targets) = ("interval = \"1s\"\nstart = \"3700s\"", target("one", &url, 64, ""));
    let setup = Setup { dir, name: "large", cloud: &cloud, poll, targets: &targets };
    let (bridge, _) = Bridge::start(&setup.write()?)?;
    sink.wait_for(SEED).await?;
    bridge.stop()
}

/// Multiplies the rows of all events until there are `events`.
async fn grow(path: &Path, events: u64) -> Result<u64> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .pragma("synchronous", "OFF")
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "-1000000");
    let mut connection = options.connect().await?;
    let last: i64 =
        sqlx::query_scalar("SELECT max(sequence) FROM event").fetch_one(&mut connection).await?;
    ensure!(u64::try_from(last) == Ok(SEED), "the bridge stored {last} events");
    let copies = (events / SEED).max(2) - 1;
    let mut tables = Vec::new();
    for table in tables_by_sequence(&mut connection).await? {
        tables.push(copying(&mut connection, &table).await?);
    }
    for first in (1..=copies).step_by(usize::try_from(COPIES)?) {
        let until = (first + COPIES - 1).min(copies);
        let mut transaction = connection.begin().await?;
        for statement in &tables {
            sqlx::query(AssertSqlSafe(statement.as_str()))
                .bind(i64::try_from(first)?)
                .bind(i64::try_from(until)?)
                .bind(last)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    let events = (copies + 1) * SEED;
    let next = i64::try_from(events)? + 1;
    sqlx::query("UPDATE ledger SET next_sequence = $1").bind(next).execute(&mut connection).await?;
    connection.close().await?;
    Ok(events)
}

/// Tables with rows of an event.
async fn tables_by_sequence(connection: &mut SqliteConnection) -> Result<Vec<String>> {
    let sql = "SELECT t.name FROM sqlite_schema t
               WHERE t.type = 'table'
                 AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) c WHERE c.name = 'sequence')";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
}

/// The statement that makes the copies `$1` to `$2` of the first `$3` events' rows in `table`.
async fn copying(connection: &mut SqliteConnection, table: &str) -> Result<String> {
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(connection)
        .await?;
    let values: Vec<String> = columns
        .iter()
        .map(|column| match (table, column.as_str()) {
            (_, "sequence") => "t.sequence + k.value * $3".to_owned(),
            ("event", "id") => "lower(hex(randomblob(10)))".to_owned(),
            ("event", "body") => "'{\"specversion\":\"1.0\",\"data\":{}}'".to_owned(),
            (_, column) => format!("t.{column}"),
        })
        .collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    Ok(format!(
        "WITH RECURSIVE k (value) AS (SELECT $1 UNION ALL SELECT value + 1 FROM k WHERE value < $2)
         INSERT INTO {table} ({columns})
         SELECT {values} FROM k CROSS JOIN {table} t WHERE t.sequence <= $3"
    ))
}

/// Drops a file from the system's page cache (dd(1), `nocache`).
fn forget(path: &Path) -> Result<()> {
    let input = format!("if={}", path.display());
    let done =
        Command::new("dd").args([&input, "iflag=nocache", "count=0", "status=none"]).status()?;
    ensure!(done.success(), "dd does not drop the page cache");
    Ok(())
}
