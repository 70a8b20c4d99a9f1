//! `tailwater check`: is the configuration valid?
//!
//! All that is told goes to standard error but the verdict, so that a script can throw
//! either away.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::Exit;
use crate::config::{Config, Environment, Fault, Faults, Loaded, Place};

/// What `tailwater check` takes.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Print the verdict and every fault as one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Checks the configuration at `path` (or at its default places) with the environment's
/// overrides, and tells what it finds.
///
/// # Errors
/// Standard output or standard error cannot be written to.
#[expect(clippy::unused_async, reason = "online checks wait for HPE's answers")]
pub async fn run(args: &CheckArgs, path: Option<PathBuf>) -> io::Result<Exit> {
    let (mut out, mut err) = (anstream::stdout(), anstream::stderr());
    let loaded =
        Config::find(path).and_then(|path| Config::load(&path, &Environment::of_process()));
    match (loaded, args.json) {
        (Ok(loaded), false) => tell_valid(&loaded, &mut out, &mut err),
        (Ok(loaded), true) => {
            let verdict =
                serde_json::json!({ "file": loaded.path.display().to_string(), "valid": true });
            tell_json(&verdict, "warning", &loaded.warnings, &mut out).map(|()| Exit::Done)
        }
        (Err(faults), false) => tell_faults(&faults, &mut err),
        (Err(Faults(faults)), true) => {
            let verdict = serde_json::json!({ "valid": false });
            tell_json(&verdict, "fault", &faults, &mut out).map(|()| Exit::Faulty)
        }
    }
}

fn tell_valid(loaded: &Loaded, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    for warning in &loaded.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    let config = &loaded.config;
    let sources: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    let targets: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
    writeln!(out, "{} is valid", loaded.path.display())?;
    writeln!(out, "  sources   {}", listed(&sources))?;
    writeln!(out, "  targets   {}", listed(&targets))?;
    writeln!(out, "  warnings  {}", loaded.warnings.len())?;
    Ok(Exit::Done)
}

fn tell_faults(faults: &Faults, err: &mut dyn Write) -> io::Result<Exit> {
    writeln!(err, "{faults}")?;
    let plural = if faults.0.len() == 1 { "" } else { "s" };
    writeln!(err, "{} fault{plural} found", faults.0.len())?;
    Ok(Exit::Faulty)
}

fn tell_json(
    verdict: &serde_json::Value,
    kind: &str,
    faults: &[Fault],
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{verdict}")?;
    for fault in faults {
        writeln!(out, "{}", json(kind, fault))?;
    }
    Ok(())
}

/// ```json
/// {"kind":"fault","file":"config.toml","line":12,"column":12,"variable":null,
///  "key":"storage.keep","what":"…","instead":"…"}
/// ```
/// `file`, `line` and `column`, or `variable`, are null where they say nothing.
fn json(kind: &str, fault: &Fault) -> serde_json::Value {
    let (file, line, column, variable) = match &fault.place {
        Place::Whole { file } => (Some(&**file), None, None, None),
        Place::At { file, line, column } => (Some(&**file), Some(line), Some(column), None),
        Place::Environment { variable } => (None, None, None, Some(variable)),
    };
    serde_json::json!({
        "kind": kind, "file": file, "line": line, "column": column, "variable": variable,
        "key": fault.key, "what": fault.what, "instead": fault.instead,
    })
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Loaded, Faults> {
        let (config, warnings) = Config::parse("config.toml", text, &Environment::default())?;
        Ok(Loaded { config, warnings, path: "config.toml".into() })
    }

    #[test]
    fn a_valid_file_is_summed_up() {
        let loaded = load(include_str!("../../config.toml")).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(tell_valid(&loaded, &mut out, &mut err).unwrap(), Exit::Done);
        let expected =
            "config.toml is valid\n  sources   production\n  targets   siem\n  warnings  4\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let err = String::from_utf8(err).unwrap();
        assert!(err.lines().all(|line| line.starts_with("warning: config.toml:")), "{err}");
    }

    #[test]
    fn faults_are_told_and_counted() {
        let faults = load("[storage]\nkeep = 5\n").unwrap_err();
        let mut err = Vec::new();
        let verdict = tell_faults(&faults, &mut err).unwrap();
        assert_eq!(verdict.code(), 3);
        let err = String::from_utf8(err).unwrap();
        assert!(err.ends_with("\n2 faults found\n"), "{err}");
    }

    #[test]
    fn a_fault_in_json_has_its_place() {
        let faults = load("[storage]\nkeep = 5\n").unwrap_err();
        let value = json("fault", &faults.0[1]);
        assert_eq!((&value["line"], &value["column"]), (&2.into(), &8.into()));
        assert_eq!(value["key"], "storage.keep");
        assert_eq!(value["variable"], serde_json::Value::Null);
    }
}
