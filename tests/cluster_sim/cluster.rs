//! The cluster: workloads, their pods, and what a write does to them. Owns what really is; who calls, and what is lost on
//! the way, is `wire`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use runbookd::domain::name::TargetId;
use runbookd::domain::scaling::{
    ClusterFailure, ContainerSize, FIELD_MANAGER, FieldOwner, PodSnapshot, ResizeState, ScalingAction, Size,
    Surroundings, WorkloadSnapshot,
};

use crate::chance::Chance;
use crate::plans::SERVICES;

/// Never: a pod that will not become ready by itself.
const NEVER: u64 = u64::MAX;
/// How many former looks of a workload are kept, for an answer that is too old.
const KEPT: usize = 4;
/// How long a resize takes, in milliseconds.
const RESIZE: u64 = 8_000;

/// One pod.
#[derive(Debug, Clone)]
struct Pod {
    number: u32,
    ready_at: u64,
    size: ContainerSize,
    resized_at: u64,
}

/// How pods that are made now behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starts {
    /// Ready after so many milliseconds.
    After(u64),
    /// Never.
    Never,
}

/// One workload.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) id: TargetId,
    pub(crate) uid: u32,
    pub(crate) replicas: u32,
    pub(crate) rollout_until: u64,
    /// No more pods than these are made.
    pub(crate) quota: Option<u32>,
    pub(crate) starts: Starts,
    /// Who wrote the replicas last.
    pub(crate) writer: &'static str,
    template: ContainerSize,
    pods: Vec<Pod>,
    version: u64,
    made: u32,
    former: VecDeque<Arc<WorkloadSnapshot>>,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It changed the workload.
    Changed,
    /// The workload had that size.
    AlreadyThere,
}

impl Workload {
    fn new(service: &str, replicas: u32) -> Self {
        let id = TargetId { namespace: "prod".into(), kind: "Deployment".into(), name: service.into() };
        let template = ContainerSize {
            name: "app".into(),
            cpu_request: Some(0.5),
            cpu_limit: Some(1.0),
            memory_request: Some(1_073_741_824.0),
            memory_limit: Some(1_073_741_824.0),
        };
        let mut workload = Self {
            id,
            uid: 1,
            replicas,
            rollout_until: 0,
            quota: None,
            starts: Starts::After(0),
            writer: "kubectl",
            template,
            pods: Vec::new(),
            version: 1,
            made: 0,
            former: VecDeque::new(),
        };
        workload.settle(0);
        workload
    }

    /// As many pods as there should be, as far as the quota lets them be made.
    pub(crate) fn settle(&mut self, now: u64) {
        let most = self.quota.map_or(self.replicas, |quota| quota.max(self.count()).min(self.replicas));
        while self.count() < most {
            let ready_at = match self.starts {
                Starts::After(millis) => now + millis,
                Starts::Never => NEVER,
            };
            self.pods.push(Pod { number: self.made, ready_at, size: self.template.clone(), resized_at: 0 });
            self.made += 1;
        }
        self.pods.truncate(usize::try_from(self.replicas).unwrap_or(0));
    }

    fn count(&self) -> u32 {
        u32::try_from(self.pods.len()).unwrap_or(u32::MAX)
    }

    /// How many pods take traffic.
    pub(crate) fn ready(&self, now: u64) -> u32 {
        u32::try_from(self.pods.iter().filter(|pod| pod.ready_at <= now).count()).unwrap_or(u32::MAX)
    }

    /// The memory of the smallest pod, in bytes.
    pub(crate) fn memory(&self) -> f64 {
        self.pods.iter().filter_map(|pod| pod.size.memory_limit).fold(f64::INFINITY, f64::min)
    }

    /// Somebody changes it: what was seen of it before is no longer its version.
    pub(crate) fn touch(&mut self, now: u64) {
        let seen = Arc::new(self.snapshot(now));
        self.former.push_back(seen);
        if self.former.len() > KEPT {
            self.former.pop_front();
        }
        self.version += 1;
    }

    /// The workload as it is.
    pub(crate) fn snapshot(&self, now: u64) -> WorkloadSnapshot {
        let pod = |pod: &Pod| PodSnapshot {
            name: format!("{}-{}", self.id.name, pod.number).into(),
            uid: pod.number.to_string().into(),
            resource_version: "1".into(),
            ready: pod.ready_at <= now,
            crashing: false,
            containers: vec![pod.size.clone()],
            resize: if pod.resized_at <= now { ResizeState::Settled } else { ResizeState::InProgress },
        };
        WorkloadSnapshot {
            target: self.id.clone(),
            uid: self.uid.to_string().into(),
            resource_version: self.version.to_string().into(),
            replicas: self.replicas,
            ready_replicas: self.ready(now),
            rollout_in_progress: now < self.rollout_until,
            containers: vec![self.template.clone()],
            pods: self.pods.iter().map(pod).collect(),
            in_place_resize: true,
            surroundings: Surroundings {
                replicas_by: Some(FieldOwner {
                    manager: self.writer.into(),
                    applied: false,
                    subresource: None,
                    at: None,
                }),
                ..open()
            },
        }
    }

    /// As it was before one of the last changes.
    pub(crate) fn former(&self, draws: &mut Chance) -> Option<WorkloadSnapshot> {
        let all: Vec<_> = self.former.iter().collect();
        draws.of(&all).map(|seen| WorkloadSnapshot::clone(seen))
    }

    /// Carries a write out, as the API server and the daemon's own client do together: to the version that was seen, and
    /// what already has the size is left alone. A resize goes from pod to pod and may end after so many.
    pub(crate) fn write(
        &mut self,
        action: &ScalingAction,
        ends_after: Option<usize>,
        now: u64,
    ) -> Result<Done, ClusterFailure> {
        let same = *action.uid == self.uid.to_string();
        match &action.to {
            Size::Replicas(wanted) => {
                if !same || *action.resource_version != self.version.to_string() {
                    let there = same && self.replicas == *wanted;
                    return if there { Ok(Done::AlreadyThere) } else { Err(ClusterFailure::Conflict) };
                }
                self.touch(now);
                self.replicas = *wanted;
                self.writer = FIELD_MANAGER;
                self.settle(now);
                Ok(Done::Changed)
            }
            Size::Resources(sizes) => {
                let Some(size) = sizes.first().filter(|_| same) else { return Err(ClusterFailure::Conflict) };
                let before = self.pods.iter().filter(|pod| pod.size != *size).count();
                let reached = ends_after.unwrap_or(usize::MAX);
                for pod in self.pods.iter_mut().filter(|pod| pod.size != *size).take(reached) {
                    pod.size = size.clone();
                    pod.resized_at = now + RESIZE;
                }
                if reached < before {
                    Err(ClusterFailure::Unreachable)
                } else if before > 0 {
                    Ok(Done::Changed)
                } else {
                    Ok(Done::AlreadyThere)
                }
            }
        }
    }

    /// Every pod becomes ready soon.
    pub(crate) fn heal(&mut self, now: u64) {
        self.starts = Starts::After(20_000);
        self.quota = None;
        self.rollout_until = 0;
        for pod in &mut self.pods {
            pod.ready_at = pod.ready_at.min(now + 20_000);
        }
        self.settle(now);
    }

    /// It is deleted and made anew under its name.
    pub(crate) fn make_anew(&mut self, replicas: u32, now: u64) {
        self.touch(now);
        self.uid += 1;
        self.writer = "kubectl";
        self.replicas = replicas;
        self.pods.clear();
        self.settle(now);
    }
}

/// Nothing is in the way; made once.
fn open() -> Surroundings {
    static OPEN: OnceLock<Surroundings> = OnceLock::new();
    OPEN.get_or_init(Surroundings::open).clone()
}

/// The cluster.
pub(crate) struct Cluster {
    pub(crate) workloads: BTreeMap<TargetId, Workload>,
    pub(crate) away: bool,
}

impl Cluster {
    pub(crate) fn new(seed: u64) -> Self {
        let mut draws = Chance::fork(seed, "cluster");
        let workloads = SERVICES.map(|service| {
            let replicas = u32::try_from(draws.between(2, 5)).unwrap_or(2);
            let workload = Workload::new(service, replicas);
            (workload.id.clone(), workload)
        });
        Self { workloads: workloads.into(), away: false }
    }
}
