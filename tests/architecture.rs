//! The architecture, and the proof that the source text keeps to it.
//!
//! [`FLOORS`] is the authoritative diagram: a module may use those below it, never one
//! above and never one beside. [`HOMES`] says which crate is spoken to where, so that a
//! database, an HTTP client or a clock of cron lines can be exchanged in one place.

#[path = "architecture/check.rs"]
mod check;
#[path = "architecture/lexer.rs"]
mod lexer;

use std::path::{Path, PathBuf};

use check::{Home, Rules, SourceFile, violations};

/// From the bottom up. Imports go down only.
const FLOORS: &[&[&str]] = &[
    &["model"],
    &["config", "telemetry", "transport"],
    &["storage", "greenlake"],
    &["poll", "receive", "dispatch", "compare", "simulator", "admin"],
    &["app"],
    &["cli"],
];

/// Crates that only some places may name outside of tests: modules, or single files.
const HOMES: &[Home] = &[
    Home { name: "sqlx", places: &["storage"] },
    Home { name: "reqwest", places: &["transport", "greenlake", "dispatch", "simulator"] },
    Home { name: "oauth2", places: &["greenlake"] },
    Home { name: "axum", places: &["simulator", "transport", "receive", "admin"] },
    Home { name: "axum_server", places: &["transport", "receive"] },
    Home { name: "rustls", places: &["receive"] },
    Home { name: "prometheus", places: &["admin"] },
    Home { name: "x509_parser", places: &["receive"] },
    Home { name: "tokio_cron_scheduler", places: &["app/schedule.rs"] },
    Home { name: "sd_notify", places: &["app"] },
    Home { name: "tracing_subscriber", places: &["telemetry", "config"] },
    Home { name: "tracing_journald", places: &["telemetry"] },
    Home { name: "askama", places: &["compare"] },
    Home { name: "plotters", places: &["compare/pictures/axis.rs"] },
    Home { name: "clap", places: &["cli", "main.rs"] },
    Home { name: "anyhow", places: &["cli", "app"] },
    // Floor 0 waits for nothing; those above may.
    Home {
        name: "tokio",
        places: &[
            "config",
            "telemetry",
            "transport",
            "storage",
            "greenlake",
            "poll",
            "receive",
            "dispatch",
            "simulator",
            "admin",
            "app",
            "cli",
            "main.rs",
        ],
    },
];

/// File names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "helpers", "common", "manager", "service", "handler"];

const RULES: Rules = Rules {
    floors: FLOORS,
    homes: HOMES,
    empty_names: EMPTY_NAMES,
    // Beyond this nobody keeps a file in mind; ask why from 250 on.
    file_lines_max: 400,
    // A folder's front page: documentation, re-exports, the central type.
    front_lines_max: 200,
    main_lines_max: 60,
};

fn source_files(folder: &Path, root: &Path, found: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            source_files(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("it is below src").to_str();
            let text = std::fs::read_to_string(&path).expect("source files are UTF-8");
            found.push(SourceFile::new(name.expect("ASCII names"), &text));
        }
    }
}

#[test]
fn the_source_keeps_to_the_floors() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    source_files(&root, &root, &mut files);
    assert!(files.len() > 50, "src was not read: {} files", files.len());
    let found = violations(&RULES, &files);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_crate_documentation_shows_the_same_floors() {
    let text = include_str!("../src/lib.rs");
    for (floor, modules) in FLOORS.iter().enumerate() {
        let names: Vec<String> = modules.iter().map(|name| format!("[`{name}`]")).collect();
        let row = format!("//! | {floor} | {} |", names.join(", "));
        assert!(text.contains(&row), "src/lib.rs lacks the row\n{row}");
    }
}

/// What the rules say about a crate of these few files, and nothing about `lib.rs`.
fn told(files: &[(&str, &str)]) -> Vec<String> {
    let modules: Vec<String> =
        FLOORS.concat().iter().map(|name| format!("pub mod {name};")).collect();
    let mut all = vec![SourceFile::new("lib.rs", &modules.join("\n"))];
    all.extend(FLOORS.concat().iter().map(|name| SourceFile::new(&format!("{name}/mod.rs"), "")));
    all.extend(files.iter().map(|(name, text)| SourceFile::new(name, text)));
    violations(&RULES, &all)
}

#[test]
fn planted_violations_are_found_with_file_and_line() {
    let cases: &[(&str, &str, &str)] = &[
        ("model/a.rs", "//!\nuse crate::config::Config;", "src/model/a.rs:2: model (floor 0)"),
        ("storage/a.rs", "use crate::greenlake::Page;", "src/storage/a.rs:1: storage (floor 2)"),
        ("poll/a.rs", "pub(super) use crate::app::App;", "src/poll/a.rs:1: poll (floor 3)"),
        ("poll/a.rs", "fn f() { crate::dispatch::g(); }", "src/poll/a.rs:1: poll (floor 3)"),
        ("poll/a.rs", "fn f() {\n  super::super::cli::g();\n}", "src/poll/a.rs:2: poll (floor 3)"),
        ("poll/mod.rs", "use super::app::App;", "src/poll/mod.rs:1: poll (floor 3)"),
        ("app.rs", "use crate :: cli;", "src/app.rs:1: app (floor 4)"),
        ("poll/a.rs", "#[cfg(test)]\nmod t { use crate::app; }", "src/poll/a.rs:2: poll (floor 3)"),
        ("app/a.rs", "use crate::{model, cli};", "src/app/a.rs:1: imports from the crate are flat"),
        ("app/a.rs", "use crate::*;", "src/app/a.rs:1: imports from the crate are flat"),
        ("app/a.rs", "use crate as us;", "src/app/a.rs:1: imports from the crate are flat"),
        ("poll/a.rs", "use crate::modle::X;", "src/poll/a.rs:1: there is no module modle"),
        ("sync/a.rs", "", "src/sync/a.rs:1: module sync stands on no floor"),
        ("sync.rs", "", "src/sync.rs:1: module sync stands on no floor"),
        ("cli/a.rs", "use sqlx::Row;", "src/cli/a.rs:1: sqlx belongs to storage"),
        ("model/a.rs", "#[derive(sqlx::Type)]", "src/model/a.rs:1: sqlx belongs to storage"),
        ("model/a.rs", "\nuse tokio::fs;", "src/model/a.rs:2: tokio belongs to config,"),
        ("app/mod.rs", "use tokio_cron_scheduler::Job;", "src/app/mod.rs:1: tokio_cron_scheduler"),
        ("poll/a.rs", "const A: &str = \"SELECT a\n FROM b\";", "src/poll/a.rs:1: SQL belongs"),
        ("poll/a.rs", "const A: &str = r#\"\n DELETE FROM b\"#;", "src/poll/a.rs:2: SQL belongs"),
        ("poll/utils.rs", "", "src/poll/utils.rs:1: the name utils"),
        ("poll/helpers/x.rs", "", "src/poll/helpers/x.rs:1: the name helpers"),
        ("poll/a.rs", &"\n".repeat(401), "src/poll/a.rs:401: 401 lines, at most 400"),
        ("poll/b/mod.rs", &"\n".repeat(201), "src/poll/b/mod.rs:201: 201 lines, at most 200"),
        ("main.rs", &"\n".repeat(61), "src/main.rs:61: 61 lines, at most 60"),
    ];
    for (name, text, expected) in cases {
        let told = told(&[(name, text)]);
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{name}: {text:?}\nexpected {expected}\ntold     {told:?}"
        );
    }
}

#[test]
fn what_is_allowed_is_not_told() {
    let cases: &[&[(&str, &str)]] = &[
        &[("poll/a.rs", "use crate::model::event::Event;\nuse crate::poll::b::C;")],
        &[("poll/a.rs", "// use crate::app::App;\n/// See [`crate::cli`].\n/* crate::app */")],
        &[("poll/a.rs", "const A: &str = \"crate::app::App\"; const B: char = '\"';")],
        &[("poll/a.rs", "fn f<'a>(a: &'a str) {} // don't: crate::cli\nuse super::app;")],
        &[("poll/a.rs", "use super::b::C; use not_crate::app::App; use my_sqlx::Row;")],
        &[("storage/a.rs", "use sqlx::Row; const A: &str = \"SELECT a FROM b\";")],
        &[("cli/a.rs", "/// SELECT … FROM\nconst A: &str = \"INSERT COIN, DELETE it\";")],
        // Tests may stand in for the outside, and be as long as they need.
        &[("poll/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n use axum::Router;\n}\n")],
        &[
            ("poll/a.rs", "fn f() {}\n\n#[cfg(test)]\nmod tests;\n"),
            ("poll/a/tests.rs", "use axum::Router;"),
        ],
        &[
            ("poll/b/mod.rs", "#[cfg(test)]\nmod fake;\n"),
            ("poll/b/fake.rs", "use reqwest::Url;"),
            ("poll/b/fake/deep.rs", "use reqwest::Url;"),
        ],
        &[("poll/a.rs", &format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(900)))],
        &[("app/schedule.rs", "use tokio_cron_scheduler::Job;")],
    ];
    for case in cases {
        let told = told(case);
        assert!(told.is_empty(), "{case:?}\ntold {told:?}");
    }
}

#[test]
fn a_module_that_is_listed_but_missing_is_told() {
    let told = violations(&RULES, &[SourceFile::new("lib.rs", "pub mod model;")]);
    assert!(told.contains(&"src/lib.rs:1: module poll is listed but does not exist".to_owned()));
    assert!(!told.iter().any(|line| line.contains("module model")), "{told:?}");
}
