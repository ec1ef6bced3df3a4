//! The pods a service runs on: what the shop asks of a cluster, and a cluster that stands still until told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Consonants and digits: what Kubernetes draws the random parts of pod names from.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// One pod as the shop sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// Name within its namespace.
    pub name: String,
    /// CPU limit in cores.
    pub cpu_limit_cores: f64,
    /// Memory limit in bytes.
    pub memory_limit_bytes: u64,
    /// Whether it is sent requests.
    pub ready: bool,
}

/// Where the shop learns which pods run its services. It is asked at every scrape and every change while the shop waits:
/// it answers from memory and calls no method of the shop.
pub trait Fleet: Send + Sync + 'static {
    /// The pods of a service that run at this moment, ready or not; empty for a service it does not know.
    fn pods(&self, namespace: &str, service: &str) -> Vec<Pod>;
}

/// A cluster without controllers: it has the pods that were set.
#[derive(Debug, Default)]
pub struct StaticFleet {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<(String, String), Vec<Pod>>,
    named: usize,
}

impl StaticFleet {
    /// A cluster without pods.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a service exactly these pods.
    pub fn set(&self, namespace: &str, service: &str, pods: Vec<Pod>) {
        self.lock().pods.insert((namespace.into(), service.into()), pods);
    }

    /// Gives a service new, ready pods, named as those of a Deployment; limits in cores and bytes.
    pub fn deploy(&self, namespace: &str, service: &str, replicas: usize, cores: f64, memory_bytes: u64) {
        let mut state = self.lock();
        let pods = (0..replicas).map(|_| state.pod(service, cores, memory_bytes)).collect();
        state.pods.insert((namespace.into(), service.into()), pods);
    }

    /// Adds pods like the first one or takes the last ones away; a service without pods stays without.
    pub fn scale(&self, namespace: &str, service: &str, replicas: usize) {
        let mut state = self.lock();
        let key = (namespace.to_owned(), service.to_owned());
        let Some(mut pods) = state.pods.remove(&key) else { return };
        pods.truncate(replicas);
        if let Some(like) = pods.first().cloned() {
            while pods.len() < replicas {
                pods.push(state.pod(service, like.cpu_limit_cores, like.memory_limit_bytes));
            }
        }
        state.pods.insert(key, pods);
    }

    /// Changes the limits of a service's pods in place; cores and bytes.
    pub fn resize(&self, namespace: &str, service: &str, cores: f64, memory_bytes: u64) {
        self.each(namespace, service, |pod| {
            pod.cpu_limit_cores = cores;
            pod.memory_limit_bytes = memory_bytes;
        });
    }

    /// Makes all pods of a service ready or not.
    pub fn set_ready(&self, namespace: &str, service: &str, ready: bool) {
        self.each(namespace, service, |pod| pod.ready = ready);
    }

    fn each(&self, namespace: &str, service: &str, change: impl FnMut(&mut Pod)) {
        let key = (namespace.to_owned(), service.to_owned());
        self.lock().pods.entry(key).or_default().iter_mut().for_each(change);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet for StaticFleet {
    fn pods(&self, namespace: &str, service: &str) -> Vec<Pod> {
        self.lock().pods.get(&(namespace.to_owned(), service.to_owned())).cloned().unwrap_or_default()
    }
}

impl State {
    fn pod(&mut self, service: &str, cores: f64, memory_bytes: u64) -> Pod {
        self.named += 1;
        let mut rest = self.named;
        let suffix: String = std::iter::repeat_with(|| {
            let letter = SAFE[rest % SAFE.len()];
            rest /= SAFE.len();
            char::from(letter)
        })
        .take(5)
        .collect();
        Pod {
            name: format!("{service}-7d9c5b8f4d-{suffix}"),
            cpu_limit_cores: cores,
            memory_limit_bytes: memory_bytes,
            ready: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_the_pods_that_stay_and_names_no_pod_twice() {
        let fleet = StaticFleet::new();
        fleet.deploy("shop", "checkout", 2, 1.0, 1 << 30);
        let before = fleet.pods("shop", "checkout");
        fleet.scale("shop", "checkout", 4);
        let after = fleet.pods("shop", "checkout");
        assert_eq!(after[..2], before[..]);
        let names: std::collections::BTreeSet<_> = after.iter().map(|pod| &pod.name).collect();
        assert_eq!(names.len(), 4);
        fleet.scale("shop", "checkout", 1);
        assert_eq!(fleet.pods("shop", "checkout"), before[..1]);
        assert_eq!(fleet.pods("other", "checkout"), []);
    }

    #[test]
    fn resizing_changes_limits_in_place() {
        let fleet = StaticFleet::new();
        fleet.deploy("shop", "checkout", 1, 1.0, 1 << 30);
        let name = fleet.pods("shop", "checkout")[0].name.clone();
        fleet.resize("shop", "checkout", 2.0, 2 << 30);
        fleet.set_ready("shop", "checkout", false);
        let expected = Pod { name, cpu_limit_cores: 2.0, memory_limit_bytes: 2 << 30, ready: false };
        assert_eq!(fleet.pods("shop", "checkout"), [expected]);
    }
}
