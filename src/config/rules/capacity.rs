//! `resource_requirements`: the runbook's 6.1. Owns the units of its numbers, the names by which the catalogue is asked
//! for what there is, and the rule that warns before something runs out.

use std::sync::Arc;
use std::time::Duration;

use super::metrics::Catalogue;
use super::model_rule::{self, Warning};
use super::{Reader, ask};
use crate::config::diagnostic::Code;
use crate::config::tree::{Entry, Node};
use crate::config::walk::Fields;
use crate::domain::capacity::{
    Available, DEFAULT_MODEL, Forecasted, Forecasting, GrowthQuestion, HistoryQuestion, Model, Requirement,
    Resource, ResourceKind, ResourceRequirements,
};
use crate::domain::name::QueryId;
use crate::domain::quantity::Unit;
use crate::domain::rule::RuleSet;

/// The metric with one series for each tenant.
const TENANTS: &str = "tenant_requests";

/// The metrics whose growth is listed by tenant.
const GROWTH: [&str; 2] = ["tenant_requests", "tenant_data"];

/// The metric with the age of each tenant's newest backup.
const TENANT_BACKUPS: &str = "tenant_backup_age";

/// How often what there is and what is used are asked for; they change slowly.
const EVERY: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(86_400);

/// Reads the requirements: the queries they need, and the rules that warn, go into the set.
pub(super) fn read(reader: &Reader<'_>, node: &Node, catalogue: &Catalogue, set: &mut RuleSet) {
    let walk = reader.walk;
    let keys = &["compute", "storage", "tenants", "service", "forecast", "growth", "models"];
    let fields = walk.fields(node, keys);
    let mut models = Models { reader, catalogue, set, read: ResourceRequirements::default() };
    models.add(DEFAULT_MODEL.into(), &fields);
    for entry in fields.get("models").map_or(&[][..], |node| walk.entries(node)) {
        let fields = walk.fields(&entry.value, &["compute", "storage", "tenants", "service"]);
        if models.read.model(&entry.key).is_some() {
            walk.error(Code::DuplicateName, entry.key_span, format!("the model `{}` is there", entry.key))
                .expected("expected another name");
            continue;
        }
        models.add(entry.key.clone(), &fields);
    }
    models.growth(fields.get("growth"));
    models.read.tenant_backups = models.measured(TENANT_BACKUPS, Unit::Seconds);
    let (forecast, warning) = forecast(reader, fields.get("forecast"));
    models.read.forecast = forecast;
    let Models { read, set, .. } = models;
    for model in &read.models {
        if model.tenants.is_some() {
            model_rule::add(reader, node.span, model, &forecast, &warning, set);
        }
    }
    set.resource_requirements = Some(read);
}

/// The models read so far, and what reading one needs.
struct Models<'r, 'a> {
    reader: &'r Reader<'a>,
    catalogue: &'r Catalogue,
    set: &'r mut RuleSet,
    read: ResourceRequirements,
}

impl Models<'_, '_> {
    fn add(&mut self, name: Arc<str>, fields: &Fields<'_>) {
        let walk = self.reader.walk;
        let tenants = match fields.get("tenants") {
            Some(node) => walk.text(node).cloned().and_then(|metric| {
                self.catalogue.get_or_built_in(walk, &metric, node.span)?;
                Some(metric)
            }),
            None => Some(TENANTS.into()),
        };
        let service = fields.get("service").and_then(|node| walk.text(node).cloned());
        let mut resources = Vec::new();
        for kind in [ResourceKind::Compute, ResourceKind::Storage] {
            let entries = fields.get(kind.as_str()).map_or(&[][..], |node| walk.entries(node));
            for entry in entries {
                let read = if kind == ResourceKind::Storage && &*entry.key == "backup" {
                    self.backup(entry, &resources)
                } else {
                    self.resource(kind, entry)
                };
                resources.extend(read);
            }
        }
        if resources.is_empty() {
            return;
        }
        let tenants = tenants.and_then(|metric| {
            let metric = self.catalogue.find_or_built_in(&metric)?;
            let expr = format!("count(\n{}\n)", metric.query).into();
            self.read.histories.push(HistoryQuestion { of: Forecasted::Tenants(name.clone()), expr });
            Some(ask(&mut self.set.queries, &metric.query, every(self.reader)))
        });
        for resource in &resources {
            self.remember_use(&name, resource);
        }
        self.read.models.push(Model { name, service, tenants, resources });
    }

    fn resource(&mut self, kind: ResourceKind, entry: &Entry) -> Option<Resource> {
        let walk = self.reader.walk;
        let fields = walk.fields(&entry.value, &["base", "per_tenant", "unit", "available", "used"]);
        let unit =
            fields.get("unit").and_then(|node| walk.word(node, &Unit::ALL.map(|unit| (unit.as_str(), unit))));
        let unit = unit.unwrap_or_else(|| usual_unit(kind, &entry.key));
        if fields.get("base").is_none() && fields.get("per_tenant").is_none() {
            walk.missing(entry.value.span, "base", "base: 2");
            return None;
        }
        let amount = |key: &str| fields.get(key).map_or(Some(0.0), |node| walk.amount(node, unit));
        let (base, per_tenant) = (amount("base"), amount("per_tenant"));
        let need = Requirement { base: base?, per_tenant: per_tenant? };
        let available = self.available(&entry.key, &fields, unit);
        let used = self.used(&entry.key, &fields, unit);
        Some(Resource { name: entry.key.clone(), kind, unit, need, available, used })
    }

    /// What backups take: so many times what the storage written before them takes.
    fn backup(&mut self, entry: &Entry, before: &[Resource]) -> Option<Resource> {
        let walk = self.reader.walk;
        let fields = walk.fields(&entry.value, &["multiplier", "retention", "available", "used"]);
        let multiplier = fields.get("multiplier").and_then(|node| walk.amount(node, Unit::Ratio));
        if let Some(retention) = fields.get("retention").and_then(|node| walk.duration(node)) {
            self.read.backup_retention = Some(retention);
        }
        let stored = before.iter().filter(|it| it.kind == ResourceKind::Storage && it.unit == Unit::Bytes);
        let mut need = Requirement { base: 0.0, per_tenant: 0.0 };
        for resource in stored {
            need.base += resource.need.base * multiplier?;
            need.per_tenant += resource.need.per_tenant * multiplier?;
        }
        let available = self.available(&entry.key, &fields, Unit::Bytes);
        let used = self.used(&entry.key, &fields, Unit::Bytes);
        let (name, kind) = (entry.key.clone(), ResourceKind::Storage);
        (multiplier? > 0.0).then_some(Resource { name, kind, unit: Unit::Bytes, need, available, used })
    }

    /// `available: 64 cores`, `available: METRIC`, or the catalogue's `capacity_NAME`.
    fn available(&mut self, name: &str, fields: &Fields<'_>, unit: Unit) -> Available {
        let Some(node) = fields.get("available") else {
            let measured = self.measured(&format!("capacity_{name}"), unit);
            return measured.map_or(Available::Unknown, Available::Measured);
        };
        let is_name = node.text().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_alphabetic()));
        if is_name {
            return self.metric(node, unit).map_or(Available::Unknown, Available::Measured);
        }
        self.reader.walk.amount(node, unit).map_or(Available::Unknown, Available::Configured)
    }

    /// `used: METRIC`, or the catalogue's `used_NAME`.
    fn used(&mut self, name: &str, fields: &Fields<'_>, unit: Unit) -> Option<QueryId> {
        match fields.get("used") {
            Some(node) => self.metric(node, unit),
            None => self.measured(&format!("used_{name}"), unit),
        }
    }

    /// The query of a metric that a file names.
    fn metric(&mut self, node: &Node, unit: Unit) -> Option<QueryId> {
        let walk = self.reader.walk;
        let name = walk.text(node)?;
        let metric = self.catalogue.get_or_built_in(walk, name, node.span)?;
        if metric.unit != unit {
            let (is, wanted) = (metric.unit.as_str(), unit.as_str());
            walk.error(
                Code::UnitMismatch,
                node.span,
                format!("`{name}` is in {is}, the resource in {wanted}"),
            )
            .expected(format!("expected a metric in {wanted}"));
            return None;
        }
        Some(ask(&mut self.set.queries, &metric.query, every(self.reader)))
    }

    /// The query of a metric that the catalogue has by its usual name.
    fn measured(&mut self, name: &str, unit: Unit) -> Option<QueryId> {
        let metric = self.catalogue.find_or_built_in(name).filter(|metric| metric.unit == unit)?;
        Some(ask(&mut self.set.queries, &metric.query, every(self.reader)))
    }

    /// Its past is worth a forecast of its own.
    fn remember_use(&mut self, model: &Arc<str>, resource: &Resource) {
        let Some(query) = resource.used.as_ref().and_then(|id| self.set.queries.get(id)) else { return };
        let of = Forecasted::Used(model.clone(), resource.name.clone());
        let expr = format!("sum(\n{}\n)", query.expr).into();
        self.read.histories.push(HistoryQuestion { of, expr });
    }

    /// `growth: [METRIC]`; by default the catalogue's requests and data by tenant.
    fn growth(&mut self, node: Option<&Node>) {
        let walk = self.reader.walk;
        let question = |name: &Arc<str>, metric: &super::metrics::Metric| GrowthQuestion {
            metric: name.clone(),
            unit: metric.unit,
            expr: metric.query.clone(),
        };
        let Some(node) = node else {
            let usual = GROWTH.iter().filter_map(|name| {
                let metric = self.catalogue.find_or_built_in(name)?;
                Some(question(&Arc::from(*name), metric))
            });
            self.read.growth = usual.collect();
            return;
        };
        let named = walk.list(node).iter().filter_map(|item| {
            let name = walk.text(item)?;
            Some(question(name, self.catalogue.get_or_built_in(walk, name, item.span)?))
        });
        self.read.growth = named.collect();
    }
}

fn every(reader: &Reader<'_>) -> Duration {
    reader.settings.evaluation.interval.max(EVERY)
}

/// What a resource's numbers count where nobody says.
fn usual_unit(kind: ResourceKind, name: &str) -> Unit {
    match (kind, name) {
        (_, "cpu") => Unit::Cores,
        (_, "memory") | (ResourceKind::Storage, _) => Unit::Bytes,
        (ResourceKind::Compute, _) => Unit::Count,
    }
}

/// `forecast`: how far it looks and when people are warned.
fn forecast(reader: &Reader<'_>, node: Option<&Node>) -> (Forecasting, Warning) {
    let walk = reader.walk;
    let mut forecast = Forecasting::default();
    let mut warning = Warning::default();
    let Some(node) = node else { return (forecast, warning) };
    let keys = &["warn_within", "critical_within", "look_back", "horizon", "incident_type"];
    let fields = walk.fields(node, keys);
    let duration = |key: &str, place: &mut Duration, least: Duration| {
        if let Some(read) = fields.get(key).and_then(|node| walk.duration_from(node, least)) {
            *place = read;
        }
    };
    duration("look_back", &mut forecast.look_back, DAY * 14);
    duration("horizon", &mut forecast.horizon, DAY);
    duration("warn_within", &mut forecast.warn_within, DAY);
    duration("critical_within", &mut forecast.critical_within, Duration::ZERO);
    if forecast.critical_within >= forecast.warn_within {
        walk.error(
            Code::ImpossibleBounds,
            fields.key_span("critical_within"),
            "the critical alert would come before the warning",
        )
        .expected("expected less than `warn_within`")
        .other(fields.key_span("warn_within"));
    }
    if forecast.horizon < forecast.warn_within {
        walk.error(
            Code::ImpossibleBounds,
            fields.key_span("horizon"),
            "the forecast would end before the warning begins",
        )
        .expected("expected at least `warn_within`")
        .other(fields.key_span("warn_within"));
    }
    warning.incident_type = fields.get("incident_type").and_then(|node| reader.incident_type(node));
    (forecast, warning)
}

/// The expression for the tenants that fit, for the catalogue: of the model stated directly, the least over all
/// resources of which somebody says how much there is. It has no answer where nobody does.
pub(super) fn tenants_that_fit(set: &RuleSet) -> Arc<str> {
    let model = set.resource_requirements.as_ref().and_then(|read| read.model(DEFAULT_MODEL));
    let parts = model.into_iter().flat_map(|model| &model.resources).filter_map(|resource| {
        let Requirement { base, per_tenant } = resource.need;
        let available = match &resource.available {
            Available::Configured(number) => format!("vector({number})"),
            Available::Measured(query) => format!("sum(\n{}\n)", set.queries.get(query)?.expr),
            Available::Unknown => return None,
        };
        let name = super::promql_text(&resource.name);
        (per_tenant > 0.0).then(|| {
            format!("label_replace(floor(({available} - {base}) / {per_tenant} + 1e-9), \"resource\", {name}, \"\", \"\")")
        })
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return "(vector(0) > 1)".into();
    }
    format!("(min({}) > 0)", parts.join(" or ")).into()
}
