//! The store: what the engine must not forget, in an embedded database. Owns the schema and the commit; decides
//! nothing and knows the engine only by its changes.
//!
//! One commit is one transaction with every change of one engine step, synced to disk before it returns. After a
//! failed commit the outcome is unknown until the file was opened again and its commit number was read; the same
//! changes may then be committed twice, which is harmless because each states a whole record.
//!
//! What the store notices about itself (a lost tail, damaged rows, a file put aside) it tells as a [`Finding`], and
//! opens all the same: a page is worth more than its record. Only a file that is somebody else's ends a start.

mod ballast;
mod cause;
mod checksum;
mod commit;
mod connection;
mod files;
mod finding;
mod head;
mod record;
mod rows;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::domain::change::Change;

pub use cause::Cause;
pub use finding::Finding;
pub use sqlite::Store;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder of the database file, or a neighbour of it, could not be made.
    #[error("cannot create {}: {source}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is no database any more could not be put aside.
    #[error("cannot put {} aside: {source}", path.display())]
    Aside {
        /// The file.
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
    /// The file no longer holds what was committed to it: everything has to be written again, see [`Store::replace`].
    #[error("the store no longer holds what was committed to it")]
    Behind,
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
