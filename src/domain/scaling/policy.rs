//! Policies: what asks for capacity, what one step is, and how many steps there may be. Owns the meaning of the runbook's
//! 6.3; scales nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::name::{QueryId, TriggerName};
use crate::domain::quantity::{Step, Unit};

use super::{Axis, ContainerSize, HeldReason, Target};

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
    /// How long a trigger has to improve once the pods are ready and the service is healthy.
    pub settle: Duration,
    /// After how many steps in a row that did not help an axis of a target is frozen; 0 for never.
    pub give_up_after: u32,
    /// How many steps all targets together may take.
    pub budget: Option<Budget>,
    /// How capacity is taken back; `None` for never.
    pub scale_in: Option<ScaleIn>,
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

/// What all targets together may add within a sliding span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// So many steps.
    pub steps: Option<u32>,
    /// So many cores, counted by what the pods request.
    pub cores: Option<f64>,
    /// Within so much time.
    pub per: Duration,
}

/// How capacity is taken back: down one step at a time, after a long calm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleIn {
    /// So many replicas less.
    pub step: u32,
    /// How long every trigger must have been at or below its `clear` without a gap.
    pub stabilize: Duration,
    /// How long the target rests after it.
    pub cool_down: Duration,
}

/// Which axis a trigger asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AxisChoice {
    /// Always this one.
    Only(Axis),
    /// More replicas first; larger pods for memory, at the most replicas, or once more replicas did not help.
    Auto,
}

impl AxisChoice {
    /// The word used in files and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Only(axis) => axis.as_str(),
            Self::Auto => "auto",
        }
    }
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
    /// Values at or below it agree to take capacity back.
    pub clear: f64,
    /// The axis it asks for.
    pub axis: AxisChoice,
}

impl Trigger {
    /// The axis it asks for, where `auto` has the choice: `grown` says that more replicas are not to be had, or did
    /// not help.
    pub fn axis(&self, policy: &Policy, grown: bool) -> Axis {
        match self.axis {
            AxisChoice::Only(axis) => axis,
            AxisChoice::Auto => {
                let wants_larger = grown || self.metric.starts_with("memory") || policy.horizontal.is_none();
                if wants_larger && policy.vertical.is_some() { Axis::Vertical } else { Axis::Horizontal }
            }
        }
    }

    /// Whether it can ask for an axis at all.
    pub fn may_ask(&self, axis: Axis) -> bool {
        match self.axis {
            AxisChoice::Only(only) => only == axis,
            AxisChoice::Auto => true,
        }
    }

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
