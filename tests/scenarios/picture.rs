//! Pictures: what stands of an engine's state before and after an event, and the difference in words. Owns which
//! changes a scenario has to list: every one of an alert, an incident or a rest.

use std::collections::{BTreeMap, BTreeSet};

use runbookd::domain::headline::clock;
use runbookd::domain::labels::Labels;
use runbookd::domain::name::RuleId;
use runbookd::domain::scaling::{Axis, Direction};
use runbookd::engine::Engine;
use runbookd::engine::report::Report;

const WELL: (&str, &str) = ("inactive", "within_thresholds");

/// What stands of the state.
#[derive(Default)]
pub(crate) struct Picture {
    /// By name: state with severity, reason.
    alerts: BTreeMap<String, (String, &'static str)>,
    incidents: BTreeMap<String, String>,
    rests: BTreeMap<String, String>,
}

impl Picture {
    pub(crate) fn of(engine: &Engine) -> Self {
        let alerts = engine.alerts().map(|(rule, series, alert)| {
            let severity = alert.state.severity().filter(|_| alert.state.as_str() != "inactive");
            let state = match severity {
                Some(severity) => format!("{} {severity}", alert.state.as_str()),
                None => alert.state.as_str().to_owned(),
            };
            (alert_name(rule, series), (state, alert.reason.as_str()))
        });
        let incidents =
            engine.incidents().map(|it| (it.id.to_string(), format!("{} {}", it.state, it.severity)));
        let targets = engine.plan().rules.policy.iter().flat_map(|policy| &policy.targets);
        let rests =
            targets.flat_map(|target| Axis::ALL.map(|axis| (target, axis))).flat_map(|(target, axis)| {
                Direction::ALL.into_iter().filter_map(move |direction| {
                    let until = engine.cooldown(&target.id, axis, direction)?;
                    let back = if direction == Direction::In { " back" } else { "" };
                    Some((format!("{} {axis}{back}", target.id), clock(until)))
                })
            });
        Self { alerts: alerts.collect(), incidents: incidents.collect(), rests: rests.collect() }
    }

    /// What changed about alerts. A change of state must have been reported, and nothing else may have been.
    pub(crate) fn alerts_since(&self, before: &Self, reports: &[Report]) -> Vec<String> {
        let mut out = Vec::new();
        let mut reported: BTreeSet<String> = reports
            .iter()
            .filter_map(|report| match report {
                Report::Alert { rule, series, .. } => Some(alert_name(rule, series)),
                Report::Incident { .. }
                | Report::Scaling { .. }
                | Report::Held { .. }
                | Report::Paused { .. }
                | Report::Sight { .. }
                | Report::Diagnosed { .. }
                | Report::Suppressed { .. }
                | Report::Silence { .. }
                | Report::External { .. }
                | Report::Trouble { .. } => None,
            })
            .collect();
        let names: BTreeSet<&String> = before.alerts.keys().chain(self.alerts.keys()).collect();
        let well = (WELL.0.to_owned(), WELL.1);
        for name in names {
            let was = before.alerts.get(name).unwrap_or(&well);
            let Some(is) = self.alerts.get(name) else {
                let told = reported.remove(name);
                if was.0.starts_with("resolved") {
                    out.push(format!("{name} forgotten"));
                } else if was.0 != WELL.0 || told {
                    out.push(format!("{name} gone{}", if told { "" } else { " (not reported)" }));
                }
                continue;
            };
            let told = reported.remove(name);
            let ended = was.0 == is.0 && is.0.starts_with("resolved");
            if was.0 != is.0 || (was.1 != is.1 && !ended) {
                let untold = if was.0 != is.0 && !told { " (not reported)" } else { "" };
                out.push(format!("{name} {}: {}{untold}", is.0, is.1));
            }
        }
        out.extend(reported.into_iter().map(|name| format!("{name} reported without a change")));
        out
    }

    /// What changed about incidents.
    pub(crate) fn incidents_since(&self, before: &Self) -> Vec<String> {
        changed(&self.incidents, &before.incidents, |id, state| format!("{id} {state}"))
    }

    /// What changed about rests.
    pub(crate) fn rests_since(&self, before: &Self) -> Vec<String> {
        changed(&self.rests, &before.rests, |place, until| format!("{place} rests until {until}"))
    }
}

fn changed(
    now: &BTreeMap<String, String>,
    before: &BTreeMap<String, String>,
    say: impl Fn(&str, &str) -> String,
) -> Vec<String> {
    let moved = now.iter().filter(|(key, value)| before.get(*key) != Some(value));
    let moved = moved.map(|(key, value)| say(key, value));
    let gone = before.keys().filter(|key| !now.contains_key(*key)).map(|key| say(key, "gone"));
    moved.chain(gone).collect()
}

/// `cpu_usage{service="checkout"}`: the rule's last word and the series.
fn alert_name(rule: &RuleId, series: &Labels) -> String {
    let name = rule.as_str().rsplit('/').next().unwrap_or_default();
    format!("{name}{series}")
}
