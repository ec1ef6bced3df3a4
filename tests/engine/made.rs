//! Plans and rules made from the files' own language.

use std::sync::Arc;

use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::Timestamp;
use runbookd::domain::rule::Rule;
use runbookd::engine::plan::Plan;

/// The plan of a configuration, as the daemon makes it.
pub(crate) fn plan(config: &str, rules: &str) -> Arc<Plan> {
    let sources = Sources::from_texts(&[("config.yaml", config)], &[("rules.yaml", rules)]);
    let loaded = parse(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    Arc::new(plan_of(&loaded.settings, loaded.rules))
}

/// One rule about `cpu_usage` with these fields.
pub(crate) fn rule(fields: &str) -> Arc<Rule> {
    let text = format!("monitoring: {{metrics: {{system: [cpu_usage: {{{fields}}}]}}}}");
    plan("", &text).rules.rules.values().next().cloned().expect("a rule")
}

/// One Prometheus alerting rule with these fields.
pub(crate) fn prometheus_rule(fields: &str) -> Arc<Rule> {
    let text = format!(
        "groups: [{{name: shop, rules: [{{alert: Up, expr: up == 0, labels: {{severity: page}}, {fields}}}]}}]"
    );
    plan("", &text).rules.rules.values().next().cloned().expect("a rule")
}

/// So many seconds after the start.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-11-23T03:00:00Z".parse().expect("a time");
    Timestamp::from_second(start.as_second() + seconds).expect("a time")
}
