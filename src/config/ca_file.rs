//! A file with certificate authorities, and whether it is still the same.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A system's whole bundle of authorities has 250 KiB.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A PEM file with certificate authorities. Equal to another when both have the same path
/// and had the same bytes when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFile {
    path: PathBuf,
    /// `None` when it could not be read: whoever makes a client of it says why.
    digest: Option<[u8; 32]>,
}

impl CaFile {
    /// Takes note of the file as it is now.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let digest = digest(&path).ok();
        Self { path, digest }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn digest(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Sha256::digest(&bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_other_bytes_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let before = CaFile::new(path.clone());
        assert_eq!(before, CaFile::new(path.clone()));
        std::fs::write(&path, "two").unwrap();
        assert_ne!(before, CaFile::new(path));
    }
}
