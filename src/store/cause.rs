//! Causes: why a store cannot be opened or written. Owns the closed list and which answer of the database means which.

use std::fmt;
use std::io;

use rusqlite::ErrorCode;

use super::StoreError;

/// Why the store cannot do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The disk is full.
    Full,
    /// The file or its file system takes no writes.
    ReadOnly,
    /// The rights are missing, or the folder cannot be reached.
    CannotOpen,
    /// Somebody else holds it locked.
    Busy,
    /// The disk answers with errors.
    Io,
    /// What is in the file makes no sense.
    Malformed,
    /// Something else; the words say what.
    Other,
}

impl Cause {
    /// The code, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::CannotOpen => "cannot_open",
            Self::Busy => "busy",
            Self::Io => "io",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }

    fn of_database(error: &rusqlite::Error) -> Self {
        /// `SQLITE_IOERR_SHMSIZE`: there was no room for the index of the write-ahead log.
        const NO_ROOM_FOR_INDEX: i32 = 4874;
        if let rusqlite::Error::SqliteFailure(failure, _) = error
            && failure.extended_code == NO_ROOM_FOR_INDEX
        {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Self::CannotOpen,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::SystemIoFailure) => Self::Io,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Malformed,
            _ => Self::Other,
        }
    }

    fn of_file(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Self::CannotOpen
            }
            io::ErrorKind::ResourceBusy => Self::Busy,
            _ => Self::Io,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl StoreError {
    /// The kind of trouble behind it.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Folder { source, .. } | Self::Aside { source, .. } => Cause::of_file(source),
            Self::InUse { .. } => Cause::Busy,
            Self::Database(error) => Cause::of_database(error),
            Self::Newer { .. } | Self::Foreign { .. } | Self::Record { .. } | Self::Behind => Cause::Other,
        }
    }

    /// Whether the file belongs to somebody else: it is left untouched and the start ends.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::Newer { .. } | Self::Foreign { .. })
    }

    /// Whether a file that answers so at the start cannot be read as it is. A table that is missing there is damage,
    /// while on a running store somebody may be at work.
    pub(super) fn is_damage_at_start(&self) -> bool {
        match self {
            Self::Database(error) => {
                self.cause() == Cause::Malformed
                    || matches!(error.sqlite_error_code(), None | Some(ErrorCode::Unknown))
            }
            _ => false,
        }
    }
}
