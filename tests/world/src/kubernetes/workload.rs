//! What runs of a workload, as one who serves its load wants to know.

use serde_json::Value;

use super::controller::is_true;
use super::kind;
use super::quantity::milli;
use super::store::{Store, text};

/// A workload's size now.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadSize {
    /// Replicas wanted by the spec.
    pub replicas: u32,
    /// Pods that are ready.
    pub ready_pods: u32,
    /// All pods, of old and new templates alike.
    pub pods: Vec<PodSize>,
}

/// A pod's size now: what its containers have, not what is asked for them.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSize {
    /// Name.
    pub name: String,
    /// CPU limit of all containers, in cores; 0 where there is none.
    pub cpu_limit_cores: f64,
    /// Memory limit of all containers, in bytes; 0 where there is none.
    pub memory_limit_bytes: u64,
    /// Whether it is ready.
    pub ready: bool,
}

/// The size of a `Deployment` or `StatefulSet`.
pub(crate) fn size(store: &Store, namespace: &str, name: &str) -> Option<WorkloadSize> {
    let find = |kind: &kind::Kind| store.get(&kind.key(namespace, name));
    let workload = find(&kind::DEPLOYMENT).or_else(|| find(&kind::STATEFUL_SET))?;
    let mut pods = Vec::new();
    for (key, owned) in store.owned_by(text(workload, "/metadata/uid")) {
        if key.plural == "pods" {
            pods.push(pod(&owned));
        } else {
            pods.extend(store.owned_by(text(&owned, "/metadata/uid")).iter().map(|(_, owned)| pod(owned)));
        }
    }
    let ready = pods.iter().filter(|pod| pod.ready).count();
    Some(WorkloadSize {
        replicas: workload["spec"]["replicas"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        ready_pods: u32::try_from(ready).unwrap_or(u32::MAX),
        pods,
    })
}

fn pod(pod: &Value) -> PodSize {
    let running = pod["status"]["containerStatuses"].as_array().filter(|list| !list.is_empty());
    let containers = running.or_else(|| pod["spec"]["containers"].as_array());
    let sum = |resource: &str| -> i128 {
        let limits =
            containers.into_iter().flatten().map(|container| &container["resources"]["limits"][resource]);
        limits.filter_map(milli).sum()
    };
    #[expect(clippy::cast_precision_loss, reason = "thousandths of cores are far below 2^52")]
    let cpu_limit_cores = sum("cpu") as f64 / 1000.0;
    PodSize {
        name: text(pod, "/metadata/name").to_owned(),
        cpu_limit_cores,
        memory_limit_bytes: u64::try_from(sum("memory") / 1000).unwrap_or(0),
        ready: is_true(pod, "Ready"),
    }
}
