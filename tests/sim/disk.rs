//! The disk: what is on record, whatever dies. Owns the committed state, and how a commit ends: kept, refused, or with an
//! outcome that nobody is told. Every tenth seed keeps a real database file beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use runbookd::config::settings::StoreSettings;
use runbookd::domain::change::Change;
use runbookd::domain::name::{IncidentId, NoticeId};
use runbookd::engine::state::State;
use runbookd::store::Store;

/// How a commit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// On record.
    Kept,
    /// Refused, and not on record.
    Refused,
    /// On record, though the daemon is told that it failed.
    Unknown,
}

/// What is on record.
#[derive(Default)]
pub(crate) struct Disk {
    /// Everything committed.
    pub(crate) image: State,
    /// The id of every notice that ever was on record.
    pub(crate) notices: BTreeSet<NoticeId>,
    /// Whose number an incident's is.
    pub(crate) numbers: BTreeMap<IncidentId, std::sync::Arc<str>>,
    /// Nothing can be written until it is freed.
    pub(crate) full: bool,
    file: Option<(tempfile::TempDir, Option<Store>)>,
}

impl Disk {
    /// A disk; with a real database file where wanted.
    pub(crate) fn new(real: bool) -> Self {
        let file = real.then(|| {
            let fast = Path::new("/dev/shm");
            let folder = if fast.is_dir() { tempfile::tempdir_in(fast) } else { tempfile::tempdir() };
            (folder.expect("a folder"), None)
        });
        let mut disk = Self { file, ..Self::default() };
        disk.mount();
        disk
    }

    fn mount(&mut self) -> Vec<Change> {
        let Some((folder, store)) = &mut self.file else { return Vec::new() };
        *store = None;
        let settings = StoreSettings::Sqlite(folder.path().join("store.db"));
        let (opened, committed) = Store::open(&settings).expect("the store opens");
        *store = Some(opened);
        committed
    }

    /// Puts changes on record.
    pub(crate) fn write(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Notice(id, Some(_)) => drop(self.notices.insert(id.clone())),
                Change::Incident(id, Some(incident)) => {
                    self.numbers.entry(id.clone()).or_insert_with(|| incident.uid.clone());
                }
                _ => {}
            }
            self.image.apply(change.clone());
        }
        if let Some((_, Some(store))) = &mut self.file {
            store.commit(changes).expect("the store commits");
        }
    }

    /// What a restart finds; says where the database file disagrees.
    pub(crate) fn read(&mut self) -> Result<State, String> {
        if self.file.is_some() {
            let mut found = State::default();
            for change in self.mount() {
                found.apply(change);
            }
            if found != self.rounded() {
                return Err("the database file does not hold what was committed".into());
            }
        }
        Ok(self.image.clone())
    }

    /// The image as a record reads back: a value that is no number is none.
    fn rounded(&self) -> State {
        let mut image = self.image.clone();
        image.alerts.retain(|_, series| !series.is_empty());
        let round = |value: &mut Option<f64>| *value = value.filter(|value| value.is_finite());
        let alerts = image.alerts.values_mut().flat_map(BTreeMap::values_mut);
        alerts.for_each(|it| round(&mut it.alert.value));
        let members = image.incidents.values_mut().flat_map(|incident| incident.alerts.values_mut());
        members.for_each(|member| round(&mut member.value));
        image.outbox.values_mut().for_each(|notice| round(&mut notice.facts.value));
        image
    }
}
