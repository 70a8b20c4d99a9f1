//! `tailwater demo` as a user runs it: from outside, by what it prints and how it ends.

use std::path::Path;
use std::process::{Command, Output};

fn demo(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tailwater"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", folder)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("the program starts")
}

/// The numbers in the line that begins with `word`.
fn numbers(text: &str, word: &str) -> Vec<u64> {
    let line = text.lines().find(|line| line.starts_with(word)).expect(text);
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[test]
fn a_short_demo_loses_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();

    let output = demo(&["--for", "3s", "--rate", "40/s"], folder.path());

    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let figures = &text[text.rfind("\ncloud ").expect(&text) + 1..];
    let made = numbers(figures, "cloud")[0];
    assert!(made > 40, "{text}");
    assert_eq!(numbers(figures, "ledger"), [made, 0, 0, 0], "{text}");
    let [requests, taken, retried, withheld] = numbers(figures, "pushes")[..] else {
        panic!("{text}");
    };
    assert_eq!((requests, retried), (taken, 0), "{text}");
    assert!(taken + withheld >= made, "{text}");
    assert!(figures.contains(" was first for "), "{text}");
    let table = &figures[figures.find("\nTARGET").expect(&text)..];
    for target in ["siem", "archive", "flaky"] {
        let [_requests, different, _repeats, lost, unknown, ..] = numbers(table, target)[..] else {
            panic!("{text}");
        };
        assert_eq!((different, lost, unknown), (made, 0, 0), "{target}: {text}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{text}");
    assert!(!text.contains('\u{1b}'), "escape codes in a pipe: {text}");
}

#[test]
fn a_kept_ledger_can_be_asked_and_is_never_written_into_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.db");
    let keep = ["--for", "1s", "--rate", "20/s", "--keep", file.to_str().unwrap()];

    let output = demo(&keep, folder.path());

    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let made = numbers(&text[text.rfind("\ncloud ").expect(&text) + 1..], "cloud")[0];
    let hint = format!("tailwater history --ledger {}", file.display());
    assert!(text.contains(&hint), "{text}");
    let history = Command::new(env!("CARGO_BIN_EXE_tailwater"))
        .args(["history", "--json", "--limit", "100000", "--ledger"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&history.stdout).lines().count() as u64, made);
    let before = std::fs::read(&file).unwrap();
    let again = demo(&keep, folder.path());
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("name a new one"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_demo_of_no_length_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(&["--for", "0s"], folder.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("TARGET"), "{text}");
}
