//! Sizes: what a workload has on an axis, and the arithmetic of a step. Always absolute; knows no cluster.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::quantity::Unit;

use super::{Bounds, HeldReason, Target};

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

/// The replicas after one step, within the bounds.
pub fn more_replicas(current: u32, step: u32, bounds: Bounds) -> Result<u32, HeldReason> {
    let wanted = current.saturating_add(step).clamp(bounds.least, bounds.most);
    if wanted > current { Ok(wanted) } else { Err(HeldReason::AtMaximum) }
}

/// The replicas after one step back, within the bounds.
pub fn fewer_replicas(current: u32, step: u32, bounds: Bounds) -> Result<u32, HeldReason> {
    let wanted = current.saturating_sub(step).max(bounds.least);
    if wanted < current { Ok(wanted) } else { Err(HeldReason::AtMinimum) }
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

/// Sizes as the target's bounds allow them: what is beyond one shrinks to it, request and limit by the same ratio.
pub fn within_bounds(containers: &[ContainerSize], target: &Target) -> Vec<ContainerSize> {
    let shrink = |request: Option<f64>, limit: Option<f64>, most: Option<f64>, grain: f64| {
        let (Some(top), Some(most)) = (limit.or(request), most) else { return (request, limit) };
        if top <= most {
            return (request, limit);
        }
        let down = |value: f64| ((value * most / top / grain) + 5e-7).floor().max(1.0);
        let grains = |value: f64| {
            let grains = down(value);
            if grain < 1.0 { grains / (1.0 / grain).round() } else { grains * grain }.min(most)
        };
        (request.map(grains), limit.map(|_| most))
    };
    let within = |it: &ContainerSize| {
        let (cpu_request, cpu_limit) = shrink(it.cpu_request, it.cpu_limit, target.max_cpu, 0.001);
        let mebibyte = 1024.0 * 1024.0;
        let (memory_request, memory_limit) =
            shrink(it.memory_request, it.memory_limit, target.max_memory, mebibyte);
        // What was guaranteed stays so.
        let same = |request: Option<f64>, limit: Option<f64>, was: (Option<f64>, Option<f64>)| {
            if was.0 == was.1 { limit } else { request }
        };
        ContainerSize {
            name: it.name.clone(),
            cpu_request: same(cpu_request, cpu_limit, (it.cpu_request, it.cpu_limit)),
            cpu_limit,
            memory_request: same(memory_request, memory_limit, (it.memory_request, it.memory_limit)),
            memory_limit,
        }
    };
    containers.iter().map(within).collect()
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
    let up = |value: f64| {
        let grains = ((value * ratio / grain) - 5e-7).ceil();
        // Divided where a grain is a fraction: 938 × 0.001 is not the 0.938 that is read back.
        let grown = if grain < 1.0 { grains / (1.0 / grain).round() } else { grains * grain };
        grown.min(cap).max(value)
    };
    (request.map(up), limit.map(up))
}
