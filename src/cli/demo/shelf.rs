//! Where the demo's ledger lies: in a folder that goes with it, or in a file that stays.

use std::fs::{DirBuilder, OpenOptions, remove_dir_all};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::exit::Failure;

/// The place of the ledger.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    /// Removed in the end, with all that is in it; `None` when the ledger stays.
    folder: Option<PathBuf>,
}

impl Shelf {
    /// Takes the new file `keep`, or a new folder among the temporary ones.
    ///
    /// A file that is there is refused even if it is a ledger: invented entries would be
    /// in it for good, and what it owes would go to the demo's targets.
    pub(super) fn take(keep: Option<&Path>) -> Result<Self, Failure> {
        match keep {
            Some(path) => Self::keep(path),
            None => Self::temporary(&std::env::temp_dir()).map_err(Failure::from),
        }
    }

    fn keep(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let taken = || {
            Failure::usage(format!(
                "{shown} is there already, and the demo writes into no file that is; name a new one"
            ))
        };
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        if Path::new(&log).exists() {
            return Err(taken());
        }
        // Whoever makes the file owns it: two demos at once cannot get the same one.
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => Ok(Self { path: path.to_owned(), folder: None }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken()),
            Err(error) => Err(Failure::usage(format!(
                "cannot make {shown}: {error}; name a file in a folder that you may write to"
            ))),
        }
    }

    fn temporary(parent: &Path) -> anyhow::Result<Self> {
        let folder = parent.join(format!("tailwater-demo-{:016x}", rand::random::<u64>()));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("making a folder in {} for the ledger", parent.display()))?;
        Ok(Self { path: folder.join("demo.db"), folder: Some(folder) })
    }

    /// The ledger's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What becomes of it, in a few words.
    pub(super) fn describe(&self) -> String {
        match self.folder {
            Some(_) => "temporary, deleted at the end (--keep FILE keeps it)".to_owned(),
            None => self.path.display().to_string(),
        }
    }

    /// How to look into a ledger that stays. The query is for people to paste; nothing here
    /// runs it.
    pub(super) fn hints(&self) -> Vec<String> {
        if self.folder.is_some() {
            return Vec::new();
        }
        let file = quoted(&self.path.display().to_string());
        vec![
            String::new(),
            format!("The ledger is in {file}. Look into it:"),
            format!("  tailwater history --ledger {file}"),
            format!(
                "  sqlite3 -readonly {file} 'select category, count(*) from history group by 1'"
            ),
        ]
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // What cannot be removed is a few files among the temporary ones.
            let _ = remove_dir_all(folder);
        }
    }
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn a_temporary_ledger_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let shelf = Shelf::temporary(parent.path()).unwrap();
        std::fs::write(shelf.path(), "a ledger").unwrap();
        std::fs::write(shelf.path().with_extension("db-wal"), "its log").unwrap();
        assert!(shelf.hints().is_empty());
        drop(shelf);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_kept_ledger_is_new_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my demo.db");
        let shelf = Shelf::take(Some(&path)).unwrap();
        assert!(shelf.hints()[2].contains("my demo.db'"), "{:?}", shelf.hints());
        drop(shelf);
        assert!(path.exists());
        assert_eq!(Shelf::take(Some(&path)).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_file_that_cannot_be_made_or_has_a_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere/demo.db");
        assert_eq!(Shelf::take(Some(&nowhere)).unwrap_err().exit, Exit::Usage);
        let path = folder.path().join("demo.db");
        std::fs::write(folder.path().join("demo.db-wal"), "somebody's").unwrap();
        assert_eq!(Shelf::take(Some(&path)).unwrap_err().exit, Exit::Usage);
        assert!(!path.exists());
    }
}
