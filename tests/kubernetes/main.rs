//! The Kubernetes adapter against an API server that behaves, refuses, is old, slow, broken and gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agreement;
mod ground;
mod portable;
mod surroundings;

use std::time::{Duration, Instant};

use runbookd::domain::Timestamp;
use runbookd::domain::diagnosis::Pods;
use runbookd::domain::name::TargetId;
use runbookd::domain::scaling::{
    ActionState, Axis, ClusterFailure, ContainerSize, Course, ResizeState, ScalingAction, Size, VerticalMode,
    WorkloadSnapshot,
};
use runbookd::kubernetes::Cluster;
use serde_json::{Value, json};
use world::kubernetes::{Exchange, Fault, FaultRule, Kind, Kubernetes, Resize};

/// Long enough for a slow machine, short enough for a person who waits for a test that fails.
const SOON: Duration = Duration::from_secs(30);

const MI: f64 = 1024.0 * 1024.0;

/// A cluster with the Deployment shop/checkout: three ready pods of half a core and 512 Mi.
async fn shop() -> (Kubernetes, Cluster) {
    world::install_crypto();
    let kubernetes = Kubernetes::start().await.unwrap();
    kubernetes.deployment("shop", "checkout", 3, 0.5, 512 << 20);
    ready(&kubernetes, 3).await;
    let cluster = connect(&kubernetes);
    (kubernetes, cluster)
}

fn connect(kubernetes: &Kubernetes) -> Cluster {
    Cluster::from_config(kube::Config::new(kubernetes.url().parse().unwrap())).unwrap().with_timeout(SOON)
}

/// Waits until so many pods are ready and the controllers have come to rest.
async fn ready(kubernetes: &Kubernetes, pods: usize) {
    let at_rest = |k: &Kubernetes| {
        let size = k.workload("shop", "checkout").unwrap();
        let is_complete = k.object("Deployment", "shop", "checkout").unwrap()["status"]["conditions"]
            .as_array()
            .is_some_and(|list| list.iter().any(|c| c["reason"] == "NewReplicaSetAvailable"));
        size.pods.len() == pods && size.pods.iter().all(|pod| pod.ready) && is_complete
    };
    kubernetes.until(SOON, at_rest).await.unwrap();
}

fn checkout() -> TargetId {
    target("Deployment", "checkout")
}

fn target(kind: &str, name: &str) -> TargetId {
    TargetId { namespace: "shop".into(), kind: kind.into(), name: name.into() }
}

fn size(cores: f64, memory: f64) -> ContainerSize {
    ContainerSize {
        name: "checkout".into(),
        cpu_request: Some(cores),
        cpu_limit: Some(cores),
        memory_request: Some(memory),
        memory_limit: Some(memory),
    }
}

/// The action that a decision made on what was seen.
fn action(seen: &WorkloadSnapshot, to: Size, vertical: VerticalMode) -> ScalingAction {
    let (axis, from) = match &to {
        Size::Replicas(_) => (Axis::Horizontal, Size::Replicas(seen.replicas)),
        Size::Resources(_) => (Axis::Vertical, Size::Resources(seen.containers.clone())),
    };
    ScalingAction {
        id: "a".into(),
        target: seen.target.clone(),
        uid: seen.uid.clone(),
        axis,
        trigger: "cpu_sustained".into(),
        evidence: "cpu_usage 95 % > 70 %".into(),
        from,
        to,
        resource_version: seen.resource_version.clone(),
        vertical,
        incident: None,
        planned_at: Timestamp::UNIX_EPOCH,
        ready_by: Timestamp::UNIX_EPOCH,
        state: ActionState::Planned,
        course: Course::default(),
    }
}

fn replicas(seen: &WorkloadSnapshot, to: u32) -> ScalingAction {
    action(seen, Size::Replicas(to), VerticalMode::InPlaceThenTemplate)
}

fn bigger(seen: &WorkloadSnapshot, vertical: VerticalMode) -> ScalingAction {
    action(seen, Size::Resources(vec![size(0.625, 640.0 * MI)]), vertical)
}

fn patches(kubernetes: &Kubernetes, resource: &str) -> Vec<Exchange> {
    let is_one = |exchange: &Exchange| exchange.verb == "patch" && exchange.resource == resource;
    kubernetes.journal().into_iter().filter(is_one).collect()
}

fn deployment(kubernetes: &Kubernetes) -> Value {
    kubernetes.object("Deployment", "shop", "checkout").unwrap()
}

fn wanted_replicas(kubernetes: &Kubernetes) -> u32 {
    kubernetes.workload("shop", "checkout").unwrap().replicas
}

/// Somebody else changes the Deployment.
fn label(kubernetes: &Kubernetes) {
    let mut changed = deployment(kubernetes);
    changed["metadata"]["labels"]["team"] = json!("shop");
    kubernetes.apply(changed).unwrap();
}

// === looking ===

#[tokio::test]
async fn a_deployment_is_seen_with_its_template_and_its_pods() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    let meta = &deployment(&kubernetes)["metadata"];
    assert_eq!(seen.target, checkout());
    assert_eq!(&*seen.uid, meta["uid"].as_str().unwrap());
    assert_eq!(&*seen.resource_version, meta["resourceVersion"].as_str().unwrap());
    assert_eq!((seen.replicas, seen.ready_replicas), (3, 3));
    assert!(!seen.rollout_in_progress);
    assert!(seen.in_place_resize);
    assert_eq!(seen.containers, [size(0.5, 512.0 * MI)]);
    assert_eq!(seen.pods.len(), 3);
    for pod in &seen.pods {
        assert!(pod.ready && pod.name.starts_with("checkout-") && !pod.uid.is_empty());
        assert_eq!((pod.resize, &pod.containers), (ResizeState::Settled, &vec![size(0.5, 512.0 * MI)]));
    }
    assert!(kubernetes.journal().iter().all(|exchange| exchange.user_agent == "runbookd"));
}

#[tokio::test]
async fn a_stateful_set_is_seen_and_scaled_like_any_other() {
    let (kubernetes, cluster) = shop().await;
    kubernetes.stateful_set("shop", "queue", 2, 1.0, 1 << 30);
    let settled =
        |k: &Kubernetes| k.object("StatefulSet", "shop", "queue").unwrap()["status"]["readyReplicas"] == 2;
    kubernetes.until(SOON, settled).await.unwrap();
    let seen = cluster.look(&target("StatefulSet", "queue")).await.unwrap();
    assert_eq!((seen.replicas, seen.ready_replicas, seen.pods.len()), (2, 2, 2));
    assert!(!seen.rollout_in_progress);
    cluster.write(&replicas(&seen, 3)).await.unwrap();
    let grown = |k: &Kubernetes| k.workload("shop", "queue").unwrap().pods.len() == 3;
    kubernetes.until(SOON, grown).await.unwrap();
}

#[tokio::test]
async fn pods_that_only_share_the_labels_are_not_the_workloads() {
    let (kubernetes, cluster) = shop().await;
    let stranger = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "checkout-migration", "namespace": "shop", "labels": {"app": "checkout"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "m", "uid": "j", "controller": true}]},
        "spec": {"containers": [{"name": "checkout", "image": "m:1"}]},
    });
    kubernetes.apply(stranger).unwrap();
    let seen = cluster.look(&checkout()).await.unwrap();
    assert_eq!(seen.pods.len(), 3);
    cluster.write(&bigger(&seen, VerticalMode::InPlace)).await.unwrap();
    assert!(patches(&kubernetes, "pods/resize").iter().all(|patch| patch.name != "checkout-migration"));
}

#[tokio::test]
async fn a_new_template_is_a_rollout_until_its_pods_are_up() {
    let (kubernetes, cluster) = shop().await;
    kubernetes.set_never_ready(true);
    let mut changed = deployment(&kubernetes);
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("checkout:2");
    kubernetes.apply(changed).unwrap();
    assert!(cluster.look(&checkout()).await.unwrap().rollout_in_progress);
    let surged = |k: &Kubernetes| k.workload("shop", "checkout").unwrap().pods.len() > 3;
    kubernetes.until(SOON, surged).await.unwrap();
    let seen = cluster.look(&checkout()).await.unwrap();
    assert!(seen.rollout_in_progress);
    assert_eq!(seen.ready_replicas, 3, "the new one is not");
    kubernetes.set_never_ready(false);
    ready(&kubernetes, 3).await;
    assert!(!cluster.look(&checkout()).await.unwrap().rollout_in_progress);
}

#[tokio::test]
async fn what_is_not_there_and_what_cannot_be_scaled_are_told_apart() {
    let (kubernetes, cluster) = shop().await;
    let look = async |kind: &str, name: &str| cluster.look(&target(kind, name)).await.map(|_| ());
    assert_eq!(look("Deployment", "nobody").await, Err(ClusterFailure::NotFound));
    assert_eq!(look("Nonsense", "nobody").await, Err(ClusterFailure::NotFound));
    assert_eq!(look("Lease", "nobody").await, Err(ClusterFailure::NotScalable));
    kubernetes.forbid("get", "deployments");
    assert_eq!(look("Deployment", "checkout").await, Err(ClusterFailure::Forbidden));
}

const ROLLOUT: Kind = Kind {
    group: "argoproj.io",
    version: "v1alpha1",
    kind: "Rollout",
    plural: "rollouts",
    short_names: &[],
    namespaced: true,
    scalable: true,
};

#[tokio::test]
async fn a_kind_that_was_installed_is_found_once_and_scaled() {
    let (kubernetes, cluster) = shop().await;
    kubernetes.install(ROLLOUT);
    let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}});
    kubernetes.apply(rollout).unwrap();
    for kind in ["Rollout", "Rollout.v1alpha1.argoproj.io"] {
        let seen = cluster.look(&target(kind, "web")).await.unwrap();
        assert_eq!(seen.pods, []);
        cluster.write(&replicas(&seen, seen.replicas + 1)).await.unwrap();
    }
    let count = |k: &Kubernetes| k.object("Rollout", "shop", "web").unwrap()["spec"]["replicas"].clone();
    assert_eq!(count(&kubernetes), 4);
    let searches = kubernetes.journal().into_iter().filter(|e| e.path == "/apis").count();
    assert_eq!(searches, 1, "discovery is remembered");
    let seen = cluster.look(&target("Rollout", "web")).await.unwrap();
    let by_template = cluster.write(&bigger(&seen, VerticalMode::Template)).await;
    assert_eq!(by_template, Err(ClusterFailure::NotScalable), "no merge is known for its template");
}

// === replicas ===

#[tokio::test]
async fn replicas_are_written_to_the_version_that_was_seen_under_our_name() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    cluster.write(&replicas(&seen, 5)).await.unwrap();
    let sent = patches(&kubernetes, "deployments/scale");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].content_type, "application/merge-patch+json");
    assert!(sent[0].query.contains("fieldManager=runbookd"), "{}", sent[0].query);
    let version = &*seen.resource_version;
    assert_eq!(
        sent[0].body,
        Some(json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": 5}}))
    );
    ready(&kubernetes, 5).await;
    assert_eq!(cluster.look(&checkout()).await.unwrap().replicas, 5);
}

#[tokio::test]
async fn a_change_in_between_is_a_conflict_and_nothing_is_written() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    label(&kubernetes);
    assert_eq!(cluster.write(&replicas(&seen, 5)).await, Err(ClusterFailure::Conflict));
    let by_template = bigger(&seen, VerticalMode::Template);
    assert_eq!(cluster.write(&by_template).await, Err(ClusterFailure::Conflict));
    assert_eq!(wanted_replicas(&kubernetes), 3);
    assert!(kubernetes.journal().iter().filter_map(|e| e.write).all(|write| !write.accepted));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_repeated_without_a_second_step() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    let step = replicas(&seen, 5);
    kubernetes.fault(FaultRule::new(Fault::CutAfter).verb("patch").times(1));
    assert_eq!(cluster.write(&step).await, Err(ClusterFailure::Unreachable), "the outcome is unknown");
    assert_eq!(wanted_replicas(&kubernetes), 5);
    for _ in 0..2 {
        assert_eq!(cluster.write(&step).await, Ok(()));
    }
    let accepted = patches(&kubernetes, "deployments/scale").into_iter().filter_map(|e| e.write);
    assert_eq!(accepted.filter(|write| write.accepted && write.before != write.after).count(), 1);
    assert_eq!(wanted_replicas(&kubernetes), 5);
}

#[tokio::test]
async fn a_workload_made_anew_under_the_name_is_another_one() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    assert!(kubernetes.delete("Deployment", "shop", "checkout"));
    assert_eq!(cluster.write(&replicas(&seen, 5)).await, Err(ClusterFailure::NotFound));
    kubernetes.deployment("shop", "checkout", 5, 0.625, 640 << 20);
    assert_eq!(cluster.write(&replicas(&seen, 5)).await, Err(ClusterFailure::Conflict));
    for mode in [VerticalMode::InPlace, VerticalMode::Template] {
        assert_eq!(cluster.write(&bigger(&seen, mode)).await, Err(ClusterFailure::Conflict), "{mode:?}");
    }
}

#[tokio::test]
async fn refusals_and_outages_are_classed() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    let step = replicas(&seen, 5);
    let status = |code| Fault::Status { code, retry_after: Some(1) };
    let cases = [
        (status(429), ClusterFailure::Unavailable, ClusterFailure::Unavailable),
        (status(503), ClusterFailure::Unavailable, ClusterFailure::Unavailable),
        (status(500), ClusterFailure::Unavailable, ClusterFailure::Unreachable),
        (Fault::NotAStatus { code: 502 }, ClusterFailure::Unavailable, ClusterFailure::Unreachable),
        (Fault::Cut, ClusterFailure::Unreachable, ClusterFailure::Unreachable),
    ];
    for (fault, looked, written) in cases {
        kubernetes.clear_faults();
        kubernetes.fault(fault);
        let before = kubernetes.journal().len();
        assert_eq!(cluster.look(&checkout()).await.map(|_| ()), Err(looked), "{fault:?}");
        assert_eq!(cluster.write(&step).await, Err(written), "{fault:?}");
        assert_eq!(kubernetes.journal().len() - before, 2, "{fault:?}: each call is made once");
    }
    kubernetes.clear_faults();
    kubernetes.forbid("patch", "deployments/scale");
    assert_eq!(cluster.write(&step).await, Err(ClusterFailure::Forbidden));
    assert_eq!(cluster.write(&replicas(&seen, u32::MAX)).await, Err(ClusterFailure::Forbidden));
    kubernetes.allow("patch", "deployments/scale");
    assert_eq!(cluster.write(&replicas(&seen, u32::MAX)).await, Err(ClusterFailure::Invalid));
    assert_eq!(wanted_replicas(&kubernetes), 3);
    let address = kubernetes.url();
    kubernetes.shutdown().await;
    let config = kube::Config::new(address.parse().unwrap());
    let gone = Cluster::from_config(config).unwrap().look(&checkout()).await;
    assert_eq!(gone.map(|_| ()), Err(ClusterFailure::Unreachable));
}

#[tokio::test]
async fn a_server_that_hangs_is_unreachable_within_the_limit() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    let cluster = cluster.with_timeout(Duration::from_millis(200));
    kubernetes.fault(Fault::Hang);
    let began = Instant::now();
    assert_eq!(cluster.look(&checkout()).await.map(|_| ()), Err(ClusterFailure::Unreachable));
    assert_eq!(cluster.write(&replicas(&seen, 5)).await, Err(ClusterFailure::Unreachable));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

// === resources ===

#[tokio::test]
async fn pods_are_resized_in_place_and_those_that_have_the_size_are_left_alone() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    let step = bigger(&seen, VerticalMode::InPlaceThenTemplate);
    // The second pod's patch fails: the repeat finds one pod done and two to do.
    kubernetes.fault(FaultRule::new(Fault::Cut).resource("pods/resize").name(&seen.pods[1].name).times(1));
    assert_eq!(cluster.write(&step).await, Err(ClusterFailure::Unreachable));
    assert_eq!(cluster.write(&step).await, Ok(()));
    let sent = patches(&kubernetes, "pods/resize");
    assert_eq!(sent.len(), 4, "1 + 1 cut, then 2");
    assert_eq!(sent[0].content_type, "application/strategic-merge-patch+json");
    assert!(sent[0].query.contains("fieldManager=runbookd"), "{}", sent[0].query);
    let quantities = json!({"cpu": "625m", "memory": "640Mi"});
    let expected = json!({"spec": {"containers": [
        {"name": "checkout", "resources": {"requests": quantities, "limits": quantities}}]}});
    assert_eq!(sent[0].body.as_ref(), Some(&expected));
    assert_eq!(cluster.write(&step).await, Ok(()));
    assert_eq!(patches(&kubernetes, "pods/resize").len(), 4, "nothing left to do");

    let grown = |k: &Kubernetes| {
        let pods = k.workload("shop", "checkout").unwrap().pods;
        pods.iter().all(|pod| pod.cpu_limit_cores == 0.625 && pod.memory_limit_bytes == 640 << 20)
    };
    kubernetes.until(SOON, grown).await.unwrap();
    let now = cluster.look(&checkout()).await.unwrap();
    assert_eq!(now.containers, seen.containers, "the template keeps its size");
    assert!(!now.rollout_in_progress);
    for (pod, before) in now.pods.iter().zip(&seen.pods) {
        assert_eq!((&pod.name, &pod.containers), (&before.name, &vec![size(0.625, 640.0 * MI)]));
    }
}

#[tokio::test]
async fn a_resize_that_reached_some_pods_is_not_refused_but_goes_on() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    let last = seen.pods.last().unwrap().name.to_string();
    let refused = Fault::Status { code: 403, retry_after: None };
    kubernetes.fault(FaultRule::new(refused).resource("pods/resize").name(&last).times(1));
    let action = bigger(&seen, VerticalMode::InPlace);
    assert_eq!(cluster.write(&action).await, Err(ClusterFailure::Unreachable), "some have it, some have not");
    assert_eq!(cluster.write(&action).await, Ok(()), "the same write again reaches the rest");
    let after = cluster.look(&checkout()).await.unwrap();
    assert!(after.pods.iter().all(|pod| Size::Resources(pod.containers.clone()) == action.to));
}

#[tokio::test]
async fn a_resize_that_the_node_puts_off_or_rules_out_is_seen() {
    for (resize, state) in [
        (Resize::Deferred, ResizeState::Deferred),
        (Resize::Infeasible, ResizeState::Infeasible),
        (Resize::InPlace { after: Duration::from_secs(3600) }, ResizeState::InProgress),
        (Resize::InPlace { after: Duration::ZERO }, ResizeState::Settled),
    ] {
        let (kubernetes, cluster) = shop().await;
        kubernetes.set_resize(resize);
        let seen = cluster.look(&checkout()).await.unwrap();
        cluster.write(&bigger(&seen, VerticalMode::InPlace)).await.unwrap();
        let reached = async {
            loop {
                let pods = cluster.look(&checkout()).await.unwrap().pods;
                if pods.iter().all(|pod| pod.resize == state) {
                    assert!(pods.iter().all(|pod| pod.containers == [size(0.625, 640.0 * MI)]));
                    return;
                }
            }
        };
        assert!(tokio::time::timeout(SOON, reached).await.is_ok(), "{state:?}");
    }
}

#[tokio::test]
async fn a_change_of_the_qos_class_is_refused_as_invalid() {
    let (kubernetes, cluster) = shop().await;
    let seen = cluster.look(&checkout()).await.unwrap();
    let burstable = ContainerSize { cpu_limit: Some(2.0), ..size(0.625, 640.0 * MI) };
    let step = action(&seen, Size::Resources(vec![burstable]), VerticalMode::InPlaceThenTemplate);
    assert_eq!(cluster.write(&step).await, Err(ClusterFailure::Invalid));
    assert_eq!(patches(&kubernetes, "pods/resize").len(), 1, "the other pods would be refused alike");
    assert_eq!(cluster.look(&checkout()).await.unwrap().containers, seen.containers);
}

#[tokio::test]
async fn a_quota_that_refuses_a_resize_is_no_missing_right() {
    let (kubernetes, cluster) = shop().await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": "shop"}, "spec": {"hard": {"limits.cpu": "1500m"}}});
    kubernetes.apply(quota).unwrap();
    let counted = |k: &Kubernetes| {
        k.object("ResourceQuota", "shop", "small")
            .is_some_and(|q| q["status"]["used"]["limits.cpu"].is_string())
    };
    kubernetes.until(SOON, counted).await.unwrap();
    let seen = cluster.look(&checkout()).await.unwrap();
    let refused = cluster.write(&bigger(&seen, VerticalMode::InPlace)).await;
    assert_eq!(refused, Err(ClusterFailure::Invalid));
}

#[tokio::test]
async fn an_old_server_gets_the_template_written_and_rolls_its_pods() {
    let (kubernetes, cluster) = shop().await;
    kubernetes.set_resize(Resize::Unsupported);
    let seen = cluster.look(&checkout()).await.unwrap();
    assert!(!seen.in_place_resize);
    let in_place = cluster.write(&bigger(&seen, VerticalMode::InPlace)).await;
    assert_eq!(in_place, Err(ClusterFailure::NotScalable));
    let step = bigger(&seen, VerticalMode::InPlaceThenTemplate);
    cluster.write(&step).await.unwrap();
    let sent = patches(&kubernetes, "deployments");
    assert_eq!(sent[0].content_type, "application/strategic-merge-patch+json");
    assert_eq!(sent[0].body.as_ref().unwrap()["metadata"]["resourceVersion"], *seen.resource_version);
    let container = &deployment(&kubernetes)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example/checkout:1.0", "only the size is written");
    assert_eq!(container["resources"]["limits"], json!({"cpu": "625m", "memory": "640Mi"}));

    assert_eq!(cluster.write(&step).await, Ok(()), "a repeat finds the size there");
    ready(&kubernetes, 3).await;
    let now = cluster.look(&checkout()).await.unwrap();
    assert_eq!(now.containers, [size(0.625, 640.0 * MI)]);
    assert!(patches(&kubernetes, "pods/resize").is_empty());
}

#[tokio::test]
async fn not_knowing_what_the_server_offers_is_not_the_same_as_an_old_server() {
    let (kubernetes, _) = shop().await;
    let fresh = connect(&kubernetes);
    kubernetes.fault(FaultRule::new(Fault::Status { code: 503, retry_after: None }).resource("").times(1));
    assert_eq!(fresh.look(&checkout()).await.map(|_| ()), Err(ClusterFailure::Unavailable));
    assert!(fresh.look(&checkout()).await.unwrap().in_place_resize);
}

// === evidence for a diagnosis ===

#[tokio::test]
async fn the_pod_that_is_not_ready_speaks_for_its_workload() {
    let (kubernetes, cluster) = shop().await;
    let pods = Pods::Of(checkout());
    kubernetes.set_log("shop", "checkout", "all is well\n");
    let tail = cluster.log_tail(&pods).await.unwrap();
    assert_eq!(
        (tail.pods, tail.text.as_str(), tail.container.as_deref()),
        ((3, 3), "all is well\n", Some("checkout"))
    );

    // A fourth pod does not become ready.
    kubernetes.set_never_ready(true);
    let known: Vec<String> = names(&kubernetes);
    kubernetes.deployment("shop", "checkout", 4, 0.5, 512 << 20);
    kubernetes.until(SOON, |k| names(k).len() == 4).await.unwrap();
    let new = names(&kubernetes).into_iter().find(|name| !known.contains(name)).unwrap();
    let long: Vec<String> = (0..100).map(|n| format!("line {n}\n")).collect();
    kubernetes.set_log("shop", &new, &long.concat());
    let tail = cluster.log_tail(&pods).await.unwrap();
    assert_eq!((tail.pod.as_str(), tail.pods), (new.as_str(), (4, 3)));
    assert_eq!((tail.text.lines().count(), tail.text.lines().last()), (40, Some("line 99")));

    let selected = Pods::Selected { namespace: "shop".into(), selector: "app=checkout".into() };
    assert_eq!(cluster.log_tail(&selected).await.unwrap(), tail);
    let named = Pods::Named { namespace: "shop".into(), name: known[0].as_str().into() };
    assert_eq!(cluster.log_tail(&named).await.unwrap().text, "all is well\n");

    let nobody = Pods::Selected { namespace: "shop".into(), selector: "app=nobody".into() };
    assert_eq!(cluster.log_tail(&nobody).await, Err(ClusterFailure::NotFound));
    kubernetes.forbid("get", "pods/log");
    assert_eq!(cluster.log_tail(&pods).await, Err(ClusterFailure::Forbidden));
}

fn names(kubernetes: &Kubernetes) -> Vec<String> {
    kubernetes.workload("shop", "checkout").unwrap().pods.into_iter().map(|pod| pod.name).collect()
}

#[tokio::test]
async fn the_last_events_of_an_object_and_its_pods_are_told_in_order() {
    let (kubernetes, cluster) = shop().await;
    let event = |number: u32, name: &str, severity: &str| {
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("e{number}"), "namespace": "shop"},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": name}, "type": severity,
            "reason": "Probed", "message": format!("message {number}"), "count": number,
            "lastTimestamp": format!("2026-11-23T03:{:02}:00Z", 59 - number),
        })
    };
    assert_eq!(cluster.last_events("shop", "checkout").await.unwrap().lines, Vec::<String>::new());
    for number in 1..=12 {
        let severity = if number % 2 == 0 { "Warning" } else { "Normal" };
        kubernetes.apply(event(number, "checkout-7f9c-x2", severity)).unwrap();
    }
    kubernetes.apply(event(20, "check", "Warning")).unwrap();
    kubernetes.apply(event(21, "checkouts-1", "Warning")).unwrap();
    let found = cluster.last_events("shop", "checkout").await.unwrap();
    assert_eq!((found.total, found.warnings, found.lines.len()), (12, 6, 10));
    let last = "03:58:00 Normal Probed pod/checkout-7f9c-x2: message 1";
    assert_eq!(found.lines.last().map(String::as_str), Some(last));
    assert!(found.lines[0].starts_with("03:49:00 Warning Probed pod/checkout-7f9c-x2 (10 times)"));
    kubernetes.forbid("list", "events");
    assert_eq!(cluster.last_events("shop", "checkout").await, Err(ClusterFailure::Forbidden));
}
