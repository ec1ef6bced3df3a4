//! The button that silences for an hour. Owns which alerts that means: those of the incident that fire now, about its
//! subject, and no others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::headline::clock_seen;
use crate::domain::incident::Incident;
use crate::domain::matcher::{Matcher, Matchers};
use crate::domain::silence::{Silence, SilenceRequest};
use crate::domain::suppression::Suppression;
use crate::engine::Engine;

use super::Outcome;
use super::slack::Answered;

/// How long the button silences.
const HOUR: Duration = Duration::from_secs(3_600);

/// The silences that one click makes: one for each kind of alert in the incident.
pub(super) fn silences(
    engine: &Engine,
    incident: &Incident,
    by: &Arc<str>,
    now: Timestamp,
) -> Result<Vec<Silence>, Answered> {
    let id = &incident.id;
    if let Some(Suppression::Silenced { until, .. }) = engine.suppressed(id, now) {
        let text = format!("{id} is already silenced until {}.", clock_seen(until, now));
        return Err(Answered { outcome: Outcome::Stale, text });
    }
    let firing = incident.alerts.values().filter(|member| member.firing);
    let names: BTreeSet<Option<&str>> = firing.map(|member| member.labels.get("alertname")).collect();
    let subject = || incident.subject.iter().map(|(name, value)| Matcher::equal(name, value));
    let request = |alert: Option<&str>| SilenceRequest {
        matchers: Matchers::new(subject().chain(alert.map(|alert| Matcher::equal("alertname", alert)))),
        starts_at: now,
        ends_at: now.checked_add(HOUR).unwrap_or(Timestamp::MAX),
        author: by.clone(),
        comment: format!("silenced for an hour in Slack, on {id}").into(),
    };
    let made: Result<Vec<Silence>, _> =
        names.into_iter().map(|alert| Silence::new(request(alert), None, now)).collect();
    match made {
        Ok(silences) if !silences.is_empty() => Ok(silences),
        Ok(_) => Err(Answered { outcome: Outcome::Stale, text: format!("Nothing of {id} fires any more.") }),
        Err(fault) => Err(Answered {
            outcome: Outcome::Ignored,
            text: format!("{id} cannot be silenced here: {fault}. Nothing was changed."),
        }),
    }
}

/// What whoever clicked is told: an incident that is held back is told nowhere.
pub(super) fn told(silences: &[Silence], now: Timestamp) -> String {
    let until = silences.iter().map(|silence| silence.ends_at).max().unwrap_or(now);
    let which: Vec<String> = silences.iter().map(|silence| format!("`{}`", silence.matchers)).collect();
    format!("Silenced until {}: {}.", clock_seen(until, now), which.join(" and "))
}
