//! `tailwater check`: is the configuration valid, and do the sources answer?
//!
//! What is wrong or unwise goes to standard error, the rest to standard output, so that a
//! script can throw either away.

mod online;
mod receiver;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::cli::check::receiver::Receiving;
use crate::cli::exit::Exit;
use crate::config::{Config, Environment, Fault, Faults, Loaded, Place};
use crate::model::clock::Clock;

/// What `tailwater check` takes.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Also fetch a token and one page from every enabled source; stores nothing
    #[arg(long)]
    pub online: bool,
    /// Print the verdict, every fault and every finding as one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Checks the configuration at `path` (or at its default places) with the environment's
/// overrides, and with `--online` every enabled source; tells what it finds.
///
/// # Errors
/// Standard output or standard error cannot be written to.
pub async fn run(args: &CheckArgs, path: Option<PathBuf>) -> io::Result<Exit> {
    let (mut out, mut err) = (anstream::stdout(), anstream::stderr());
    let loaded = match (load(path), args.json) {
        (Ok((loaded, receiving)), false) => {
            tell_valid(&loaded, receiving.as_ref(), &mut out, &mut err)?;
            loaded
        }
        (Ok((loaded, receiving)), true) => {
            let file = loaded.path.display().to_string();
            let verdict = serde_json::json!({ "file": file, "valid": true });
            tell_json(&verdict, "warning", &loaded.warnings, &mut out)?;
            if let Some(receiving) = receiving {
                writeln!(out, "{}", receiving.to_json())?;
            }
            loaded
        }
        (Err(faults), false) => return tell_faults(&faults, &mut err),
        (Err(Faults(faults)), true) => {
            let verdict = serde_json::json!({ "valid": false });
            tell_json(&verdict, "fault", &faults, &mut out)?;
            return Ok(Exit::Faulty);
        }
    };
    if !args.online {
        return Ok(Exit::Done);
    }
    ask(&loaded.config, args.json, &mut out, &mut err).await
}

/// The configuration, and the receiver that it makes.
fn load(path: Option<PathBuf>) -> Result<(Loaded, Option<Receiving>), Faults> {
    let mut loaded = Config::load(&Config::find(path)?, &Environment::of_process())?;
    let receiving = receiver::look(&mut loaded, Clock::system().now())?;
    Ok((loaded, receiving))
}

async fn ask(
    config: &Config,
    as_json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let probed = online::ask(config).await;
    let faults = probed.iter().map(online::Probed::faults).sum();
    if as_json {
        online::tell_json(config, &probed, out)?;
    } else {
        online::tell(config, &probed, out, err)?;
        if faults > 0 {
            tell_count(faults, err)?;
        }
    }
    Ok(if faults > 0 { Exit::Faulty } else { Exit::Done })
}

fn tell_valid(
    loaded: &Loaded,
    receiving: Option<&Receiving>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    for warning in &loaded.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    let config = &loaded.config;
    let sources: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    let targets: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
    writeln!(out, "{} is valid", loaded.path.display())?;
    writeln!(out, "  sources   {}", listed(&sources))?;
    writeln!(out, "  targets   {}", listed(&targets))?;
    if let Some(admin) = &config.admin {
        let asks = if admin.token.is_some() { "with a token" } else { "for everybody here" };
        writeln!(out, "  admin     http://{} {asks}", admin.listen)?;
    }
    if let Some(receiving) = receiving {
        receiving.tell(out)?;
    }
    writeln!(out, "  warnings  {}", loaded.warnings.len())
}

fn tell_faults(faults: &Faults, err: &mut dyn Write) -> io::Result<Exit> {
    writeln!(err, "{faults}")?;
    tell_count(faults.0.len(), err)?;
    Ok(Exit::Faulty)
}

fn tell_count(faults: usize, err: &mut dyn Write) -> io::Result<()> {
    let plural = if faults == 1 { "" } else { "s" };
    writeln!(err, "{faults} fault{plural} found")
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
        tell_valid(&loaded, None, &mut out, &mut err).unwrap();
        let expected =
            "config.toml is valid\n  sources   production\n  targets   siem\n  warnings  4\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let err = String::from_utf8(err).unwrap();
        assert!(err.lines().all(|line| line.starts_with("warning: config.toml:")), "{err}");
    }

    #[test]
    fn who_may_ask_is_told_without_the_token() {
        for (line, expected) in [
            ("", "\n  admin     http://127.0.0.1:8481 for everybody here\n"),
            (
                "listen = \"[::1]:9\"\ntoken = \"a-planted-token-1234\"",
                "\n  admin     http://[::1]:9 with a token\n",
            ),
        ] {
            let text = format!("{}\n[admin]\n{line}\n", include_str!("../../config.toml"));
            let (mut out, mut err) = (Vec::new(), Vec::new());
            tell_valid(&load(&text).unwrap(), None, &mut out, &mut err).unwrap();
            let told = String::from_utf8(out).unwrap();
            assert!(told.contains(expected) && !told.contains("planted"), "{told}");
        }
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
