//! How SQLite goes about our statements: on a ledger of ten million events none of them
//! may read a table from end to end.
//!
//! The statements are taken from the sources of this module, so that a new one is looked
//! at without being listed here. Those that are put together in pieces are left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use super::*;

/// Tables that stay small, and the names that statements give them.
const SMALL: [&str; 10] =
    ["CONSTANT", "ledger", "source", "s", "origin", "o", "target", "t", "heads", "sqlite_schema"];

/// Statements that may read everything, and why.
const EXCEPTIONS: [(&str, &str); 8] = [
    ("SELECT count(*) FROM sighting WHERE route = 'poll'", "the demo's, on its own ledger"),
    ("SELECT count(*), coalesce(max(sequence), 0) FROM event", "the demo's, on its own ledger"),
    ("(SELECT count(*) FROM (SELECT 1 FROM delivery", "ends at its limit"),
    ("SELECT sequence FROM delivery WHERE status = ", "an operator's, over what is few"),
    ("FROM attempt_log WHERE sequence IN", "sorts the attempts of one event"),
    ("FROM sighting g CROSS JOIN event", "an operator's, over what differs"),
    ("INSERT INTO source", "SQLite looks for orphans after a broken foreign key alone"),
    ("INSERT INTO target", "as that of a source"),
];

#[tokio::test]
async fn no_statement_reads_a_large_table_from_end_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("t.db"), Clock::system()).await.unwrap();
    let (mut explained, mut wrong) = (0, Vec::new());
    for statement in statements() {
        let Some(plan) = explain(&ledger, &statement).await else { continue };
        explained += 1;
        if EXCEPTIONS.iter().any(|(part, _)| statement.contains(part)) {
            continue;
        }
        let bad = plan.iter().filter(|step| is_bad(step));
        wrong.extend(bad.map(|step| format!("{step}: {statement}")));
    }
    assert!(explained > 35, "only {explained} statements were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The plans that people's own queries get, too, rest on what the schema has SQLite expect.
#[tokio::test]
async fn an_event_is_found_by_its_id_and_the_newest_are_not_sorted_out_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    Ledger::open(&path, Clock::system()).await.unwrap().close().await;
    let ledger = Ledger::open(&path, Clock::system()).await.unwrap();
    let by_id = explain(&ledger, "SELECT * FROM history WHERE id = 'x'").await.unwrap();
    assert!(!by_id.iter().any(|step| step.starts_with("SCAN e")), "{by_id:#?}");
    for condition in ["true", "category = 'x'", "time >= '2026'"] {
        let newest =
            format!("SELECT * FROM history WHERE {condition} ORDER BY sequence DESC LIMIT 9");
        let newest = explain(&ledger, &newest).await.unwrap();
        assert!(!newest.iter().any(|step| step.contains("TEMP B-TREE")), "{newest:#?}");
    }
}

/// Deliveries are two tables in one view: both must come in order, and none be sorted whole.
#[tokio::test]
async fn the_newest_deliveries_are_read_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("t.db"), Clock::system()).await.unwrap();
    for condition in ["true", "target = 'siem'", "status = 'delivered'"] {
        let statement = format!(
            "SELECT sequence, event_id, target, status, attempts, last_attempt_at, last_status, \
             last_reason, next_attempt_at, delivered_at FROM delivery_log WHERE {condition} \
             ORDER BY sequence DESC, target LIMIT 9"
        );
        let plan = explain(&ledger, &statement).await.unwrap();
        assert!(plan.iter().any(|step| step == "MERGE (UNION ALL)"), "{plan:#?}");
    }
}

/// `SCAN d`, `SCAN event USING COVERING INDEX event_time`; and sorting, which reads all too.
fn is_bad(step: &str) -> bool {
    let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
    scanned.is_some_and(|name| !SMALL.contains(&name)) || step.contains("TEMP B-TREE FOR ORDER BY")
}

/// The steps of a statement's plan; `None` for a piece of one.
async fn explain(ledger: &Ledger, statement: &str) -> Option<Vec<String>> {
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let steps: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(sql).fetch_all(&ledger.reader().0).await.ok()?;
    Some(steps.into_iter().map(|(.., detail)| detail).collect())
}

/// The texts in this module's sources that begin like a statement.
fn statements() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_source = |path: &PathBuf| path.is_file() && !path.ends_with("plans.rs");
    let sources = files.filter(|path| is_source(path) && !path.ends_with("tests.rs"));
    let found = sources.flat_map(|path| texts(&fs::read_to_string(path).unwrap()));
    let begins = |text: &String| {
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "]
            .iter()
            .any(|word| text.starts_with(word))
    };
    // What ends so goes on with somebody's conditions.
    found.filter(|text| begins(text) && !text.ends_with("WHERE true")).collect()
}

/// The string literals of a source, white space made single.
fn texts(source: &str) -> Vec<String> {
    let code: Vec<&str> =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace("'\"'", "").replace("\\\"", "\u{1}").replace("\\\n", "");
    let odd = code.split('"').skip(1).step_by(2);
    odd.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
