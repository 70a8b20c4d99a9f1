//! The unit file, judged by systemd's own tools where they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNIT: &str = include_str!("../systemd/tailwater.service");

/// What `systemd-analyze security` may give at most, in tenths: 1.2 of 10. A unit without
/// any of the sandbox's lines gets 9.
const EXPOSURE_MAX: &str = "12";

/// Runs `systemd-analyze`; `None`, and says so, where there is none.
fn systemd_analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).arg(unit).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no systemd-analyze here to judge the unit");
            None
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    // The program need not be installed here: the one just built stands in for it.
    let program = env!("CARGO_BIN_EXE_tailwater");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unit = folder.path().join("tailwater.service");
    assert!(UNIT.contains("ExecStart=/usr/bin/tailwater run "));
    std::fs::write(&unit, UNIT.replace("=/usr/bin/tailwater", &format!("={program}")))
        .expect("it can be written");

    let Some(output) = systemd_analyze(&["verify", "--man=no"], &unit) else { return };

    // Other units of this machine, loaded as dependencies, are not ours to judge.
    let complaints: Vec<String> = told(&output)
        .lines()
        .filter(|line| line.contains("tailwater"))
        .map(str::to_owned)
        .collect();
    assert!(output.status.success() && complaints.is_empty(), "{}", told(&output));
}

#[test]
fn a_fault_in_the_unit_would_be_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unit = folder.path().join("tailwater.service");
    std::fs::write(&unit, UNIT.replace("Type=notify", "Typo=notify")).expect("it can be written");

    let Some(output) = systemd_analyze(&["verify", "--man=no"], &unit) else { return };

    assert!(told(&output).contains("Typo"), "{}", told(&output));
}

#[test]
fn the_sandbox_leaves_little_open() {
    let unit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("systemd/tailwater.service");
    let threshold = format!("--threshold={EXPOSURE_MAX}");

    let Some(output) = systemd_analyze(&["security", "--offline=true", &threshold], &unit) else {
        return;
    };

    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_reload_is_a_hangup_under_every_systemd() {
    // Type=notify-reload is unknown before systemd 253, and the unit then no longer waits.
    assert!(UNIT.contains("\nType=notify\n"));
    assert!(UNIT.contains("\nExecReload=/bin/kill -HUP $MAINPID\n"));
}

#[test]
fn a_bad_configuration_is_not_tried_again() {
    let code = tailwater::cli::Exit::BadConfig.code();
    assert!(UNIT.contains(&format!("RestartPreventExitStatus={code}\n")));
}
