//! Headroom: how many tenants still fit, for each resource, and which one binds. Owns the arithmetic over what is known;
//! what is not known stays unknown and is never zero.

use std::sync::Arc;

use super::{Model, Resource};

/// What was measured lately of a resource, in the base of its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// How much there is.
    pub available: Option<f64>,
    /// How much is in use.
    pub used: Option<f64>,
}

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No tenant is counted: no query, or no answer.
    NoTenants,
    /// Nothing says how much there is: no key, and no metric of the catalogue.
    NoSource,
    /// The metric that says how much there is gave no answer lately.
    NoAnswer,
}

impl Unknown {
    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoTenants => "no_tenants",
            Self::NoSource => "no_source",
            Self::NoAnswer => "no_answer",
        }
    }
}

/// The room in one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// What the tenants there are need.
    pub required: Option<f64>,
    /// How much there is.
    pub available: Option<f64>,
    /// How much is in use, where that is measured.
    pub used: Option<f64>,
    /// How many tenants fit in all.
    pub fits: Option<f64>,
    /// How many more fit; negative where there are too many.
    pub headroom: Option<f64>,
    /// Why there is no headroom to speak of.
    pub unknown: Option<Unknown>,
}

/// What one model needs and has.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The model's name.
    pub model: Arc<str>,
    /// How many tenants there are.
    pub tenants: Option<f64>,
    /// The room in each resource, in the model's order.
    pub rooms: Vec<(Resource, Room)>,
}

impl Assessment {
    /// Judges a model by what is known.
    pub fn new(model: &Model, tenants: Option<f64>, measured: impl Fn(&Resource) -> Measured) -> Self {
        let rooms = model.resources.iter().map(|resource| {
            let room = room(resource, tenants, measured(resource));
            (resource.clone(), room)
        });
        Self { model: model.name.clone(), tenants, rooms: rooms.collect() }
    }

    /// The resource that runs out first; the first written of several.
    pub fn binding(&self) -> Option<(&Resource, &Room)> {
        let known = self.rooms.iter().filter(|(_, room)| room.fits.is_some_and(f64::is_finite));
        known
            .min_by(|(_, one), (_, two)| {
                one.fits.unwrap_or(f64::INFINITY).total_cmp(&two.fits.unwrap_or(f64::INFINITY))
            })
            .map(|(resource, room)| (resource, room))
    }

    /// How many tenants fit in all.
    pub fn fits(&self) -> Option<f64> {
        self.binding().and_then(|(_, room)| room.fits)
    }

    /// Tenants of those that fit.
    pub fn share(&self) -> Option<f64> {
        let (tenants, fits) = (self.tenants?, self.fits()?);
        (fits > 0.0).then(|| tenants / fits)
    }
}

fn room(resource: &Resource, tenants: Option<f64>, measured: Measured) -> Room {
    let fits = measured.available.map(|available| resource.need.tenants_within(available));
    let unknown = match (&resource.available, measured.available, tenants) {
        (super::Available::Unknown, _, _) => Some(Unknown::NoSource),
        (_, None, _) => Some(Unknown::NoAnswer),
        (_, Some(_), None) => Some(Unknown::NoTenants),
        (_, Some(_), Some(_)) => None,
    };
    Room {
        required: tenants.map(|tenants| resource.need.for_tenants(tenants)),
        available: measured.available,
        used: measured.used,
        fits,
        headroom: fits.zip(tenants).map(|(fits, tenants)| fits - tenants),
        unknown,
    }
}
