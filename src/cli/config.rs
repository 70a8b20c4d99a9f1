//! `tailwater config`: the configuration in effect, without secrets.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::exit::Failure;
use crate::config::{Config, Environment, effective};

/// What `tailwater config` takes.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// Print one JSON document instead of TOML
    #[arg(long)]
    pub json: bool,
}

/// Prints the configuration at `path` (or at its default places) with the environment's
/// overrides, secrets as `********`.
///
/// # Errors
/// [`crate::config::Faults`] when the configuration is faulty; nothing was printed.
pub fn run(args: &ConfigArgs, path: Option<PathBuf>) -> Result<(), Failure> {
    let path = Config::find(path)?;
    let loaded = Config::load(&path, &Environment::of_process())?;
    let text = if args.json { json(&loaded.config)? } else { effective(&loaded.config) };
    Ok(anstream::stdout().write_all(text.as_bytes())?)
}

fn json(config: &Config) -> anyhow::Result<String> {
    let table: toml::Table = effective(config).parse().context("reading our own TOML")?;
    Ok(serde_json::to_string(&table)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_what_toml_holds() {
        let text = include_str!("../../config.toml");
        let (config, _) = Config::parse("config.toml", text, &Environment::default()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json(&config).unwrap()).unwrap();
        assert_eq!(json["storage"]["path"], "tailwater.db");
        assert_eq!(json["source"][0]["client_secret"], "********");
        assert_eq!(json["source"][0]["poll"]["page_limit"], 2000);
        assert_eq!(json["target"][0]["retry"]["schedule"][0], "5s");
    }
}
