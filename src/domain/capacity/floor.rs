//! The floor that capacity sets for scaling: never fewer cores, less memory or fewer replicas than the tenants need.
//! Owns the arithmetic; whoever scales asks before it makes something smaller.
//!
//! A model speaks for the service that its `service` names. The model without one speaks for everything, so it sets a
//! floor only where there is one service alone: [`floor_for`] is given that.

use std::sync::Arc;

use super::{Model, ResourceKind, ResourceRequirements};
use crate::domain::quantity::Unit;

/// The least that tenants need, summed over all replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Floor {
    /// Cores, where the model speaks of `cpu`.
    pub cores: Option<f64>,
    /// Bytes of memory, where the model speaks of `memory`.
    pub memory: Option<f64>,
}

impl Floor {
    /// What so many tenants need by a model.
    pub fn of(model: &Model, tenants: f64) -> Self {
        let need = |name: &str, unit: Unit| {
            let resource = model
                .resources
                .iter()
                .find(|it| it.kind == ResourceKind::Compute && &*it.name == name && it.unit == unit)?;
            Some(resource.need.for_tenants(tenants.max(0.0)))
        };
        Self { cores: need("cpu", Unit::Cores), memory: need("memory", Unit::Bytes) }
    }

    /// The least replicas of the given size (cores and bytes of one replica) that together have it; `None` where
    /// neither resource can be compared.
    pub fn replicas(&self, cores_each: Option<f64>, memory_each: Option<f64>) -> Option<u32> {
        let of = |need: Option<f64>, each: Option<f64>| {
            let (need, each) = (need?, each.filter(|each| *each > 0.0)?);
            // A need that fits exactly must not ask for one more because of how fractions are stored.
            Some((need / each * (1.0 - f64::EPSILON * 4.0)).ceil().max(0.0))
        };
        let least = [of(self.cores, cores_each), of(self.memory, memory_each)];
        let most = least
            .into_iter()
            .flatten()
            .fold(None, |most: Option<f64>, it| Some(most.map_or(it, |most| most.max(it))))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the type")]
        Some(most.min(f64::from(u32::MAX)) as u32)
    }
}

/// The floor of a service, `None` where no model speaks for it; `is_alone` says that no other service is scaled.
pub fn floor_for(
    requirements: &ResourceRequirements,
    service: &str,
    is_alone: bool,
    tenants: impl Fn(&Arc<str>) -> Option<f64>,
) -> Option<Floor> {
    let named = requirements.models.iter().find(|model| model.service.as_deref() == Some(service));
    let model = named.or_else(|| requirements.models.iter().find(|it| is_alone && it.service.is_none()))?;
    Some(Floor::of(model, tenants(&model.name)?))
}
