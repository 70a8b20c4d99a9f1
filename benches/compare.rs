//! The comparison of a million entries, each pushed and polled: seconds and peak memory.
//!
//! ```text
//! cargo bench --bench compare
//! cargo bench --bench compare -- --entries 100000 --rounds 1
//! ```
//!
//! The ledger is made by bulk statements in the temporary folder (`TMPDIR`, some 700 MB); its
//! bodies are short, for a comparison reads none. Each comparison is a process of its own,
//! from opening the ledger to the last figure as JSON.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tailwater::compare::compare;
use tailwater::model::clock::Clock;
use tailwater::model::timestamp::Timestamp;
use tailwater::storage::{Ledger, Reader};

/// When the first entry was made.
const START: i64 = 1_790_000_000;

/// Seconds between two polls; an entry is made each second.
const INTERVAL: i64 = 30;

#[derive(Parser)]
struct Args {
    /// Entries, each with two sightings
    #[arg(long, default_value_t = 1_000_000)]
    entries: i64,
    /// Comparisons; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The process that compares
    Compare { ledger: PathBuf, entries: i64 },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &args.role {
        Some(Role::Compare { ledger, entries }) => runtime.block_on(one(ledger, *entries)),
        None => runtime.block_on(measure(&args)),
    }
}

/// Compares, and prints seconds and KiB.
async fn one(ledger: &Path, entries: i64) -> Result<()> {
    let began = Instant::now();
    let now = Timestamp::from_secs(START + entries + 86_400);
    let reader = Reader::open(ledger).await?;
    let comparison = compare(&reader, "production", None, None, now).await?;
    let told = serde_json::to_vec(&comparison)?;
    let took = began.elapsed().as_secs_f64();
    let both = comparison.coverage.both;
    ensure!(i64::try_from(both)? == entries, "{both} of {entries} entries were compared");
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{took} {peak} {}", told.len());
    Ok(())
}

async fn measure(args: &Args) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("tailwater-compare-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("ledger.db");
    let result = async {
        let began = Instant::now();
        make(&path, args.entries).await?;
        let size = std::fs::metadata(&path)?.len() / 1024 / 1024;
        println!("{} entries, {size} MiB, made in {:.0?}", args.entries, began.elapsed());
        let (mut seconds, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds.max(1) {
            let (ledger, entries) = (path.to_string_lossy(), args.entries.to_string());
            let done = Command::new(std::env::current_exe()?)
                .args(["compare", &ledger, &entries])
                .output()?;
            let said = String::from_utf8(done.stdout)?;
            ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let mut figures = said.split_whitespace();
            let mut next = || figures.next().context("no figure");
            seconds.push(next()?.parse::<f64>()?);
            peaks.push(next()?.parse::<f64>()? / 1024.0);
        }
        seconds.sort_by(f64::total_cmp);
        peaks.sort_by(f64::total_cmp);
        println!("seconds, each                 {seconds:.2?}");
        println!("median                        {:>8.2} s   (reach 2)", seconds[seconds.len() / 2]);
        println!("peak resident memory          {:>8.1} MiB (reach 200)", peaks[peaks.len() - 1]);
        Ok(())
    }
    .await;
    std::fs::remove_dir_all(folder)?;
    result
}

/// Makes the ledger: an entry a second, pushed some hundred milliseconds later, polled at the
/// next full half minute.
async fn make(path: &Path, entries: i64) -> Result<()> {
    Ledger::open(path, Clock::manual(Timestamp::from_secs(START))).await?.close().await;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .pragma("synchronous", "OFF")
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "-500000");
    let mut connection = options.connect().await?;
    let numbers = format!(
        "WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {entries})"
    );
    let polled = format!("({START} + (k / {INTERVAL} + 1) * {INTERVAL}) * 1000000 + 120000");
    let created = format!("({START} + k) * 1000000 + (k * 7919 % 1000) * 1000");
    let statements = [
        format!(
            "INSERT INTO source (id, name, start_us, watermark_us, push_since_us, horizon_us)
             VALUES (1, 'production', {START} * 1000000, ({START} + {entries} + 1) * 1000000,
                     {START} * 1000000, 43200000000)"
        ),
        "INSERT INTO origin (id, workspace_id, uri)
         VALUES (1, '3009de2825f211ec8a84fedebcb4a754', '//global.api.greenlake.hpe.com/audit-log')"
            .to_owned(),
        format!(
            "{numbers} INSERT INTO event (sequence, origin_id, id, source_id, type, occurred_us,
                 recorded_us, first_route, body, checksum)
             SELECT k, 1, lower(hex(randomblob(10))), 1,
                    'com.hpe.greenlake.audit-log.v1.logs.created', {created}, {created}, 'push',
                    '{{\"specversion\":\"1.0\",\"data\":{{}}}}', 0 FROM n"
        ),
        format!(
            "{numbers} INSERT INTO sighting (sequence, route, seen_us, shown_us, unseen_us)
             SELECT k, r.route, CASE r.route WHEN 'poll' THEN {polled}
                                ELSE {created} + 150000 + k * 104729 % 700000 END,
                    CASE r.route WHEN 'poll' THEN {polled} END,
                    CASE r.route WHEN 'poll' THEN {polled} - {INTERVAL} * 1000000 END
             FROM n CROSS JOIN (SELECT 'poll' AS route UNION ALL SELECT 'push') r"
        ),
        format!(
            "{numbers} INSERT INTO push_request (source_id, received_us, duration_us, status,
                 count, new, bytes, sighted)
             SELECT 1, {created} + 150000, 900, 202, 1, 1, 900, 1 FROM n"
        ),
        format!(
            "{numbers} INSERT INTO poll_request (source_id, started_us, duration_us, from_us,
                 until_us, skip, outcome, status, count, total, new, bytes, tier, sighted, run_us,
                 nudged)
             SELECT 1, {polled} - 120000, 120000, {polled} - 900000000, {polled}, 0, 'complete',
                    200, 900, 900, 0, 800000, 'hot', {INTERVAL}, {polled} - 121000, 0
             FROM n WHERE k % {INTERVAL} = 0"
        ),
    ];
    for statement in statements {
        run(&mut connection, statement).await?;
    }
    connection.close().await?;
    Ok(())
}

async fn run(connection: &mut SqliteConnection, statement: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
