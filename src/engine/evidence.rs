//! Evidence: what triggers and health checks say about targets, and since when without a gap. Owns the votes; takes no
//! step. Not durable: after a restart it is gathered anew, because a step on old evidence is worse than a late one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::labels::Labels;
use crate::domain::name::TriggerName;
use crate::domain::observation::{Answer, Observation, Round};
use crate::domain::scaling::{Axis, HeldReason, Policy, Target, Trigger};

use super::Engine;

/// How many rounds a trigger's value may be away before it no longer counts as evidence.
const GAP_IN_ROUNDS: u32 = 3;

/// What the engine remembers of a target between events. Not durable: it is evidence, and evidence is gathered anew.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    pub(super) votes: BTreeMap<TriggerName, Vote>,
    pub(super) held: BTreeMap<Axis, HeldReason>,
    pub(super) looked_at: Option<Timestamp>,
    pub(super) wanted: Option<Axis>,
    pub(super) rest_until: Option<Timestamp>,
    pub(super) writing: bool,
}

impl TargetState {
    pub(super) fn held(&self, axis: Axis) -> Option<HeldReason> {
        self.held.get(&axis).copied()
    }
}

/// What one trigger says about one target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vote {
    pub(super) since: Option<Timestamp>,
    pub(super) seen_at: Timestamp,
    pub(super) value: f64,
}

/// What the health query last said about a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    pub(super) at: Timestamp,
    pub(super) well: bool,
}

impl Engine {
    /// Gives a round's values to the triggers and health checks that read its query.
    pub(super) fn feed_triggers(&mut self, round: &Round) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        let Answer::Series(samples) = &round.answer else { return };
        let interval = plan.rules.queries.get(&round.query).map_or(Duration::ZERO, |query| query.interval);
        for target in &policy.targets {
            if target.health.as_ref() == Some(&round.query) {
                let well =
                    samples.iter().any(|it| matches!(it.seen, Observation::Value(value) if value > 0.0));
                self.health.insert(target.id.clone(), Health { at: round.at, well });
            }
            let Some(state) = self.targets.get_mut(&target.id) else { continue };
            for trigger in policy.triggers.iter().filter(|trigger| trigger.query == round.query) {
                let values = samples.iter().filter(|it| speaks_of(&it.labels, target)).filter_map(|it| {
                    let Observation::Value(value) = it.seen else { return None };
                    Some(value)
                });
                let Some(value) =
                    values.fold(None, |worst: Option<f64>, it| Some(worst.map_or(it, |w| w.max(it))))
                else {
                    continue;
                };
                let known = state.votes.get(&trigger.name);
                // A gap is not a breach: after one the clock starts anew.
                let kept = known.filter(|vote| !has_passed(vote.seen_at, gap(interval), round.at));
                let since =
                    (value > trigger.threshold).then(|| kept.and_then(|vote| vote.since).unwrap_or(round.at));
                state.votes.insert(trigger.name.clone(), Vote { since, seen_at: round.at, value });
            }
        }
    }

    /// The trigger that asks for `axis` with the strongest breach, if one has been sustained on fresh evidence.
    pub(super) fn sustained<'a>(
        &self,
        policy: &'a Policy,
        target: &Target,
        axis: Axis,
        now: Timestamp,
    ) -> Option<&'a Trigger> {
        let votes = &self.targets.get(&target.id)?.votes;
        let asks = policy.triggers.iter().filter(|trigger| trigger.axis == axis).filter_map(|trigger| {
            let vote = votes.get(&trigger.name)?;
            let span = gap(self.interval_of(trigger));
            // From the future is not fresh: the clock was set back, and how old it really is nobody knows.
            let ahead = now.checked_add(span).is_ok_and(|soon| vote.seen_at > soon);
            let fresh = !ahead && !has_passed(vote.seen_at, span, now);
            let lasted = has_passed(vote.since?, policy.sustained, vote.seen_at);
            (fresh && lasted).then_some((trigger, vote.value / trigger.threshold))
        });
        asks.max_by(|one, two| one.1.total_cmp(&two.1)).map(|(trigger, _)| trigger)
    }

    fn interval_of(&self, trigger: &Trigger) -> Duration {
        self.plan.rules.queries.get(&trigger.query).map_or(Duration::ZERO, |query| query.interval)
    }
}

/// Whether labels name the target: its service, and its namespace where they carry one.
pub(super) fn speaks_of(labels: &Labels, target: &Target) -> bool {
    labels.get("service") == Some(&target.service)
        && labels.get("namespace").is_none_or(|namespace| *namespace == *target.id.namespace)
}

fn gap(interval: Duration) -> Duration {
    interval.saturating_mul(GAP_IN_ROUNDS).max(Duration::from_secs(3))
}
