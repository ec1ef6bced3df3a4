//! Limit ranges: what they fill into a new pod, and what they refuse of it, as the admission plugin does.

use super::super::amounts::show;
use super::super::{Amounts, ContainerDemand, PodDemand, Range, RangeOf, Surroundings};
use super::{Change, Finding, next_pod};

/// Holds the pods after a step against the namespace's limit ranges.
pub(super) fn check(around: &Surroundings, change: Change<'_>) -> Vec<Finding> {
    let ranges = match around.ranges.get() {
        Ok(ranges) => ranges,
        Err(why) => return vec![Finding::Unknown(format!("limit ranges: {}", why.words()))],
    };
    if ranges.is_empty() {
        return Vec::new();
    }
    let pods = match change {
        Change::InPlace(sizes) => {
            around.placed.get().map_err(|why| format!("its pods: {}", why.words())).map(|placed| {
                let mut pods: Vec<PodDemand> =
                    placed.iter().map(|placed| placed.demand.with(sizes)).collect();
                // Pods of one template mostly say the same.
                pods.dedup();
                pods
            })
        }
        Change::Template(sizes) => next_pod(around, Some(sizes)).map(|pod| vec![pod]),
        Change::More { .. } | Change::Fewer { .. } => next_pod(around, None).map(|pod| vec![pod]),
    };
    match pods {
        Ok(pods) => {
            let mut words: Vec<String> = pods
                .iter()
                .flat_map(|pod| ranges.iter().filter_map(move |range| against(range, pod)))
                .collect();
            words.dedup();
            words.into_iter().map(Finding::Refused).collect()
        }
        Err(words) => vec![Finding::Unknown(words)],
    }
}

/// A new pod with the defaults of every limit range, the first one first.
pub(super) fn filled(pod: &PodDemand, ranges: &[Range]) -> PodDemand {
    let mut pod = pod.clone();
    for range in ranges.iter().filter(|range| range.of == RangeOf::Container) {
        let init = pod.init.iter_mut().map(|init| &mut init.container);
        for container in pod.containers.iter_mut().chain(init) {
            fill(&mut container.limits, &range.default);
            fill(&mut container.requests, &range.default_request);
        }
    }
    pod
}

fn fill(amounts: &mut Amounts, default: &Amounts) {
    for (name, amount) in default.iter() {
        if amounts.named(name).is_none() {
            amounts.set(name.clone(), amount);
        }
    }
}

/// The first thing a limit range has against a pod.
fn against(range: &Range, pod: &PodDemand) -> Option<String> {
    let refused = |of: &str, container: &ContainerDemand| {
        violated(range, container).map(|words| format!("LimitRange {}: {of} {words}", range.name))
    };
    match range.of {
        RangeOf::Container => {
            let init = pod.init.iter().map(|init| &init.container);
            let mut all = pod.containers.iter().chain(init);
            all.find_map(|container| refused(&format!("container {}", container.name), container))
        }
        RangeOf::Pod => {
            let mut bare = pod.clone();
            bare.overhead = Amounts::default();
            let whole = ContainerDemand { name: "".into(), requests: bare.requests(), limits: bare.limits() };
            refused("the pod", &whole)
        }
    }
}

fn violated(range: &Range, found: &ContainerDemand) -> Option<String> {
    for (name, least) in range.min.iter() {
        match (found.requests.named(name), found.limits.named(name)) {
            (None, _) => {
                return Some(format!("asks for no {name}, at least {} are needed", show(name, least)));
            }
            (Some(request), _) if request < least => {
                let (request, least) = (show(name, request), show(name, least));
                return Some(format!("would ask for {request} of {name}, the least is {least}"));
            }
            (_, Some(limit)) if limit < least => {
                let (limit, least) = (show(name, limit), show(name, least));
                return Some(format!("would be limited to {limit} of {name}, the least is {least}"));
            }
            _ => {}
        }
    }
    for (name, most) in range.max.iter() {
        match (found.limits.named(name), found.requests.named(name)) {
            (None, _) => return Some(format!("has no limit of {name}, the most is {}", show(name, most))),
            (Some(limit), _) if limit > most => {
                return Some(format!(
                    "would have {} of {name}, the most is {}",
                    show(name, limit),
                    show(name, most)
                ));
            }
            (_, Some(request)) if request > most => {
                let (request, most) = (show(name, request), show(name, most));
                return Some(format!("would ask for {request} of {name}, the most is {most}"));
            }
            _ => {}
        }
    }
    for (name, ratio) in range.max_ratio.iter() {
        let (request, limit) = (found.requests.get(name), found.limits.get(name));
        if request <= 0 || limit <= 0 {
            return Some(format!("needs both a request and a limit of {name} to keep their ratio"));
        }
        if i128::from(limit) * 1000 > i128::from(ratio) * i128::from(request) {
            let (request, limit) = (show(name, request), show(name, limit));
            return Some(format!(
                "would have {limit} of {name} for a request of {request}, beyond the ratio allowed"
            ));
        }
    }
    None
}
