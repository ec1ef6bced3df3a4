//! Workloads of a rehearsal: they have the size that was asked for, at once and in good health. Owns what a look and a
//! write answer; decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::name::TargetId;
use crate::domain::scaling::{
    ClusterFailure, ContainerSize, PodSnapshot, ResizeState, ScalingAction, Size, Surroundings,
    WorkloadSnapshot,
};

/// A workload as it is when the rehearsal begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Which target it is.
    pub target: TargetId,
    /// How many replicas it has, all of them ready.
    pub replicas: u32,
    /// What its one container has.
    pub container: ContainerSize,
}

impl Workload {
    /// A workload with so many replicas and a container without requests and limits.
    pub fn new(target: TargetId, replicas: u32) -> Self {
        let container = ContainerSize {
            name: "app".into(),
            cpu_request: None,
            cpu_limit: None,
            memory_request: None,
            memory_limit: None,
        };
        Self { target, replicas, container }
    }
}

/// All workloads of a rehearsal; nothing is in the way of any of them.
#[derive(Debug, Default)]
pub struct Workloads {
    seen: BTreeMap<TargetId, WorkloadSnapshot>,
    versions: u32,
}

impl Workloads {
    /// The workloads as they are when the rehearsal begins.
    pub fn new(workloads: impl IntoIterator<Item = Workload>) -> Self {
        let seen = workloads.into_iter().map(|workload| (workload.target.clone(), snapshot(workload)));
        Self { seen: seen.collect(), versions: 0 }
    }

    /// What a look at a target finds.
    pub fn look(&self, target: &TargetId) -> Result<Box<WorkloadSnapshot>, ClusterFailure> {
        self.seen.get(target).cloned().map(Box::new).ok_or(ClusterFailure::NotFound)
    }

    /// Carries a step out.
    pub fn write(&mut self, action: &ScalingAction) -> Result<(), ClusterFailure> {
        let workload = self.seen.get_mut(&action.target).ok_or(ClusterFailure::NotFound)?;
        self.versions += 1;
        workload.resource_version = self.versions.to_string().into();
        match &action.to {
            Size::Replicas(count) => workload.replicas = *count,
            Size::Resources(containers) => workload.containers.clone_from(containers),
        }
        run_pods(workload);
        Ok(())
    }
}

fn snapshot(workload: Workload) -> WorkloadSnapshot {
    let mut seen = WorkloadSnapshot {
        target: workload.target,
        uid: "1".into(),
        resource_version: "0".into(),
        replicas: workload.replicas,
        ready_replicas: workload.replicas,
        rollout_in_progress: false,
        containers: vec![workload.container],
        pods: Vec::new(),
        in_place_resize: true,
        surroundings: Surroundings::open(),
    };
    run_pods(&mut seen);
    seen
}

/// As many ready pods as there should be, each with what the template says.
fn run_pods(workload: &mut WorkloadSnapshot) {
    workload.ready_replicas = workload.replicas;
    let pod = |number: u32| PodSnapshot {
        name: Arc::from(format!("{}-{number}", workload.target.name)),
        uid: number.to_string().into(),
        resource_version: "1".into(),
        ready: true,
        crashing: false,
        containers: workload.containers.clone(),
        resize: ResizeState::Settled,
    };
    workload.pods = (0..workload.replicas).map(pod).collect();
}
