//! Scaling: policies, targets and what one decided change is. Owns sizes, cooldowns and the arithmetic of a step;
//! writes nothing to any cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::name::{ActionId, IncidentId, QueryId, TargetId, TriggerName};
use super::quantity::{Step, Unit};

/// In which direction capacity grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Axis {
    /// More replicas.
    Horizontal,
    /// More resources for each.
    Vertical,
}

impl Axis {
    /// Both, in the order they are tried.
    pub const ALL: [Self; 2] = [Self::Horizontal, Self::Vertical];

    /// The word used in files, metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Horizontal => "horizontal",
            Self::Vertical => "vertical",
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether decisions reach the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingMode {
    /// Nothing is decided.
    Off,
    /// Decided, checked and reported, not written.
    DryRun,
    /// Written.
    Apply,
}

impl ScalingMode {
    /// The word used in files and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry_run",
            Self::Apply => "apply",
        }
    }
}

/// The scale-out strategy of the runbook's 6.3.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What asks for capacity.
    pub triggers: Vec<Trigger>,
    /// What one horizontal step is.
    pub horizontal: Option<AxisPolicy>,
    /// What one vertical step is.
    pub vertical: Option<AxisPolicy>,
    /// How long a trigger must be breached without a gap before it asks.
    pub sustained: Duration,
    /// What is scaled.
    pub targets: Vec<Target>,
}

impl Policy {
    /// What one step on `axis` is, where the policy has one.
    pub fn axis(&self, axis: Axis) -> Option<&AxisPolicy> {
        match axis {
            Axis::Horizontal => self.horizontal.as_ref(),
            Axis::Vertical => self.vertical.as_ref(),
        }
    }
}

/// What one step on an axis is, and how long to rest after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AxisPolicy {
    /// The step.
    pub step: Step,
    /// How long the target rests on this axis after an accepted write.
    pub cool_down: Duration,
}

/// What asks for capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Its name: `cpu_sustained`.
    pub name: TriggerName,
    /// The metric it reads: `cpu_usage`.
    pub metric: Arc<str>,
    /// The query behind the metric.
    pub query: QueryId,
    /// The unit of the threshold.
    pub unit: Unit,
    /// Values above it ask.
    pub threshold: f64,
    /// The axis it asks for.
    pub axis: Axis,
}

impl Trigger {
    /// Whether a vertical step gives more of what the trigger is short of; one that would only grow the rest is held.
    pub fn is_helped_by(&self, before: &[ContainerSize], after: &[ContainerSize]) -> Result<(), HeldReason> {
        type Amount = fn(&ContainerSize) -> Option<f64>;
        let amount: Amount = if self.metric.starts_with("memory") {
            |container| container.memory_limit.or(container.memory_request)
        } else if self.metric.starts_with("cpu") {
            |container| container.cpu_limit.or(container.cpu_request)
        } else {
            return Ok(());
        };
        if before.iter().all(|container| amount(container).is_none()) {
            return Err(HeldReason::NothingToGrow);
        }
        let grows = before.iter().zip(after).any(|(before, after)| amount(after) > amount(before));
        if grows { Ok(()) } else { Err(HeldReason::AtMaximum) }
    }
}

/// How a vertical step reaches the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerticalMode {
    /// Resize the running pods; nothing else.
    InPlace,
    /// Change the workload's template, which rolls its pods.
    Template,
    /// In place where the cluster offers it, by the template otherwise.
    InPlaceThenTemplate,
}

/// A workload a policy scales.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The workload.
    pub id: TargetId,
    /// The value of the `service` label that its series carry.
    pub service: Arc<str>,
    /// Never fewer replicas.
    pub min_replicas: u32,
    /// Never more replicas.
    pub max_replicas: u32,
    /// No container gets a CPU limit above it, in cores.
    pub max_cpu: Option<f64>,
    /// No container gets a memory limit above it, in bytes.
    pub max_memory: Option<f64>,
    /// How long the pods have to become ready after a step.
    pub ready_within: Duration,
    /// The query that must return something above zero for the service to count as healthy after a step.
    pub health: Option<QueryId>,
    /// How a vertical step reaches the pods.
    pub vertical: VerticalMode,
}

/// What one container asks for and may use. Cores and bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSize {
    /// The container's name.
    pub name: Arc<str>,
    /// Requested CPU.
    pub cpu_request: Option<f64>,
    /// CPU limit.
    pub cpu_limit: Option<f64>,
    /// Requested memory.
    pub memory_request: Option<f64>,
    /// Memory limit.
    pub memory_limit: Option<f64>,
}

/// A workload's size on one axis: always absolute, so that writing it twice is harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Size {
    /// So many replicas.
    Replicas(u32),
    /// These resources for each pod's containers.
    Resources(Vec<ContainerSize>),
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas(count) => write!(f, "{count}"),
            Self::Resources(containers) => {
                for (at, container) in containers.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    let cpu = container.cpu_limit.or(container.cpu_request);
                    let memory = container.memory_limit.or(container.memory_request);
                    let cpu = cpu.map_or_else(|| "-".into(), |cores| Unit::Cores.show(cores));
                    let memory = memory.map_or_else(|| "-".into(), |bytes| Unit::Bytes.show(bytes));
                    write!(f, "{comma}{cpu}/{memory}")?;
                }
                Ok(())
            }
        }
    }
}

/// How far a running pod's resize has come, as the kubelet reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeState {
    /// The pod runs with what its spec says.
    Settled,
    /// Accepted, being carried out.
    InProgress,
    /// The node has no room now; it will be tried again.
    Deferred,
    /// It can never work on this node.
    Infeasible,
}

/// One pod of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity.
    pub uid: Arc<str>,
    /// For optimistic concurrency.
    pub resource_version: Arc<str>,
    /// Whether it takes traffic.
    pub ready: bool,
    /// What its spec asks for.
    pub containers: Vec<ContainerSize>,
    /// How far a resize has come.
    pub resize: ResizeState,
}

/// A workload as it was seen at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadSnapshot {
    /// Which workload.
    pub target: TargetId,
    /// Its identity: another one means that it was recreated.
    pub uid: Arc<str>,
    /// The version that a write must still find.
    pub resource_version: Arc<str>,
    /// The replicas wanted now.
    pub replicas: u32,
    /// The replicas that take traffic.
    pub ready_replicas: u32,
    /// Whether a new template is being rolled out.
    pub rollout_in_progress: bool,
    /// What the template gives each container.
    pub containers: Vec<ContainerSize>,
    /// Its pods.
    pub pods: Vec<PodSnapshot>,
    /// Whether the cluster offers in-place resize.
    pub in_place_resize: bool,
}

/// Why a target could not be seen or written. A closed set: it becomes a reason and a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClusterFailure {
    /// There is no such object.
    NotFound,
    /// The daemon lacks the right.
    Forbidden,
    /// Somebody changed the object in between.
    Conflict,
    /// The API server refuses the change as invalid.
    Invalid,
    /// The API server could not be reached, or did not answer in time: whether a write happened is unknown.
    Unreachable,
    /// The API server is in trouble or asks to slow down.
    Unavailable,
    /// The workload cannot be scaled on this axis.
    NotScalable,
}

impl ClusterFailure {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
            Self::NotScalable => "not_scalable",
        }
    }
}

impl fmt::Display for ClusterFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a wanted step is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HeldReason {
    /// `kubernetes.mode` is `off`.
    Off,
    /// Nothing can be evaluated now.
    Blind,
    /// The trigger has no fresh value.
    NoData,
    /// The trigger's value is not a finite number.
    NotFinite,
    /// Another action on the target is under way.
    InProgress,
    /// The target rests on this axis after its last step.
    Cooldown {
        /// Until when.
        until: Timestamp,
    },
    /// The target has reached its bound.
    AtMaximum,
    /// A rollout is in progress.
    Rollout,
    /// The policy has no step for this axis.
    NoStep,
    /// The target could not be seen.
    Cluster(ClusterFailure),
    /// The container has no request or limit that could grow.
    NothingToGrow,
}

impl HeldReason {
    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Blind => "blind",
            Self::NoData => "no_data",
            Self::NotFinite => "not_finite",
            Self::InProgress => "in_progress",
            Self::Cooldown { .. } => "cooldown",
            Self::AtMaximum => "at_maximum",
            Self::Rollout => "rollout",
            Self::NoStep => "no_step",
            Self::Cluster(failure) => failure.as_str(),
            Self::NothingToGrow => "nothing_to_grow",
        }
    }
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cooldown { until } => write!(f, "cooldown until {}", super::headline::clock(*until)),
            other => f.pad(other.as_str()),
        }
    }
}

/// Where a scaling action is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionState {
    /// Decided and recorded; not known to be written.
    Planned,
    /// The API server accepted the write.
    Applied {
        /// When.
        at: Timestamp,
    },
    /// Every pod is ready at the new size.
    Verified {
        /// When.
        at: Timestamp,
    },
    /// Decided exactly like the others, and not written on purpose.
    DryRun {
        /// When.
        at: Timestamp,
    },
    /// The write was refused.
    Refused {
        /// When.
        at: Timestamp,
        /// Why.
        reason: ClusterFailure,
    },
    /// The configuration changed so that it is no longer followed.
    Abandoned {
        /// When.
        at: Timestamp,
    },
    /// The pods did not become ready in time.
    NotReady {
        /// When that was given up.
        at: Timestamp,
    },
}

impl ActionState {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Applied { .. } => "applied",
            Self::Verified { .. } => "verified",
            Self::DryRun { .. } => "dry_run",
            Self::Refused { .. } => "refused",
            Self::Abandoned { .. } => "abandoned",
            Self::NotReady { .. } => "not_ready",
        }
    }

    /// Whether it still needs something to happen.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Planned | Self::Applied { .. })
    }
}

/// One decided change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingAction {
    /// Its id.
    pub id: ActionId,
    /// What it scales.
    pub target: TargetId,
    /// The workload's identity when it was decided.
    pub uid: Arc<str>,
    /// On which axis.
    pub axis: Axis,
    /// The trigger that asked.
    pub trigger: TriggerName,
    /// The trigger's value and threshold then, in words.
    pub evidence: Arc<str>,
    /// The size before.
    pub from: Size,
    /// The size after.
    pub to: Size,
    /// The version of the workload that the write must still find.
    pub resource_version: Arc<str>,
    /// How a vertical step is written.
    pub vertical: VerticalMode,
    /// The incident it serves.
    pub incident: Option<IncidentId>,
    /// When it was decided.
    pub planned_at: Timestamp,
    /// Until when the pods must be ready.
    pub ready_by: Timestamp,
    /// Where it is.
    pub state: ActionState,
}

impl ScalingAction {
    /// The change in words: `4 → 6 replicas`, `0.5 cores/512 MB → 0.63 cores/640 MB`.
    pub fn change(&self) -> String {
        match self.to {
            Size::Replicas(_) => format!("{} → {} replicas", self.from, self.to),
            Size::Resources(_) => format!("{} → {}", self.from, self.to),
        }
    }
}

/// The replicas after one step, within the target's bounds.
pub fn more_replicas(current: u32, step: u32, target: &Target) -> Result<u32, HeldReason> {
    let wanted = current.saturating_add(step).clamp(target.min_replicas, target.max_replicas);
    if wanted > current { Ok(wanted) } else { Err(HeldReason::AtMaximum) }
}

/// The containers' resources after one step of `share` (0.25 for a quarter more).
///
/// Each number is rounded up to a whole millicore or MiB. Where a bound is in the way, request and limit grow by the
/// same smaller ratio, so that their relation, and with it the pod's QoS class, stays.
pub fn more_resources(
    containers: &[ContainerSize],
    share: f64,
    target: &Target,
) -> Result<Vec<ContainerSize>, HeldReason> {
    if containers.iter().all(ContainerSize::is_unsized) {
        return Err(HeldReason::NothingToGrow);
    }
    let grown: Vec<ContainerSize> = containers
        .iter()
        .map(|container| {
            let cpu = (container.cpu_request, container.cpu_limit);
            let memory = (container.memory_request, container.memory_limit);
            let (cpu_request, cpu_limit) = grow(cpu, share, target.max_cpu, 0.001);
            let (memory_request, memory_limit) = grow(memory, share, target.max_memory, 1024.0 * 1024.0);
            ContainerSize {
                name: container.name.clone(),
                cpu_request,
                cpu_limit,
                memory_request,
                memory_limit,
            }
        })
        .collect();
    if grown == containers { Err(HeldReason::AtMaximum) } else { Ok(grown) }
}

impl ContainerSize {
    fn is_unsized(&self) -> bool {
        [self.cpu_request, self.cpu_limit, self.memory_request, self.memory_limit].iter().all(Option::is_none)
    }
}

fn grow(
    (request, limit): (Option<f64>, Option<f64>),
    share: f64,
    most: Option<f64>,
    grain: f64,
) -> (Option<f64>, Option<f64>) {
    let Some(top) = limit.or(request) else { return (None, None) };
    let room = most.map_or(f64::INFINITY, |most| most / top);
    let ratio = (1.0 + share).min(room);
    if ratio <= 1.0 {
        return (request, limit);
    }
    let cap = most.unwrap_or(f64::INFINITY);
    // Half a millionth of a grain keeps 0.5 × 1.25 from becoming one grain more by the binary fraction.
    let up = |value: f64| (((value * ratio / grain) - 5e-7).ceil() * grain).min(cap).max(value);
    (request.map(up), limit.map(up))
}
