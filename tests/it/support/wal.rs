//! What a ledger's files say of a daemon at work: whether it is inside a transaction, and
//! what its write-ahead log holds.

use std::fs::File;
use std::path::Path;

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

/// Bytes before the first frame (sqlite.org/fileformat2.html, "The WAL File").
const HEADER: usize = 32;

/// Bytes of a frame before its page.
const FRAME_HEADER: usize = 24;

/// The byte of the `-shm` file that a writer locks from BEGIN IMMEDIATE until its commit
/// (sqlite.org/walformat.html, "WAL Locks": `WAL_WRITE_LOCK`).
const WRITE_LOCK: u64 = 120;

/// Where the `-shm` file says how many frames are in the ledger's own file already
/// (the same page, "The WAL-Index File Format": `nBackfill`).
const BACKFILLED: usize = 96;

/// Whether a process is inside a writing transaction. Means something only while that
/// process stands still.
pub(crate) fn is_writing(ledger: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(ledger.with_extension("db-shm"))
    else {
        return false;
    };
    let lock = Flock {
        start: WRITE_LOCK,
        length: 1,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    fcntl_getlk(&file, &lock).is_ok_and(|held| held.is_some())
}

/// A write-ahead log.
#[derive(Debug)]
pub(crate) struct Wal {
    page: usize,
    /// Of each frame: whether it ends a transaction.
    frames: Vec<bool>,
}

impl Wal {
    /// Reads the frames that belong to the log as it was last begun; `None` when it holds
    /// nothing.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let four = bytes.get(at..at + 4)?;
            Some(u32::from_be_bytes(four.try_into().expect("four bytes")))
        };
        let page = usize::try_from(number(8)?).expect("a page's size");
        let salts = (number(16)?, number(20)?);
        let mut frames = Vec::new();
        let mut at = HEADER;
        while let (Some(size), Some(one), Some(two)) =
            (number(at + 4), number(at + 8), number(at + 12))
        {
            if (one, two) != salts {
                break;
            }
            frames.push(size != 0);
            at += FRAME_HEADER + page;
        }
        Some(Self { page, frames })
    }

    /// Frames of a transaction whose last one was not written any more.
    pub(crate) fn unfinished(&self) -> usize {
        self.frames.iter().rev().take_while(|ends| !**ends).count()
    }

    /// Transactions that are whole.
    pub(crate) fn transactions(&self) -> usize {
        self.frames.iter().filter(|ends| **ends).count()
    }

    /// All frames.
    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Whether a frame, or the header, ends at this byte.
    pub(crate) fn is_boundary(&self, at: usize) -> bool {
        at >= HEADER && (at - HEADER).is_multiple_of(FRAME_HEADER + self.page)
    }

    /// The length of the log after so many frames, in bytes.
    pub(crate) fn length(&self, frames: usize) -> usize {
        HEADER + frames * (FRAME_HEADER + self.page)
    }

    /// All of it, in bytes.
    pub(crate) fn end(&self) -> usize {
        self.length(self.frames.len())
    }
}

/// Frames that a checkpoint may have put into the ledger's own file: they were on disk
/// before it did so.
pub(crate) fn backfilled(shared: &[u8]) -> usize {
    let four = shared.get(BACKFILLED..BACKFILLED + 4).expect("the index has a head");
    usize::try_from(u32::from_ne_bytes(four.try_into().expect("four bytes"))).expect("a count")
}
