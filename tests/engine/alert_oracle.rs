//! A second, deliberately naive alert: it keeps the whole history and asks it every question anew. It knows nothing of
//! absence, and has to agree with the real one on every sequence of values.

use std::time::Duration;

use proptest::prelude::*;
use runbookd::domain::alert::{Alert, AlertState};
use runbookd::domain::labels::Labels;
use runbookd::domain::observation::Observation;
use runbookd::domain::rule::{Condition, Rule, Thresholds};
use runbookd::domain::severity::Severity;

use crate::made::{at, rule};

struct Naive<'r> {
    limits: &'r Thresholds,
    keep: Duration,
    /// Seconds and values.
    seen: Vec<(i64, f64)>,
    state: AlertState,
}

impl Naive<'_> {
    fn level(&self, value: f64) -> Option<Severity> {
        let beyond = |severity: &Severity| {
            let limit = self.limits.of(*severity);
            limit.is_some_and(|limit| self.limits.direction.is_beyond(value, limit.value))
        };
        [Severity::Critical, Severity::Warning].into_iter().find(beyond)
    }

    fn is_clear(&self, value: f64) -> bool {
        !self.limits.direction.is_beyond(value, self.limits.clear)
    }

    /// When the unbroken run of values that `holds`, up to the last one, began.
    fn since(&self, holds: impl Fn(f64) -> bool) -> Option<i64> {
        self.seen.iter().rev().take_while(|(_, value)| holds(*value)).last().map(|(at, _)| *at)
    }

    fn has_lasted(&self, since: Option<i64>, span: Duration) -> bool {
        let last = self.seen.last().map_or(0, |(at, _)| *at);
        since.is_some_and(|since| last - since >= i64::try_from(span.as_secs()).expect("a short span"))
    }

    fn breached_since(&self, severity: Severity) -> Option<i64> {
        let limit = self.limits.of(severity)?;
        self.since(|value| self.limits.direction.is_beyond(value, limit.value))
    }

    fn matured(&self) -> Option<Severity> {
        [Severity::Critical, Severity::Warning].into_iter().find(|severity| {
            let limit = self.limits.of(*severity);
            limit.is_some_and(|limit| self.has_lasted(self.breached_since(*severity), limit.hold))
        })
    }

    fn see(&mut self, seconds: i64, value: f64) {
        self.seen.push((seconds, value));
        let now = at(seconds);
        self.state = match self.state {
            AlertState::Firing { severity, since } => {
                let calm = self.since(|value| self.level(value) != Some(Severity::Critical));
                let beyond = |start| {
                    self.seen
                        .iter()
                        .find(|(at, value)| *at >= start && !self.is_clear(*value))
                        .map(|(at, _)| *at)
                };
                if self.is_clear(value) {
                    if self.has_lasted(self.since(|value| self.is_clear(value)), self.keep) {
                        AlertState::Resolved { severity, at: now }
                    } else {
                        self.state
                    }
                } else if severity == Severity::Warning && self.matured() == Some(Severity::Critical) {
                    AlertState::Firing { severity: Severity::Critical, since }
                } else if severity == Severity::Critical
                    && self.limits.warning.is_some()
                    && self.has_lasted(calm.and_then(beyond), self.keep)
                {
                    AlertState::Firing { severity: Severity::Warning, since }
                } else {
                    self.state
                }
            }
            AlertState::Inactive | AlertState::Pending { .. } | AlertState::Resolved { .. } => {
                let first =
                    [Severity::Warning, Severity::Critical].map(|severity| self.breached_since(severity));
                match (self.matured(), self.level(value), first.into_iter().flatten().min()) {
                    (Some(severity), _, _) => AlertState::Firing { severity, since: now },
                    (None, Some(severity), Some(first)) => AlertState::Pending { severity, since: at(first) },
                    (None, _, _) if matches!(self.state, AlertState::Pending { .. }) => AlertState::Inactive,
                    (None, _, _) => self.state,
                }
            }
        };
    }
}

const RULES: [&str; 8] = [
    "warning: 70%, critical: 90%",
    "warning: 70%, critical: 90%, for: 60s",
    "warning: 70%, critical: 90%, for: {warning: 90s, critical: 30s}, keep_firing_for: 45s",
    "warning: 70%, critical: 90%, for: {warning: 30s, critical: 120s}, clear: 50%",
    "warning: 70%, clear: 60%, keep_firing_for: 60s",
    "critical: 90%, for: 30s, clear: 80%",
    "warning: 30%, critical: 10%, for: 45s, clear: 50%",
    "warning: 70%, critical: 90%, clear: 40%, keep_firing_for: 90s",
];

fn agree(rule: &Rule, steps: &[(i64, f64)]) -> Result<(), TestCaseError> {
    let Condition::Threshold(limits) = &rule.condition else { panic!("a threshold rule") };
    let mut naive =
        Naive { limits, keep: rule.keep_firing_for, seen: Vec::new(), state: AlertState::Inactive };
    let mut alert = Alert::new(at(0));
    let mut seconds = 0;
    for (pause, value) in steps {
        seconds += pause;
        alert.observe(Observation::Value(*value), rule, &Labels::empty(), at(seconds));
        naive.see(seconds, *value);
        prop_assert_eq!(alert.state, naive.state, "after {:?} of {}", naive.seen, rule.id);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_alert_agrees_with_the_naive_one(
        which in 0..RULES.len(),
        steps in proptest::collection::vec(
            (1_i64..60, proptest::sample::select(vec![
                0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95,
                f64::INFINITY, f64::NEG_INFINITY,
            ])),
            1..60,
        ),
    ) {
        thread_local! {
            static MADE: Vec<std::sync::Arc<Rule>> = RULES.iter().map(|fields| rule(fields)).collect();
        }
        MADE.with(|rules| agree(&rules[which], &steps))?;
    }
}
