//! What one pod asks for: the scheduler's rule over its containers. Owns the arithmetic; knows no node and no quota.

use std::sync::Arc;

use super::amounts::{Amounts, limited, requested};
use super::{ContainerSize, Placement, Unmodelled};

/// What one container asks for and may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerDemand {
    /// Its name.
    pub name: Arc<str>,
    /// What is set aside for it.
    pub requests: Amounts,
    /// What it may use at the most.
    pub limits: Amounts,
}

/// An init container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitDemand {
    /// What it asks for.
    pub container: ContainerDemand,
    /// Whether it goes on running beside the others (`restartPolicy: Always`).
    pub is_sidecar: bool,
}

/// What one pod asks for, and where it may run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodDemand {
    /// Its containers.
    pub containers: Vec<ContainerDemand>,
    /// Its init containers, in their order.
    pub init: Vec<InitDemand>,
    /// What the pod as a whole asks for, where that is said.
    pub pod_requests: Amounts,
    /// What the pod as a whole may use, where that is said.
    pub pod_limits: Amounts,
    /// What its runtime class takes beside that.
    pub overhead: Amounts,
    /// Where it may run.
    pub placement: Placement,
    /// Its priority class, where it names one.
    pub priority_class: Option<Arc<str>>,
    /// Whether it has a deadline, which quotas tell apart.
    pub is_terminating: bool,
}

impl PodDemand {
    /// What a node must have for it: the larger of what runs at once and of what any init container needs with the
    /// sidecars before it; what is said for the whole pod goes before that; plus the overhead.
    /// Source: the Kubernetes documentation, "Init containers", "Sidecar containers" and "Pod overhead".
    pub fn requests(&self) -> Amounts {
        let mut total = self.total(|container| &container.requests, &self.pod_requests);
        total.add(&self.overhead);
        total
    }

    /// What it may use at the most, by the same rule, as quotas count it; overhead widens only what is bounded.
    pub fn limits(&self) -> Amounts {
        let mut total = self.total(|container| &container.limits, &self.pod_limits);
        let bounded = self.overhead.iter().filter(|(name, _)| total.named(name).is_some());
        let overhead = Amounts::new(bounded.map(|(name, amount)| (name.clone(), amount)));
        total.add(&overhead);
        total
    }

    fn total(&self, part: impl Fn(&ContainerDemand) -> &Amounts, pod: &Amounts) -> Amounts {
        let mut running = Amounts::default();
        for container in &self.containers {
            running.add(part(container));
        }
        let mut sidecars = Amounts::default();
        let mut starting = Amounts::default();
        for init in &self.init {
            let mut now = sidecars.clone();
            now.add(part(&init.container));
            starting.raise(&now);
            if init.is_sidecar {
                sidecars = now;
            }
        }
        running.add(&sidecars);
        running.raise(&starting);
        running.replace(pod);
        running
    }

    /// The same pod with other sizes for the containers they name.
    #[must_use]
    pub fn with(&self, sizes: &[ContainerSize]) -> Self {
        let mut changed = self.clone();
        let init = changed.init.iter_mut().map(|init| &mut init.container);
        for container in changed.containers.iter_mut().chain(init) {
            if let Some(size) = sizes.iter().find(|size| size.name == container.name) {
                container.requests.replace(&requested(size));
                container.limits.replace(&limited(size));
            }
        }
        changed
    }

    /// Notes that volumes may bind it to a zone or a node.
    pub fn has_volumes(&mut self) {
        if !self.placement.unmodelled.contains(&Unmodelled::Volumes) {
            self.placement.unmodelled.push(Unmodelled::Volumes);
        }
    }

    /// Whether nothing of it asks for or bounds CPU or memory: the class that goes first when a node is short.
    pub fn is_best_effort(&self) -> bool {
        let all = || self.containers.iter().chain(self.init.iter().map(|init| &init.container));
        let amounts = all().flat_map(|container| [&container.requests, &container.limits]);
        amounts
            .chain([&self.pod_requests, &self.pod_limits])
            .all(|amounts| ["cpu", "memory"].iter().all(|name| amounts.get(name) == 0))
    }
}
