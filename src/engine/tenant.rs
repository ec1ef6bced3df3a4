//! Tenants in the engine: who is seen, and what is known of one. Owns gathering; the checks are the domain's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::Alert;
use crate::domain::backup::{BackupConfiguration, BackupSchedule};
use crate::domain::capacity::growth::TENANT;
use crate::domain::capacity::{DEFAULT_MODEL, Resource};
use crate::domain::labels::Labels;
use crate::domain::rule::{Override, Rule};
use crate::domain::tenant::TenantFacts;

use super::Engine;

/// How the ids of rules about backups begin.
const BACKUPS: &str = "backup/";

/// A tenant as a list shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TenantLine {
    /// Requests a second, where it was seen among those who ask.
    pub requests: Option<f64>,
    /// How many of its alerts fire.
    pub firing: usize,
    /// How many rules have an override for it.
    pub overrides: usize,
}

impl Engine {
    /// Every tenant that is seen: among those who ask, in the series of rules, or in an override.
    pub fn tenants(&self, now: Timestamp) -> BTreeMap<Arc<str>, TenantLine> {
        let mut lines: BTreeMap<Arc<str>, TenantLine> = BTreeMap::new();
        for (tenant, rate) in self.tenant_requests(now) {
            lines.entry(tenant.into()).or_default().requests = Some(rate);
        }
        for (_, series, alert) in self.alerts() {
            if let Some(tenant) = series.get(TENANT) {
                lines.entry(tenant.into()).or_default().firing += usize::from(alert.state.is_firing());
            }
        }
        for rule in self.plan.rules.rules.values() {
            for tenant in rule.overrides.iter().filter_map(|one| one.matching.get(TENANT)) {
                lines.entry(tenant.into()).or_default().overrides += 1;
            }
        }
        lines
    }

    /// What is known about one tenant.
    pub fn tenant_facts(&self, id: &str, now: Timestamp) -> TenantFacts {
        let requests = self.tenant_requests(now);
        let watched_by: BTreeSet<Arc<str>> =
            self.tenant_alerts(id).map(|(rule, _, _)| rule.name.clone()).collect();
        let required = self.plan.rules.resource_requirements.as_ref();
        let backups = required.and_then(|required| required.tenant_backups.as_ref());
        let backups = backups.map(|query| self.by_tenant(query, now)).unwrap_or_default();
        let configuration = self.plan.rules.backup_configuration.as_ref();
        let seen = self.model_seen(DEFAULT_MODEL, now);
        let about_all = self.alerts().filter(|(rule, series, alert)| {
            alert.state.is_firing() && rule.as_str().starts_with(BACKUPS) && series.get(TENANT).is_none()
        });
        TenantFacts {
            id: id.into(),
            requests: requests.get(id).copied(),
            others: !requests.is_empty(),
            watched_by: watched_by.into_iter().collect(),
            backup_age: backups.get(id).copied(),
            backups_by_tenant: !backups.is_empty(),
            backup_within: configuration
                .and_then(BackupConfiguration::slowest)
                .map(BackupSchedule::late_after),
            backup_alerts: about_all.count(),
            headroom: seen.and_then(|seen| seen.assessment.binding().and_then(|(_, room)| room.headroom)),
        }
    }

    /// The alerts about a tenant, with their rules.
    pub fn tenant_alerts(&self, id: &str) -> impl Iterator<Item = (&Arc<Rule>, &Labels, &Alert)> {
        self.alerts().filter_map(move |(rule, series, alert)| {
            (series.get(TENANT) == Some(id)).then_some((self.rule(rule)?, series, alert))
        })
    }

    /// The overrides that name a tenant, with their rules.
    pub fn tenant_overrides(&self, id: &str) -> impl Iterator<Item = (&Arc<Rule>, &Override)> {
        let rules = self.plan.rules.rules.values();
        rules.flat_map(move |rule| {
            let own = rule.overrides.iter().filter(move |one| one.matching.get(TENANT) == Some(id));
            own.map(move |one| (rule, one))
        })
    }

    /// What one tenant takes of each resource, by the model stated directly.
    pub fn tenant_needs(&self) -> impl Iterator<Item = &Resource> {
        let required = self.plan.rules.resource_requirements.as_ref();
        required.and_then(|it| it.model(DEFAULT_MODEL)).into_iter().flat_map(|model| &model.resources)
    }

    fn tenant_requests(&self, now: Timestamp) -> BTreeMap<&str, f64> {
        let required = self.plan.rules.resource_requirements.as_ref();
        let queries = required.into_iter().flat_map(|it| &it.models).filter_map(|it| it.tenants.as_ref());
        queries.flat_map(|query| self.by_tenant(query, now)).collect()
    }
}
