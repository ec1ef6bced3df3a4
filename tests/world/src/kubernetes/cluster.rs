//! What all parts of the server share: one state behind one lock, and the news that it changed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::faults::{Faults, Rights};
use super::journal::Journal;
use super::kind::{BUILT_IN, Kind};
use super::resize::Resize;
use super::store::Store;

/// How the cluster behaves.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// From a pod's binding to its readiness.
    pub ready_after: Duration,
    /// Pods that are started do not become ready.
    pub never_ready: bool,
    /// What becomes of in-place resizes.
    pub resize: Resize,
    /// Watches that began under an older epoch end.
    pub watch_epoch: u64,
    /// The pause between two bookmarks.
    pub bookmark_every: Duration,
    /// The controllers, the scheduler and the kubelets do nothing.
    pub controllers_rest: bool,
    /// How long every request is on its way.
    pub latency: Duration,
    /// Moves with every change of the settings.
    pub version: u64,
}

/// Everything that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub store: Store,
    pub kinds: Vec<Kind>,
    pub settings: Settings,
    pub faults: Faults,
    pub rights: Rights,
    pub journal: Journal,
    /// Log text by (namespace, beginning of the pod's name).
    pub logs: BTreeMap<(String, String), String>,
}

/// The state and its news.
#[derive(Debug)]
pub(crate) struct Cluster {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    answered: watch::Sender<u64>,
    /// Ends the server, its watches and its controller.
    pub stop: CancellationToken,
}

impl Cluster {
    /// An empty cluster.
    pub(crate) fn new() -> Self {
        let settings = Settings {
            ready_after: Duration::ZERO,
            never_ready: false,
            resize: Resize::InPlace { after: Duration::ZERO },
            watch_epoch: 0,
            bookmark_every: Duration::from_secs(5),
            controllers_rest: false,
            latency: Duration::ZERO,
            version: 0,
        };
        let state = State {
            store: Store::default(),
            kinds: BUILT_IN.to_vec(),
            settings,
            faults: Faults::default(),
            rights: Rights::default(),
            journal: Journal::default(),
            logs: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            answered: watch::Sender::new(0),
            stop: CancellationToken::new(),
        }
    }

    /// Works on the state; whoever waits for changes is woken if there were any.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = (state.store.revision(), state.settings.version);
        let result = work(&mut state);
        if before != (state.store.revision(), state.settings.version) {
            self.changed.send_modify(|count| *count += 1);
        }
        result
    }

    /// Works on the journal; whoever waits for exchanges is woken.
    pub(crate) fn note<R>(&self, work: impl FnOnce(&mut Journal) -> R) -> R {
        let result = self.with(|state| work(&mut state.journal));
        self.answered.send_modify(|count| *count += 1);
        result
    }

    /// Changes the settings.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        self.with(|state| {
            change(&mut state.settings);
            state.settings.version += 1;
        });
    }

    /// News of objects and settings.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// News of the journal.
    pub(crate) fn answers(&self) -> watch::Receiver<u64> {
        self.answered.subscribe()
    }
}
