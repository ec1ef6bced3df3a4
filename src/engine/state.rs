//! The engine's durable state: all that must survive a restart, and which parts of it changed. Decides nothing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::external_alert::ExternalAlert;
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::labels::Labels;
use crate::domain::name::{ActionId, IncidentId, IncidentTypeName, NoticeId, RuleId, SilenceId, TargetId};
use crate::domain::notice::Notice;
use crate::domain::rest::Rest;
use crate::domain::rule::RuleSet;
use crate::domain::scaling::{Axis, Direction, ScalingAction, TargetRecord};
use crate::domain::silence::Silence;

use crate::domain::change::Change;

/// An alert and the last round that spoke of its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// The alert.
    pub alert: Alert,
    /// The instant of the last round in which the series was answered.
    pub round: Timestamp,
}

/// All that must survive a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The alerts, by rule and series.
    pub alerts: BTreeMap<RuleId, BTreeMap<Labels, Tracked>>,
    /// The incidents that are remembered.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// The notices not yet known to be delivered.
    pub outbox: BTreeMap<NoticeId, Notice>,
    /// The scaling actions that are remembered.
    pub actions: BTreeMap<ActionId, ScalingAction>,
    /// The rest after each target's last step.
    pub cooldowns: BTreeMap<(TargetId, Axis, Direction), Rest>,
    /// What is remembered of targets beside their actions.
    pub targets: BTreeMap<TargetId, TargetRecord>,
    /// The silences that are remembered, those that are over among them.
    pub silences: BTreeMap<SilenceId, Silence>,
    /// The alerts that others evaluate and that fire.
    pub external: BTreeMap<Labels, ExternalAlert>,
    /// How many incidents were numbered on a day (`20261123`).
    pub numbered: BTreeMap<u32, u32>,
    /// The incident that is not closed, by type and subject. Derived.
    pub(super) open: BTreeMap<(IncidentTypeName, Labels), IncidentId>,
    /// The action that is under way on a target. Derived.
    pub(super) running: BTreeMap<TargetId, ActionId>,
    /// The failed action whose size is owed to a target. Derived.
    pub(super) owing: BTreeMap<TargetId, ActionId>,
    /// The incident that holds an alert, the newest that is not closed. Derived.
    pub(super) holders: BTreeMap<AlertKey, IncidentId>,
}

impl State {
    /// Takes one committed piece, at restore.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Alert(key, Some(alert)) => {
                let round = alert.seen_at;
                self.alerts.entry(key.rule).or_default().insert(key.series, Tracked { alert, round });
            }
            Change::Alert(key, None) => {
                if let Entry::Occupied(mut series) = self.alerts.entry(key.rule) {
                    series.get_mut().remove(&key.series);
                    if series.get().is_empty() {
                        series.remove();
                    }
                }
            }
            Change::Incident(id, incident) => put(&mut self.incidents, id, incident.map(|it| *it)),
            Change::Notice(id, notice) => put(&mut self.outbox, id, notice.map(|it| *it)),
            Change::Action(id, action) => put(&mut self.actions, id, action.map(|it| *it)),
            Change::Cooldown(target, axis, direction, rest) => {
                put(&mut self.cooldowns, (target, axis, direction), rest);
            }
            Change::Target(target, record) => put(&mut self.targets, target, record.map(|it| *it)),
            Change::Silence(id, silence) => put(&mut self.silences, id, silence.map(|it| *it)),
            Change::External(labels, alert) => put(&mut self.external, labels, alert.map(|it| *it)),
            Change::Numbered(day, count) => {
                self.numbered.insert(day, count);
            }
        }
    }

    /// Derives what is derived.
    pub(super) fn rebuild_index(&mut self) {
        let mut open: Vec<&Incident> =
            self.incidents.values().filter(|incident| incident.state != IncidentState::Closed).collect();
        open.sort_by(|one, two| (one.opened_at, &one.id).cmp(&(two.opened_at, &two.id)));
        for action in self.actions.values() {
            if action.state.is_running() {
                self.running.insert(action.target.clone(), action.id.clone());
            }
            if action.course.owes_revert.is_some() {
                self.owing.insert(action.target.clone(), action.id.clone());
            }
        }
        self.open = open.iter().map(|incident| (incident.place(), incident.id.clone())).collect();
        self.holders = open
            .iter()
            .flat_map(|incident| incident.alerts.keys().map(|key| (key.clone(), incident.id.clone())))
            .collect();
    }

    /// Puts an action on record.
    pub(super) fn keep(&mut self, action: ScalingAction) {
        let mark = |index: &mut BTreeMap<TargetId, ActionId>, holds: bool| {
            if holds {
                index.insert(action.target.clone(), action.id.clone());
            } else if index.get(&action.target) == Some(&action.id) {
                index.remove(&action.target);
            }
        };
        mark(&mut self.running, action.state.is_running());
        mark(&mut self.owing, action.course.owes_revert.is_some());
        self.actions.insert(action.id.clone(), action);
    }

    /// The tracked series of a key.
    pub(super) fn alert(&self, key: &AlertKey) -> Option<&Alert> {
        self.alerts.get(&key.rule)?.get(&key.series).map(|tracked| &tracked.alert)
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => {
            map.insert(key, value);
        }
        None => {
            map.remove(&key);
        }
    }
}

/// Which pieces of state changed since the last commit.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) alerts: BTreeSet<AlertKey>,
    pub(super) incidents: BTreeSet<IncidentId>,
    pub(super) notices: BTreeSet<NoticeId>,
    pub(super) actions: BTreeSet<ActionId>,
    pub(super) cooldowns: BTreeSet<(TargetId, Axis, Direction)>,
    pub(super) targets: BTreeSet<TargetId>,
    pub(super) silences: BTreeSet<SilenceId>,
    pub(super) external: BTreeSet<Labels>,
    pub(super) days: BTreeSet<u32>,
}

impl Dirty {
    /// All there is, as if it had changed.
    pub(super) fn everything(state: &State) -> Self {
        let alerts = state.alerts.iter().flat_map(|(rule, series)| {
            series.keys().map(|labels| AlertKey { rule: rule.clone(), series: labels.clone() })
        });
        Self {
            alerts: alerts.collect(),
            incidents: state.incidents.keys().cloned().collect(),
            notices: state.outbox.keys().cloned().collect(),
            actions: state.actions.keys().cloned().collect(),
            cooldowns: state.cooldowns.keys().cloned().collect(),
            targets: state.targets.keys().cloned().collect(),
            silences: state.silences.keys().cloned().collect(),
            external: state.external.keys().cloned().collect(),
            days: state.numbered.keys().copied().collect(),
        }
    }

    /// Marks what the changes are about as changed again.
    pub(super) fn give_back(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Alert(key, _) => drop(self.alerts.insert(key)),
                Change::Incident(id, _) => drop(self.incidents.insert(id)),
                Change::Notice(id, _) => drop(self.notices.insert(id)),
                Change::Action(id, _) => drop(self.actions.insert(id)),
                Change::Cooldown(target, axis, direction, _) => {
                    self.cooldowns.insert((target, axis, direction));
                }
                Change::Target(target, _) => drop(self.targets.insert(target)),
                Change::Silence(id, _) => drop(self.silences.insert(id)),
                Change::External(labels, _) => drop(self.external.insert(labels)),
                Change::Numbered(day, _) => drop(self.days.insert(day)),
            }
        }
    }

    /// The changed pieces as they are now.
    pub(super) fn into_changes(self, state: &State, rules: &RuleSet) -> Vec<Change> {
        let alerts = self.alerts.into_iter().map(|key| {
            let rule = rules.rules.get(&key.rule);
            let durable = |alert: &&Alert| rule.is_some_and(|rule| alert.is_durable(rule));
            let alert = state.alert(&key).filter(durable).cloned();
            Change::Alert(key, alert)
        });
        let incidents = self.incidents.into_iter().map(|id| {
            let incident = state.incidents.get(&id).cloned().map(Box::new);
            Change::Incident(id, incident)
        });
        let notices = self.notices.into_iter().map(|id| {
            let notice = state.outbox.get(&id).cloned().map(Box::new);
            Change::Notice(id, notice)
        });
        let actions = self.actions.into_iter().map(|id| {
            let action = state.actions.get(&id).cloned().map(Box::new);
            Change::Action(id, action)
        });
        let cooldowns = self.cooldowns.into_iter().map(|key| {
            let rest = state.cooldowns.get(&key).copied();
            Change::Cooldown(key.0, key.1, key.2, rest)
        });
        let targets = self.targets.into_iter().map(|id| {
            let record = state.targets.get(&id).cloned().map(Box::new);
            Change::Target(id, record)
        });
        let silences = self.silences.into_iter().map(|id| {
            let silence = state.silences.get(&id).cloned().map(Box::new);
            Change::Silence(id, silence)
        });
        let external = self.external.into_iter().map(|labels| {
            let alert = state.external.get(&labels).cloned().map(Box::new);
            Change::External(labels, alert)
        });
        let days = self
            .days
            .into_iter()
            .filter_map(|day| state.numbered.get(&day).map(|count| Change::Numbered(day, *count)));
        alerts
            .chain(incidents)
            .chain(notices)
            .chain(actions)
            .chain(cooldowns)
            .chain(targets)
            .chain(silences)
            .chain(external)
            .chain(days)
            .collect()
    }
}
