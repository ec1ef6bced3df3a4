//! The embedded store: `SQLite` in write-ahead mode with a sync at every commit. Owns the connection, the schema
//! version and the lock that keeps a second daemon out.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::config::settings::StoreSettings;
use crate::domain::change::Change;

use super::record::Row;
use super::{Committed, StoreError};

/// The newest schema this version reads and writes.
const SCHEMA: i64 = 1;

/// `rbkd`: says whose file it is (<https://www.sqlite.org/pragma.html#pragma_application_id>).
const APPLICATION: i64 = 0x7262_6b64;

/// The open store.
#[derive(Debug)]
pub struct Store {
    place: Place,
    /// `None` after a failed commit, until it was opened again.
    connection: Option<Connection>,
    /// Held for life. Unlike `SQLite`'s own locks it also keeps out a daemon that only reads at first.
    _lock: Option<File>,
}

#[derive(Debug)]
enum Place {
    Memory,
    File(PathBuf),
}

impl Store {
    /// Opens the store, making or migrating it where needed, and reads everything committed.
    pub fn open(settings: &StoreSettings) -> Result<(Self, Committed), StoreError> {
        let (place, lock) = match settings {
            StoreSettings::Memory => (Place::Memory, None),
            StoreSettings::Sqlite(path) => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder)
                        .map_err(|source| StoreError::Folder { path: folder.into(), source })?;
                }
                (Place::File(path.clone()), Some(lock(path)?))
            }
        };
        let connection = connect(&place)?;
        let committed = read_all(&connection)?;
        Ok((Self { place, connection: Some(connection), _lock: lock }, committed))
    }

    /// Commits the changes as one transaction, synced before it returns.
    ///
    /// # Errors
    /// After an error the outcome is unknown; committing the same changes again is right and harmless.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let rows = changes.iter().map(Row::from_change).collect::<Result<Vec<_>, _>>()?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.place)?,
        };
        write(&mut connection, &rows)?;
        self.connection = Some(connection);
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file =
        File::create(&name).map_err(|source| StoreError::Folder { path: name.clone().into(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.into() }),
        Err(TryLockError::Error(source)) => Err(StoreError::Folder { path: name.into(), source }),
    }
}

fn connect(place: &Place) -> Result<Connection, StoreError> {
    let connection = match place {
        Place::Memory => Connection::open_in_memory()?,
        Place::File(path) => Connection::open(path)?,
    };
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let path = || match place {
        Place::Memory => PathBuf::from(":memory:"),
        Place::File(path) => path.clone(),
    };
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && tables > 0 {
        return Err(StoreError::Foreign { path: path() });
    }
    if version > SCHEMA {
        return Err(StoreError::Newer { path: path(), found: version, known: SCHEMA });
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    if version < SCHEMA {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             CREATE TABLE record (
                 kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
             INSERT INTO meta VALUES ('commit_seq', 0);
             PRAGMA application_id = {APPLICATION};
             PRAGMA user_version = {SCHEMA};
             COMMIT;"
        ))?;
    }
    Ok(connection)
}

fn write(connection: &mut Connection, rows: &[Row]) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    {
        let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)")?;
        let mut delete = transaction.prepare_cached("DELETE FROM record WHERE kind = ?1 AND key = ?2")?;
        for row in rows {
            match &row.body {
                Some(body) => put.execute(params![row.kind, row.key, body])?,
                None => delete.execute(params![row.kind, row.key])?,
            };
        }
        transaction.execute("UPDATE meta SET value = value + 1 WHERE name = 'commit_seq'", [])?;
    }
    transaction.commit()?;
    Ok(())
}

fn read_all(connection: &Connection) -> Result<Committed, StoreError> {
    let mut statement = connection.prepare("SELECT kind, key, body FROM record ORDER BY kind, key")?;
    let mut rows = statement.query([])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, key, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        changes.extend(Row::into_change(&kind, &key, &body)?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::alert::{Alert, AlertKey};
    use crate::domain::labels::Labels;
    use crate::domain::name::TargetId;
    use crate::domain::scaling::Axis;

    fn changes() -> Vec<Change> {
        let key = AlertKey {
            rule: "monitoring/system/cpu_usage".into(),
            series: Labels::new([("service", "a\"b")]),
        };
        let target =
            TargetId { namespace: "shop".into(), kind: "Deployment".into(), name: "checkout".into() };
        let until: Timestamp = "2026-11-23T03:22:00Z".parse().unwrap();
        vec![
            Change::Alert(key, Some(Alert::new(until))),
            Change::Cooldown(target, Axis::Vertical, Some(until)),
            Change::Numbered(20_261_123, 7),
        ]
    }

    #[test]
    fn what_was_committed_is_read_back_and_a_deletion_deletes() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings::Sqlite(folder.path().join("deep/down/store.db"));
        let (mut store, found) = Store::open(&settings).unwrap();
        assert_eq!(found, []);
        store.commit(&changes()).unwrap();
        drop(store);
        let (mut store, found) = Store::open(&settings).unwrap();
        assert_eq!(found, changes());
        let Change::Alert(key, _) = changes().remove(0) else { panic!("an alert comes first") };
        store.commit(&[Change::Alert(key, None)]).unwrap();
        drop(store);
        assert_eq!(Store::open(&settings).unwrap().1.len(), 2);
    }

    #[test]
    fn a_second_daemon_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings::Sqlite(folder.path().join("store.db"));
        let held = Store::open(&settings).unwrap();
        assert!(matches!(Store::open(&settings), Err(StoreError::InUse { .. })));
        drop(held);
        assert!(Store::open(&settings).is_ok());
    }

    #[test]
    fn a_newer_or_foreign_file_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let newer = folder.path().join("newer.db");
        drop(Store::open(&StoreSettings::Sqlite(newer.clone())).unwrap());
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(
            Store::open(&StoreSettings::Sqlite(newer)),
            Err(StoreError::Newer { found: 99, .. })
        ));
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
        let before = std::fs::read(&foreign).unwrap();
        assert!(matches!(
            Store::open(&StoreSettings::Sqlite(foreign.clone())),
            Err(StoreError::Foreign { .. })
        ));
        assert_eq!(std::fs::read(&foreign).unwrap(), before);
    }
}
