//! Rows as they lie in the file: read with their checksum, put aside where it is wrong, saved from a file that is
//! broken. Trusts nothing it reads.

use std::collections::BTreeSet;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior, params};

use crate::domain::change::Change;

use super::StoreError;
use super::checksum::checksum;
use super::commit::set_commits;
use super::record::Row;
use super::schema::meta_checksum;

/// The first version whose rows carry a checksum.
const CHECKED_SINCE: i64 = 2;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// What the sound rows stand for.
    pub(super) changes: Vec<Change>,
    /// How many rows are not sound.
    pub(super) damaged: usize,
    /// How many commits the file knows of; `None` where that itself is damaged.
    pub(super) commits: Option<u64>,
}

/// A row before anything of it is believed.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    kind: Vec<u8>,
    key: Vec<u8>,
    body: Vec<u8>,
    /// `None` in a version without checksums.
    crc: Option<i64>,
}

/// Text of any bytes: a damaged one need not be UTF-8.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

impl Raw {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let bytes = |at| -> rusqlite::Result<Vec<u8>> {
            Ok(match row.get_ref(at)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                ValueRef::Null => Vec::new(),
                ValueRef::Integer(number) => number.to_string().into_bytes(),
                ValueRef::Real(number) => number.to_string().into_bytes(),
            })
        };
        let crc = match row.get_ref(3)? {
            ValueRef::Integer(number) => Some(number),
            ValueRef::Null => None,
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Some(-1),
        };
        Ok(Self { kind: bytes(0)?, key: bytes(1)?, body: bytes(2)?, crc })
    }

    /// What it stands for: nothing for a kind that is no longer read; `None` where it is not sound.
    fn changes(&self) -> Option<Vec<Change>> {
        let sum = i64::from(checksum(&[&self.kind, &self.key, &self.body]));
        if self.crc.is_some_and(|crc| crc != sum) {
            return None;
        }
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Row::into_change(text(&self.kind)?, text(&self.key)?, text(&self.body)?)
            .ok()
            .map(|change| change.into_iter().collect())
    }
}

/// Reads everything.
///
/// # Errors
/// If the file is broken further than single rows.
pub(super) fn load(connection: &Connection, version: i64) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded { commits: commits(connection, version)?, ..Loaded::default() };
    scan(connection, version, "ASC", |raw| match raw.changes() {
        Some(changes) => loaded.changes.extend(changes),
        None => loaded.damaged += 1,
    })?;
    Ok(loaded)
}

/// How many commits the file knows of; `None` where that itself is damaged.
pub(super) fn commits(connection: &Connection, version: i64) -> rusqlite::Result<Option<u64>> {
    if version == 0 {
        return Ok(Some(0));
    }
    let crc = if version < CHECKED_SINCE { "NULL" } else { "crc" };
    let sql = format!("SELECT value, {crc} FROM meta WHERE name = 'commit_seq'");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (Ok(value), Ok(crc)) = (row.get::<_, i64>(0), row.get::<_, Option<i64>>(1)) else { return Ok(None) };
    let is_sound = crc.is_none_or(|crc| crc == i64::from(meta_checksum("commit_seq", value)));
    Ok(u64::try_from(value).ok().filter(|_| is_sound))
}

/// Puts damaged rows aside and writes the sound ones anew: a flipped bit in a key has put the row out of order too.
pub(super) fn put_aside(connection: &mut Connection, commits: u64) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut sound, mut damaged) = (Vec::new(), Vec::new());
    scan(&transaction, CHECKED_SINCE, "ASC", |raw| {
        if raw.changes().is_some() { sound.push(raw) } else { damaged.push(raw) }
    })?;
    for raw in &damaged {
        let sql = "INSERT INTO damaged (kind, key, body, crc) VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(sql)?.execute(params![raw.kind, raw.key, raw.body, raw.crc])?;
    }
    transaction.execute("DELETE FROM record", [])?;
    insert(&transaction, &sound)?;
    set_commits(&transaction, commits)?;
    transaction.commit()?;
    Ok(())
}

/// The sound rows of a file that cannot be read from one end to the other: from the front as far as it goes, then
/// from the back.
pub(super) fn salvage(connection: &Connection, version: i64) -> Vec<Raw> {
    let mut saved: Vec<Raw> = Vec::new();
    let mut known = BTreeSet::new();
    for order in ["ASC", "DESC"] {
        let read = scan(connection, version, order, |raw| {
            if raw.changes().is_some() && known.insert((raw.kind.clone(), raw.key.clone())) {
                saved.push(raw);
            }
        });
        if read.is_ok() {
            break;
        }
    }
    saved
}

/// Writes saved rows into a new file.
pub(super) fn fill(connection: &mut Connection, rows: &[Raw], commits: u64) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    insert(&transaction, rows)?;
    set_commits(&transaction, commits)?;
    transaction.commit()?;
    Ok(())
}

fn insert(transaction: &Transaction<'_>, rows: &[Raw]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3, ?4)")?;
    for raw in rows {
        let crc = checksum(&[&raw.kind, &raw.key, &raw.body]);
        put.execute(params![Text(&raw.kind), Text(&raw.key), Text(&raw.body), crc])?;
    }
    Ok(())
}

/// Hands every row out.
fn scan(
    connection: &Connection,
    version: i64,
    order: &str,
    mut take: impl FnMut(Raw),
) -> rusqlite::Result<()> {
    if version == 0 {
        return Ok(());
    }
    let crc = if version < CHECKED_SINCE { "NULL" } else { "crc" };
    let sql = format!("SELECT kind, key, body, {crc} FROM record ORDER BY kind {order}, key {order}");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(Raw::read(row)?);
    }
    Ok(())
}
