//! The open store: one connection, how many commits are in the file, and what to do when either is in doubt. Owns the
//! way back after a failure; the file's form, its neighbours and the transaction have modules of their own.

use std::time::Duration;

use rusqlite::Connection;

use crate::config::settings::StoreSettings;
use crate::domain::change::Change;

use super::cause::Cause;
use super::commit::{Scope, commit};
use super::files::Files;
use super::finding::Finding;
use super::rows::{self, Loaded};
use super::{Committed, StoreError, connection, schema};

/// How long somebody else's lock is waited for at the start.
const PATIENCE_AT_START: Duration = Duration::from_secs(5);

/// The same while people wait to be paged.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often, in commits, room is given back and the ballast is looked after.
const TIDY_EVERY: u64 = 256;

/// The store.
#[derive(Debug)]
pub struct Store {
    /// `None` for a store that is only in memory.
    files: Option<Files>,
    /// `None` where it could not be opened, or after a failed commit, until it was opened again.
    connection: Option<Connection>,
    /// The number of the last commit known to be in the file.
    commits: u64,
    /// The scope of a commit whose outcome is not known.
    unknown: Option<Scope>,
    /// Whether the file was never read: what it holds is not what the daemon knows.
    unread: bool,
    /// Whether the file lacks something that was committed, so that everything has to be written again.
    behind: bool,
    findings: Vec<Finding>,
}

impl Store {
    /// Opens the store, making or migrating it where needed, and reads everything committed. What is noticed on the
    /// way is in [`Self::take_findings`]; a file that cannot be opened is tried again with each commit.
    ///
    /// # Errors
    /// Only where the file is not ours to use: another daemon holds it, a newer version or another program wrote it.
    pub fn open(settings: &StoreSettings) -> Result<(Self, Committed), StoreError> {
        match settings {
            StoreSettings::Memory => {
                let store = Self {
                    files: None,
                    connection: Some(connection::in_memory()?),
                    commits: 0,
                    unknown: None,
                    unread: false,
                    behind: false,
                    findings: Vec::new(),
                };
                Ok((store, Vec::new()))
            }
            StoreSettings::Sqlite(path) => Self::open_files(Files::of(path)),
        }
    }

    /// Commits the changes as one transaction, synced before it returns. Without changes it only makes sure that the
    /// store works.
    ///
    /// # Errors
    /// [`StoreError::Behind`] asks for [`Self::replace`]. After another error the changes are not on record as far as
    /// can be known; committing them again is right and harmless.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.put(changes, Scope::Changed)
    }

    /// Commits everything there is to know, in place of what the file holds.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn replace(&mut self, everything: &[Change]) -> Result<(), StoreError> {
        self.put(everything, Scope::Everything)
    }

    /// What was noticed since this was last asked.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Whether the disk is so full that the room kept for that is given up.
    pub fn is_tight(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.ballast.is_tight())
    }

    /// The number of the last commit known to be in the file.
    pub fn commits(&self) -> u64 {
        self.commits
    }
}

// === at the start ===

impl Store {
    fn open_files(mut files: Files) -> Result<(Self, Committed), StoreError> {
        let mut findings = Vec::new();
        let mut opened = open(&mut files);
        if opened.as_ref().is_err_and(|error| error.cause() == Cause::Full) && files.ballast.release() {
            opened = open(&mut files);
        }
        if opened.as_ref().is_err_and(StoreError::is_damage_at_start) {
            opened = begin_anew(&mut files, &mut findings);
        }
        let (connection, loaded) = match opened {
            Ok((connection, loaded)) => (Some(connection), Some(loaded)),
            Err(refusal) if refusal.is_refusal() => return Err(refusal),
            Err(error) => match connection::read(&files.path) {
                Err(refusal) if refusal.is_refusal() => return Err(refusal),
                read => {
                    let forgot = read.is_err() && !files.is_new();
                    let (cause, detail) = (error.cause(), error.to_string());
                    findings.push(Finding::InMemory { cause, detail, forgot });
                    (None, if forgot { None } else { Some(read.unwrap_or_default()) })
                }
            },
        };
        let unread = loaded.is_none();
        let loaded = loaded.unwrap_or_default();
        let head = files.head.read();
        let commits = loaded.commits.or(head).unwrap_or_default();
        if let Some(missing) = head.unwrap_or_default().checked_sub(commits).filter(|it| *it > 0 && !unread) {
            findings.push(Finding::LostTail { commits: missing, forgot: true });
        }
        let damaged = loaded.damaged + usize::from(!unread && loaded.commits.is_none());
        if damaged > 0 {
            findings.push(Finding::Damaged { rows: damaged });
        }
        let mut store =
            Self { files: Some(files), connection, commits, unknown: None, unread, behind: false, findings };
        if damaged > 0
            && let Some(mut connection) = store.connection.take()
            // Where that cannot be written now, the rows stay and are found again at the next start.
            && rows::put_aside(&mut connection, commits).is_ok()
        {
            store.connection = Some(connection);
        }
        if store.connection.is_some() {
            store.settled();
        }
        Ok((store, loaded.changes))
    }

    /// After the file was opened: which one it is, and room for worse days.
    fn settled(&mut self) {
        if let Some(connection) = &self.connection {
            // Only sets a number.
            let _ = connection.busy_timeout(PATIENCE);
        }
        if let Some(files) = &mut self.files {
            files.note_opened();
            files.ballast.take();
        }
    }
}

/// Opens for work and reads.
fn open(files: &mut Files) -> Result<(Connection, Loaded), StoreError> {
    files.hold()?;
    let connection = connection::open(&files.path, PATIENCE_AT_START)?;
    let loaded = rows::load(&connection, schema::NEWEST)?;
    Ok((connection, loaded))
}

/// Puts a broken file aside and begins a new one with what could be saved.
fn begin_anew(files: &mut Files, findings: &mut Vec<Finding>) -> Result<(Connection, Loaded), StoreError> {
    if !files.was_ours() {
        return Err(StoreError::Foreign { path: files.path.clone() });
    }
    let (saved, commits) = connection::salvage(&files.path);
    let to = files.move_aside()?;
    findings.push(Finding::MovedAside { to, saved: saved.len(), forgot: true });
    let mut connection = connection::open(&files.path, PATIENCE_AT_START)?;
    rows::fill(&mut connection, &saved, commits.max(files.head.read()).unwrap_or_default())?;
    let loaded = rows::load(&connection, schema::NEWEST)?;
    Ok((connection, loaded))
}

// === while it runs ===

impl Store {
    fn put(&mut self, changes: &[Change], scope: Scope) -> Result<(), StoreError> {
        if self.files.as_ref().is_some_and(Files::is_replaced) {
            self.drop_connection();
        }
        self.reconnect()?;
        if scope == Scope::Changed {
            if self.behind {
                return Err(StoreError::Behind);
            }
            if changes.is_empty() {
                return Ok(());
            }
        }
        let Err(error) = self.write(changes, scope) else { return Ok(()) };
        let made_room =
            error.cause() == Cause::Full && self.files.as_mut().is_some_and(|files| files.ballast.release());
        let before = self.commits;
        let reopened = if error.cause() == Cause::Malformed { self.begin_anew() } else { self.reconnect() };
        match reopened {
            Ok(()) if self.behind && scope == Scope::Changed => Err(StoreError::Behind),
            Ok(()) if self.behind => self.write(changes, scope),
            Ok(()) if self.commits > before => Ok(()),
            Ok(()) if made_room => self.write(changes, scope),
            Ok(()) | Err(_) => Err(error),
        }
    }

    /// Writes on an open connection; after a failure there is none, and what came of it is not known.
    fn write(&mut self, changes: &[Change], scope: Scope) -> Result<(), StoreError> {
        let Some(mut connection) = self.connection.take() else { return Err(StoreError::Behind) };
        self.unknown = Some(scope);
        commit(&mut connection, changes, self.commits, scope)?;
        self.connection = Some(connection);
        self.committed(scope);
        self.tidy();
        Ok(())
    }

    /// One more commit is known to be in the file.
    fn committed(&mut self, scope: Scope) {
        self.unknown = None;
        self.commits += 1;
        if scope == Scope::Everything {
            self.behind = false;
        }
        if let Some(files) = &mut self.files {
            files.head.write(self.commits);
        }
    }

    fn tidy(&mut self) {
        let is_time = self.commits.is_multiple_of(TIDY_EVERY);
        if let Some(files) = &mut self.files
            && (is_time || files.ballast.is_tight())
        {
            files.ballast.take();
        }
        if !is_time {
            return;
        }
        if self.connection.as_ref().is_some_and(|connection| connection::shrink(connection).is_err()) {
            self.drop_connection();
        }
    }

    /// Leaves a file that is no longer the one that was opened: its log may have the name of another's now.
    fn drop_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            let keep_log = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = connection.set_db_config(keep_log, true);
        }
    }

    /// Opens the file where it is not open, and finds out what is in it.
    fn reconnect(&mut self) -> Result<(), StoreError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let Some(files) = &mut self.files else { return self.begin_anew() };
        files.hold()?;
        let reopened = connection::open(&files.path, PATIENCE).and_then(|connection| {
            connection::settle(&connection)?;
            let found = rows::commits(&connection, schema::NEWEST)?;
            Ok((connection, found))
        });
        let (connection, found) = match reopened {
            Err(error) if error.cause() == Cause::Malformed && files.was_ours() => return self.begin_anew(),
            Err(error) => return Err(error),
            Ok(reopened) => reopened,
        };
        let next = self.commits + u64::from(self.unknown.is_some());
        if self.unread && found != Some(0) || found.is_some_and(|found| found > next) {
            // What is in there was never read, or not written by this daemon.
            drop(connection);
            return self.begin_anew();
        }
        files.note_opened();
        self.connection = Some(connection);
        match found {
            Some(found) if found > self.commits => {
                // The commit whose outcome was not known did happen.
                let scope = self.unknown.unwrap_or(Scope::Changed);
                self.committed(scope);
            }
            Some(found) if found < self.commits => {
                let commits = self.commits - found;
                self.findings.push(Finding::LostTail { commits, forgot: false });
                self.behind = true;
            }
            Some(_) => self.behind |= self.unread,
            None => self.behind = true,
        }
        (self.unknown, self.unread) = (None, false);
        Ok(())
    }

    /// Puts aside what stands there and begins a new file, into which everything has to be written.
    fn begin_anew(&mut self) -> Result<(), StoreError> {
        self.drop_connection();
        if let Some(files) = &mut self.files {
            let to = files.move_aside()?;
            self.findings.push(Finding::MovedAside { to, saved: 0, forgot: self.unread });
            self.connection = Some(connection::open(&files.path, PATIENCE)?);
            files.note_opened();
        } else {
            self.connection = Some(connection::in_memory()?);
        }
        (self.behind, self.unknown, self.unread) = (true, None, false);
        Ok(())
    }
}
