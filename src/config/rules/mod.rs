//! The blocks of `rules/`: one file for each. Owns their defaults and the order in which they refer to each other.

mod annotation;
mod backup;
mod backup_rules;
mod capacity;
mod groups;
mod inhibition;
mod intervals;
mod link;
mod metrics;
mod model_rule;
mod monitoring;
mod responses;
mod scaling;
mod summary;
mod threshold;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::Code;
use super::merge::Blocks;
use super::settings::Settings;
use super::suggest::suggestion;
use super::tree::Node;
use super::walk::Walk;
use crate::domain::name::{IncidentTypeName, QueryId, RuleId};
use crate::domain::quantity::show_duration;
use crate::domain::rule::{Query, Rule, RuleSet};

pub(crate) use monitoring::DEFAULT_INCIDENT_TYPE;

/// What every block of rules is read with.
struct Reader<'a> {
    walk: &'a Walk<'a>,
    settings: &'a Settings,
    /// The incident types that a rule may name.
    incident_types: BTreeSet<Arc<str>>,
}

/// Reads everything that `rules/` says.
pub(crate) fn read(walk: &Walk<'_>, blocks: &Blocks, settings: &Settings) -> RuleSet {
    let incident_types = settings.incident_types.keys().map(|name| name.as_str().into()).collect();
    let reader = Reader { walk, settings, incident_types };
    let mut set = RuleSet::default();
    let mut catalogue = metrics::read(&reader, blocks);
    if let Some(node) = blocks.get("resource_requirements") {
        capacity::read(&reader, node, &catalogue, &mut set);
    }
    catalogue.fit(&reader, &capacity::tenants_that_fit(&set));
    if let Some(node) = blocks.get("alert_responses") {
        set.responses = responses::read(&reader, node);
    }
    let intervals = ["time_intervals", "mute_time_intervals"].into_iter();
    set.time_intervals = intervals::read(walk, intervals.filter_map(|key| blocks.get(key)));
    if let Some(node) = blocks.get("inhibit_rules") {
        set.inhibit_rules = inhibition::read(walk, node);
    }
    if let Some(node) = blocks.get("monitoring") {
        monitoring::read(&reader, node, &catalogue, &mut set);
    }
    if let Some(node) = blocks.get("groups") {
        groups::read(&reader, node, &mut set);
    }
    if let Some(node) = blocks.get("scale_out_strategy") {
        let policy = scaling::read(&reader, node, &catalogue, &set.time_intervals, &mut set.queries);
        set.policy = Some(policy);
    }
    if let Some(node) = blocks.get("backup_configuration") {
        backup::read(&reader, node, &catalogue, &mut set);
    }
    set
}

impl Reader<'_> {
    /// The name of a configured incident type.
    fn incident_type(&self, node: &Node) -> Option<IncidentTypeName> {
        let name = self.walk.text(node)?;
        if self.incident_types.contains(name) {
            return Some(IncidentTypeName::from(name.clone()));
        }
        let help = suggestion(name, self.incident_types.iter().map(AsRef::as_ref));
        self.walk
            .error(Code::UnknownIncidentType, node.span, format!("there is no incident type `{name}`"))
            .expected("expected a name of `incident_types` in config/")
            .maybe_help(help);
        None
    }

    /// How often a rule is evaluated.
    fn interval(&self, node: &Node) -> Option<Duration> {
        self.walk.duration_from(node, Duration::from_secs(1))
    }
}

/// The query of an expression and an interval; the same two always give the same id.
fn ask(queries: &mut BTreeMap<QueryId, Query>, expr: &Arc<str>, interval: Duration) -> QueryId {
    let id = QueryId::from(format!("{}|{expr}", show_duration(interval)));
    queries.entry(id.clone()).or_insert_with(|| Query { id: id.clone(), expr: expr.clone(), interval });
    id
}

fn put(set: &mut RuleSet, id: RuleId, rule: Rule) {
    set.rules.insert(id, Arc::new(rule));
}

/// The response that fits a metric's name: `high_cpu` fits `cpu_usage`, `high_error_rate` fits `error_rate`.
fn fitting<'s>(metric: &str, mut names: impl Iterator<Item = &'s Arc<str>>) -> Option<Arc<str>> {
    let mut best: Option<&Arc<str>> = None;
    for name in names.by_ref() {
        let stem = ["high_", "low_", "slow_"].iter().find_map(|head| name.strip_prefix(head)).unwrap_or(name);
        let fits = metric.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        if fits && !stem.is_empty() && best.is_none_or(|other| other.len() < name.len()) {
            best = Some(name);
        }
    }
    best.cloned()
}

/// A text as PromQL writes it.
fn promql_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a word may name a label.
fn is_label_name(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_fits_the_metric_its_name_speaks_of() {
        let names: Vec<Arc<str>> =
            ["high_cpu", "high_error_rate", "high_error", "slow_query_time"].map(Arc::from).to_vec();
        let of = |metric| fitting(metric, names.iter());
        assert_eq!(of("cpu_usage").as_deref(), Some("high_cpu"));
        assert_eq!(of("error_rate").as_deref(), Some("high_error_rate"));
        assert_eq!(of("query_time").as_deref(), Some("slow_query_time"));
        assert_eq!(of("cpus"), None);
        assert_eq!(of("memory_usage"), None);
    }
}
