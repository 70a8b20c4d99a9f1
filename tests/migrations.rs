//! Migrations, replayed from nothing on real SQLite with rows after each, and read as text.
//!
//! Every migration has a data file of the same name in `tests/migrations/`, run right after
//! it: the next migration so meets tables that are full, as it will at a user's.

use std::path::{Path, PathBuf};

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tailwater::model::clock::Clock;
use tailwater::storage::{HistoryFilter, Ledger};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Names and texts of the `.sql` files in a folder, in the order of their names.
fn sql_files(name: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder(name))
        .expect("the folder exists")
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("SQL is UTF-8"))
        })
        .collect();
    files.sort();
    files
}

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.foreign_keys(true).connect().await.expect("a fresh file opens")
}

/// Names of what the schema holds: `table` or `view`.
async fn names(connection: &mut SqliteConnection, kind: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT name FROM sqlite_schema
         WHERE type = $1 AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    )
    .bind(kind)
    .fetch_all(connection)
    .await
    .expect("the schema is readable")
}

async fn count(connection: &mut SqliteConnection, from: &str) -> i64 {
    let statement = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {from}"));
    sqlx::query_scalar(statement).fetch_one(connection).await.expect("it can be read")
}

/// Runs every migration and its data; checks the file after each.
async fn replay(connection: &mut SqliteConnection) {
    let data = sql_files("tests/migrations");
    for migration in MIGRATIONS.iter() {
        MIGRATIONS.run_to(migration.version, &mut *connection).await.expect("it applies");
        let wanted = format!("{}_", migration.version);
        let (name, rows) = data
            .iter()
            .find(|(name, _)| name.starts_with(&wanted))
            .unwrap_or_else(|| panic!("tests/migrations has no data file {wanted}….sql"));
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows.clone()))
            .execute(&mut *connection)
            .await
            .unwrap_or_else(|error| panic!("tests/migrations/{name}: {error}"));
        let broken = count(connection, "pragma_foreign_key_check").await;
        assert_eq!(broken, 0, "{name}: rows without what they refer to");
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut *connection)
            .await
            .expect("the check runs");
        assert_eq!(verdict, "ok", "{name}");
    }
}

#[tokio::test]
async fn every_migration_applies_over_rows_and_the_ledger_opens() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger.db");
    let mut connection = open(&path).await;
    replay(&mut connection).await;

    for table in names(&mut connection, "table").await {
        assert!(count(&mut connection, &table).await > 0, "no data file fills {table}");
    }
    for view in names(&mut connection, "view").await {
        assert!(count(&mut connection, &view).await > 0, "the view {view} shows nothing");
    }

    sqlx::query("PRAGMA application_id = 1415007314")
        .execute(&mut connection)
        .await
        .expect("the mark of a ledger is set");
    connection.close().await.expect("it closes");
    let ledger = Ledger::open(&path, Clock::system()).await.expect("our own ledger opens");
    let filter = HistoryFilter { limit: 10, ..HistoryFilter::default() };
    let history = ledger.reader().list_history(&filter).await.expect("history is readable");
    let ids: Vec<&str> = history.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["AZ-third", "AZ-second", "AZ-first"]);
    ledger.close().await;
}

#[tokio::test]
async fn the_views_have_the_columns_that_people_rely_on() {
    let views = [
        (
            "history",
            "sequence id source workspace_id type time category username description ip_address \
             first_route recorded_at poll_seen_at push_seen_at lead_ms delivered pending dead data",
        ),
        (
            "delivery_log",
            "event_id target status attempts last_attempt_at last_status last_reason \
             next_attempt_at delivered_at",
        ),
        ("attempt_log", "event_id target"),
        ("poll_log", "source started_at tier run_at nudged"),
        ("lateness", "id source_name time unseen_at shown_at at_least_ms at_most_ms tier"),
        ("source_status", "source complete_below overlap_s lateness_p995_s late_since"),
        ("push_log", "source received_at status count new bytes error secret"),
        ("missed", "sequence event_id source missed_by time seen_at"),
        ("quarantine", "source reason raw"),
        ("target_status", "target state pending dead"),
        ("operation_log", "asked_at verb target selection deliveries"),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut connection = open(&folder.path().join("ledger.db")).await;
    MIGRATIONS.run(&mut connection).await.expect("they apply");
    for (view, columns) in views {
        let found: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
            .bind(view)
            .fetch_all(&mut connection)
            .await
            .expect("the view exists");
        for column in columns.split_whitespace() {
            assert!(found.iter().any(|name| name == column), "{view} has lost {column}: {found:?}");
        }
    }
}

#[test]
fn data_files_belong_to_migrations() {
    let names = |folder| sql_files(folder).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("migrations"), names("tests/migrations"));
}

#[test]
fn migrations_keep_the_rules() {
    let files = sql_files("migrations");
    assert!(!files.is_empty());
    let found: Vec<String> = files.iter().flat_map(|(name, text)| faults(name, text)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// What is wrong with a migration, as `name:line: what`.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !is_well_named(name) {
        found.push(format!("{name}:1: call it YYYYMMDDHHMMSS_verb_object.sql"));
    }
    for (line, statement) in statements(text) {
        let words: Vec<String> =
            statement.to_uppercase().split_whitespace().map(str::to_owned).collect();
        let has = |parts: &[&str]| words.windows(parts.len()).any(|window| window == parts);
        let mut tell = |what: &str| found.push(format!("{name}:{line}: {what}"));
        if words.starts_with(&["CREATE".to_owned(), "TABLE".to_owned()]) {
            let options = statement.rsplit(')').next().unwrap_or_default().to_uppercase();
            if !options.split([' ', ',', '\n']).any(|option| option == "STRICT") {
                tell("a table is STRICT");
            }
            let above = line.checked_sub(2).and_then(|index| text.lines().nth(index));
            if !above.is_some_and(|above| above.starts_with("--")) {
                tell("a comment above a table says what one row is");
            }
        }
        let adds = words.starts_with(&["ALTER".to_owned(), "TABLE".to_owned()])
            && words.iter().any(|word| word == "ADD");
        if adds && has(&["NOT", "NULL"]) && !words.iter().any(|word| word == "DEFAULT") {
            tell("a new column that is NOT NULL needs a DEFAULT: there are rows already");
        }
    }
    found
}

fn is_well_named(name: &str) -> bool {
    let Some((instant, rest)) = name.split_once('_') else { return false };
    let Some(words) = rest.strip_suffix(".sql") else { return false };
    instant.len() == 14
        && instant.chars().all(|char| char.is_ascii_digit())
        && words.contains('_')
        && words.chars().all(|char| char.is_ascii_lowercase() || char == '_')
}

/// Statements without comments, each with the line that it begins on. Literals stay:
/// ours hold no `;` and no `--`.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut start, mut statement) = (1, String::new());
    for (index, line) in text.lines().enumerate() {
        let mut code = line.split("--").next().unwrap_or_default();
        while let Some((before, after)) = code.split_once(';') {
            if statement.is_empty() {
                start = index + 1;
            }
            statement.push_str(before);
            found.push((start, std::mem::take(&mut statement)));
            code = after;
        }
        if !code.trim().is_empty() {
            if statement.is_empty() {
                start = index + 1;
            }
            statement.push_str(code);
            statement.push('\n');
        }
    }
    found.push((start, statement));
    found.retain(|(_, statement)| !statement.trim().is_empty());
    found
}

#[test]
fn planted_faults_are_found() {
    let good = "20270101120000_add_colour.sql";
    let cases: &[(&str, &str, &[&str])] = &[
        (good, "-- One row: a.\nCREATE TABLE a (b TEXT, c TEXT) STRICT, WITHOUT ROWID;", &[]),
        (
            good,
            "-- One row: a.\nCREATE TABLE a (b TEXT) WITHOUT ROWID;",
            &[":2: a table is STRICT"],
        ),
        (good, "-- One row: a.\n\nCREATE TABLE a (\n  b TEXT\n) STRICT;", &[":3: a comment above"]),
        (good, "CREATE TABLE strict (a TEXT);", &[":1: a table is STRICT", ":1: a comment above"]),
        (good, "ALTER TABLE a ADD COLUMN b TEXT;\nALTER TABLE a RENAME TO c;", &[]),
        (good, "ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT '';", &[]),
        (good, "\nALTER TABLE a ADD b TEXT NOT\n NULL; -- DEFAULT", &[":2: a new column"]),
        ("2027_add_colour.sql", "", &[":1: call it"]),
        ("20270101120000_Colour.sql", "", &[":1: call it"]),
        ("20270101120000_add_colour.down.sql", "", &[":1: call it"]),
    ];
    for (name, text, expected) in cases {
        let found = faults(name, text);
        let is_expected = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(one, part)| one[name.len()..].starts_with(part));
        assert!(is_expected, "{name} {text:?}\nexpected {expected:?}\nfound    {found:?}");
    }
}
