//! The checks against the cluster itself: what they say fits is what the world's scheduler places and its admission
//! takes, over clusters drawn from a seed. The world's arithmetic is written apart from the daemon's.

use std::ops::Range;

use fastrand::Rng;
use runbookd::domain::scaling::checks::before;
use runbookd::domain::scaling::{Axis, Check, ContainerSize, Limits, Size, VerticalMode, WorkloadSnapshot};
use serde_json::{Map, Value, json};
use world::kubernetes::{Kubernetes, Resize};

use super::{SOON, connect, target};

/// How many clusters are drawn; `AGREEMENT_SEEDS=from..to` draws others.
const SEEDS: Range<u64> = 0..40;

fn seeds() -> Range<u64> {
    let named = std::env::var("AGREEMENT_SEEDS").ok();
    let named = named.as_deref().and_then(|text| text.split_once(".."));
    named.map_or(SEEDS, |(from, to)| from.parse().unwrap()..to.parse().unwrap())
}

fn often(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

fn quantity(rng: &mut Rng, resource: &str, most: u32) -> Value {
    match resource {
        "cpu" => json!(format!("{}m", rng.u32(1..=most) * 50)),
        "memory" => json!(format!("{}Mi", rng.u32(1..=most) * 64)),
        "ephemeral-storage" => json!(format!("{}M", rng.u32(1..=most) * 100)),
        _ => json!(rng.u32(1..=2).to_string()),
    }
}

fn requests(rng: &mut Rng, most: u32) -> Value {
    let mut requests = Map::new();
    for (resource, percent) in
        [("cpu", 80), ("memory", 80), ("ephemeral-storage", 15), ("example.com/gpu", 5)]
    {
        if often(rng, percent) {
            requests.insert(resource.to_owned(), quantity(rng, resource, most));
        }
    }
    Value::Object(requests)
}

fn resources(rng: &mut Rng) -> Value {
    let requests = requests(rng, 12);
    // A device is requested and limited alike; a limit alone is a request, too.
    match rng.u32(0..4) {
        0 => json!({"limits": requests}),
        1 => json!({"requests": requests, "limits": requests}),
        _ => json!({"requests": requests}),
    }
}

fn pod_spec(rng: &mut Rng) -> Value {
    let container =
        |rng: &mut Rng, name: String| json!({"name": name, "image": "a:1", "resources": resources(rng)});
    let containers: Vec<Value> = (0..rng.u32(1..=2)).map(|n| container(rng, format!("app{n}"))).collect();
    let mut spec = json!({"containers": containers});
    let init: Vec<Value> = (0..rng.u32(0..=3))
        .map(|n| {
            let mut init = container(rng, format!("init{n}"));
            if often(rng, 50) {
                init["restartPolicy"] = json!("Always");
            }
            init
        })
        .collect();
    if !init.is_empty() && often(rng, 60) {
        spec["initContainers"] = json!(init);
    }
    if often(rng, 20) {
        spec["overhead"] = json!({"cpu": quantity(rng, "cpu", 4), "memory": quantity(rng, "memory", 2)});
    }
    if often(rng, 20) {
        let part = if often(rng, 50) { "requests" } else { "limits" };
        spec["resources"] = json!({part: {"cpu": quantity(rng, "cpu", 30)}});
    }
    spec
}

fn node(rng: &mut Rng, name: &str) -> Value {
    let mut allocatable = json!({"cpu": quantity(rng, "cpu", 60), "memory": quantity(rng, "memory", 60),
        "ephemeral-storage": quantity(rng, "ephemeral-storage", 90), "pods": rng.u32(2..=9).to_string()});
    if often(rng, 30) {
        allocatable["example.com/gpu"] = json!("2");
    }
    let labels =
        json!({"zone": if often(rng, 50) { "a" } else { "b" }, "generation": rng.u32(1..6).to_string()});
    let mut spec = json!({});
    if often(rng, 25) {
        let effect = *rng.choice(&["NoSchedule", "NoExecute", "PreferNoSchedule"]).unwrap();
        spec["taints"] = json!([{"key": "dedicated", "value": "batch", "effect": effect}]);
    }
    if often(rng, 10) {
        spec["unschedulable"] = json!(true);
    }
    let ready = if often(rng, 90) { "True" } else { "False" };
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec,
           "status": {"allocatable": allocatable, "capacity": allocatable,
                      "conditions": [{"type": "Ready", "status": ready}]}})
}

fn constrain(rng: &mut Rng, spec: &mut Value) {
    if often(rng, 20) {
        spec["nodeSelector"] = json!({"zone": "a"});
    }
    if often(rng, 40) {
        let key = json!({"key": "dedicated"});
        let mut toleration = key;
        match rng.u32(0..4) {
            0 => toleration["operator"] = json!("Exists"),
            1 => toleration["value"] = json!("batch"),
            2 => {
                toleration["value"] = json!("batch");
                toleration["effect"] = json!("NoSchedule");
            }
            _ => toleration = json!({"operator": "Exists"}),
        }
        spec["tolerations"] = json!([toleration]);
    }
    if often(rng, 40) {
        let rule = |rng: &mut Rng| {
            let operator = *rng.choice(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]).unwrap();
            match operator {
                "Gt" | "Lt" => json!({"key": "generation", "operator": operator, "values": ["3"]}),
                "In" | "NotIn" => json!({"key": "zone", "operator": operator, "values": ["b", "c"]}),
                _ => json!({"key": rng.choice(&["zone", "spot"]), "operator": operator}),
            }
        };
        let field = json!({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n0"]}]});
        let terms = match rng.u32(0..4) {
            0 => json!([{"matchExpressions": [rule(rng), rule(rng)]}]),
            1 => json!([{"matchExpressions": [rule(rng)]}, {"matchExpressions": [rule(rng)]}]),
            2 => json!([field]),
            _ => json!([{"matchExpressions": [rule(rng)]}, {}]),
        };
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": terms});
    }
}

/// A pod that is on a node already, perhaps in the middle of a resize, perhaps over.
fn bound(rng: &mut Rng, name: &str, node: &str) -> Value {
    let mut spec = pod_spec(rng);
    spec["nodeName"] = json!(node);
    let statuses: Vec<Value> = spec["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| {
            let is_resized = often(rng, 30);
            let allocated =
                if is_resized { requests(rng, 15) } else { container["resources"]["requests"].clone() };
            let actual = if is_resized {
                json!({"requests": requests(rng, 15)})
            } else {
                container["resources"].clone()
            };
            json!({"name": container["name"], "image": "a:1", "imageID": "", "ready": true, "started": true,
                   "restartCount": 0, "allocatedResources": allocated, "resources": actual})
        })
        .collect();
    let phase = if often(rng, 10) { "Succeeded" } else { "Running" };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "other"}, "spec": spec,
           "status": {"phase": phase, "containerStatuses": statuses,
                      "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn workload(replicas: u32, spec: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
           "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                    "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec}}})
}

/// Looks once, with watches that have just begun, so that they hold what is there now.
async fn look(kubernetes: &Kubernetes) -> WorkloadSnapshot {
    let cluster = connect(kubernetes);
    let watch = tokio::spawn(cluster.watch());
    let seen = cluster.look(&target("Deployment", "web")).await.unwrap();
    watch.abort();
    seen
}

/// How many pods more the checks allow, up to so many.
fn allowed(seen: &WorkloadSnapshot, most: u32, of: &[Check]) -> u32 {
    let refused = |more: &u32| {
        let to = Size::Replicas(seen.replicas + more);
        let checks = before(seen, Axis::Horizontal, &Size::Replicas(seen.replicas), &to, &Limits::default());
        assert!(checks.unknown.is_empty(), "{:?}", checks.unknown);
        checks.refused.iter().any(|refusal| of.contains(&refusal.check))
    };
    (1..=most).find(refused).unwrap_or(most + 1) - 1
}

/// What a disagreement is about.
fn told(kubernetes: &Kubernetes, kinds: &[&str]) -> String {
    let all =
        kubernetes.objects().into_iter().filter(|object| kinds.iter().any(|kind| object["kind"] == *kind));
    let lines = all.map(|object| {
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        format!("{kind} {name}: {} {}", object["spec"], object["status"])
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn pods(kubernetes: &Kubernetes, total: u32) -> Vec<Value> {
    let names = kubernetes.workload("shop", "web").map(|size| size.pods).unwrap_or_default();
    let pods = names.iter().filter_map(|pod| kubernetes.object("Pod", "shop", &pod.name));
    let pods: Vec<Value> = pods.collect();
    assert!(pods.len() <= total as usize);
    pods
}

#[tokio::test]
async fn what_fits_is_what_the_scheduler_places() {
    world::install_crypto();
    let (mut some, mut none) = (0, 0);
    for seed in seeds() {
        let mut rng = Rng::with_seed(seed);
        let kubernetes = Kubernetes::start().await.unwrap();
        // What is in the middle of a resize stays there.
        kubernetes.set_resize(if often(&mut rng, 50) { Resize::Deferred } else { Resize::Infeasible });
        for node in ["node-1", "node-2"] {
            kubernetes.delete("Node", "", node);
        }
        for n in 0..rng.u32(1..=5) {
            let name = format!("n{n}");
            kubernetes.apply(node(&mut rng, &name)).unwrap();
            for p in 0..rng.u32(0..=3) {
                kubernetes.apply(bound(&mut rng, &format!("{name}-{p}"), &name)).unwrap();
            }
        }
        let mut spec = pod_spec(&mut rng);
        constrain(&mut rng, &mut spec);
        kubernetes.apply(workload(0, &spec)).unwrap();
        let is_asked = |pod: &Value| {
            let asks = pod["status"]["containerStatuses"]
                .as_array()
                .into_iter()
                .flatten()
                .zip(pod["spec"]["containers"].as_array().into_iter().flatten());
            let is_settled = asks.into_iter().all(|(told, wanted)| told["resources"] == wanted["resources"]);
            let told = pod["status"]["conditions"].as_array().into_iter().flatten();
            is_settled
                || pod["status"]["phase"] == "Succeeded"
                || told.into_iter().any(|c| c["type"] == "PodResizePending")
        };
        let settled = |k: &Kubernetes| {
            let all = (0..5).flat_map(|n| (0..3).map(move |p| format!("n{n}-{p}")));
            let mut all = all.filter_map(|name| k.object("Pod", "other", &name));
            all.all(|pod| is_asked(&pod))
        };
        kubernetes.until(SOON, settled).await.unwrap();

        let fits = allowed(&look(&kubernetes).await, 60, &[Check::Room]);
        let asked = fits + 2;
        kubernetes.apply(workload(asked, &spec)).unwrap();
        let tried = |k: &Kubernetes| {
            let pods = pods(k, asked);
            let is_tried = |pod: &Value| {
                let mut told = pod["status"]["conditions"].as_array().into_iter().flatten();
                told.any(|condition| condition["type"] == "PodScheduled")
            };
            pods.len() == asked as usize && pods.iter().all(is_tried)
        };
        kubernetes.until(SOON, tried).await.unwrap();
        let placed =
            pods(&kubernetes, asked).iter().filter(|pod| pod["spec"]["nodeName"].is_string()).count();
        assert_eq!(placed, fits as usize, "seed {seed}: {}", told(&kubernetes, &["Node", "Pod"]));
        if fits == 0 {
            none += 1;
        } else {
            some += 1;
        }
        kubernetes.shutdown().await;
    }
    assert!(some > 5 && none > 5, "the clusters drawn say something: {some} with room, {none} without");
}

fn quota(rng: &mut Rng, name: &str) -> Value {
    let mut hard = Map::new();
    for resource in
        ["requests.cpu", "cpu", "limits.cpu", "requests.memory", "limits.memory", "pods", "count/pods"]
    {
        if often(rng, 30) {
            let quantity = match resource {
                "pods" | "count/pods" => json!(rng.u32(1..=7).to_string()),
                cpu if cpu.ends_with("cpu") => quantity(rng, "cpu", 60),
                _ => quantity(rng, "memory", 60),
            };
            hard.insert(resource.to_owned(), quantity);
        }
    }
    let mut spec = json!({"hard": hard});
    match rng.u32(0..8) {
        0 => spec["scopes"] = json!(["Terminating"]),
        1 => spec["scopes"] = json!(["NotTerminating", "NotBestEffort"]),
        2 => spec["scopes"] = json!(["BestEffort"]),
        3 => {
            let operator = *rng.choice(&["In", "NotIn", "Exists", "DoesNotExist"]).unwrap();
            spec["scopeSelector"] = json!({"matchExpressions":
                [{"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}]});
        }
        _ => {}
    }
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn limit_range(rng: &mut Rng) -> Value {
    let mut item = json!({"type": if often(rng, 70) { "Container" } else { "Pod" }});
    for (field, percent) in [("max", 40), ("min", 20), ("default", 30), ("defaultRequest", 30)] {
        if often(rng, percent) && (item["type"] == "Container" || !field.starts_with("default")) {
            let resource = *rng.choice(&["cpu", "memory"]).unwrap();
            let most = if field == "min" { 3 } else { 14 };
            item[field] = json!({resource: quantity(rng, resource, most)});
        }
    }
    if often(rng, 15) {
        item["maxLimitRequestRatio"] = json!({"cpu": "1500m"});
    }
    json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "bounds", "namespace": "shop"},
           "spec": {"limits": [item]}})
}

#[tokio::test]
async fn what_quotas_and_limit_ranges_allow_is_what_the_admission_takes() {
    world::install_crypto();
    let (mut some, mut none) = (0, 0);
    for seed in seeds() {
        let mut rng = Rng::with_seed(seed);
        let kubernetes = Kubernetes::start().await.unwrap();
        kubernetes.node("node-1", 1_000.0, 1 << 40);
        let mut spec = pod_spec(&mut rng);
        if often(&mut rng, 40) {
            spec["priorityClassName"] = json!("high");
        }
        if often(&mut rng, 20) {
            spec["activeDeadlineSeconds"] = json!(3600);
        }
        // Some pods are there before anybody bounds them.
        let before = rng.u32(0..=2);
        kubernetes.apply(workload(before, &spec)).unwrap();
        kubernetes.until(SOON, |k| pods(k, before).len() == before as usize).await.unwrap();
        if often(&mut rng, 40) {
            kubernetes.apply(limit_range(&mut rng)).unwrap();
        }
        let quotas: Vec<String> = (0..rng.u32(0..=3)).map(|n| format!("q{n}")).collect();
        for name in &quotas {
            kubernetes.apply(quota(&mut rng, name)).unwrap();
        }
        let counted = |k: &Kubernetes| {
            let used = |name: &String| {
                k.object("ResourceQuota", "shop", name).unwrap()["status"]["used"].is_object()
            };
            quotas.iter().all(used)
        };
        kubernetes.until(SOON, counted).await.unwrap();

        let more = allowed(&look(&kubernetes).await, 8, &[Check::Quota, Check::LimitRange]);
        let asked = before + 8;
        kubernetes.apply(workload(asked, &spec)).unwrap();
        let tried = |k: &Kubernetes| {
            let status = &k.object("Deployment", "shop", "web").unwrap()["status"];
            let mut told = status["conditions"].as_array().into_iter().flatten();
            let has_failed = told.any(|it| it["type"] == "ReplicaFailure" && it["status"] == "True");
            has_failed || pods(k, asked).len() == asked as usize
        };
        kubernetes.until(SOON, tried).await.unwrap();
        let made = pods(&kubernetes, asked).len();
        let told = told(&kubernetes, &["ResourceQuota", "LimitRange", "Deployment"]);
        assert_eq!(made, (before + more) as usize, "seed {seed}: {told}");
        if more == 0 {
            none += 1;
        } else {
            some += 1;
        }
        kubernetes.shutdown().await;
    }
    assert!(some > 5 && none > 5, "the namespaces drawn say something: {some} with room, {none} without");
}

fn plain_node(rng: &mut Rng, name: &str) -> Value {
    let mut node = node(rng, name);
    node["spec"] = json!({});
    node["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    node
}

fn grown(containers: &[ContainerSize], ratio: f64) -> Vec<ContainerSize> {
    let cores = |cores: f64| (cores * ratio * 1000.0).ceil() / 1000.0;
    let bytes = |bytes: f64| (bytes * ratio / super::MI).ceil() * super::MI;
    let one = |size: &ContainerSize| ContainerSize {
        name: size.name.clone(),
        cpu_request: size.cpu_request.map(cores),
        cpu_limit: size.cpu_limit.map(cores),
        memory_request: size.memory_request.map(bytes),
        memory_limit: size.memory_limit.map(bytes),
    };
    containers.iter().map(one).collect()
}

#[tokio::test]
async fn what_fits_in_place_is_what_the_nodes_carry_out() {
    world::install_crypto();
    let (mut some, mut none) = (0, 0);
    for seed in seeds() {
        let mut rng = Rng::with_seed(seed);
        let kubernetes = Kubernetes::start().await.unwrap();
        for node in ["node-1", "node-2"] {
            kubernetes.delete("Node", "", node);
        }
        for n in 0..rng.u32(1..=3) {
            kubernetes.apply(plain_node(&mut rng, &format!("n{n}"))).unwrap();
        }
        let mut spec = pod_spec(&mut rng);
        // What is said for the pod as a whole is not changed by its containers' sizes.
        spec["resources"] = Value::Null;
        kubernetes.apply(workload(0, &spec)).unwrap();
        let room = allowed(&look(&kubernetes).await, 4, &[Check::Room]);
        kubernetes.apply(workload(room, &spec)).unwrap();
        let are_up = |k: &Kubernetes| {
            let size = k.workload("shop", "web").unwrap();
            size.pods.len() == room as usize && size.pods.iter().all(|pod| pod.ready)
        };
        kubernetes.until(SOON, are_up).await.unwrap();

        let seen = look(&kubernetes).await;
        let Some(pod) = seen.pods.first() else { continue };
        let to = grown(&pod.containers, f64::from(rng.u32(5..=12)) / 4.0);
        if to == pod.containers {
            continue;
        }
        let (from, to) = (Size::Resources(pod.containers.clone()), Size::Resources(to));
        let checks = before(&seen, Axis::Vertical, &from, &to, &Limits::default());
        let fits = !checks.refused.iter().any(|refusal| refusal.check == Check::Room);
        connect(&kubernetes).write(&super::action(&seen, to, VerticalMode::InPlace)).await.unwrap();
        let has_condition = |pod: &Value, condition: &str| {
            let mut told = pod["status"]["conditions"].as_array().into_iter().flatten();
            told.any(|it| it["type"] == condition)
        };
        let is_settled = |pod: &Value| {
            let told = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
            let wanted = pod["spec"]["containers"].as_array().into_iter().flatten();
            let is_done = told.zip(wanted).all(|(told, wanted)| told["resources"] == wanted["resources"]);
            is_done || has_condition(pod, "PodResizePending")
        };
        kubernetes.until(SOON, |k| pods(k, room).iter().all(is_settled)).await.unwrap();
        let pending =
            pods(&kubernetes, room).iter().filter(|pod| has_condition(pod, "PodResizePending")).count();
        let told = told(&kubernetes, &["Node", "Pod"]);
        assert_eq!(pending == 0, fits, "seed {seed}: {:?} {told}", checks.refused);
        *(if fits { &mut some } else { &mut none }) += 1;
        kubernetes.shutdown().await;
    }
    assert!(some > 5 && none > 5, "the sizes drawn say something: {some} with room, {none} without");
}
