//! Capacity's past: asks once an hour for what forecasts are made of and hands it to the core. Owns the rhythm, the grid
//! and the bound on what is asked; what follows from the values is the engine's business.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::core::{Core, clock};
use crate::domain::Timestamp;
use crate::domain::capacity::growth::{Looks, TENANT};
use crate::domain::capacity::trend::History;
use crate::domain::capacity::{GrowthQuestion, HistoryQuestion, ResourceRequirements};
use crate::domain::labels::Labels;
use crate::domain::observation::Observation;
use crate::engine::event::Event;
use crate::prometheus::{MOST_POINTS, QueryError, Span};

use super::running::Running;

/// How often the past is asked for.
const EVERY: Duration = Duration::from_secs(3_600);

/// How soon again where something could not be had.
const AGAIN: Duration = Duration::from_secs(300);

/// The steps of the grid, in seconds. Each divides a day, so that the slots of a day stay the same.
const STEPS: [i64; 5] = [3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400];

/// How many weeks back the growth by tenant looks.
const WEEKS: i64 = 4;

/// The most tenants whose growth is listed.
const MOST_TENANTS: usize = 10_000;

/// Asks for ever, until told to stop; at once at the start and after every reload.
pub(super) async fn follow_capacity(
    mut configured: watch::Receiver<Arc<Running>>,
    core: Core,
    stop: CancellationToken,
) {
    loop {
        let running = configured.borrow_and_update().clone();
        let asked = async {
            match &running.plan.rules.resource_requirements {
                Some(required) => Asking { running: &running, core: &core }.all(required).await,
                None => true,
            }
        };
        let is_whole = tokio::select! {
            () = stop.cancelled() => return,
            is_whole = asked => is_whole,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if is_whole { EVERY } else { AGAIN }) => {}
            changed = configured.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

struct Asking<'r> {
    running: &'r Running,
    core: &'r Core,
}

impl Asking<'_> {
    /// Asks for everything, one question after the other; says whether all was answered.
    async fn all(&self, required: &ResourceRequirements) -> bool {
        let mut is_whole = true;
        for question in &required.histories {
            is_whole &= self.history(question, required.forecast.look_back).await;
        }
        for question in &required.growth {
            is_whole &= self.growth(question).await;
        }
        is_whole
    }

    async fn history(&self, question: &HistoryQuestion, look_back: Duration) -> bool {
        let step = step_for(look_back);
        let span = span(step, clock::now(), self.running.settings.prometheus.timeout);
        let answer = self.running.prometheus.query_range(&question.expr, span, &Labels::empty()).await;
        let seen = match answer {
            Ok(values) => Ok(History { step, values: values.unwrap_or_default() }),
            Err(error) => {
                warn!(query = %question.expr, reason = %error.failure, detail = error.detail,
                    "the past could not be asked for");
                Err(error.failure)
            }
        };
        let is_answered = seen.is_ok();
        // The core only goes away when the daemon stops.
        let _ = self.core.send(Event::History { of: question.of.clone(), seen }).await;
        is_answered
    }

    async fn growth(&self, question: &GrowthQuestion) -> bool {
        let now = clock::now();
        let mut seen = Vec::new();
        for week in (0..=WEEKS).rev() {
            let Ok(at) = now.checked_sub(SignedDuration::from_hours(week * 7 * 24)) else { continue };
            match self.by_tenant(&question.expr, at).await {
                Ok(values) if !values.is_empty() => seen.push((at, values)),
                Ok(_) => {}
                Err(error) => {
                    debug!(query = %question.expr, reason = %error.failure, "growth could not be asked for");
                    return false;
                }
            }
        }
        let looks = Looks { metric: question.metric.clone(), unit: question.unit, seen };
        let _ = self.core.send(Event::Looked(Box::new(looks))).await;
        true
    }

    async fn by_tenant(&self, expr: &str, at: Timestamp) -> Result<BTreeMap<Arc<str>, f64>, QueryError> {
        let samples = self.running.prometheus.query_vector(expr, at).await?;
        let values = samples.iter().filter_map(|sample| match sample.seen {
            Observation::Value(value) => Some((Arc::from(sample.labels.get(TENANT)?), value)),
            Observation::NotANumber | Observation::Stale | Observation::Missing | Observation::Failed(_) => {
                None
            }
        });
        Ok(values.take(MOST_TENANTS).collect())
    }
}

/// The finest step by which the points that are asked for at most reach back far enough.
fn step_for(look_back: Duration) -> i64 {
    let steps = i64::from(MOST_POINTS - 1);
    let wanted = i64::try_from(look_back.as_secs()).unwrap_or(i64::MAX);
    STEPS.into_iter().find(|step| step * steps >= wanted).unwrap_or(86_400)
}

/// The span of whole steps that ends at the last one before now: every hour asks for the same instants.
fn span(step: i64, now: Timestamp, within: Duration) -> Span {
    let last = now.as_second() - now.as_second().rem_euclid(step);
    let at = |second| Timestamp::from_second(second).unwrap_or(now);
    Span { from: at(last - step * i64::from(MOST_POINTS - 1)), to: at(last), within }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_back_is_asked_for_in_steps_that_divide_a_day() {
        let day = Duration::from_secs(86_400);
        let now: Timestamp = "2026-11-24T18:47:31Z".parse().unwrap();
        for (days, hours) in [(7, 1), (10, 1), (14, 3), (30, 3), (60, 6), (120, 12), (200, 24), (5_000, 24)] {
            let step = step_for(day * days);
            assert_eq!(step, hours * 3_600, "{days} days");
            let span = span(step, now, day);
            assert_eq!(span.step(), step, "the grid of the answer is the one asked for");
            assert_eq!(span.to.as_second() % step, 0);
            assert!(span.to <= now && now.as_second() - span.to.as_second() < step);
        }
    }
}
