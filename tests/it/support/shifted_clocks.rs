//! A wall clock and a boot-time clock for one process, moved while it runs.

use std::path::{Path, PathBuf};

use tailwater::model::timestamp::Timestamp;

use super::{Home, preload};

/// How far the clocks of a home's processes are ahead of the machine's.
#[derive(Debug)]
pub(crate) struct ShiftedClocks {
    file: PathBuf,
    wall: i64,
    boot: i64,
}

impl ShiftedClocks {
    /// For all later processes of `home`; nothing is shifted yet.
    pub(crate) fn new(home: &mut Home) -> Self {
        let file = home.path().join("shift");
        home.set_variable("LD_PRELOAD", preload::shifted_clocks());
        home.set_variable("CLOCK_SHIFT_FILE", plain(&file));
        let shifted = Self { file, wall: 0, boot: 0 };
        shifted.write();
        shifted
    }

    /// Somebody sets the wall clock by so many seconds.
    pub(crate) fn set_wall_clock(&mut self, by: i64) {
        self.wall += by;
        self.write();
    }

    /// The machine was suspended for so many seconds.
    pub(crate) fn suspend(&mut self, secs: i64) {
        self.wall += secs;
        self.boot += secs;
        self.write();
    }

    /// Sets the wall clock to `at`, where the machine's says `now`.
    pub(crate) fn set_wall_clock_to(&mut self, at: Timestamp, now: Timestamp) {
        self.set_wall_clock(at.secs() - now.secs() - self.wall);
    }

    fn write(&self) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{} {}\n", self.wall, self.boot)).expect("it can be written");
        std::fs::rename(&new, &self.file).expect("it can be replaced");
    }
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("our names are plain")
}
