//! From a path to a checked configuration.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::config::document::parse;
use crate::config::environment::Environment;
use crate::config::fault::{Fault, Faults, Place};
use crate::config::notes::Notes;
use crate::config::read::{config, storage};
use crate::config::reader::Section;
use crate::config::sections::Config;

/// Where the configuration is looked for when no path is given, in this order.
pub const DEFAULT_PATHS: [&str; 2] = ["config.toml", "/etc/tailwater/config.toml"];

/// A hundred targets with all their keys take 100 KiB; more is not a configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A configuration without faults.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed but unwise, in the order of the file.
    pub warnings: Vec<Fault>,
    /// The file it was read from.
    pub path: PathBuf,
}

impl Config {
    /// Says which file to load: `explicit`, or the first of [`DEFAULT_PATHS`] that exists.
    ///
    /// # Errors
    /// One fault when neither exists. An `explicit` path is not looked at.
    pub fn find(explicit: Option<PathBuf>) -> Result<PathBuf, Faults> {
        let exists = |path: &PathBuf| path.exists();
        match explicit.or_else(|| DEFAULT_PATHS.iter().map(PathBuf::from).find(exists)) {
            Some(path) => Ok(path),
            None => Err(Faults::of_file(
                DEFAULT_PATHS[0],
                format!("there is no configuration here, nor is there {}", DEFAULT_PATHS[1]),
                "write one (the repository's config.toml is the manual), or name it: --config FILE",
            )),
        }
    }

    /// Reads and checks the file at `path`, with the overrides of `environment` laid over.
    ///
    /// # Errors
    /// Every fault of the file at once, none of which repeats a secret.
    pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, Faults> {
        let (file, text) = read_file(path)?;
        let (config, warnings) = Self::parse(&file, &text, environment)?;
        Ok(Loaded { config, warnings, path: path.to_owned() })
    }

    /// Checks the text of a configuration; `file` is the name that faults show. Gives the
    /// warnings too.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn parse(
        file: &str,
        text: &str,
        environment: &Environment,
    ) -> Result<(Self, Vec<Fault>), Faults> {
        let notes = Notes::new(environment);
        let config = read_text(file, text, &notes)?;
        let faults = notes.faults.take();
        match config {
            Some(config) if faults.is_empty() => Ok((config, notes.warnings.take())),
            _ => Err(Faults(faults)),
        }
    }
}

impl Config {
    /// Where the ledger is, by the file at `path` and `environment`: for commands that
    /// need nothing else. Faults outside `[storage]`, such as a secret that this user may
    /// not read, do not matter.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, or its `[storage]` is faulty.
    pub fn ledger_path(path: &Path, environment: &Environment) -> Result<PathBuf, Faults> {
        let (file, text) = read_file(path)?;
        let mut table = parse(&file, &text)?;
        // What cannot be laid is somebody else's key, or is told by `check`.
        let _ = environment.overlay(&mut table);
        let notes = Notes::new(environment);
        let place = Place::Whole { file: file.into() };
        let mut root = Section::root(&notes, &place, &table);
        let storage = storage(root.section("storage", "[storage]"));
        let faults = notes.faults.take();
        if faults.is_empty() { Ok(storage.path) } else { Err(Faults(faults)) }
    }
}

/// Every key that can be written, without names and numbers: `source.poll.interval`.
#[must_use]
pub fn known_keys() -> BTreeSet<String> {
    let environment = Environment::default();
    let notes = Notes::new(&environment);
    // Faults do not matter: the keys are noted as they are asked for.
    let _ = read_text("", "[[source]]\n[[target]]\nauth = { basic = {} }\n", &notes);
    notes.keys.take()
}

fn read_text(file: &str, text: &str, notes: &Notes<'_>) -> Result<Option<Config>, Faults> {
    let mut table = parse(file, text)?;
    let faults = notes.environment.overlay(&mut table);
    notes.faults.borrow_mut().extend(faults);
    let place = Place::Whole { file: file.into() };
    let root = Section::root(notes, &place, &table);
    let config = config(root);
    notes.finish();
    Ok(config)
}

/// The name that faults show, and the text.
fn read_file(path: &Path) -> Result<(String, String), Faults> {
    let file = path.display().to_string();
    let text = read(path).map_err(|error| {
        let instead = match error.kind() {
            ErrorKind::NotFound => "write it, or name another one: --config FILE",
            ErrorKind::PermissionDenied => {
                "let this user read it, or name another one: --config FILE"
            }
            _ => "name a readable TOML file: --config FILE",
        };
        Faults::of_file(&file, format!("cannot read the configuration: {error}"), instead)
    })?;
    Ok((file, text))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is larger than 4 MiB"));
    }
    Ok(text)
}
