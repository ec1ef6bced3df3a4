//! Workloads of the built-in kinds as watches hold them, one watch for each kind and namespace that has a target. Owns
//! the promise that nothing older is served than what was read or written last; knows nothing of what it holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use tokio::sync::Notify;

use super::client::Cluster;
use super::sight::FIRST;
use super::watch::{Pulse, Sink};
use crate::domain::name::TargetId;

/// How long a watch may lag behind the daemon's own last write before the API server is asked.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What is held.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<(String, Arc<str>), Arc<Kept>>,
    asks: Vec<Ask>,
    /// The version that was read or written last, below which nothing is served. Nothing at all where it is not known.
    floor: HashMap<TargetId, Option<u64>>,
}

#[derive(Debug)]
struct Ask {
    kind: ApiResource,
    namespace: Arc<str>,
    kept: Arc<Kept>,
}

/// The workloads of one kind and namespace.
#[derive(Debug, Default)]
struct Kept {
    pulse: Pulse,
    objects: Mutex<HashMap<String, Arc<DynamicObject>>>,
}

impl Workloads {
    /// A workload as its watch holds it. Begins that watch where there is none; `None` means: ask the server.
    pub(super) async fn held(&self, kind: &ApiResource, at: &TargetId) -> Option<Arc<DynamicObject>> {
        let kept = self.kept(kind, &at.namespace);
        // What has not answered by then is asked for.
        let _ = tokio::time::timeout(FIRST, kept.pulse.begun()).await;
        // Right after a write the watch tells of it within a moment; asking each time would ask for every target.
        let _ = tokio::time::timeout(CATCH_UP, kept.pulse.when(|| self.is_new_enough(&kept, at))).await;
        kept.pulse.trusted().ok()?;
        let held = kept.objects().get(&*at.name).cloned()?;
        let is_new_enough = self.serves(at, &held);
        is_new_enough.then_some(held)
    }

    /// Whether nothing is to be waited for: what is held is new enough, or is not there at all.
    fn is_new_enough(&self, kept: &Kept, at: &TargetId) -> bool {
        let held = kept.objects().get(&*at.name).cloned();
        let is_known = !matches!(self.state().floor.get(at), Some(None));
        !is_known || held.is_none_or(|held| self.serves(at, &held))
    }

    fn serves(&self, at: &TargetId, held: &DynamicObject) -> bool {
        match self.state().floor.get(at) {
            Some(Some(floor)) => version(held).is_some_and(|version| version >= *floor),
            Some(None) => false,
            None => true,
        }
    }

    /// A workload was read afresh.
    pub(super) fn read(&self, at: &TargetId, workload: &DynamicObject) {
        self.state().floor.insert(at.clone(), version(workload));
    }

    /// A workload was written, to this version where that is known.
    pub(super) fn wrote(&self, at: &TargetId, version: Option<&str>) {
        self.state().floor.insert(at.clone(), version.and_then(|version| version.parse().ok()));
    }

    fn kept(&self, kind: &ApiResource, namespace: &Arc<str>) -> Arc<Kept> {
        let mut state = self.state();
        let key = (kind.plural.clone(), namespace.clone());
        if let Some(kept) = state.kept.get(&key) {
            return kept.clone();
        }
        let kept = Arc::<Kept>::default();
        state.kept.insert(key, kept.clone());
        state.asks.push(Ask { kind: kind.clone(), namespace: namespace.clone(), kept: kept.clone() });
        drop(state);
        self.asked.notify_one();
        kept
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only whole entries are ever put in.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Follows the workloads that looks ask for, for as long as it is polled.
    pub(super) async fn follow_workloads(&self) {
        let workloads = &self.sight.workloads;
        let mut following = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = workloads.asked.notified() => {
                    let asks = std::mem::take(&mut workloads.state().asks);
                    following.extend(asks.into_iter().map(|ask| self.follow_kept(ask)));
                }
                Some(()) = following.next() => {}
            }
        }
    }

    async fn follow_kept(&self, ask: Ask) {
        let api = Api::namespaced_with(self.client.clone(), &ask.namespace, &ask.kind);
        self.follow::<DynamicObject>(api, None, &ask.kept.pulse, &*ask.kept).await;
    }
}

impl Kept {
    fn objects(&self) -> MutexGuard<'_, HashMap<String, Arc<DynamicObject>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink<DynamicObject> for Kept {
    fn replace(&self, all: Vec<DynamicObject>) {
        *self.objects() = all.into_iter().map(|one| (name(&one), Arc::new(one))).collect();
    }

    fn apply(&self, one: DynamicObject) {
        self.objects().insert(name(&one), Arc::new(one));
    }

    fn remove(&self, one: &DynamicObject) {
        self.objects().remove(&name(one));
    }
}

fn name(one: &DynamicObject) -> String {
    one.metadata.name.clone().unwrap_or_default()
}

/// Versions of one kind are numbers that grow.
/// Source: the Kubernetes API concepts, "Resource versions".
fn version(workload: &DynamicObject) -> Option<u64> {
    workload.metadata.resource_version.as_ref()?.parse().ok()
}
