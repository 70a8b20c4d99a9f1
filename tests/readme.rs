//! The documents, held against what is there: links, commands, the first configuration.

use std::path::Path;

use clap::CommandFactory;
use tailwater::cli::Cli;
use tailwater::config::{Config, Environment};

const README: &str = include_str!("../README.md");

/// Documents, with the most lines that each may have.
const DOCUMENTS: &[(&str, usize)] = &[
    ("README.md", 150),
    ("CHANGELOG.md", 1000),
    ("CONTRIBUTING.md", 150),
    ("docs/architecture.md", 120),
    ("docs/compare.md", 120),
    ("docs/delivery.md", 120),
    ("docs/evidence.md", 120),
    ("docs/guarantees.md", 130),
    ("docs/hostile-targets.md", 80),
    ("docs/metrics.md", 110),
    ("docs/out-of-scope.md", 120),
    ("docs/push.md", 130),
    ("migrations/README.md", 60),
];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn documents_are_short() {
    for (name, max) in DOCUMENTS {
        let lines = read(name).lines().count();
        assert!(lines <= *max, "{name} has {lines} lines, at most {max}");
    }
}

#[test]
fn relative_links_lead_somewhere() {
    for (name, _) in DOCUMENTS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let folder = folder.parent().expect("a document is in a folder");
        for after in read(name).split("](").skip(1) {
            let link = after.split([')', '#']).next().unwrap_or_default();
            if !link.is_empty() && !link.contains("://") {
                assert!(folder.join(link).exists(), "{name} links to {link}, which is not there");
            }
        }
    }
}

/// What is written after `prefix` on lines of code blocks, up to two spaces.
fn commands<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.split("```").skip(1).step_by(2).flat_map(str::lines).filter_map(move |line| {
        Some(line.strip_prefix(prefix)?.split("  ").next().unwrap_or_default().trim_end())
    })
}

/// A command line as a shell takes it apart; quotes are all that ours need.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for char in line.chars() {
        match char {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            char => words.last_mut().expect("it is never empty").push(char),
        }
    }
    words
}

#[test]
fn commands_that_are_shown_are_understood() {
    let mut shown: Vec<&str> = commands(README, "tailwater ").collect();
    shown.extend(commands(README, "cargo run --release --locked -- "));
    assert!(shown.len() > 5, "the README shows hardly any command: {shown:?}");
    for line in shown {
        let arguments = std::iter::once("tailwater".to_owned()).chain(words(line));
        if let Err(error) = Cli::command().try_get_matches_from(arguments) {
            panic!("README.md shows `tailwater {line}`:\n{error}");
        }
    }
}

#[test]
fn commands_that_are_named_exist() {
    let command = Cli::command();
    for named in README.split("`tailwater ").skip(1) {
        let name = named.split([' ', '`']).next().unwrap_or_default();
        let exists = name == "help" || command.find_subcommand(name).is_some();
        assert!(exists, "README.md names `tailwater {name}`, which does not exist");
    }
}

#[test]
fn the_first_configuration_has_no_fault() {
    let toml = README.split("```toml\n").nth(1).and_then(|after| after.split("```").next());
    let toml = toml.expect("the README shows a configuration");
    // Whoever reads it has these two.
    let toml =
        toml.replace("{ file = \"/etc/tailwater/secrets/greenlake\" }", "\"a-secret\"").replace(
            "{ env = \"SIEM_SIGNING_KEY\" }",
            "\"whsec_dGFpbHdhdGVyLXRlc3Qta2V5LTMyLWJ5dGVzLWxvbmch\"",
        );
    if let Err(faults) = Config::parse("README.md", &toml, &Environment::default()) {
        panic!("{faults}");
    }
}

#[test]
fn exit_codes_are_all_told() {
    use tailwater::cli::Exit;
    for exit in
        [Exit::Done, Exit::Failed, Exit::Usage, Exit::Faulty, Exit::TryAgain, Exit::BadConfig]
    {
        let row = format!("\n| {} | ", exit.code());
        assert!(README.contains(&row), "README.md does not tell exit code {}", exit.code());
    }
}

#[test]
fn the_readme_and_the_checks_run_the_same_tests() {
    assert!(README.contains("```\ncargo test --locked\n```"));
    assert!(read(".ci/run").contains("test_command='cargo test --locked'"));
}
