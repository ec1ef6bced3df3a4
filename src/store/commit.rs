//! One commit: the transaction that writes rows and counts itself. Owns its statements and their order.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::domain::change::Change;

use super::StoreError;
use super::checksum::checksum;
use super::record::Row;
use super::schema::meta_checksum;

/// What a commit covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Some rows change.
    Changed,
    /// The rows are all there are.
    Everything,
}

/// Commits changes on top of commit number `before`, synced before it returns.
///
/// # Errors
/// [`StoreError::Behind`] if the file is at another commit than that; nothing is written then. After any other error
/// the outcome is unknown.
pub(super) fn commit(
    connection: &mut Connection,
    changes: &[Change],
    before: u64,
    scope: Scope,
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match scope {
        Scope::Changed => {
            fault::step()?;
            if super::rows::commits(&transaction, super::schema::NEWEST)? != Some(before) {
                return Err(StoreError::Behind);
            }
        }
        Scope::Everything => {
            fault::step()?;
            transaction.execute("DELETE FROM record", [])?;
        }
    }
    {
        let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3, ?4)")?;
        let mut delete = transaction.prepare_cached("DELETE FROM record WHERE kind = ?1 AND key = ?2")?;
        for change in changes {
            fault::step()?;
            // One at a time: a storm's records together are as large as all that the daemon knows.
            let row = Row::from_change(change)?;
            match &row.body {
                Some(body) => {
                    let crc = checksum(&[row.kind.as_bytes(), row.key.as_bytes(), body.as_bytes()]);
                    put.execute(params![row.kind, row.key, body, crc])?
                }
                None => delete.execute(params![row.kind, row.key])?,
            };
        }
    }
    fault::step()?;
    set_commits(&transaction, before + 1)?;
    fault::step()?;
    transaction.commit()?;
    fault::step()?;
    Ok(())
}

/// Sets the number of the last commit.
pub(super) fn set_commits(transaction: &Transaction<'_>, commits: u64) -> rusqlite::Result<()> {
    let value = i64::try_from(commits).unwrap_or(i64::MAX);
    let crc = meta_checksum("commit_seq", value);
    let sql = "INSERT OR REPLACE INTO meta (name, value, crc) VALUES ('commit_seq', ?1, ?2)";
    transaction.prepare_cached(sql)?.execute(params![value, crc])?;
    Ok(())
}

/// Where tests make the n-th statement fail.
pub(super) mod fault {
    #[cfg(test)]
    std::thread_local! {
        /// After how many statements one fails.
        pub(in crate::store) static AFTER: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
    }

    #[cfg(not(test))]
    #[expect(clippy::unnecessary_wraps, reason = "fails in tests")]
    pub(super) fn step() -> rusqlite::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn step() -> rusqlite::Result<()> {
        match AFTER.get() {
            None => Ok(()),
            Some(0) => {
                AFTER.set(None);
                let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
                Err(rusqlite::Error::SqliteFailure(failure, Some("planned failure".into())))
            }
            Some(left) => {
                AFTER.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
