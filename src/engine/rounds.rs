//! Rounds: one query's answer goes to every rule and trigger that reads it. Owns finding who reads what; the alert
//! state machine itself is the domain's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertChange, AlertKey, AlertState};
use crate::domain::labels::Labels;
use crate::domain::name::QueryId;
use crate::domain::observation::{Answer, Observation, Round, Sample};
use crate::domain::rule::Rule;

use super::Engine;
use super::plan::Plan;
use super::state::Tracked;

/// Which rules read a query; made anew with each plan.
#[derive(Debug, Default)]
pub(super) struct Index {
    readers: BTreeMap<QueryId, Vec<Arc<Rule>>>,
}

impl Index {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut readers: BTreeMap<QueryId, Vec<Arc<Rule>>> = BTreeMap::new();
        for rule in plan.rules.rules.values() {
            readers.entry(rule.query.clone()).or_default().push(rule.clone());
        }
        Self { readers }
    }
}

/// An alert that moved, before incidents hear of it.
pub(super) struct Moved {
    pub(super) rule: Arc<Rule>,
    pub(super) series: Labels,
    pub(super) change: AlertChange,
}

impl Engine {
    /// Cost: one map look-up per series and rule, plus one pass over the rule's tracked series.
    pub(super) fn observed(&mut self, round: &Round, now: Timestamp) {
        self.saw(&round.answer, now);
        self.saw_capacity(round);
        self.judge(round, now);
    }

    /// Has every rule that reads a round judge it.
    pub(super) fn judge(&mut self, round: &Round, now: Timestamp) {
        let mut moved = Vec::new();
        for rule in self.index.readers.get(&round.query).into_iter().flatten() {
            let tracked = match self.state.alerts.get_mut(&rule.id) {
                Some(tracked) => tracked,
                None => self.state.alerts.entry(rule.id.clone()).or_default(),
            };
            match &round.answer {
                Answer::Series(samples) => {
                    for sample in samples {
                        take(tracked, rule, sample, round.at, &mut moved);
                    }
                    miss(tracked, rule, round.at, &mut moved);
                }
                Answer::Failed(failure) => {
                    for (series, entry) in tracked.iter_mut() {
                        let seen = Observation::Failed(*failure);
                        step(entry, rule, series, seen, round.at, &mut moved);
                    }
                }
            }
        }
        // What got worse before what got better: an incident that goes on must not end and come back in one round.
        moved.sort_by_key(|it| !matches!(it.change, AlertChange::Fired(_) | AlertChange::Worsened(_)));
        for moved in moved {
            self.alert_moved(&moved, round.at, now);
        }
        self.feed_triggers(round);
    }
}

/// One answered series.
fn take(
    tracked: &mut BTreeMap<Labels, Tracked>,
    rule: &Arc<Rule>,
    sample: &Sample,
    at: Timestamp,
    moved: &mut Vec<Moved>,
) {
    let entry = if let Some(entry) = tracked.get_mut(&sample.labels) {
        entry
    } else {
        // From now on it would be missed, after a restart as well.
        if rule.pages_on_silence() {
            moved.push(Moved::same(rule, &sample.labels));
        }
        tracked.entry(sample.labels.clone()).or_insert_with(|| Tracked { alert: Alert::new(at), round: at })
    };
    entry.round = at;
    step(entry, rule, &sample.labels, sample.seen, at, moved);
}

/// The tracked series that the answer did not have; those with nothing left to say are forgotten.
fn miss(tracked: &mut BTreeMap<Labels, Tracked>, rule: &Arc<Rule>, at: Timestamp, moved: &mut Vec<Moved>) {
    let mut forgettable = false;
    for (series, entry) in tracked.iter_mut().filter(|(_, entry)| entry.round != at) {
        step(entry, rule, series, Observation::Missing, at, moved);
        forgettable |= entry.alert.is_forgettable(rule, at);
    }
    if forgettable {
        tracked.retain(|series, entry| {
            let forget = entry.round != at && entry.alert.is_forgettable(rule, at);
            if forget && entry.alert.is_durable(rule) {
                entry.alert.state = AlertState::Inactive;
                moved.push(Moved {
                    rule: rule.clone(),
                    series: series.clone(),
                    change: AlertChange::Withdrawn,
                });
            }
            !forget
        });
    }
}

fn step(
    entry: &mut Tracked,
    rule: &Arc<Rule>,
    series: &Labels,
    seen: Observation,
    at: Timestamp,
    moved: &mut Vec<Moved>,
) {
    let before = entry.alert.durable(rule);
    let change = entry.alert.observe(seen, rule, series, at);
    // A clock that started or stopped is state too: it must survive a restart.
    if change != AlertChange::Same || before != entry.alert.durable(rule) {
        moved.push(Moved { rule: rule.clone(), series: series.clone(), change });
    }
}

impl Moved {
    fn same(rule: &Arc<Rule>, series: &Labels) -> Self {
        Self { rule: rule.clone(), series: series.clone(), change: AlertChange::Same }
    }

    pub(super) fn key(&self) -> AlertKey {
        AlertKey { rule: self.rule.id.clone(), series: self.series.clone() }
    }
}
