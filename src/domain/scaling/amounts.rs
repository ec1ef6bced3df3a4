//! Amounts of resources as the scheduler counts them: whole numbers by name. Adds and compares; reads no quantity.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::quantity::Unit;

use super::ContainerSize;

/// The name of CPU.
pub const CPU: &str = "cpu";
/// The name of memory.
pub const MEMORY: &str = "memory";
/// The name of room for pods.
pub const PODS: &str = "pods";

/// Below this a difference is the binary fraction's, not the writer's.
const NOISE: f64 = 1e-6;

/// Amounts by resource: CPU in millicores, all else in whole units (bytes, pods, devices). What is not named is zero.
/// Fractions are rounded up, as the scheduler does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts(BTreeMap<Arc<str>, i64>);

impl Amounts {
    /// These amounts; a later one replaces an earlier one of the same name.
    pub fn new<N: Into<Arc<str>>>(amounts: impl IntoIterator<Item = (N, i64)>) -> Self {
        Self(amounts.into_iter().map(|(name, amount)| (name.into(), amount)).collect())
    }

    /// The amount of a resource, zero where it is not named.
    pub fn get(&self, resource: &str) -> i64 {
        self.0.get(resource).copied().unwrap_or(0)
    }

    /// The amount of a resource, if it is named.
    pub fn named(&self, resource: &str) -> Option<i64> {
        self.0.get(resource).copied()
    }

    /// Names an amount.
    pub fn set(&mut self, resource: impl Into<Arc<str>>, amount: i64) {
        self.0.insert(resource.into(), amount);
    }

    /// Every named resource, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i64)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds each amount.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let sum = self.0.entry(name.clone()).or_insert(0);
            *sum = sum.saturating_add(*amount);
        }
    }

    /// Takes each amount away; may fall below zero.
    pub fn take(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let rest = self.0.entry(name.clone()).or_insert(0);
            *rest = rest.saturating_sub(*amount);
        }
    }

    /// Raises each amount to the other one where that is larger.
    pub fn raise(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let most = self.0.entry(name.clone()).or_insert(*amount);
            *most = (*most).max(*amount);
        }
    }

    /// Replaces the amounts that the other names.
    pub fn replace(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(name, amount)| (name.clone(), *amount)));
    }

    /// So many times as much.
    #[must_use]
    pub fn times(&self, count: u32) -> Self {
        Self(
            self.0
                .iter()
                .map(|(name, amount)| (name.clone(), amount.saturating_mul(i64::from(count))))
                .collect(),
        )
    }
}

/// The millicores or bytes of a size, rounded up.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, NaN is 0")]
pub(super) fn whole(value: f64) -> i64 {
    (value - NOISE).ceil() as i64
}

/// What a size asks for (`limits: false`) or may use, as amounts.
pub(super) fn requested(size: &ContainerSize) -> Amounts {
    amounts(size.cpu_request, size.memory_request)
}

/// What a size may use, as amounts.
pub(super) fn limited(size: &ContainerSize) -> Amounts {
    amounts(size.cpu_limit, size.memory_limit)
}

fn amounts(cores: Option<f64>, bytes: Option<f64>) -> Amounts {
    let cpu = cores.map(|cores| (CPU, whole(cores * 1000.0)));
    let memory = bytes.map(|bytes| (MEMORY, whole(bytes)));
    Amounts::new(cpu.into_iter().chain(memory))
}

/// An amount for people: `1.5 cores`, `512 MB`, `3`. Quotas put a prefix before the resource: `requests.cpu`.
#[expect(clippy::cast_precision_loss, reason = "shown rounded")]
pub fn show(resource: &str, amount: i64) -> String {
    let amount = amount as f64;
    match resource
        .rsplit_once("requests.")
        .or(resource.rsplit_once("limits."))
        .map_or(resource, |(_, name)| name)
    {
        CPU => Unit::Cores.show(amount / 1000.0),
        MEMORY | "ephemeral-storage" | "storage" => Unit::Bytes.show(amount),
        name if name.starts_with("hugepages-") => Unit::Bytes.show(amount),
        _ => Unit::Count.show(amount),
    }
}
