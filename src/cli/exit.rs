//! How a command ends.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::compare::CompareError;
use crate::config::Faults;
use crate::storage::StorageError;

/// The process's exit codes; scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// `check` found faults.
    Faulty,
    /// Try again later: another process is in the way, or the disk is full.
    TryAgain,
    /// Bad configuration: systemd does not restart it.
    BadConfig,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Faulty => 3,
            Self::TryAgain => 75,
            Self::BadConfig => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to tell; `None` when everything has been told.
    error: Option<anyhow::Error>,
}

impl Failure {
    /// Something on the command line is wrong; `why` says what to write instead.
    #[must_use]
    pub fn usage(why: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, error: Some(anyhow::Error::msg(why.into())) }
    }

    /// Prints what is to be told, once.
    pub fn tell(&self) {
        if let Some(error) = &self.error {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(io::stderr(), "tailwater: {error:#}");
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self { exit: Exit::BadConfig, error: Some(anyhow::Error::msg(faults.to_string())) }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        {
            // Whoever read our output has had enough.
            return Self { exit: Exit::Done, error: None };
        }
        let is_passing =
            error.chain().filter_map(|cause| cause.downcast_ref()).any(|cause: &StorageError| {
                cause.is_passing() || matches!(cause, StorageError::Locked(_))
            });
        let exit = if is_passing { Exit::TryAgain } else { Exit::Failed };
        Self { exit, error: Some(error) }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        anyhow::Error::new(error).into()
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        let exit = if error.is_passing() { Exit::TryAgain } else { Exit::Failed };
        Self { exit, error: Some(error.into()) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        anyhow::Error::new(error).into()
    }
}
