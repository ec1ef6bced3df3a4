//! Room on the nodes: how many pods the scheduler could place, node by node, and whether a larger pod fits beside its
//! neighbours. Counts no preemption: what others would have to leave is no room.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::amounts::{PODS, show};
use super::super::{Amounts, ContainerSize, Headroom, Node, PodDemand, Surroundings, Unfit};
use super::{Change, Finding, Limits, next_pod};

/// Holds what a step needs against what the nodes have free.
pub(super) fn check(
    around: &Surroundings,
    replicas: u32,
    change: Change<'_>,
    limits: Limits,
) -> Vec<Finding> {
    let nodes = match around.nodes.get() {
        Ok(nodes) => nodes,
        Err(why) => return vec![Finding::Unknown(format!("nodes: {}", why.words()))],
    };
    let found = match change {
        Change::More { from, to } | Change::Fewer { from: to, to: from } => {
            more(around, nodes, from, to, limits)
        }
        Change::InPlace(sizes) => larger(around, nodes, sizes, limits),
        Change::Template(sizes) => replaced(around, nodes, replicas, sizes, limits),
    };
    found.unwrap_or_else(|words| vec![Finding::Unknown(words)])
}

/// What will be free on nodes beside what is free now.
type Freed = BTreeMap<Arc<str>, Amounts>;

/// How many pods would be placed, and what stands in the way of more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fit {
    /// So many, over all nodes, or as many as are enough.
    pub(super) pods: u32,
    /// Whether some node may be used and none of them could ever hold even one.
    pub(super) never: bool,
    /// In words, one part a reason.
    pub(super) why: String,
}

/// Places pods of one demand, node by node, until there are enough. `freed` is what will be free beside.
pub(super) fn fit(pod: &PodDemand, nodes: &[Arc<Node>], freed: &Freed, enough: u32) -> Fit {
    let mut needed = pod.requests();
    needed.set(PODS, 1);
    let mut pods = 0_u32;
    let mut unfit: BTreeMap<Unfit, usize> = BTreeMap::new();
    let mut full: BTreeMap<&str, (usize, i64, &Node)> = BTreeMap::new();
    let (mut usable, mut too_small) = (0_usize, 0_usize);
    for node in nodes {
        if pods >= enough {
            break;
        }
        if let Err(why) = pod.placement.allows(node) {
            *unfit.entry(why).or_default() += 1;
            continue;
        }
        usable += 1;
        if needed.iter().any(|(name, amount)| amount > 0 && amount > node.allocatable.get(name)) {
            too_small += 1;
        }
        let (count, scarce, free) = places(&needed, node, freed.get(&node.name));
        pods = pods.saturating_add(count);
        if count == 0 {
            let known = full.entry(scarce).or_insert((0, free, node));
            known.0 += 1;
            if free > known.1 {
                (known.1, known.2) = (free, node);
            }
        }
    }
    let mut parts = Vec::new();
    for (name, (count, free, node)) in full {
        let nodes = count_nodes(count, "has", "have");
        parts.push(format!("{nodes} too little {name} ({}: {} free)", node.name, show(name, free.max(0))));
    }
    parts.extend(unfit.into_iter().map(|(why, count)| match why {
        Unfit::NotReady => format!("{} not ready", count_nodes(count, "is", "are")),
        Unfit::Unschedulable => format!("{} cordoned off", count_nodes(count, "is", "are")),
        Unfit::Tainted(taint) => format!("{} tainted {taint}", count_nodes(count, "is", "are")),
        Unfit::NotSelected => format!("{} not selected by the pod", count_nodes(count, "is", "are")),
    }));
    if nodes.is_empty() {
        parts.push("there is no node".to_owned());
    }
    Fit { pods, never: usable > 0 && too_small == usable, why: parts.join(", ") }
}

fn count_nodes(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 node {one}") } else { format!("{count} nodes {many}") }
}

/// How often `needed` goes into what a node has free, the resource that ends it, and how much of that is free.
fn places<'n>(needed: &'n Amounts, node: &Node, freed: Option<&Amounts>) -> (u32, &'n str, i64) {
    let mut least = (u32::MAX, PODS, 0);
    for (name, amount) in needed.iter().filter(|(_, amount)| *amount > 0) {
        let free = node.free.get(name).saturating_add(freed.map_or(0, |freed| freed.get(name)));
        let count = u32::try_from((free / amount).max(0)).unwrap_or(u32::MAX);
        if count < least.0 {
            least = (count, name, free);
        }
    }
    least
}

fn more(
    around: &Surroundings,
    nodes: &[Arc<Node>],
    from: u32,
    to: u32,
    limits: Limits,
) -> Result<Vec<Finding>, String> {
    let pod = next_pod(around, None)?;
    // Pods that are wanted already and wait for a node take the room first.
    let bound = around.placed.get().map_or(from, |placed| {
        let bound = placed.iter().filter(|placed| placed.node.is_some()).count();
        u32::try_from(bound).unwrap_or(u32::MAX).min(from)
    });
    let needed = to - bound;
    let waiting = match from - bound {
        0 => String::new(),
        1 => ", 1 of them wanted already".to_owned(),
        count => format!(", {count} of them wanted already"),
    };
    let fit = fit(&pod, nodes, &Freed::new(), needed);
    let each = each(&pod);
    if fit.pods < needed {
        let pods = if needed == 1 { "1 pod needs".to_owned() } else { format!("{needed} pods need") };
        let words = format!("{pods} a node{waiting} ({each} each), {}", rest(&fit));
        return Ok(vec![short(words, fit.never, limits)]);
    }
    Ok(unmodelled(&pod))
}

/// `1 fits: 2 nodes have too little cpu (node-1: 0.2 cores free)`.
fn rest(fit: &Fit) -> String {
    let fits = match fit.pods {
        0 => "none fits".to_owned(),
        1 => "1 fits".to_owned(),
        count => format!("{count} fit"),
    };
    let never = if fit.never { "; no node is large enough for one" } else { "" };
    if fit.why.is_empty() { format!("{fits}{never}") } else { format!("{fits}: {}{never}", fit.why) }
}

/// What one pod needs, in words.
fn each(pod: &PodDemand) -> String {
    let requests = pod.requests();
    let parts = requests.iter().filter(|(_, amount)| *amount > 0).map(|(name, amount)| match &**name {
        "cpu" | "memory" => show(name, amount),
        other => format!("{} {other}", show(name, amount)),
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "no request".to_owned() } else { parts.join(", ") }
}

fn short(words: String, never: bool, limits: Limits) -> Finding {
    match limits.headroom {
        Headroom::AllowPending if !never => Finding::Warned(words),
        Headroom::AllowPending | Headroom::Required => Finding::Refused(words),
    }
}

fn unmodelled(pod: &PodDemand) -> Vec<Finding> {
    let parts: Vec<&str> = pod.placement.unmodelled.iter().map(|what| what.as_str()).collect();
    if parts.is_empty() {
        return Vec::new();
    }
    vec![Finding::Unknown(format!("there is room, but also to be met: {}", parts.join(", ")))]
}

/// Each running pod grows on its own node.
fn larger(
    around: &Surroundings,
    nodes: &[Arc<Node>],
    sizes: &[ContainerSize],
    limits: Limits,
) -> Result<Vec<Finding>, String> {
    let placed = around.placed.get().map_err(|why| format!("its pods: {}", why.words()))?;
    let mut added: BTreeMap<&Arc<str>, (Amounts, Vec<&str>, bool)> = BTreeMap::new();
    for placed in placed.iter() {
        let Some(on) = &placed.node else { continue };
        let node =
            nodes.iter().find(|node| node.name == *on).ok_or_else(|| format!("node {on}: not read yet"))?;
        let wanted = placed.demand.with(sizes).requests();
        let mut more = wanted.clone();
        more.take(&placed.counted);
        let entry = added.entry(on).or_default();
        // What shrinks stays set aside until it has shrunk.
        entry
            .0
            .add(&Amounts::new(more.iter().filter(|(_, it)| *it > 0).map(|(name, it)| (name.clone(), it))));
        entry.1.push(&placed.pod);
        entry.2 |= wanted.iter().any(|(name, amount)| amount > node.allocatable.get(name));
    }
    let mut findings = Vec::new();
    for (on, (more, pods, never)) in added {
        let Some(node) = nodes.iter().find(|node| node.name == *on) else { continue };
        let scarce = more.iter().find(|(name, amount)| *amount > 0 && *amount > node.free.get(name));
        if let Some((name, amount)) = scarce {
            let free = show(name, node.free.get(name).max(0));
            let who = if let [pod] = pods.as_slice() {
                format!("pod {pod}")
            } else {
                format!("{} pods", pods.len())
            };
            let words =
                format!("node {on} has {free} of {name} free, {who} would take {} more", show(name, amount));
            let never = if never { "; the node is not large enough" } else { "" };
            findings.push(short(format!("{words}{never}"), !never.is_empty(), limits));
        }
    }
    Ok(findings)
}

/// All pods are replaced: the first new ones stand beside the old ones, and in the end all must have a place.
fn replaced(
    around: &Surroundings,
    nodes: &[Arc<Node>],
    replicas: u32,
    sizes: &[ContainerSize],
    limits: Limits,
) -> Result<Vec<Finding>, String> {
    let pod = next_pod(around, Some(sizes))?;
    let each = each(&pod);
    let beside = fit(&pod, nodes, &Freed::new(), around.surge);
    if beside.pods < around.surge {
        let pods =
            if around.surge == 1 { "1 more pod".to_owned() } else { format!("{} more pods", around.surge) };
        let words = format!("a rollout needs a node for {pods} ({each} each), {}", rest(&beside));
        return Ok(vec![short(words, beside.never, limits)]);
    }
    let placed = around.placed.get().map_err(|why| format!("its pods: {}", why.words()))?;
    let mut freed = Freed::new();
    for placed in placed.iter() {
        if let Some(node) = &placed.node {
            let freed = freed.entry(node.clone()).or_default();
            freed.add(&placed.counted);
            freed.add(&Amounts::new([(PODS, 1)]));
        }
    }
    let all = fit(&pod, nodes, &freed, replicas);
    if all.pods < replicas {
        let words = format!("{replicas} pods would need {each} each, {}", rest(&all));
        return Ok(vec![short(words, all.never, limits)]);
    }
    Ok(unmodelled(&pod))
}
