//! What is wrong in a configuration, where, and what to write instead.
//!
//! A fault's texts never repeat a secret, a URL's query or a header's value.

use std::fmt;
use std::sync::Arc;

/// Where in the configuration something stands. Ordered as a reader meets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file as a whole.
    Whole {
        /// The file's name as it was given.
        file: Arc<str>,
    },
    /// At one place of a file.
    At {
        /// The file's name as it was given.
        file: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In an environment variable.
    Environment {
        /// The variable's name.
        variable: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { file } => f.write_str(file),
            Self::At { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment { variable } => write!(f, "environment {variable}"),
        }
    }
}

/// One thing that is wrong (or, as a warning, unwise).
///
/// Prints as `config.toml:12:12: source.poll.interval: "30" is not a duration; write …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// Dotted path of the key, `source "production".poll.interval`; empty when it
    /// concerns the whole file or its syntax.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do or to write instead.
    pub instead: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.instead)
    }
}

/// Every fault of a configuration, in the order of the file, never empty.
///
/// Prints one fault a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub(super) fn of_file(file: &str, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self(vec![Fault {
            place: Place::Whole { file: file.into() },
            key: String::new(),
            what: what.into(),
            instead: instead.into(),
        }])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
