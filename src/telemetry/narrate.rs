//! Narration: the engine's reports as log lines and counts. One line a decision, a constant message with fields.

use tracing::{info, warn};

use crate::domain::alert::AlertChange;
use crate::engine::report::Report;

use super::metrics::{DiagnosisLabels, Metrics, ReasonLabels, ScalingLabels};

/// Logs and counts a decision.
pub fn narrate(report: &Report, metrics: &Metrics) {
    match report {
        Report::Alert { rule, series, change, reason, value } => {
            let change = match change {
                AlertChange::Same => "same",
                AlertChange::Pending => "pending",
                AlertChange::Withdrawn => "withdrawn",
                AlertChange::Fired(_) => "firing",
                AlertChange::Worsened(_) => "worsened",
                AlertChange::Eased(_) => "eased",
                AlertChange::Resolved => "resolved",
            };
            info!(%rule, %series, change, %reason, value = value.unwrap_or(f64::NAN), "alert moved");
        }
        Report::External { labels, began, reason } => {
            info!(%labels, began, %reason, "external alert moved");
        }
        Report::Incident { id, event, severity, headline, channels } => {
            info!(incident = %id, %event, %severity, %headline, channels, "incident told");
        }
        Report::Scaling { action, target, axis, state, reason, change, evidence } => {
            let outcome = state.as_str();
            info!(%action, %target, %axis, state = outcome, reason, %change, %evidence, "scaling action moved");
            metrics
                .scaling_actions
                .get_or_create(&ScalingLabels { axis: axis.as_str(), outcome, reason })
                .inc();
        }
        Report::Held { target, axis, direction, reason } => {
            info!(%target, %axis, %direction, %reason, "scaling step held");
            metrics.scaling_held.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc();
        }
        Report::Paused { target, by, paused } => {
            info!(%target, by = %by, paused, "scaling paused or resumed");
        }
        Report::Diagnosed { incident, step, kind, failure } => {
            let (kind, outcome) = (kind.as_str(), failure.map_or("found", |failure| failure.as_str()));
            info!(%incident, %step, kind, outcome, "diagnosis step ended");
            metrics.diagnosis_steps.get_or_create(&DiagnosisLabels { kind, outcome }).inc();
        }
        Report::Suppressed { id, why: Some(why) } => {
            info!(incident = %id, reason = why.as_str(), %why, "incident held back");
            metrics.incidents_held.get_or_create(&ReasonLabels { reason: why.as_str() }).inc();
        }
        Report::Suppressed { id, why: None } => info!(incident = %id, "incident no longer held back"),
        Report::Silence { id, moved, by, matchers, until } => {
            info!(silence = %id, moved = moved.as_str(), by = %by, %matchers, %until, "silence moved");
        }
        Report::Trouble { trouble, began } => {
            warn!(trouble = trouble.as_str(), began, "the daemon's own trouble moved");
        }
        Report::Sight { blind } => {
            metrics.blind.set(i64::from(*blind));
            if *blind {
                warn!("blind: no query was answered; nothing resolves or scales until one is");
            } else {
                info!("sees again: a query was answered");
            }
        }
    }
}
