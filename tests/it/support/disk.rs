//! A file system of its own, small enough to fill.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `mib` MiB at `at`; `None`, with a line that says why, where that is
    /// not allowed.
    pub(crate) fn mount(at: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let size = format!("size={mib}m");
        if !run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", path(at)]) {
            println!("skipped: needs root to mount a tmpfs");
            return None;
        }
        Some(Self { at: at.to_owned() })
    }

    /// Lets nobody write to it any more, root included.
    pub(crate) fn make_read_only(&self) {
        assert!(run("mount", &["-o", "remount,ro", path(&self.at)]), "it is ours");
    }

    /// Takes all but `left` bytes of the room that is free.
    pub(crate) fn fill(&self, left: u64) {
        let mut filler = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.at.join("filler"))
            .expect("a file");
        while self.free() > left {
            let count = usize::try_from((self.free() - left).min(65_536)).unwrap_or(65_536);
            if filler.write_all(&vec![0x55; count]).is_err() {
                break;
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn relieve(&self) {
        File::create(self.at.join("filler")).expect("a file");
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.at).expect("it is mounted");
        found.f_bavail * found.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process of a failing test may still have it open.
        run("umount", &["-l", path(&self.at)]);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("our names are plain")
}

fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|done| done.status.success())
}
