//! A disk rebuilt from the system calls of a trace: what was synced is on it, what was only written may be or not.

use std::collections::BTreeMap;
use std::path::Path;

use runbookd::config::settings::StoreSettings;
use runbookd::domain::change::Change;
use runbookd::store::Store;

/// One system call of the trace, as far as it matters.
pub(super) struct Call {
    name: String,
    /// What the descriptor leads to.
    path: String,
    data: Vec<u8>,
    /// Where a write begins, or how long a file becomes.
    at: usize,
}

impl Call {
    /// Reads `pwrite64(7</home/store.db-wal>, "\x37\x7f", 2, 0) = 2`; the end may be missing.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('(')?;
        let (descriptor, rest) = rest.split_once('>')?;
        let (_, path) = descriptor.split_once('<')?;
        let path = unescaped(path);
        let data = rest.split('"').skip(1).step_by(2).map(unescaped).collect::<Vec<_>>().concat();
        let numbers = rest.rsplit_once('"').map_or(rest, |(_, after)| after);
        let mut numbers = numbers
            .split(|c: char| !c.is_ascii_digit())
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().unwrap());
        let at = if name == "ftruncate" { numbers.next() } else { numbers.nth(1) };
        let path = String::from_utf8_lossy(&path).into_owned();
        Some(Self { name: name.into(), path, data, at: at.unwrap_or(0) })
    }

    fn is_file(&self) -> bool {
        self.path.ends_with("/store.db") || self.path.ends_with("/store.db-wal")
    }

    fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync")
    }

    /// Whether this is the sending of the notice.
    pub(super) fn carries(&self, id: &str) -> bool {
        !self.path.starts_with('/') && self.data.windows(id.len()).any(|window| window == id.as_bytes())
    }
}

/// The bytes of `\x41\x42`, and of what is not escaped.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// The files of the store, as a disk that loses its power has them.
#[derive(Default)]
pub(super) struct Disk {
    files: BTreeMap<String, File>,
    /// How many syncs succeeded.
    pub(super) syncs: usize,
}

#[derive(Default, Clone)]
struct File {
    /// What is on the disk for good.
    synced: Vec<u8>,
    /// What was written since: where, and what; `None` cuts the file there.
    written: Vec<(usize, Option<Vec<u8>>)>,
    /// How much of it had been written when the running sync began.
    covered: usize,
}

impl Disk {
    pub(super) fn began(&mut self, call: &Call) {
        if !call.is_file() {
            return;
        }
        let file = self.files.entry(call.path.clone()).or_default();
        match call.name.as_str() {
            "pwrite64" => file.written.push((call.at, Some(call.data.clone()))),
            "ftruncate" => file.written.push((call.at, None)),
            "fdatasync" | "fsync" => file.covered = file.written.len(),
            other => panic!("the store writes by {other}, which this test does not know"),
        }
    }

    pub(super) fn ended(&mut self, call: &Call) {
        if !call.is_file() || !call.is_sync() {
            return;
        }
        self.syncs += 1;
        let file = self.files.entry(call.path.clone()).or_default();
        let covered = std::mem::take(&mut file.covered);
        let writes: Vec<_> = file.written.drain(..covered).collect();
        for write in writes {
            apply(&mut file.synced, &write);
        }
    }

    /// Whether the notice is read from what a power loss leaves now, whichever of the unsynced writes made it.
    pub(super) fn holds(&self, id: &str) -> bool {
        let survivors: [fn(usize) -> bool; 4] = [|_| false, |_| true, |nth| nth % 2 == 0, |nth| nth % 2 == 1];
        survivors.iter().all(|survives| {
            let home = tempfile::tempdir().unwrap();
            for (path, file) in &self.files {
                let mut bytes = file.synced.clone();
                for (_, write) in file.written.iter().enumerate().filter(|(nth, _)| survives(*nth)) {
                    apply(&mut bytes, write);
                }
                let name = Path::new(path).file_name().unwrap();
                std::fs::write(home.path().join(name), bytes).unwrap();
            }
            let settings = StoreSettings::Sqlite(home.path().join("store.db"));
            let (_store, committed) = Store::open(&settings).unwrap();
            committed.iter().any(|change| matches!(change, Change::Notice(it, Some(_)) if it.as_str() == id))
        })
    }

    /// The same disk, had the log never been synced.
    pub(super) fn without_log(&self) -> Self {
        let kept = self.files.iter().filter(|(path, _)| !path.ends_with("-wal"));
        Self { files: kept.map(|(path, file)| (path.clone(), file.clone())).collect(), syncs: 0 }
    }
}

fn apply(bytes: &mut Vec<u8>, (at, data): &(usize, Option<Vec<u8>>)) {
    match data {
        Some(data) => {
            if bytes.len() < at + data.len() {
                bytes.resize(at + data.len(), 0);
            }
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
        None => bytes.resize(*at, 0),
    }
}
