//! The head file: the number of the last commit, beside the database. `SQLite` itself does not notice when the end of
//! its log is gone or when an older copy was put back; a database that is behind its head lost commits.
//!
//! Written after each commit without a sync: after a power loss it may be behind, which says nothing, and is never
//! ahead of what was synced.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::checksum::checksum;

/// How the line begins.
const MARK: &str = "runbookd head 1";

/// The file beside a database.
#[derive(Debug)]
pub(super) struct Head {
    path: PathBuf,
    file: Option<File>,
}

impl Head {
    /// The head of a database; touches nothing.
    pub(super) fn of(database: &Path) -> Self {
        Self { path: beside(database, ".head"), file: None }
    }

    /// Whether there is one, readable or not.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The last commit known to it; `None` where there is none or it is torn.
    pub(super) fn read(&self) -> Option<u64> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let (number, sum) = text.strip_prefix(MARK)?.trim().split_once(' ')?;
        let sum = u32::from_str_radix(sum, 16).ok()?;
        (checksum(&[number.as_bytes()]) == sum).then(|| number.parse().ok()).flatten()
    }

    /// Notes a commit. A head that cannot be written is left behind: it guards against loss and must not cause any.
    pub(super) fn write(&mut self, commit: u64) {
        let number = format!("{commit:020}");
        let line = format!("{MARK} {number} {:08x}\n", checksum(&[number.as_bytes()]));
        if self.file.is_none() {
            self.file = File::options().create(true).write(true).truncate(false).open(&self.path).ok();
        }
        if let Some(file) = &self.file
            && file.write_all_at(line.as_bytes(), 0).is_err()
        {
            self.file = None;
        }
    }
}

/// The name of a neighbour of the database file.
pub(super) fn beside(database: &Path, tail: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(tail);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_and_a_changed_byte_makes_it_say_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        let mut head = Head::of(&database);
        assert_eq!(head.read(), None);
        for commit in [1, 9, 10, u64::MAX] {
            head.write(commit);
            assert_eq!(Head::of(&database).read(), Some(commit));
        }
        let path = folder.path().join("store.db.head");
        let sound = std::fs::read(&path).unwrap();
        for at in 0..sound.len() - 1 {
            let mut torn = sound.clone();
            torn[at] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(Head::of(&database).read(), None, "byte {at}");
        }
    }
}
