//! Targets: a workload that a policy scales, within which bounds, and whose leave it needs. Owns the bounds at an
//! instant; sees no cluster.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::name::{QueryId, TargetId};
use crate::domain::time_interval::TimeInterval;

use super::checks::Limits;

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
    /// How long the pods have to become ready after a step, and the service to become healthy after that.
    pub ready_within: Duration,
    /// The query that must return something above zero for the service to count as healthy after a step.
    pub health: Option<QueryId>,
    /// How a vertical step reaches the pods, and the policies for the checks before a step.
    pub limits: Limits,
    /// What its replicas share with others.
    pub connections: Option<Connections>,
    /// Bounds by the calendar.
    pub schedule: Vec<Window>,
}

impl Target {
    /// The bounds of the replicas at `now`: the target's own, and those of the windows that are open. A floor beats a
    /// ceiling, and the target's own bounds beat both.
    pub fn bounds(&self, now: Timestamp) -> Bounds {
        let open = || self.schedule.iter().filter(|window| window.when.contains(now));
        let floor = open().filter_map(|window| window.floor).max();
        let ceiling = open().filter_map(|window| window.ceiling).min();
        let least = floor.unwrap_or(0).clamp(self.min_replicas, self.max_replicas);
        let most = ceiling.unwrap_or(u32::MAX).clamp(least, self.max_replicas);
        Bounds { least, most, scheduled: floor.is_some_and(|floor| floor > self.min_replicas) }
    }
}

/// The bounds of a target's replicas at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer.
    pub least: u32,
    /// Never more.
    pub most: u32,
    /// Whether a window of the schedule asks for more than the target's own least.
    pub scheduled: bool,
}

/// Bounds that hold during a stretch of the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Never fewer replicas then.
    pub floor: Option<u32>,
    /// Never more replicas then.
    pub ceiling: Option<u32>,
    /// When.
    pub when: TimeInterval,
}

/// Something that many replicas share and that is used up: the connections of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// The targets that name the same share it; without a name it is the target's own.
    pub name: Option<Arc<str>>,
    /// Each replica takes so many.
    pub per_replica: u32,
    /// There are so many in all.
    pub max: u32,
}
