//! The scheduler's arithmetic: what a pod takes of a node, and which nodes it may have.
//!
//! Written from the documentation of Kubernetes, apart from the daemon's own, so that each can be held against the
//! other. A pod's life is played through and its peak is taken; the daemon computes the same by a formula.

use std::collections::BTreeMap;

use serde_json::Value;

use super::controller::is_true;
use super::quantity::milli;
use super::store::text;

/// Amounts by resource, in thousandths.
pub(crate) type Amounts = BTreeMap<String, i128>;

/// The resources of one container under `requests` or `limits`.
type Part<'a> = dyn Fn(&Value) -> Amounts + 'a;

fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A map of quantities. Kubernetes counts CPU in thousandths and all else in whole units.
pub(crate) fn amounts(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, quantity)| {
            let exact = milli(quantity)?;
            let whole = if name == "cpu" { exact } else { (exact + 999).div_euclid(1000) * 1000 };
            Some((name.clone(), whole))
        })
        .collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_default() += amount;
    }
}

/// The most of each resource at any time of a pod's life: each init container with the sidecars that run already, then
/// all containers with all sidecars.
fn peak(pod: &Value, part: &Part<'_>) -> Amounts {
    let mut beside = Amounts::new();
    let mut moments = Vec::new();
    for init in list(pod, "/spec/initContainers") {
        let mut moment = beside.clone();
        add(&mut moment, &part(init));
        if init["restartPolicy"] == "Always" {
            beside.clone_from(&moment);
        }
        moments.push(moment);
    }
    for container in list(pod, "/spec/containers") {
        add(&mut beside, &part(container));
    }
    moments.push(beside);
    let mut most = Amounts::new();
    for (name, amount) in moments.into_iter().flatten() {
        let known = most.entry(name).or_insert(amount);
        *known = (*known).max(amount);
    }
    most
}

/// What is said for the pod as a whole goes before what its containers say.
fn whole(pod: &Value, part: &str, by_containers: Amounts) -> Amounts {
    let said = amounts(&pod["spec"]["resources"][part]);
    by_containers.into_iter().chain(said).collect()
}

/// What a pod's spec requests of a node.
pub(crate) fn requested(pod: &Value) -> Amounts {
    let mut total =
        whole(pod, "requests", peak(pod, &|container| amounts(&container["resources"]["requests"])));
    add(&mut total, &amounts(&pod["spec"]["overhead"]));
    total
}

/// What a pod may use at the most; its overhead counts where it is bounded at all.
pub(crate) fn limited(pod: &Value) -> Amounts {
    let mut total = whole(pod, "limits", peak(pod, &|container| amounts(&container["resources"]["limits"])));
    for (name, amount) in amounts(&pod["spec"]["overhead"]) {
        if let Some(limit) = total.get_mut(&name) {
            *limit += amount;
        }
    }
    total
}

/// What a bound pod takes of its node. While a resize is under way that is, of each container, the most of what is
/// wanted, allocated and in use; what was found infeasible is not wanted.
pub(crate) fn taken(pod: &Value) -> Amounts {
    let hopeless = list(pod, "/status/conditions")
        .iter()
        .any(|item| item["type"] == "PodResizePending" && item["reason"] == "Infeasible");
    let statuses =
        || list(pod, "/status/containerStatuses").iter().chain(list(pod, "/status/initContainerStatuses"));
    let of = |container: &Value| {
        let wanted = amounts(&container["resources"]["requests"]);
        let is_init = list(pod, "/spec/initContainers").iter().any(|init| init["name"] == container["name"]);
        let told =
            statuses().find(|status| status["name"] == container["name"] && status["resources"].is_object());
        let Some(told) = told.filter(|_| !is_init || container["restartPolicy"] == "Always") else {
            return wanted;
        };
        let mut sources = vec![amounts(&told["allocatedResources"]), amounts(&told["resources"]["requests"])];
        let mut named: Vec<&String> = Vec::new();
        if !hopeless {
            sources.push(wanted.clone());
        }
        named.extend(sources.iter().flat_map(Amounts::keys));
        let most = |name: &String| sources.iter().filter_map(|source| source.get(name)).max().copied();
        let mut counted: Amounts =
            named.into_iter().filter_map(|name| Some((name.clone(), most(name)?))).collect();
        for (name, amount) in wanted {
            counted.entry(name).or_insert(amount);
        }
        counted
    };
    let mut total = whole(pod, "requests", peak(pod, &of));
    add(&mut total, &amounts(&pod["spec"]["overhead"]));
    total
}

/// Whether a node has this much left beside what is used of it; `pods` is one of the resources.
pub(crate) fn has_room(node: &Value, used: &Amounts, needed: &Amounts) -> bool {
    let allocatable = amounts(&node["status"]["allocatable"]);
    needed.iter().filter(|(_, amount)| **amount > 0).all(|(name, amount)| {
        let has = allocatable.get(name).copied().unwrap_or(if name == "pods" { 110_000 } else { 0 });
        used.get(name).copied().unwrap_or(0) + amount <= has
    })
}

/// Whether a new pod may be bound to a node, room aside.
pub(crate) fn suits(node: &Value, pod: &Value) -> bool {
    let ready = node["status"]["conditions"].as_array().is_none_or(|_| is_true(node, "Ready"));
    let cordon = serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    let taints =
        list(node, "/spec/taints").iter().chain((node["spec"]["unschedulable"] == true).then_some(&cordon));
    let barred = taints.into_iter().any(|taint| {
        matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute"))
            && !list(pod, "/spec/tolerations").iter().any(|toleration| tolerates(toleration, taint))
    });
    ready && !barred && is_selected(node, pod)
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let empty = |value: &Value| value.as_str().is_none_or(str::is_empty);
    let exists = toleration["operator"] == "Exists";
    if !empty(&toleration["effect"]) && toleration["effect"] != taint["effect"] {
        return false;
    }
    if empty(&toleration["key"]) {
        return exists;
    }
    let value = |of: &Value| of["value"].as_str().unwrap_or_default().to_owned();
    toleration["key"] == taint["key"] && (exists || value(toleration) == value(taint))
}

fn is_selected(node: &Value, pod: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let mut selector = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    if !selector.all(|(key, value)| labels.get(key) == Some(value)) {
        return false;
    }
    let at = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    if pod.pointer(at).is_none() {
        return true;
    }
    list(pod, at).iter().any(|term| {
        let (labelled, named) = (list(term, "/matchExpressions"), list(term, "/matchFields"));
        let field = |rule: &Value| (rule["key"] == "metadata.name").then(|| text(node, "/metadata/name"));
        let label = |rule: &Value| labels.get(rule["key"].as_str()?)?.as_str();
        !(labelled.is_empty() && named.is_empty())
            && labelled.iter().all(|rule| holds(rule, label(rule)))
            && named.iter().all(|rule| holds(rule, field(rule)))
    })
}

fn holds(rule: &Value, found: Option<&str>) -> bool {
    let listed = || found.is_some_and(|found| list(rule, "/values").iter().any(|value| value == found));
    let numbers = || {
        let wanted = rule["values"][0].as_str()?.parse::<i64>().ok()?;
        Some((found?.parse::<i64>().ok()?, wanted))
    };
    match rule["operator"].as_str() {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        Some("Gt") => numbers().is_some_and(|(found, wanted)| found > wanted),
        Some("Lt") => numbers().is_some_and(|(found, wanted)| found < wanted),
        _ => false,
    }
}
