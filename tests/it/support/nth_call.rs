//! Makes the n-th system call of a process fail, or the last thing that it does: a small
//! library (`nth_call.c`) stands between the program and the C library.

use std::path::{Path, PathBuf};

use super::preload;

/// Which calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// What changes the ledger's files: writes, truncations, flushes to disk.
    Writes,
    /// What reads them.
    Reads,
    /// Connections, and what is sent and received over them.
    Net,
}

/// What becomes of the n-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It fails with this error; nothing has happened.
    Fails(rustix::io::Errno),
    /// The process dies before it.
    Dies,
    /// A write gets half as far, any other call to its end; then the process dies.
    Tears,
}

impl Deed {
    pub(crate) const fn is_deadly(self) -> bool {
        matches!(self, Self::Dies | Self::Tears)
    }
}

/// A fault for one process.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) calls: Calls,
    /// Which one, from 1.
    pub(crate) at: u64,
    pub(crate) deed: Deed,
    /// Gets a line when it strikes.
    mark: PathBuf,
}

impl Strike {
    pub(crate) fn new(calls: Calls, at: u64, deed: Deed, folder: &Path) -> Self {
        Self { calls, at, deed, mark: folder.join("struck") }
    }

    /// What the process needs in its environment.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let calls = match self.calls {
            Calls::Writes => "writes",
            Calls::Reads => "reads",
            Calls::Net => "net",
        };
        let deed = match self.deed {
            Deed::Fails(error) => error.raw_os_error().to_string(),
            Deed::Dies => "kill".to_owned(),
            Deed::Tears => "tear".to_owned(),
        };
        let at = self.at.to_string();
        let mark = self.mark.to_str().expect("our names are plain");
        [
            ("LD_PRELOAD", preload::nth_call()),
            ("NTH_CALL_ON", calls),
            ("NTH_CALL_AT", &at),
            ("NTH_CALL_DO", &deed),
            ("NTH_CALL_MARK", mark),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// The call that it struck; `None`: there were fewer.
    pub(crate) fn struck(&self) -> Option<String> {
        std::fs::read_to_string(&self.mark).ok().map(|line| line.trim().to_owned())
    }
}
