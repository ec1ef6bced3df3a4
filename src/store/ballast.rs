//! The ballast: a file of no content beside the database. On a full disk not even a deletion can be committed, so the
//! room it holds is given up then, and taken again once there is plenty.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::head::beside;

/// The most room held, in bytes: 16 MiB, several times what the log may grow to.
const MOST: u64 = 16 << 20;

/// At most this part of a small disk.
const PART_OF_DISK: u64 = 16;

/// How many times its own size has to be free before room is taken: the ballast must not be what fills the disk.
const PLENTY: u64 = 3;

/// The file that holds room.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    is_tight: bool,
}

impl Ballast {
    /// The ballast of a database; touches nothing.
    pub(super) fn of(database: &Path) -> Self {
        Self { path: beside(database, ".ballast"), is_tight: false }
    }

    /// Whether the disk has no room for a ballast.
    pub(super) fn is_tight(&self) -> bool {
        self.is_tight
    }

    /// Gives the room up; says whether there was any.
    pub(super) fn release(&mut self) -> bool {
        self.is_tight = true;
        std::fs::remove_file(&self.path).is_ok()
    }

    /// Takes room where there is plenty and none is held. What goes wrong leaves no ballast, and is tried again.
    pub(super) fn take(&mut self) {
        if self.path.exists() {
            self.is_tight = false;
            return;
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let Ok(disk) = statvfs(folder) else { return };
        let size = MOST.min(disk.f_blocks.saturating_mul(disk.f_frsize) / PART_OF_DISK);
        self.is_tight = disk.f_bavail.saturating_mul(disk.f_frsize) < size.saturating_mul(PLENTY);
        if size == 0 || self.is_tight {
            return;
        }
        let Ok(file) = File::create(&self.path) else { return };
        // A file system that cannot reserve holds nothing with a sparse file, so there is no ballast on it.
        if fallocate(&file, FallocateFlags::empty(), 0, size).is_err() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn room_is_held_given_up_once_and_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut ballast = Ballast::of(&folder.path().join("store.db"));
        assert!(!ballast.release(), "nothing is held yet");
        ballast.take();
        let held = std::fs::metadata(&ballast.path).unwrap();
        assert!(held.len() <= MOST && held.len() > 0);
        assert!(held.blocks() * 512 >= held.len(), "the room is really taken");
        assert!(!ballast.is_tight());
        assert!(ballast.release());
        assert!(!ballast.path.exists() && ballast.is_tight());
        ballast.take();
        assert!(!ballast.is_tight());
        assert!(ballast.release());
    }
}
