//! The files of a store: the database, its lock, its head, its ballast. Owns their names, who holds them, and how one
//! that is no database any more is put aside without losing a byte.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::domain::Timestamp;

use super::StoreError;
use super::ballast::Ballast;
use super::head::{Head, beside};
use super::schema;

/// How much of a file is looked at to tell whose it was, in bytes.
const BEGINNING: u64 = 64 << 10;

/// The files of one store.
#[derive(Debug)]
pub(super) struct Files {
    /// The database.
    pub(super) path: PathBuf,
    /// The last commit.
    pub(super) head: Head,
    /// Room for a full disk.
    pub(super) ballast: Ballast,
    /// Held for life. Unlike `SQLite`'s own locks it also keeps out a daemon that only reads at first.
    lock: Option<File>,
    /// Which file it was when it was opened: device and inode.
    opened: Option<(u64, u64)>,
}

impl Files {
    /// The files of a database; touches nothing.
    pub(super) fn of(path: &Path) -> Self {
        let (head, ballast) = (Head::of(path), Ballast::of(path));
        Self { path: path.into(), head, ballast, lock: None, opened: None }
    }

    /// Makes the folder and takes the lock.
    pub(super) fn hold(&mut self) -> Result<(), StoreError> {
        if self.lock.is_some() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| StoreError::Folder { path: folder.into(), source })?;
        }
        let path = beside(&self.path, ".lock");
        // A lock that is there already can be held on a file system that takes no writes.
        let file = File::create(&path).or_else(|refused| File::open(&path).map_err(|_| refused));
        let file = file.map_err(|source| StoreError::Folder { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => return Err(StoreError::Folder { path, source }),
        }
        Ok(())
    }

    /// Notes which file is open now.
    pub(super) fn note_opened(&mut self) {
        self.opened = self.identity();
    }

    /// Whether another file, or none, stands where the open one was.
    pub(super) fn is_replaced(&self) -> bool {
        self.opened != self.identity()
    }

    fn identity(&self) -> Option<(u64, u64)> {
        std::fs::metadata(&self.path).ok().map(|it| (it.dev(), it.ino()))
    }

    /// Whether nothing was ever there.
    pub(super) fn is_new(&self) -> bool {
        let is_absent = |path: &Path| {
            std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        is_absent(&self.path) && is_absent(&beside(&self.path, ".head"))
    }

    /// Whether a file that is no database now was a store of ours.
    pub(super) fn was_ours(&self) -> bool {
        let mut beginning = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning));
        self.head.exists() || (read.is_ok() && schema::was_ours(&beginning))
    }

    /// Renames the database and its log, with the date of its last write; nothing is overwritten.
    pub(super) fn move_aside(&mut self) -> Result<PathBuf, StoreError> {
        let failed = |source| StoreError::Aside { path: self.path.clone(), source };
        let written = std::fs::metadata(&self.path).and_then(|it| it.modified()).map_err(failed)?;
        let date = Timestamp::try_from(written).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
        let names = std::iter::once(format!(".damaged-{date}"))
            .chain((2..).map(|nth| format!(".damaged-{date}-{nth}")))
            .map(|tail| beside(&self.path, &tail));
        let is_free = |to: &PathBuf| ["", "-wal", "-shm"].iter().all(|tail| !beside(to, tail).exists());
        let Some(to) = names.take(1000).find(is_free) else {
            return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
        };
        std::fs::rename(&self.path, &to).map_err(failed)?;
        for tail in ["-wal", "-shm"] {
            let neighbour = beside(&self.path, tail);
            if neighbour.exists() {
                std::fs::rename(&neighbour, beside(&to, tail)).map_err(failed)?;
            }
        }
        self.opened = None;
        Ok(to)
    }
}
