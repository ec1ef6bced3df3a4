//! Reading what pods ask for: specs, templates and statuses into the domain's amounts. Owns the spelling; the rule
//! over them is the domain's.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::observe::resize_is_infeasible;
use super::resources::parse_quantity;
use crate::domain::scaling::amounts::CPU;
use crate::domain::scaling::{
    Amounts, ContainerDemand, InitDemand, NodeTerm, Operator, Placement, PodDemand, Requirement, Toleration,
    Unmodelled,
};

/// Quantities as the scheduler counts them; what cannot be read is left out, as it is never stored by the server.
pub(super) fn amounts(quantities: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let all = quantities.into_iter().flatten();
    Amounts::new(all.filter_map(|(name, quantity)| Some((name.as_str(), amount(name, &quantity.0)?))))
}

/// One quantity of a resource: CPU in millicores, all else in whole units, rounded up.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
pub(super) fn amount(name: &str, quantity: &str) -> Option<i64> {
    let value = parse_quantity(quantity)?;
    let is_cpu = name.rsplit('.').next() == Some(CPU);
    let value = if is_cpu { value * 1000.0 } else { value };
    // Below a millionth it is the binary fraction's, not the writer's.
    Some((value - 1e-6).ceil() as i64)
}

/// What a container asks for; a missing request is its limit, as the server fills in.
fn container(container: &Container) -> ContainerDemand {
    let (requests, limits) = parts(container.resources.as_ref());
    ContainerDemand { name: container.name.as_str().into(), requests, limits }
}

fn parts(resources: Option<&ResourceRequirements>) -> (Amounts, Amounts) {
    let limits = amounts(resources.and_then(|resources| resources.limits.as_ref()));
    let mut requests = limits.clone();
    requests.replace(&amounts(resources.and_then(|resources| resources.requests.as_ref())));
    (requests, limits)
}

/// What a pod of this spec asks for, and where it may run.
pub(super) fn of_spec(spec: &PodSpec) -> PodDemand {
    let init = spec.init_containers.iter().flatten().map(|init| InitDemand {
        container: container(init),
        is_sidecar: init.restart_policy.as_deref() == Some("Always"),
    });
    let pod = spec.resources.as_ref();
    let pod_limits = amounts(pod.and_then(|pod| pod.limits.as_ref()));
    let mut demand = PodDemand {
        containers: spec.containers.iter().map(container).collect(),
        init: init.collect(),
        pod_requests: amounts(pod.and_then(|pod| pod.requests.as_ref())),
        pod_limits,
        overhead: Amounts::default(),
        placement: placement(spec),
        priority_class: spec.priority_class_name.as_deref().map(Arc::from),
        is_terminating: spec.active_deadline_seconds.is_some(),
    };
    // A pod's limit stands in for its request where neither it nor a container of it names one.
    let asked = demand.requests();
    let missing = demand.pod_limits.iter().filter(|(name, _)| asked.named(name).is_none());
    let missing = Amounts::new(missing.map(|(name, amount)| (name.clone(), amount)));
    demand.pod_requests.replace(&missing);
    demand.overhead = amounts(spec.overhead.as_ref());
    demand
}

fn placement(spec: &PodSpec) -> Placement {
    let mut unmodelled = Vec::new();
    let affinity = spec.affinity.as_ref();
    let required = affinity.and_then(|it| {
        it.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
    });
    let terms =
        required.map(|selector| selector.node_selector_terms.iter().map(term).collect::<Option<Vec<_>>>());
    if matches!(terms, Some(None)) {
        unmodelled.push(Unmodelled::Unreadable);
    }
    let together = affinity.and_then(|it| it.pod_affinity.as_ref());
    let together = together.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
    let apart = affinity.and_then(|it| it.pod_anti_affinity.as_ref());
    let apart = apart.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
    if together.is_some_and(|terms| !terms.is_empty()) || apart.is_some_and(|terms| !terms.is_empty()) {
        unmodelled.push(Unmodelled::PodAffinity);
    }
    let mut spread = spec.topology_spread_constraints.iter().flatten();
    if spread.any(|constraint| constraint.when_unsatisfiable == "DoNotSchedule") {
        unmodelled.push(Unmodelled::TopologySpread);
    }
    let mut volumes = spec.volumes.iter().flatten();
    if volumes.any(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()) {
        unmodelled.push(Unmodelled::Volumes);
    }
    let init = spec.init_containers.iter().flatten();
    let mut ports = spec.containers.iter().chain(init).flat_map(|container| container.ports.iter().flatten());
    if ports.any(|port| port.host_port.is_some_and(|port| port != 0)) {
        unmodelled.push(Unmodelled::HostPorts);
    }
    if spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
        unmodelled.push(Unmodelled::ResourceClaims);
    }
    if spec.scheduler_name.as_deref().is_some_and(|name| name != "default-scheduler") {
        unmodelled.push(Unmodelled::Scheduler);
    }
    if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        unmodelled.push(Unmodelled::Gates);
    }
    let selector = spec.node_selector.iter().flatten();
    Placement {
        selector: selector.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        affinity: terms.flatten(),
        tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
        node: None,
        unmodelled,
    }
}

fn toleration(read: &k8s_openapi::api::core::v1::Toleration) -> Toleration {
    let named = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Arc::from);
    Toleration {
        key: named(&read.key),
        any_value: read.operator.as_deref() == Some("Exists"),
        value: read.value.as_deref().unwrap_or_default().into(),
        effect: named(&read.effect),
    }
}

fn term(read: &NodeSelectorTerm) -> Option<NodeTerm> {
    let all = |list: &Option<Vec<NodeSelectorRequirement>>| {
        list.iter().flatten().map(requirement).collect::<Option<Vec<_>>>()
    };
    Some(NodeTerm { labels: all(&read.match_expressions)?, fields: all(&read.match_fields)? })
}

fn requirement(read: &NodeSelectorRequirement) -> Option<Requirement> {
    let operator = match read.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        _ => return None,
    };
    let values = read.values.iter().flatten().map(|value| value.as_str().into()).collect();
    Some(Requirement { key: read.key.as_str().into(), operator, values })
}

/// What a pod's node counts for it: of each container the largest of what is wanted (unless that can never be), what
/// is set aside and what it runs with.
/// Source: KEP-1287, "Scheduler and API server interaction".
pub(super) fn counted(pod: &Pod, demand: &PodDemand) -> Amounts {
    let Some(status) = &pod.status else { return demand.requests() };
    let is_infeasible = resize_is_infeasible(pod);
    let mut seen = demand.clone();
    let running = |list: &Option<Vec<ContainerStatus>>, container: &mut ContainerDemand| {
        let found = list.iter().flatten().find(|status| status.name == *container.name);
        let Some(found) = found else { return };
        // A kubelet that says nothing of what runs cannot resize: the spec is all there is.
        let Some(actual) = &found.resources else { return };
        let mut most = amounts(found.allocated_resources.as_ref());
        most.raise(&amounts(actual.requests.as_ref()));
        if is_infeasible {
            container.requests.replace(&most);
        } else {
            container.requests.raise(&most);
        }
    };
    for container in &mut seen.containers {
        running(&status.container_statuses, container);
    }
    for init in seen.init.iter_mut().filter(|init| init.is_sidecar) {
        running(&status.init_container_statuses, &mut init.container);
    }
    seen.requests()
}
