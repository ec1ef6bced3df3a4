//! Connections: a file opened for work, with the settings that make its promises, or only to be read. Owns the
//! settings; whose file it is, is asked before anything is changed.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use super::rows::{self, Loaded};
use super::schema;

/// The longest the log grows between checkpoints, in pages of 4 KiB.
const LOG_PAGES: i64 = 1000;

/// To what a log that had to grow longer is cut back, in bytes.
const LOG_BYTES: i64 = 4 << 20;

/// Beyond this many free pages the file is made smaller.
const FREE_PAGES: i64 = 256;

/// Opens a file for work, making or migrating it where needed. `patience` is for whoever else holds a lock.
pub(super) fn open(path: &Path, patience: Duration) -> Result<Connection, StoreError> {
    schema::recognise_header(path)?;
    let mut connection = Connection::open(path)?;
    // Closing would write the log into a file that may turn out to be somebody else's.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(patience)?;
    let version = schema::recognise(&connection, path)?;
    if connection.is_readonly("main")? {
        let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(failure, None).into());
    }
    if version == 0 {
        // Only before anything else is in the file.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    #[cfg(test)]
    if let Some(pages) = limit::PAGES.get() {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    schema::migrate(&mut connection, version)?;
    if number(&connection, "PRAGMA auto_vacuum")? == 0 {
        // A file of version 1. What cannot be done now, on a full disk say, is done at another start.
        let _ = connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM;");
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(connection)
}

/// Opens a store that is only in memory.
pub(super) fn in_memory() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory()?;
    schema::migrate(&mut connection, 0)?;
    Ok(connection)
}

/// Reads a file that cannot be written: with its log where that can be had, else without.
pub(super) fn read(path: &Path) -> Result<Loaded, StoreError> {
    let (connection, version) = to_read(path)?;
    rows::load(&connection, version)
}

/// What is sound in a broken file, and its last commit.
pub(super) fn salvage(path: &Path) -> (Vec<rows::Raw>, Option<u64>) {
    let Ok((connection, version)) = to_read(path) else { return (Vec::new(), None) };
    (rows::salvage(&connection, version), rows::commits(&connection, version).ok().flatten())
}

fn to_read(path: &Path) -> Result<(Connection, i64), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |connection: Connection| -> Result<_, StoreError> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Else a file that is shorter than it says is not read at all.
        connection.pragma_update(None, "writable_schema", true)?;
        let version = schema::recognise(&connection, path)?;
        Ok((connection, version))
    };
    Connection::open_with_flags(path, flags).map_err(StoreError::from).and_then(open).or_else(|_| {
        let escaped: String =
            path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let uri = format!("file:{escaped}?immutable=1");
        open(Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?)
    })
}

/// Brings what is in the log into the file, synced, and begins the log anew. After a sync that failed, what was
/// written before it can be trusted no longer: a commit behind it would be lost with it.
pub(super) fn settle(connection: &Connection) -> Result<(), StoreError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 {
        return Ok(());
    }
    let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    let words = "the log could not be brought into the file: somebody reads it".to_owned();
    Err(rusqlite::Error::SqliteFailure(failure, Some(words)).into())
}

/// Makes the file smaller where much of it is free.
pub(super) fn shrink(connection: &Connection) -> Result<(), StoreError> {
    if number(connection, "PRAGMA freelist_count")? > FREE_PAGES {
        // Each row of the answer is a page given back.
        let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut pages = statement.query([])?;
        while pages.next()?.is_some() {}
    }
    Ok(())
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}

/// Where tests make the disk small.
#[cfg(test)]
pub(super) mod limit {
    std::thread_local! {
        /// How many pages the file may have.
        pub(in crate::store) static PAGES: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
    }
}
