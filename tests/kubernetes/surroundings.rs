//! What surrounds a workload, through watches, and what the checks say of a step there.

use std::collections::BTreeMap;
use std::time::Duration;

use runbookd::domain::scaling::checks::before;
use runbookd::domain::scaling::{
    Axis, Check, Checks, Known, Limits, OtherOwner, ScalerKind, Size, Tracker, Unseen, WorkloadSnapshot,
};
use runbookd::kubernetes::Cluster;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use world::kubernetes::{Fault, FaultRule, Kind, Kubernetes};

use super::{MI, SOON, checkout, deployment, patches, ready, replicas, shop, size};

/// A cluster whose surroundings are followed until this is dropped.
struct Watched {
    kubernetes: Kubernetes,
    cluster: Cluster,
    watch: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Watched {
    async fn new() -> Self {
        let (kubernetes, cluster) = shop().await;
        let watch = tokio::spawn(cluster.watch());
        Self { kubernetes, cluster, watch }
    }

    async fn look(&self) -> WorkloadSnapshot {
        self.cluster.look(&checkout()).await.unwrap()
    }

    /// Looks until something is so: watches tell of a change a little later than it is made.
    async fn until(&self, is_so: impl Fn(&WorkloadSnapshot) -> bool) -> WorkloadSnapshot {
        let looking = async {
            loop {
                let seen = self.look().await;
                if is_so(&seen) {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, looking).await.expect("seen in time")
    }

    fn asked(&self, verb: &str, resource: &str) -> usize {
        self.kubernetes.journal().iter().filter(|e| e.verb == verb && e.resource == resource).count()
    }
}

fn step(seen: &WorkloadSnapshot, to: u32, limits: &Limits) -> Checks {
    before(seen, Axis::Horizontal, &Size::Replicas(seen.replicas), &Size::Replicas(to), limits)
}

fn words(checks: &Checks) -> Vec<String> {
    checks.refused.iter().chain(&checks.unknown).map(ToString::to_string).collect()
}

fn namespaced(kind: &str, api: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn quota(hard: Value) -> Value {
    namespaced("ResourceQuota", "v1", "compute", json!({"hard": hard}))
}

fn hpa(most: u32) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let cpu = json!({"type": "Resource", "resource":
        {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}});
    let spec = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": most, "metrics": [cpu]});
    namespaced("HorizontalPodAutoscaler", "autoscaling/v2", "web", spec)
}

#[tokio::test]
async fn what_surrounds_a_workload_is_seen_without_asking_again() {
    let w = Watched::new().await;
    let seen = w.look().await;
    let around = &seen.surroundings;
    let nodes = around.nodes.get().unwrap();
    let free: BTreeMap<&str, (i64, i64)> =
        nodes.iter().map(|node| (&*node.name, (node.free.get("cpu"), node.free.get("pods")))).collect();
    assert_eq!(free.values().map(|(cpu, _)| cpu).sum::<i64>(), 16_000 - 1_500);
    assert_eq!(free.values().map(|(_, pods)| pods).sum::<i64>(), 220 - 3);
    assert_eq!(around.pod.get().unwrap().requests().get("cpu"), 500);
    assert_eq!(around.placed.get().unwrap().len(), 3);
    assert!(around.placed.get().unwrap().iter().all(|placed| placed.node.is_some()));
    assert_eq!((seen.pods.len(), seen.ready_replicas, around.surge), (3, 3, 1));
    assert_eq!(around.quotas, Known::Seen([].into()));
    assert!(around.scalers.is_empty() && around.unseen_scalers.is_empty());
    let checks = step(&seen, 5, &Limits::default());
    assert_eq!(words(&checks), [] as [String; 0]);
    assert_eq!(checks.passed, [Check::Owner, Check::LimitRange, Check::Quota, Check::Room]);

    for _ in 0..20 {
        w.look().await;
    }
    for resource in ["nodes", "pods", "resourcequotas", "limitranges", "horizontalpodautoscalers"] {
        assert_eq!((w.asked("list", resource), w.asked("watch", resource)), (1, 1), "{resource}");
    }
}

#[tokio::test]
async fn each_check_refuses_with_words_for_people() {
    let w = Watched::new().await;
    w.kubernetes.apply(quota(json!({"requests.cpu": "2", "pods": "10"}))).unwrap();
    let seen = w.until(|seen| {
        seen.surroundings.quotas.get().is_ok_and(|all| all.first().is_some_and(|quota| quota.used.is_some()))
    });
    let seen = seen.await;
    assert_eq!(
        words(&step(&seen, 5, &Limits::default())),
        [
            "quota: ResourceQuota compute leaves 0.5 cores of 2 cores for requests.cpu, 2 more pods would take 1 core"
        ]
    );
    assert_eq!(words(&step(&seen, 4, &Limits::default())), [] as [String; 0]);
}

#[tokio::test]
async fn what_may_not_be_read_is_unknown_and_stops_nothing_else() {
    let (kubernetes, cluster) = shop().await;
    kubernetes.forbid("list", "nodes");
    kubernetes.forbid("list", "horizontalpodautoscalers");
    kubernetes.forbid("list", "pods");
    let watch = tokio::spawn(cluster.watch());
    let looked = cluster.look(&checkout()).await;
    assert!(looked.is_err(), "without any right to pods nothing is known of it");
    kubernetes.allow("list", "pods");
    let w = Watched { kubernetes, cluster, watch };
    let seen = w.until(|seen| seen.surroundings.placed.get().is_ok()).await;
    assert_eq!(seen.surroundings.nodes, Known::Unseen(Unseen::Forbidden));
    assert_eq!(seen.surroundings.quotas, Known::Seen([].into()));
    assert_eq!(seen.surroundings.unseen_scalers[&ScalerKind::HorizontalPodAutoscaler], Unseen::Forbidden);
    let checks = step(&seen, 5, &Limits::default());
    assert_eq!(
        words(&checks),
        [
            "owner: HorizontalPodAutoscalers: the daemon has no right to read them",
            "room: nodes: the daemon has no right to read them"
        ]
    );
    assert_eq!(checks.passed, [Check::LimitRange, Check::Quota]);
    w.kubernetes.allow("list", "nodes");
    w.until(|seen| seen.surroundings.nodes.get().is_ok()).await;
}
