//! Quotas: what the pods of a step use, in the names and scopes of every quota that counts them.

use super::super::amounts::show;
use super::super::{Amounts, ContainerDemand, PodDemand, Quota, Scope, Surroundings, Unmodelled};
use super::{Change, Finding, next_pod};

/// What every container must say where a quota counts it.
const MUST_SAY: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// Holds what a step adds against what every matching quota leaves.
pub(super) fn check(around: &Surroundings, replicas: u32, change: Change<'_>) -> Vec<Finding> {
    let quotas = match around.quotas.get() {
        Ok(quotas) => quotas,
        Err(why) => return vec![Finding::Unknown(format!("quotas: {}", why.words()))],
    };
    if quotas.is_empty() {
        return Vec::new();
    }
    let added = match Added::of(around, replicas, change) {
        Ok(added) => added,
        Err(words) => return vec![Finding::Unknown(words)],
    };
    quotas.iter().flat_map(|quota| against(quota, &added)).collect()
}

/// What a step adds, by the pods that quotas tell apart.
struct Added {
    /// Each kind of pod, its number for words, and what it adds.
    pods: Vec<(PodDemand, Amounts)>,
    /// Whether pods are made, so that they must say what quotas count.
    makes_pods: bool,
    /// In words: `2 more pods`.
    words: String,
}

impl Added {
    fn of(around: &Surroundings, replicas: u32, change: Change<'_>) -> Result<Self, String> {
        match change {
            Change::More { from, to } | Change::Fewer { from: to, to: from } => {
                let pod = next_pod(around, None)?;
                let count = to - from;
                let words = if count == 1 { "1 more pod".to_owned() } else { format!("{count} more pods") };
                let added = usage(&pod).times(count);
                Ok(Self { pods: vec![(pod, added)], makes_pods: true, words })
            }
            Change::InPlace(sizes) => {
                let placed = around.placed.get().map_err(|why| format!("its pods: {}", why.words()))?;
                let pods = placed.iter().map(|placed| {
                    let resized = placed.demand.with(sizes);
                    let mut added = usage(&resized);
                    added.take(&usage(&placed.demand));
                    (resized, added)
                });
                let words = format!("{} larger pods", placed.len());
                Ok(Self { pods: pods.collect(), makes_pods: false, words })
            }
            Change::Template(sizes) => {
                let (old, new) = (usage(&next_pod(around, None)?), next_pod(around, Some(sizes))?);
                let (surge, used) = (around.surge, usage(&new));
                // The most there is at once: at the start all old pods and the first new ones, or at the end all new
                // ones and the last old ones.
                let mut most = used.times(surge);
                let mut end = used.times(replicas);
                end.add(&old.times(surge));
                end.take(&old.times(replicas));
                most.raise(&end);
                let words = format!("{replicas} larger pods and {surge} of the rollout");
                Ok(Self { pods: vec![(new, most)], makes_pods: true, words })
            }
        }
    }
}

/// What a pod uses, in the names of quotas.
fn usage(pod: &PodDemand) -> Amounts {
    let mut used = Amounts::new([("pods", 1), ("count/pods", 1)]);
    for (name, amount) in pod.requests().iter() {
        used.set(format!("requests.{name}"), amount);
        if matches!(&**name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            used.set(name.clone(), amount);
        }
    }
    for (name, amount) in pod.limits().iter() {
        used.set(format!("limits.{name}"), amount);
    }
    used
}

fn against(quota: &Quota, added: &Added) -> Vec<Finding> {
    let mut sum = Amounts::default();
    let mut counted: Vec<&PodDemand> = Vec::new();
    for (pod, amounts) in &added.pods {
        match counts(quota, pod) {
            Some(true) => {
                sum.add(amounts);
                counted.push(pod);
            }
            Some(false) => {}
            None => {
                return vec![Finding::Unknown(format!(
                    "ResourceQuota {} has a scope that is not known",
                    quota.name
                ))];
            }
        }
    }
    if counted.is_empty() {
        return Vec::new();
    }
    let Some(used) = &quota.used else {
        return vec![Finding::Unknown(format!(
            "ResourceQuota {} was not counted by the cluster yet",
            quota.name
        ))];
    };
    let mut findings = Vec::new();
    for (name, hard) in quota.hard.iter() {
        if added.makes_pods
            && let Some(silent) = counted.iter().find_map(|pod| says_nothing(pod, name))
        {
            let words =
                format!("ResourceQuota {} counts {name}, which container {silent} does not say", quota.name);
            findings.push(Finding::Refused(words));
            continue;
        }
        let needed = sum.get(name);
        let left = hard.saturating_sub(used.get(name));
        if needed > 0 && needed > left {
            let (left, hard, needed) = (show(name, left.max(0)), show(name, hard), show(name, needed));
            findings.push(Finding::Refused(format!(
                "ResourceQuota {} leaves {left} of {hard} for {name}, {} would take {needed}",
                quota.name, added.words
            )));
        }
        let is_storage = &**name == "persistentvolumeclaims" || name.ends_with("requests.storage");
        let has_volumes = |pod: &&PodDemand| pod.placement.unmodelled.contains(&Unmodelled::Volumes);
        if is_storage && added.makes_pods && counted.iter().any(has_volumes) {
            findings.push(Finding::Unknown(format!(
                "ResourceQuota {} counts {name}, and new pods may come with volumes of their own",
                quota.name
            )));
        }
    }
    findings
}

/// Whether a quota counts a pod; `None` where that cannot be said.
fn counts(quota: &Quota, pod: &PodDemand) -> Option<bool> {
    let class = pod.priority_class.as_ref();
    let mut all = true;
    for scope in &quota.scopes {
        all &= match scope {
            Scope::Terminating => pod.is_terminating,
            Scope::NotTerminating => !pod.is_terminating,
            Scope::BestEffort => pod.is_best_effort(),
            Scope::NotBestEffort => !pod.is_best_effort(),
            Scope::PriorityIn(classes) => class.is_some_and(|class| classes.contains(class)),
            Scope::PriorityNotIn(classes) => !class.is_some_and(|class| classes.contains(class)),
            Scope::HasPriority => class.is_some(),
            Scope::HasNoPriority => class.is_none(),
            // Of volumes, not of pods.
            Scope::Other(name) if &**name == "VolumeAttributesClass" => false,
            Scope::Other(name) if &**name == "CrossNamespacePodAffinity" && !is_affine(pod) => false,
            Scope::Other(_) => return None,
        };
    }
    Some(all)
}

fn is_affine(pod: &PodDemand) -> bool {
    pod.placement.unmodelled.contains(&Unmodelled::PodAffinity)
}

/// Requests or limits.
type Part = fn(&ContainerDemand) -> &Amounts;

/// The first container that does not say what a quota counts: the server refuses such a pod.
fn says_nothing<'p>(pod: &'p PodDemand, counted: &str) -> Option<&'p str> {
    if !MUST_SAY.contains(&counted) {
        return None;
    }
    let (part, whole, resource): (Part, _, _) = match counted.split_once('.') {
        Some(("limits", resource)) => (|container| &container.limits, &pod.pod_limits, resource),
        Some((_, resource)) => (|container| &container.requests, &pod.pod_requests, resource),
        None => (|container| &container.requests, &pod.pod_requests, counted),
    };
    if whole.named(resource).is_some() {
        return None;
    }
    let init = pod.init.iter().map(|init| &init.container);
    let mut all = pod.containers.iter().chain(init);
    all.find(|container| part(container).named(resource).is_none()).map(|container| &*container.name)
}
