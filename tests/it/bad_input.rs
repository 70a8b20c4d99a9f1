//! Whatever is wrong: one clear message that says what, where and what to do, the
//! documented exit code, and nothing touched.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::{CloudServer, Done, Home, SOON, Setup, SinkServer, until};

/// A configuration whose cloud does not matter: nothing gets as far as asking it.
fn setup() -> Setup {
    Setup::of("http://127.0.0.1:1", "secret").target("siem", "http://127.0.0.1:1/hook", "")
}

/// What a command says apart from log lines: exactly one message, without the noise of
/// programmers.
#[track_caller]
fn message(done: &Done) -> String {
    let is_log = |line: &&str| line.contains("Z  WARN ") || line.contains("Z  INFO ");
    let told: Vec<&str> = done.stderr.lines().filter(|line| !is_log(line)).collect();
    // A second line is a second fault.
    let faults = told.iter().filter(|line| line.contains("config.toml:")).count();
    assert_eq!(told.len(), faults.max(1), "one message: {done:?}");
    for noise in ["Caused by", "backtrace", "panicked", "Error {", "Err(", "(code: ", "Some("] {
        assert!(!told[0].contains(noise), "{noise}: {}", told[0]);
    }
    told[0].to_owned()
}

/// Runs each command and expects this exit code and these words in its message.
async fn all_say(home: &Home, commands: &[&[&str]], code: i32, words: &[&str]) {
    for args in commands {
        let done = home.command(args).await;
        assert_eq!(done.code, Some(code), "{args:?}: {done:?}");
        let said = message(&done);
        assert!(said.starts_with("tailwater: "), "{args:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{args:?}: {word}: {said}");
        }
    }
}

const READING: [&[&str]; 8] = [
    &["history"],
    &["tail"],
    &["export", "--format", "csv"],
    &["deliveries"],
    &["targets"],
    &["targets", "pause", "siem"],
    &["backup", "copy.db"],
    &["replay", "--target", "siem", "--dead"],
];

const OWNING: [&[&str]; 2] = [&["run"], &["poll"]];

/// A ledger with entries in it, closed cleanly.
async fn filled(entries: u64) -> (CloudServer, Home) {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(entries, now.minus(std::time::Duration::from_mins(5)), now);
    let home = Home::new(&Setup::new(&cloud).target("siem", "http://127.0.0.1:1/hook", ""));
    let done = home.command(&["poll"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    (cloud, home)
}

/// Changes a database file, or makes one, by a statement of its own.
async fn spoil(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.expect("a database");
    sqlx::query(sql).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("nothing is under way");
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("it can be read")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_missing_is_made_by_run_only() {
    let home = Home::new(&setup());
    all_say(&home, &READING, 1, &["there is no ledger at ledger.db", "tailwater run"]).await;
    assert!(!home.ledger().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_somebody_else_is_refused_and_left_alone() {
    let text =
        "Dear diary, this is no database, and long enough to hold a header of one. ".repeat(9);
    let home = Home::new(&setup());
    std::fs::write(home.ledger(), &text).expect("a file");
    for commands in [&READING[..], &OWNING[..]] {
        all_say(&home, commands, 1, &["ledger.db is not a Tailwater ledger", "storage.path"]).await;
    }
    assert_eq!(bytes(&home.ledger()), text.as_bytes());

    let home = Home::new(&setup());
    spoil(&home.ledger(), "CREATE TABLE t (x)").await;
    let before = bytes(&home.ledger());
    for commands in [&READING[..], &OWNING[..]] {
        all_say(&home, commands, 1, &["ledger.db is not a Tailwater ledger", "storage.path"]).await;
    }
    assert_eq!(bytes(&home.ledger()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_the_ledgers_place_is_told() {
    let home = Home::new(&setup());
    std::fs::create_dir(home.ledger()).expect("a folder");
    for commands in [&READING[..], &OWNING[..]] {
        all_say(&home, commands, 1, &["ledger.db", "it is a folder", "storage.path"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_missing_is_told() {
    let home = Home::new(&setup());
    let text = std::fs::read_to_string(home.path().join("config.toml")).expect("written");
    home.write("config.toml", &text.replace("ledger.db", "no/such/ledger.db"));
    all_say(&home, &OWNING, 1, &["no/such/ledger.db", "folder must exist and be writable"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_may_not_be_read_is_told() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read everything");
        return;
    }
    let (_cloud, home) = filled(3).await;
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(home.ledger(), mode(0)).expect("ours");
    for commands in [&READING[..], &OWNING[..]] {
        all_say(&home, commands, 1, &["ledger.db"]).await;
    }
    std::fs::set_permissions(home.ledger(), mode(0o600)).expect("ours");
    assert_eq!(home.list(&["history"]).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_told_and_kept() {
    let (_cloud, home) = filled(800).await;
    let whole = bytes(&home.ledger());
    assert!(whole.len() > 30 * 4096, "{}", whole.len());
    // A torn file, and one with its pages turned over from the tenth on.
    let torn = whole[..whole.len() / 2].to_vec();
    let mut turned = whole.clone();
    turned[10 * 4096..].chunks_mut(4096).for_each(|page| page[..64].fill(0x5a));
    for damaged in [torn, turned] {
        std::fs::write(home.ledger(), &damaged).expect("ours");
        all_say(&home, &OWNING, 1, &["ledger.db is damaged", "restore a backup"]).await;
        let done = home.command(&["backup", "copy.db"]).await;
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(message(&done).contains("damaged"), "{done:?}");
        assert!(!home.path().join("copy.db").exists());
    }
    std::fs::write(home.ledger(), &whole).expect("ours");
    assert_eq!(home.list(&["history", "--limit", "1000"]).await.len(), 800);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_a_newer_version_is_refused_and_left_alone() {
    let (_cloud, home) = filled(3).await;
    let newer = "INSERT INTO _sqlx_migrations
                 SELECT 99990101000000, 'of tomorrow', installed_on, 1, checksum, 0
                 FROM _sqlx_migrations";
    spoil(&home.ledger(), newer).await;
    let before = bytes(&home.ledger());
    for commands in [&READING[..], &OWNING[..], &[&["poll", "--dry-run"]]] {
        all_say(&home, commands, 1, &["ledger.db", "newer version", "install"]).await;
    }
    assert!(bytes(&home.ledger()) == before, "it was written to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_use_is_not_taken_twice_but_can_be_read() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud));
    let daemon = home.run_daemon().await;
    all_say(&home, &OWNING, 75, &["ledger.db is in use", "stop that one first"]).await;
    assert_eq!(home.command(&["history"]).await.code, Some(0));
    assert_eq!(home.command(&["backup", "copy.db"]).await.code, Some(0));
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_written_is_told() {
    let (_cloud, home) = filled(3).await;
    home.write("there.db", "precious");
    all_say(&home, &[&["backup", "there.db"]], 1, &["there.db", "exists already"]).await;
    assert_eq!(bytes(&home.path().join("there.db")), b"precious");
    all_say(&home, &[&["backup", "no/copy.db"]], 1, &["no/copy.db", "No such file"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_78_for_run_and_3_for_check() {
    let good = std::fs::read_to_string(Home::new(&setup()).path().join("config.toml"))
        .expect("the harness writes it");
    let home = Home::new(&setup());
    for (from, to, column, words) in [
        ("interval = \"1s\"", "intervall = \"1s\"", Some(1), "write interval"),
        ("interval = \"1s\"", "interval = \"1\"", Some(12), "is not a duration"),
        ("interval = \"1s\"", "cron = \"* * * * *\"", Some(8), "seconds come first"),
        ("interval = \"1s\"", "cron = \"now\"", Some(8), "cron"),
        ("\"secret\"", "{ file = \"nope\" }", Some(26), "cannot read nope"),
        ("\"secret\"", "{ env = \"NOPE\" }", Some(25), "environment variable \"NOPE\""),
        ("\"secret\"", "{ fil = \"x\" }", Some(17), "does not say where"),
        ("http://127.0.0.1:1/hook", "siem.example", Some(7), "is not a URL"),
        ("start = \"10m\"", "start = \"soon\"", Some(9), "start"),
        ("[log]", "[log", None, "this is not TOML"),
        ("format = \"text\"", "format = \"loud\"", None, "text"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let line = text.lines().position(|line| line.contains(to)).expect("it is there") + 1;
        let place = column.map_or_else(
            || "config.toml:".to_owned(),
            |column: u32| format!("config.toml:{line}:{column}: "),
        );
        let place = place.as_str();
        home.write("config.toml", &text);
        all_say(&home, &[&["run"], &["poll"], &["config"]], 78, &[place, words]).await;
        let done = home.command(&["check"]).await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(3), ""), "{to}");
        assert!(done.stderr.starts_with(place), "{to}: {}", done.stderr);
        assert!(done.stderr.contains(words), "{to}: {}", done.stderr);
        assert!(done.stderr.ends_with(" found\n"), "{to}: {}", done.stderr);
    }
    assert!(!home.ledger().exists());

    let missing = ["-c", "missing.toml"];
    for command in ["run", "history", "config"] {
        let args = [&missing[..], &[command]].concat();
        all_say(&home, &[&args], 78, &["missing.toml", "--config FILE"]).await;
    }
    let done = home.command(&["-c", "missing.toml", "check"]).await;
    assert_eq!(done.code, Some(3), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_configuration_is_told_at_once() {
    let home = Home::new(&setup().poll("interval = \"1\"\noverlap = 3\npage_limit = 5000"));
    let done = home.command(&["run"]).await;
    assert_eq!(done.code, Some(78), "{done:?}");
    let places = done.stderr.matches("config.toml:").count();
    assert_eq!(places, 3, "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_and_so_is_one_that_is_open_to_others() {
    let sink = SinkServer::start().await;
    let address = sink.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let home = Home::new(&setup());
    for command in ["simulate", "sink"] {
        let words = [address.as_str(), "in use"];
        all_say(&home, &[&[command, "--listen", &address]], 1, &words).await;
        let words = ["0.0.0.0:8080", "loopback", "127.0.0.1:8080"];
        all_say(&home, &[&[command, "--listen", "0.0.0.0:8080"]], 1, &words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_on_the_command_line_is_2() {
    let (_cloud, home) = filled(1).await;
    let words = ["yesterday", "24h", "2026-11-21T08:00:00Z"];
    all_say(&home, &[&["history", "--since", "yesterday"]], 2, &words).await;
    all_say(&home, &[&["poll", "--source", "nope"]], 2, &["\"nope\"", "production"]).await;
    for args in [
        &["nonsense"][..],
        &["history", "--limit", "0"],
        &["history", "--nonsense"],
        &["deliveries", "--status", "lost"],
        &["replay", "--target", "siem"],
        &["replay", "--target", "siem", "--event", "x", "--dead"],
        &["replay", "--target", "siem", "--missed"],
        &["deliveries", "--attempts"],
        &["export"],
        &["sink", "--listen", "nonsense"],
        &["simulate", "--rate", "many"],
    ] {
        let done = home.command(args).await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(done.stderr.starts_with("error: "), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains("--help"), "{args:?}: {}", done.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_does_not_know_is_told_with_what_it_does() {
    let (_cloud, home) = filled(1).await;
    let words = ["no target \"nope\"", "siem"];
    all_say(&home, &[&["replay", "--target", "nope", "--dead"]], 1, &words).await;
    all_say(&home, &[&["targets", "resume", "nope"], &["targets", "pause", "nope"]], 1, &words)
        .await;
    all_say(&home, &[&["replay", "--target", "siem", "--event", "x"]], 1, &["no event \"x\""])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_nothing_matches_is_no_failure() {
    let (_cloud, home) = filled(1).await;
    for args in [
        &["history", "--id", "x"][..],
        &["history", "--since", "1s"],
        &["history", "--source", "nope"],
        &["deliveries", "--target", "nope"],
        &["deliveries", "--event", "x", "--attempts"],
    ] {
        let done = home.command(args).await;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(done.stdout.starts_with("no "), "{args:?}: {}", done.stdout);
        assert!(home.list(args).await.is_empty(), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself() {
    let home = Home::new(&setup());
    let help = home.command(&["--help"]).await.stdout;
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let commands: Vec<&str> = list
        .expect("a list of commands")
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 11, "{commands:?}");
    for command in commands {
        let done = home.command(&[command, "--help"]).await;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{command}");
        let first = done.stdout.lines().next().unwrap_or_default();
        assert!(first.len() > 8 && !first.starts_with("Usage"), "{command}: {first}");
        assert!(done.stdout.contains("Usage: tailwater"), "{command}");
    }
    let version = home.command(&["--version"]).await;
    assert!(version.stdout.starts_with("tailwater "), "{version:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_owner_that_was_killed_does_not_lock_the_ledger() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud));
    let daemon = home.run_daemon().await;
    daemon.kill();
    let daemon = home.run_daemon().await;
    until("it checks the ledger", SOON, || daemon.stderr().contains("not clean")).await;
    home.stop(daemon, SOON).await;
}
