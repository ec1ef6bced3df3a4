//! Capacity as the runbook states it (6.1): what the service itself takes and what each tenant adds, of any resource.
//! Owns the model and its arithmetic; where the numbers come from is somebody else's business.
//!
//! ```text
//! required  = base + per_tenant × tenants
//! fits      = the most tenants for which required ≤ available, for each resource; the least of them binds
//! headroom  = fits − tenants
//! exhausted = when the forecast of tenants first exceeds fits
//! ```

pub mod exhaustion;
pub mod floor;
pub mod forecast;
pub mod growth;
pub mod headroom;
pub mod outlook;
pub mod trend;

use std::sync::Arc;
use std::time::Duration;

use super::name::QueryId;
use super::quantity::Unit;

/// The name of the model that `resource_requirements` states directly.
pub const DEFAULT_MODEL: &str = "platform";

/// How the ids of the rounds begin that the engine makes of its forecasts: the seconds until each resource runs out.
pub const TIME_LEFT: &str = "runbookd/capacity_left/";

/// What a resource needs: a base and a share per tenant, in the base of its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requirement {
    /// Needed without any tenant.
    pub base: f64,
    /// Needed for each tenant on top.
    pub per_tenant: f64,
}

impl Requirement {
    /// What so many tenants need.
    pub fn for_tenants(&self, tenants: f64) -> f64 {
        self.base + self.per_tenant * tenants
    }

    /// The most whole tenants whose need is at most `available`; 0 where not even the base fits, infinite where tenants
    /// cost nothing.
    pub fn tenants_within(&self, available: f64) -> f64 {
        let left = available - self.base;
        if left < 0.0 {
            return 0.0;
        }
        if self.per_tenant <= 0.0 {
            return f64::INFINITY;
        }
        // 62 / 0.1 is a little less than 620 in binary.
        (left / self.per_tenant * (1.0 + f64::EPSILON * 4.0)).floor()
    }
}

/// Which half of the runbook's block a resource stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// What the service runs on.
    Compute,
    /// Where its data lie.
    Storage,
}

impl ResourceKind {
    /// The key in rule files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Storage => "storage",
        }
    }
}

/// How much of a resource there is.
#[derive(Debug, Clone, PartialEq)]
pub enum Available {
    /// So much, in the base of the resource's unit.
    Configured(f64),
    /// The sum of a query's series.
    Measured(QueryId),
    /// Nobody says.
    Unknown,
}

/// One resource of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Its name, such as `cpu`.
    pub name: Arc<str>,
    /// Which half of the block it stands in.
    pub kind: ResourceKind,
    /// What its numbers count.
    pub unit: Unit,
    /// What tenants need of it.
    pub need: Requirement,
    /// How much there is.
    pub available: Available,
    /// How much is in use, measured: the sum of a query's series. Forecast by itself where it is there.
    pub used: Option<QueryId>,
}

/// What one service needs, and who counts its tenants.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: Arc<str>,
    /// The service whose targets it sets a floor for, as targets name it.
    pub service: Option<Arc<str>>,
    /// The query with one series for each tenant.
    pub tenants: Option<QueryId>,
    /// Its resources, as written.
    pub resources: Vec<Resource>,
}

/// A quantity whose past is asked for, to forecast it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryQuestion {
    /// What it is the past of.
    pub of: Forecasted,
    /// The expression with one series.
    pub expr: Arc<str>,
}

/// What is forecast.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forecasted {
    /// The tenants of a model.
    Tenants(Arc<str>),
    /// The measured use of a model's resource.
    Used(Arc<str>, Arc<str>),
}

/// A metric with one series for each tenant, whose growth is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowthQuestion {
    /// The metric's name.
    pub metric: Arc<str>,
    /// Its unit.
    pub unit: Unit,
    /// The expression.
    pub expr: Arc<str>,
}

/// How far forecasts look and when people are warned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecasting {
    /// How much of the past is looked at.
    pub look_back: Duration,
    /// How far ahead exhaustion is looked for; beyond it nothing is said.
    pub horizon: Duration,
    /// A resource that runs out within this raises a warning.
    pub warn_within: Duration,
    /// A resource that runs out within this raises a critical alert.
    pub critical_within: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Forecasting {
    fn default() -> Self {
        Self { look_back: DAY * 30, horizon: DAY * 365, warn_within: DAY * 30, critical_within: DAY * 7 }
    }
}

/// The runbook's `resource_requirements`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceRequirements {
    /// The models, the one stated directly first.
    pub models: Vec<Model>,
    /// How long backups are kept, as 6.1 states it.
    pub backup_retention: Option<Duration>,
    /// How forecasts are made.
    pub forecast: Forecasting,
    /// Whose past is asked for.
    pub histories: Vec<HistoryQuestion>,
    /// Whose growth is listed by tenant.
    pub growth: Vec<GrowthQuestion>,
    /// The query with the age of each tenant's newest backup, where the catalogue has one.
    pub tenant_backups: Option<QueryId>,
}

impl ResourceRequirements {
    /// A model, by name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| &*model.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbooks_numbers() {
        let cpu = Requirement { base: 2.0, per_tenant: 0.1 };
        assert!((cpu.for_tenants(50.0) - 7.0).abs() < 1e-12);
        assert_eq!(cpu.tenants_within(64.0), 620.0);
        assert_eq!(cpu.tenants_within(2.05), 0.0);
        assert_eq!(cpu.tenants_within(1.0), 0.0);
        let memory = Requirement { base: 4e9, per_tenant: 256e6 };
        assert_eq!(memory.tenants_within(4e9 + 256e6 * 37.0), 37.0);
        assert_eq!(Requirement { base: 1.0, per_tenant: 0.0 }.tenants_within(2.0), f64::INFINITY);
    }
}
