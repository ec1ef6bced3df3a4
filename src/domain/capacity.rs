//! Capacity and backups as the runbook states them (6.1 and 3.1). Owns the numbers; forecasts nothing yet.

use std::sync::Arc;
use std::time::Duration;

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
}

/// The runbook's `resource_requirements`.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceRequirements {
    /// CPU, in cores.
    pub cpu: Option<Requirement>,
    /// Memory, in bytes.
    pub memory: Option<Requirement>,
    /// Database storage, in bytes.
    pub database: Option<Requirement>,
    /// How many times the database's storage the backups take.
    pub backup_multiplier: Option<f64>,
    /// How long backups are kept.
    pub backup_retention: Option<Duration>,
}

/// One schedule of the runbook's `backup_configuration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSchedule {
    /// Its name, such as `full_backup`.
    pub name: Arc<str>,
    /// How often a backup must be made.
    pub frequency: Duration,
    /// How long each is kept.
    pub retention: Duration,
    /// The time of day it runs, as written: `02:00 UTC`.
    pub time: Option<Arc<str>>,
}

/// The runbook's `backup_configuration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupConfiguration {
    /// What is backed up when.
    pub schedules: Vec<BackupSchedule>,
    /// The checks each backup must pass.
    pub verification: Vec<Arc<str>>,
    /// Where copies lie, by name.
    pub storage: Vec<(Arc<str>, Arc<str>)>,
}
