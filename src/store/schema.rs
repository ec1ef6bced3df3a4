//! The schema: whose file it is, which version, and the ordered steps from one version to the next, each in a
//! transaction of its own.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use super::StoreError;
use super::checksum::checksum;
use super::head::beside;

/// The newest schema this version reads and writes.
pub(super) const NEWEST: i64 = 2;

/// `rbkd`: says whose file it is (<https://www.sqlite.org/pragma.html#pragma_application_id>).
const APPLICATION: i64 = 0x7262_6b64;

/// The steps: the first makes version 1 of an empty file. Steps are added at the end and never changed.
const STEPS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 2] = [to_version_1, to_version_2];

/// The version of a file, which is only looked at.
///
/// # Errors
/// If it is another program's or a newer version's.
pub(super) fn recognise(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    if application != APPLICATION && number("SELECT count(*) FROM sqlite_schema")? > 0 {
        return Err(StoreError::Foreign { path: path.into() });
    }
    if version > NEWEST {
        return Err(StoreError::Newer { path: path.into(), found: version, known: NEWEST });
    }
    Ok(version)
}

/// The same from the file's own header, without opening it, so that not even an empty log is put beside it. Says
/// nothing where a log may know better.
pub(super) fn recognise_header(path: &Path) -> Result<(), StoreError> {
    let mut header = [0; 100];
    let log = std::fs::metadata(beside(path, "-wal")).map_or(0, |it| it.len());
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    if log > 0 || read.is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Ok(());
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        i64::from(u32::from_be_bytes(bytes.unwrap_or_default()))
    };
    // https://www.sqlite.org/fileformat.html#the_database_header: a schema that never changed has no tables.
    let (schema_changes, version, application) = (number(40), number(60), number(68));
    if application != APPLICATION && schema_changes > 0 {
        return Err(StoreError::Foreign { path: path.into() });
    }
    if application == APPLICATION && version > NEWEST {
        return Err(StoreError::Newer { path: path.into(), found: version, known: NEWEST });
    }
    Ok(())
}

/// Whether bytes from the beginning of a file that is no database any more say that it was ours once.
pub(super) fn was_ours(beginning: &[u8]) -> bool {
    let application = u32::try_from(APPLICATION).unwrap_or_default().to_be_bytes();
    let table = b"CREATE TABLE record";
    beginning.get(68..72).is_some_and(|bytes| bytes == application)
        || beginning.windows(table.len()).any(|bytes| bytes == table)
}

/// Takes a file from a version to the newest.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or_default();
    for (step, version) in STEPS.iter().zip(1_i64..).skip(done) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        step(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The checksum of a number in `meta`.
pub(super) fn meta_checksum(name: &str, value: i64) -> u32 {
    checksum(&[name.as_bytes(), &value.to_le_bytes()])
}

fn to_version_1(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE record (
             kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
         INSERT INTO meta VALUES ('commit_seq', 0);",
    )
}

/// Checksums, and a place for what fails them.
fn to_version_2(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE record ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE meta ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
         CREATE TABLE damaged (
             found_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
             kind BLOB, key BLOB, body BLOB, crc INTEGER
         ) STRICT;",
    )?;
    let texts = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows: Vec<(String, String, String)> = transaction
        .prepare("SELECT kind, key, body FROM record")?
        .query_map([], texts)?
        .collect::<rusqlite::Result<_>>()?;
    for (kind, key, body) in rows {
        let crc = checksum(&[kind.as_bytes(), key.as_bytes(), body.as_bytes()]);
        let sql = "UPDATE record SET crc = ?3 WHERE kind = ?1 AND key = ?2";
        transaction.prepare_cached(sql)?.execute(params![kind, key, crc])?;
    }
    let commits: i64 =
        transaction.query_row("SELECT value FROM meta WHERE name = 'commit_seq'", [], |row| row.get(0))?;
    transaction.execute("UPDATE meta SET crc = ?1", [meta_checksum("commit_seq", commits)])?;
    Ok(())
}
