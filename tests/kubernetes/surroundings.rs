//! What surrounds a workload, through watches, and what the checks say of a step there.

use std::collections::BTreeMap;

use runbookd::domain::Timestamp;
use runbookd::domain::scaling::checks::before;
use runbookd::domain::scaling::{
    Axis, Check, Checks, ClusterFailure, Known, Limits, OtherOwner, ScalerKind, Size, Tracker, Unseen,
    WorkloadSnapshot,
};
use runbookd::kubernetes::{Cluster, Line};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use world::kubernetes::{Fault, FaultRule, Kind, Kubernetes};

use super::{SOON, checkout, connect, deployment, patches, replicas, shop, target, wanted_replicas};

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
        tokio::time::timeout(SOON, looking).await.unwrap()
    }

    fn asked(&self, verb: &str, resource: &str) -> usize {
        self.kubernetes.journal().iter().filter(|e| e.verb == verb && e.resource == resource).count()
    }
}

fn step(seen: &WorkloadSnapshot, to: u32, limits: Limits) -> Checks {
    before(seen, Axis::Horizontal, &Size::Replicas(seen.replicas), &Size::Replicas(to), &limits)
}

fn words(checks: &Checks) -> Vec<String> {
    checks.refused.iter().chain(&checks.unknown).map(ToString::to_string).collect()
}

fn namespaced(kind: &str, api: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn quota(hard: &Value) -> Value {
    namespaced("ResourceQuota", "v1", "compute", &json!({"hard": hard}))
}

fn hpa(most: u32) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let cpu = json!({"type": "Resource", "resource":
        {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}});
    let spec = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": most, "metrics": [cpu]});
    namespaced("HorizontalPodAutoscaler", "autoscaling/v2", "web", &spec)
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
    let checks = step(&seen, 5, Limits::default());
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
    w.kubernetes.apply(quota(&json!({"requests.cpu": "2", "pods": "10"}))).unwrap();
    let seen = w.until(|seen| {
        seen.surroundings.quotas.get().is_ok_and(|all| all.first().is_some_and(|quota| quota.used.is_some()))
    });
    let seen = seen.await;
    assert_eq!(
        words(&step(&seen, 5, Limits::default())),
        [
            "quota: ResourceQuota compute leaves 0.5 cores of 2 cores for requests.cpu, 2 more pods would take 1 core"
        ]
    );
    assert_eq!(words(&step(&seen, 4, Limits::default())), [] as [String; 0]);
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
    let checks = step(&seen, 5, Limits::default());
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

#[tokio::test]
async fn a_replica_set_is_scaled_by_the_deployment_that_made_it() {
    let w = Watched::new().await;
    let seen = w.look().await;
    let (set, _) = seen.pods[0].name.rsplit_once('-').unwrap();
    let target = target("ReplicaSet", set);
    let through = w.cluster.look(&target).await.unwrap();
    assert_eq!((through.target.clone(), &through.uid), (target, &seen.uid));
    w.cluster.write(&replicas(&through, 4)).await.unwrap();
    assert_eq!(patches(&w.kubernetes, "deployments/scale").len(), 1);
    assert_eq!(wanted_replicas(&w.kubernetes), 4);
}

#[tokio::test]
async fn looks_are_served_from_watches_and_never_from_before_the_own_last_write() {
    let w = Watched::new().await;
    for _ in 0..20 {
        w.look().await;
    }
    assert!(w.asked("get", "deployments") <= 1, "the watch answers");
    // The watch stops telling; what was written must still be seen.
    for to in 4..14 {
        let seen = w.look().await;
        assert_eq!(seen.replicas, to - 1);
        w.cluster.write(&replicas(&seen, to)).await.unwrap();
        assert_eq!(w.look().await.replicas, to);
    }
    let by = w.look().await.surroundings.replicas_by.unwrap();
    assert_eq!((&*by.manager, by.subresource.as_deref()), ("runbookd", Some("scale")));
}

#[tokio::test]
async fn an_event_and_a_raised_autoscaler_are_written_once_however_often() {
    let w = Watched::new().await;
    w.kubernetes.apply(hpa(10)).unwrap();
    let seen = w.look().await;
    let line = Line {
        name: "checkout.runbookd-1",
        target: &checkout(),
        uid: &seen.uid,
        reason: "ScalingApplied",
        note: "applied 3 → 5 replicas",
        is_warning: false,
        at: Timestamp::UNIX_EPOCH,
    };
    for _ in 0..2 {
        w.cluster.announce(&line).await.unwrap();
        w.cluster.raise_hpa_min("shop", "web", 5).await.unwrap();
    }
    let event = w.kubernetes.object("Event", "shop", "checkout.runbookd-1").unwrap();
    assert_eq!(event["involvedObject"]["uid"], &*seen.uid);
    assert_eq!((&event["reason"], &event["type"]), (&json!("ScalingApplied"), &json!("Normal")));
    let least = |w: &Watched| {
        w.kubernetes.object("HorizontalPodAutoscaler", "shop", "web").unwrap()["spec"]["minReplicas"].clone()
    };
    assert_eq!(least(&w), 5);
    assert_eq!(patches(&w.kubernetes, "horizontalpodautoscalers").len(), 1);
    assert_eq!(w.cluster.raise_hpa_min("shop", "web", 11).await, Err(ClusterFailure::Invalid));
    let before = |w: &Watched| {
        let hpa = w.kubernetes.object("HorizontalPodAutoscaler", "shop", "web").unwrap();
        hpa["metadata"]["annotations"]["runbookd.io/min-replicas-before"].clone()
    };
    let own = w.cluster.ease_hpa_min("shop", "web", 1).await;
    assert_eq!(
        (own, least(&w), before(&w)),
        (Ok(()), json!(2), Value::Null),
        "no further than before it was raised"
    );
    w.cluster.raise_hpa_min("shop", "web", 4).await.unwrap();
    w.cluster.raise_hpa_min("shop", "web", 6).await.unwrap();
    assert_eq!(before(&w), "2,4");
    for _ in 0..2 {
        w.cluster.lower_hpa_min("shop", "web", 6, 5).await.unwrap();
        assert_eq!((least(&w), before(&w)), (json!(4), json!("2")), "the raise before it still stands");
    }
    w.cluster.ease_hpa_min("shop", "web", 3).await.unwrap();
    assert_eq!((least(&w), before(&w)), (json!(3), json!("2")));
    w.cluster.lower_hpa_min("shop", "web", 3, 3).await.unwrap();
    assert_eq!((least(&w), before(&w)), (json!(2), Value::Null), "what it had at first");
    w.cluster.ease_hpa_min("shop", "web", 1).await.unwrap();
    assert_eq!(least(&w), 2, "nothing was raised");
    w.kubernetes.apply(hpa(10)).unwrap();
    w.cluster.lower_hpa_min("shop", "web", 5, 1).await.unwrap();
    assert_eq!(least(&w), 2, "somebody else has set it since");
    assert_eq!(w.cluster.raise_hpa_min("shop", "nobody", 3).await, Err(ClusterFailure::NotFound));
}

#[tokio::test]
async fn other_owners_are_seen_and_met_as_the_policy_says() {
    let w = Watched::new().await;
    w.kubernetes.apply(hpa(6)).unwrap();
    let seen = w.until(|seen| seen.surroundings.scalers.len() == 1).await;
    let with = |other_owner| Limits { other_owner, ..Limits::default() };
    let refused = step(&seen, 5, with(OtherOwner::Refuse));
    assert_eq!(
        words(&refused),
        ["owner: HorizontalPodAutoscaler web (2 to 6 replicas) decides on the number of replicas"]
    );
    let warned = step(&seen, 5, with(OtherOwner::Warn));
    assert_eq!((warned.refused.len(), warned.warned.len(), warned.raise), (0, 1, None));
    let raised = step(&seen, 5, with(OtherOwner::RaiseHpaMin));
    assert_eq!((raised.refused.len(), raised.raise.as_deref()), (0, Some("web")));
    assert_eq!(
        words(&step(&seen, 7, with(OtherOwner::RaiseHpaMin))),
        ["owner: HorizontalPodAutoscaler web allows at most 6 replicas, 7 are wanted"]
    );

    // KEDA appears later, with an autoscaler of its own.
    w.kubernetes.delete("HorizontalPodAutoscaler", "shop", "web");
    let mut changed = deployment(&w.kubernetes);
    changed["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = json!("shop:apps/Deployment");
    w.kubernetes.apply(changed).unwrap();
    let seen = w.until(|seen| seen.surroundings.scalers.is_empty() && seen.surroundings.tracking.is_some());
    let seen = seen.await;
    assert_eq!(seen.surroundings.tracking.as_ref().unwrap().by, Tracker::ArgoCd);
    let checks = step(&seen, 5, Limits::default());
    assert_eq!((checks.refused.len(), checks.warned.len()), (0, 1), "nobody states the number");
}

#[tokio::test]
async fn a_watch_that_ends_or_loses_its_history_goes_on() {
    let w = Watched::new().await;
    w.look().await;
    let bind = |name: &str| {
        let container = json!({"name": "a", "image": "a:1", "resources": {"requests": {"cpu": "1"}}});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "other"},
               "spec": {"nodeName": "node-1", "containers": [container]}})
    };
    let free = |seen: &WorkloadSnapshot| -> i64 {
        seen.surroundings.nodes.get().unwrap().iter().map(|node| node.free.get("cpu")).sum()
    };
    w.kubernetes.end_watches();
    w.kubernetes.apply(bind("one")).unwrap();
    w.until(|seen| free(seen) == 13_500).await;
    w.kubernetes.fault(FaultRule::new(Fault::Status { code: 503, retry_after: None }).verb("watch").times(4));
    w.kubernetes.end_watches();
    w.kubernetes.apply(bind("two")).unwrap();
    w.kubernetes.compact();
    w.until(|seen| free(seen) == 12_500).await;
    w.kubernetes.delete("Pod", "other", "one");
    w.kubernetes.delete("Node", "", "node-2");
    w.until(|seen| seen.surroundings.nodes.get().unwrap().len() == 1).await;
}

#[tokio::test]
async fn a_thousand_targets_are_looked_at_with_one_list_and_one_watch() {
    world::install_crypto();
    let kubernetes = Kubernetes::start().await.unwrap();
    let names: Vec<String> = (0..1000).map(|n| format!("svc-{n}")).collect();
    for name in &names {
        kubernetes.deployment("shop", name, 0, 0.1, 1 << 20);
    }
    let cluster = connect(&kubernetes);
    let watch = tokio::spawn(cluster.watch());
    let w = Watched { kubernetes, cluster, watch };
    for _ in 0..3 {
        let looks = names.iter().map(|name| {
            let (cluster, target) = (&w.cluster, target("Deployment", name));
            async move { cluster.look(&target).await.map(|seen| seen.replicas) }
        });
        let seen = futures::future::join_all(looks).await;
        assert!(seen.into_iter().all(|replicas| replicas == Ok(0)));
    }
    let calls = w.kubernetes.journal();
    let calls: Vec<_> = calls.iter().map(|call| format!("{} {}", call.verb, call.path)).collect();
    assert!(calls.len() < 40, "{} calls for 3000 looks: {:?}", calls.len(), &calls[..40]);
    assert_eq!(w.asked("get", "deployments"), 0);
}

const fn autoscaler(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    Kind { group, version, kind, plural, short_names: &[], namespaced: true, scalable: false }
}

#[tokio::test]
async fn autoscalers_of_installed_kinds_are_seen() {
    let (kubernetes, cluster) = shop().await;
    kubernetes.install(autoscaler("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"));
    kubernetes.install(autoscaler(
        "autoscaling.k8s.io",
        "v1",
        "VerticalPodAutoscaler",
        "verticalpodautoscalers",
    ));
    let by_name = json!({"scaleTargetRef": {"name": "checkout"}});
    kubernetes.apply(namespaced("ScaledObject", "keda.sh/v1alpha1", "events", &by_name)).unwrap();
    let elsewhere = json!({"scaleTargetRef": {"name": "other"}});
    kubernetes.apply(namespaced("ScaledObject", "keda.sh/v1alpha1", "elsewhere", &elsewhere)).unwrap();
    let target = json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}});
    kubernetes.apply(namespaced("VerticalPodAutoscaler", "autoscaling.k8s.io/v1", "sizes", &target)).unwrap();
    let watch = tokio::spawn(cluster.watch());
    let w = Watched { kubernetes, cluster, watch };
    let seen = w.look().await;
    let names: Vec<_> = seen.surroundings.scalers.iter().map(|it| (it.kind.as_str(), &*it.name)).collect();
    assert_eq!(names, [("ScaledObject", "events"), ("VerticalPodAutoscaler", "sizes")]);
}

#[tokio::test]
async fn who_changed_the_number_back_is_known_by_name() {
    let w = Watched::new().await;
    let seen = w.look().await;
    w.cluster.write(&replicas(&seen, 5)).await.unwrap();
    let client = kube::Client::try_from(kube::Config::new(w.kubernetes.url().parse().unwrap())).unwrap();
    let kind = kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment");
    let kind = kube::core::ApiResource::from_gvk_with_plural(&kind, "deployments");
    let all = kube::Api::<kube::core::DynamicObject>::namespaced_with(client, "shop", &kind);
    let params =
        kube::api::PatchParams { field_manager: Some("argocd-controller".into()), ..Default::default() };
    let patch = kube::api::Patch::Merge(json!({"spec": {"replicas": 3}}));
    all.patch("checkout", &params, &patch).await.unwrap();
    let seen = w.until(|seen| seen.replicas == 3).await;
    let by = seen.surroundings.replicas_by.unwrap();
    assert_eq!((&*by.manager, by.applied, by.subresource), ("argocd-controller", false, None));
    assert!(by.at.is_some());
}
