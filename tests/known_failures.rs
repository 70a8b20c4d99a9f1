//! The table of known failures: each row names one test, and the test is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The failures of pollers that we know of; the one of a receiver is not among them.
const ROWS: usize = 43;

/// Every function marked as a test below `folder`.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let mut is_marked = false;
            for line in text.lines().map(str::trim) {
                if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_marked) {
                    found.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
                }
                is_marked = line.starts_with("#[test]")
                    || line.starts_with("#[tokio::test")
                    || (is_marked && line.starts_with("#["));
            }
        }
    }
}

#[test]
fn each_known_failure_names_one_test_and_it_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeSet::new();
    tests(&root.join("src"), &mut all);
    tests(&root.join("tests"), &mut all);

    let page = fs::read_to_string(root.join("docs/known-failures.md")).expect("the page");
    let mut named = BTreeSet::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(number) = cells.get(1).and_then(|cell| cell.parse::<usize>().ok()) else {
            continue;
        };
        rows.push(number);
        assert!(cells[2].contains('#') || cells[2].contains('/'), "row {number} has no thread");
        let test = cells[4].trim_matches('`');
        assert!(all.contains(test), "row {number} names {test:?}, and there is no such test");
        assert!(named.insert(test), "row {number} names {test:?} for the second time");
    }
    assert_eq!(rows, (1..=ROWS).collect::<Vec<_>>(), "rows are missing, or out of order");
}
