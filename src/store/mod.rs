//! The store: what the engine must not forget, in an embedded database. Owns the schema and the commit; decides
//! nothing and knows the engine only by its changes.
//!
//! One commit is one transaction with every change of one engine step, synced to disk before it returns. After a
//! failed commit the outcome is unknown: the connection is closed and opened again before the next one, and the same
//! changes may be committed twice, which is harmless because each states a whole record.

mod record;
mod sqlite;

use std::path::PathBuf;

use crate::domain::change::Change;

pub use sqlite::Store;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder of the database file could not be made.
    #[error("cannot create the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another daemon holds the file.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version.
    #[error("{} was written by a newer version (schema {found}, this version knows {known}); it is left untouched", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest schema version known here.
        known: i64,
    },
    /// The file is a database of another program.
    #[error("{} is not a runbookd store; it is left untouched", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database refused.
    #[error("the store failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// A record could not be written or read back.
    #[error("a record of kind `{kind}` does not fit the store: {source}")]
    Record {
        /// What kind of record.
        kind: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Everything committed, as changes to an empty state.
pub type Committed = Vec<Change>;
