//! Evidence: what triggers and health checks say about targets, and since when without a gap. Owns the votes; takes no
//! step. Not durable: after a restart it is gathered anew, because a step on old evidence is worse than a late one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::headline::spoken;
use crate::domain::labels::Labels;
use crate::domain::name::{QueryId, TargetId, TriggerName};
use crate::domain::observation::{Answer, Observation, Round};
use crate::domain::rest::Rest;
use crate::domain::scaling::{Axis, Ballot, Direction, HeldReason, Policy, Target, Trigger};

use super::Engine;
use super::plan::Plan;
use super::scaling::Wanted;

/// How many rounds a trigger's value may be away before it no longer counts as evidence.
const GAP_IN_ROUNDS: u32 = 3;

/// Which targets a service's series speak of, and which triggers and health checks read a query; made anew with each
/// plan. A round costs one look-up a series and one a target that it speaks of, however many targets there are.
#[derive(Debug, Default)]
pub(super) struct TargetIndex {
    by_service: BTreeMap<Arc<str>, Vec<usize>>,
    triggers: BTreeMap<QueryId, Vec<usize>>,
    health: BTreeMap<QueryId, Vec<usize>>,
    by_id: BTreeMap<TargetId, usize>,
}

impl TargetIndex {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut index = Self::default();
        let Some(policy) = &plan.rules.policy else { return index };
        for (at, target) in policy.targets.iter().enumerate() {
            index.by_service.entry(target.service.clone()).or_default().push(at);
            index.by_id.insert(target.id.clone(), at);
            if let Some(query) = &target.health {
                index.health.entry(query.clone()).or_default().push(at);
            }
        }
        for (at, trigger) in policy.triggers.iter().enumerate() {
            index.triggers.entry(trigger.query.clone()).or_default().push(at);
        }
        index
    }

    pub(super) fn place_of(&self, id: &TargetId) -> Option<usize> {
        self.by_id.get(id).copied()
    }
}

/// What the engine remembers of a target between events. Not durable: it is evidence, and evidence is gathered anew.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    pub(super) votes: BTreeMap<TriggerName, Vote>,
    pub(super) held: BTreeMap<(Axis, Direction), HeldReason>,
    pub(super) looked_at: Option<Timestamp>,
    pub(super) wanted: Option<Wanted>,
    pub(super) rests: BTreeMap<(Axis, Direction), Respite>,
    /// The last write: what was asked before it is no evidence for another step, also where it is answered after.
    pub(super) evidence_after: Option<Timestamp>,
    pub(super) writing: bool,
    pub(super) seen: Option<Seen>,
    /// The last look failed: nobody knows what it is like.
    pub(super) unseen: bool,
}

impl TargetState {
    pub(super) fn held(&self, axis: Axis, direction: Direction) -> Option<&HeldReason> {
        self.held.get(&(axis, direction))
    }
}

/// A while in which no step of an axis and direction is tried, and why, where that outlasts the evidence for the step.
#[derive(Debug, Clone)]
pub(super) struct Respite {
    pub(super) rest: Rest,
    pub(super) why: Option<HeldReason>,
}

/// What a target was like when it was last looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) replicas: u32,
}

/// What one trigger says about one target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vote {
    /// Since when the value is above the threshold, without a gap.
    pub(super) since: Option<Timestamp>,
    /// Since when it is not, without a gap.
    pub(super) well_since: Option<Timestamp>,
    /// Since when it is at or below `clear`, without a gap.
    pub(super) clear_since: Option<Timestamp>,
    pub(super) seen_at: Timestamp,
    pub(super) value: f64,
}

impl Vote {
    fn next(known: Option<Self>, value: f64, trigger: &Trigger, at: Timestamp) -> Self {
        // From the future: the clock was set back, and how long it has lasted nobody knows.
        let run = |now: bool, since: Option<Timestamp>| now.then(|| since.map_or(at, |since| since.min(at)));
        Self {
            since: run(value > trigger.threshold, known.and_then(|vote| vote.since)),
            well_since: run(value <= trigger.threshold, known.and_then(|vote| vote.well_since)),
            clear_since: run(value <= trigger.clear, known.and_then(|vote| vote.clear_since)),
            seen_at: at,
            value,
        }
    }

    /// What was seen so far is no evidence for another step.
    pub(super) fn forget(&mut self) {
        (self.since, self.well_since, self.clear_since) = (None, None, None);
    }
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
        for at in self.target_index.health.get(&round.query).into_iter().flatten() {
            let well = samples.iter().any(|it| matches!(it.seen, Observation::Value(value) if value > 0.0));
            let id = policy.targets[*at].id.clone();
            self.health.insert(id, Health { at: round.at, well });
        }
        let Some(readers) = self.target_index.triggers.get(&round.query) else { return };
        // The worst value that speaks of each target.
        let mut worst: BTreeMap<usize, f64> = BTreeMap::new();
        for sample in samples {
            let Observation::Value(value) = sample.seen else { continue };
            let Some(service) = sample.labels.get("service") else { continue };
            for at in self.target_index.by_service.get(service).into_iter().flatten() {
                if speaks_of(&sample.labels, &policy.targets[*at]) {
                    worst.entry(*at).and_modify(|known| *known = known.max(value)).or_insert(value);
                }
            }
        }
        for (at, value) in worst {
            let Some(state) = self.targets.get_mut(&policy.targets[at].id) else { continue };
            for trigger in readers.iter().map(|at| &policy.triggers[*at]) {
                let known = state.votes.get(&trigger.name).copied();
                // A gap is not a breach: after one the clock starts anew.
                let kept = known.filter(|vote| !has_passed(vote.seen_at, gap(interval), round.at));
                let mut vote = Vote::next(kept, value, trigger, round.at);
                if state.evidence_after.is_some_and(|write| round.at <= write) {
                    vote.forget();
                }
                state.votes.insert(trigger.name.clone(), vote);
            }
        }
    }

    /// The triggers that ask for `axis`, the strongest breach first: those that have been sustained on fresh evidence.
    pub(super) fn asking<'a>(
        &self,
        policy: &'a Policy,
        target: &Target,
        axis: Axis,
        now: Timestamp,
    ) -> Vec<&'a Trigger> {
        let Some(state) = self.targets.get(&target.id) else { return Vec::new() };
        let grown = self.has_grown(policy, target, now);
        let mut asks: Vec<(&Trigger, f64)> = policy
            .triggers
            .iter()
            .filter(|trigger| trigger.axis(policy, grown) == axis)
            .filter_map(|trigger| {
                let vote = self.fresh(state.votes.get(&trigger.name)?, trigger, now)?;
                let lasted = has_passed(vote.since?, policy.sustained, vote.seen_at);
                lasted.then_some((trigger, vote.value / trigger.threshold))
            })
            .collect();
        asks.sort_by(|one, two| two.1.total_cmp(&one.1));
        asks.into_iter().map(|(trigger, _)| trigger).collect()
    }

    /// Whether every trigger has been at or below its `clear` for `stabilize`, on fresh evidence.
    pub(super) fn all_clear(
        &self,
        policy: &Policy,
        target: &Target,
        stabilize: Duration,
        now: Timestamp,
    ) -> bool {
        let Some(state) = self.targets.get(&target.id) else { return false };
        !policy.triggers.is_empty()
            && policy.triggers.iter().all(|trigger| {
                let vote = state.votes.get(&trigger.name).and_then(|vote| self.fresh(vote, trigger, now));
                vote.and_then(|vote| Some((vote.clear_since?, vote.seen_at)))
                    .is_some_and(|(since, seen_at)| has_passed(since, stabilize, seen_at))
            })
    }

    /// Whether no trigger that may ask for `axis` has been above its threshold for `sustained`, on fresh evidence.
    pub(super) fn has_no_breach(&self, policy: &Policy, target: &Target, axis: Axis, now: Timestamp) -> bool {
        let Some(state) = self.targets.get(&target.id) else { return false };
        policy.triggers.iter().filter(|trigger| trigger.may_ask(axis)).all(|trigger| {
            let vote = state.votes.get(&trigger.name).and_then(|vote| self.fresh(vote, trigger, now));
            vote.and_then(|vote| Some((vote.well_since?, vote.seen_at)))
                .is_some_and(|(since, seen_at)| has_passed(since, policy.sustained, seen_at))
        })
    }

    /// What every trigger with fresh evidence says about a target, those that ask for the step first.
    pub(super) fn ballots(
        &self,
        policy: &Policy,
        target: &Target,
        asking: &[&Trigger],
        now: Timestamp,
    ) -> Vec<Ballot> {
        let Some(state) = self.targets.get(&target.id) else { return Vec::new() };
        let asks = |trigger: &Trigger| asking.iter().any(|other| other.name == trigger.name);
        let others = policy.triggers.iter().filter(|trigger| !asks(trigger));
        let all = asking.iter().copied().chain(others);
        let ballot = |trigger: &Trigger| {
            let vote = self.fresh(state.votes.get(&trigger.name)?, trigger, now)?;
            vote.value.is_finite().then(|| Ballot {
                trigger: trigger.name.clone(),
                metric: trigger.metric.clone(),
                unit: trigger.unit,
                value: vote.value,
                threshold: trigger.threshold,
                asks: asks(trigger),
            })
        };
        all.filter_map(ballot).collect()
    }

    /// A trigger's value for a target, where it is fresh and a number.
    pub(super) fn fresh_value(&self, target: &Target, trigger: &Trigger, now: Timestamp) -> Option<Vote> {
        let vote = self.targets.get(&target.id)?.votes.get(&trigger.name)?;
        self.fresh(vote, trigger, now).filter(|vote| vote.value.is_finite())
    }

    fn fresh(&self, vote: &Vote, trigger: &Trigger, now: Timestamp) -> Option<Vote> {
        let span = gap(self.interval_of(trigger));
        // From the future is not fresh: the clock was set back, and how old it really is nobody knows.
        let ahead = now.checked_add(span).is_ok_and(|soon| vote.seen_at > soon);
        (!ahead && !has_passed(vote.seen_at, span, now)).then_some(*vote)
    }

    pub(super) fn interval_of(&self, trigger: &Trigger) -> Duration {
        self.plan.rules.queries.get(&trigger.query).map_or(Duration::ZERO, |query| query.interval)
    }
}

/// What votes say, in words: `CPU usage 95 % > 70 %, memory usage 40 % ≤ 80 %`.
pub(super) fn words(votes: &[Ballot]) -> String {
    let one = |vote: &Ballot| {
        let sign = if vote.value > vote.threshold { '>' } else { '≤' };
        let (value, threshold) = (vote.unit.show(vote.value), vote.unit.show(vote.threshold));
        format!("{} {value} {sign} {threshold}", spoken(&vote.metric))
    };
    votes.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Whether labels name the target: its service, and its namespace where they carry one.
pub(super) fn speaks_of(labels: &Labels, target: &Target) -> bool {
    labels.get("service") == Some(&target.service)
        && labels.get("namespace").is_none_or(|namespace| *namespace == *target.id.namespace)
}

fn gap(interval: Duration) -> Duration {
    interval.saturating_mul(GAP_IN_ROUNDS).max(Duration::from_secs(3))
}
