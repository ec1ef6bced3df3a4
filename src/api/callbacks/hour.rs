//! The button that silences for an hour what fires in an incident now. Owns how long that is and what whoever clicked
//! is told, who hears nothing else: an incident that is held back is told nowhere.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::headline::clock_seen;
use crate::domain::incident::Incident;
use crate::domain::silence::{Silence, SilenceRequest};
use crate::domain::suppression::Suppression;
use crate::engine::Engine;

use super::Outcome;
use super::slack::Answered;

/// How long the button silences.
const HOUR: Duration = Duration::from_secs(3_600);

/// The silence that a click makes, or why it makes none.
pub(super) fn silence(
    engine: &Engine,
    incident: &Incident,
    by: &Arc<str>,
    now: Timestamp,
) -> Result<Silence, Answered> {
    let id = &incident.id;
    if let Some(Suppression::Silenced { until, .. }) = engine.suppressed(id, now) {
        let text = format!("{id} is already silenced until {}.", clock_seen(until, now));
        return Err(Answered { outcome: Outcome::Stale, text });
    }
    let asked = incident.silence_matchers().map(|matchers| SilenceRequest {
        matchers,
        starts_at: now,
        ends_at: now.checked_add(HOUR).unwrap_or(Timestamp::MAX),
        author: by.clone(),
        comment: format!("{id}, silenced from Slack").into(),
    });
    asked.and_then(|asked| Silence::new(asked, None, now).ok()).ok_or_else(|| Answered {
        outcome: Outcome::Ignored,
        text: format!("There is no label to silence {id} by; nothing was changed."),
    })
}

/// What whoever clicked is told.
pub(super) fn told(silence: &Silence, now: Timestamp) -> String {
    format!("Silenced until {}: `{}`.", clock_seen(silence.ends_at, now), silence.matchers)
}
