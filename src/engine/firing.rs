//! What fires: every alert that fires now, the daemon's own, those handed in and those about itself, with what is said
//! about it and what holds it back. Reads the state and decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertKey, AlertState};
use crate::domain::incident::Member;
use crate::domain::labels::Labels;
use crate::domain::name::{ChannelName, IncidentId, RuleId, SilenceId};
use crate::domain::severity::Severity;
use crate::domain::suppression::Suppression;

use super::Engine;
use super::external;
use super::suppress::labels_of;

/// An alert that fires.
#[derive(Debug, Clone, PartialEq)]
pub struct FiringAlert {
    /// What identifies it here.
    pub key: AlertKey,
    /// Its labels as other tools see them.
    pub labels: Labels,
    /// What is said about it, by name.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// How bad it is; nothing where nobody is told of it.
    pub severity: Option<Severity>,
    /// Since when.
    pub since: Timestamp,
    /// When it was last heard of.
    pub updated_at: Timestamp,
    /// When it would be over if it were not heard of any more.
    pub ends_at: Timestamp,
    /// A page about where it comes from.
    pub generator_url: Option<Arc<str>>,
    /// The silences that hold it back.
    pub silenced_by: Vec<SilenceId>,
    /// The labels of the alert that says enough.
    pub inhibited_by: Option<Labels>,
    /// The calendar in which nobody is told of it.
    pub muted_by: Option<Arc<str>>,
    /// The incident that it is part of.
    pub incident: Option<IncidentId>,
}

/// So many evaluations, each a minute or longer, may fail before another tool calls an alert over: as Prometheus says it
/// of its own.
const MISSES: u32 = 4;
const A_MINUTE: Duration = Duration::from_secs(60);

impl Engine {
    /// Every alert that fires at `now`, in a fixed order. Cost: all alerts, times the silences that hold.
    pub fn firing(&self, now: Timestamp) -> Vec<FiringAlert> {
        let mut found = Vec::new();
        for (rule, series, alert) in self.alerts() {
            let AlertState::Firing { severity, since } = alert.state else { continue };
            let Some(rule) = self.plan.rules.rules.get(rule) else { continue };
            let key = AlertKey { rule: rule.id.clone(), series: series.clone() };
            let member = self.member(rule, &key, severity, since);
            let interval = self.plan.rules.queries.get(&rule.query).map_or(A_MINUTE, |query| query.interval);
            let ends_at = now.checked_add(interval.max(A_MINUTE) * MISSES).unwrap_or(Timestamp::MAX);
            found.push(self.own(key, &member, alert.seen_at, ends_at, now));
        }
        for alert in self.state.external.values() {
            let labels = alert.labels.clone();
            let key = external::key(&labels);
            let annotations = alert.annotations.clone();
            let severity = alert.is_for_people().then(|| alert.severity());
            let seen = match severity {
                Some(severity) if labels.get("severity").is_none() => {
                    labels.with([("severity", severity.as_str())])
                }
                _ => labels.clone(),
            };
            found.push(FiringAlert {
                silenced_by: self.silencing(&seen, now),
                inhibited_by: self.inhibiting(&seen),
                muted_by: self.muting(&key, now),
                incident: self.state.holders.get(&key).cloned(),
                key,
                labels,
                annotations,
                severity,
                since: alert.starts_at,
                updated_at: alert.updated_at,
                ends_at: alert.ends_at,
                generator_url: alert.generator_url.clone(),
            });
        }
        for (key, member) in self.of_troubles() {
            let ends_at = now.checked_add(A_MINUTE * MISSES).unwrap_or(Timestamp::MAX);
            found.push(self.own(key.clone(), member, now, ends_at, now));
        }
        found
    }

    /// The incident that an alert is part of, while it is not closed.
    pub fn holder_of(&self, key: &AlertKey) -> Option<&IncidentId> {
        self.state.holders.get(key)
    }

    /// The channels that hear of alerts of this severity.
    pub fn hearing(&self, severity: Severity) -> &[ChannelName] {
        self.plan.communication.channels(severity)
    }

    /// When a rule was last evaluated, as far as its series tell; nothing before its first round.
    pub fn evaluated_at(&self, rule: &RuleId) -> Option<Timestamp> {
        self.state.alerts.get(rule)?.values().map(|tracked| tracked.round).max()
    }

    fn own(
        &self,
        key: AlertKey,
        member: &Member,
        updated_at: Timestamp,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> FiringAlert {
        let labels = labels_of(member);
        let said = [
            ("summary", &member.summary),
            ("description", &member.impact),
            ("runbook_url", &member.runbook_url),
        ];
        let annotations =
            said.into_iter().filter_map(|(name, text)| Some((Arc::from(name), text.clone()?))).collect();
        FiringAlert {
            silenced_by: self.silencing(&labels, now),
            inhibited_by: self.inhibiting(&labels),
            muted_by: self.muting(&key, now),
            incident: self.state.holders.get(&key).cloned(),
            key,
            labels,
            annotations,
            severity: Some(member.severity),
            since: member.since,
            updated_at,
            ends_at,
            generator_url: None,
        }
    }

    /// The alerts about the daemon itself, which live in their incidents only.
    fn of_troubles(&self) -> impl Iterator<Item = (&AlertKey, &Member)> {
        let active = self.state.incidents.values().filter(|incident| incident.state.is_active());
        active.flat_map(|incident| &incident.alerts).filter(|(key, member)| {
            member.firing
                && self.state.alert(key).is_none()
                && !self.state.external.contains_key(&key.series)
                && !self.plan.rules.rules.contains_key(&key.rule)
        })
    }

    fn muting(&self, key: &AlertKey, now: Timestamp) -> Option<Arc<str>> {
        match self.out_of_hours(key, now)? {
            Suppression::Muted { interval } | Suppression::OutsideActiveWindow { interval } => Some(interval),
            Suppression::Silenced { .. } | Suppression::Inhibited { .. } => None,
        }
    }

    fn silencing(&self, labels: &Labels, now: Timestamp) -> Vec<SilenceId> {
        let holding = self.state.silences.values().filter(|silence| silence.holds(labels, now));
        holding.map(|silence| silence.id.clone()).collect()
    }

    /// The labels of the alert that inhibits, as other tools see them.
    fn inhibiting(&self, labels: &Labels) -> Option<Labels> {
        let key = self.inhibitor_of(labels)?;
        if let Some(alert) =
            self.state.external.get(&key.series).filter(|it| external::key(&it.labels) == *key)
        {
            return Some(alert.labels.clone());
        }
        let incident = self.state.incidents.get(self.state.holders.get(key)?)?;
        incident.alerts.get(key).map(labels_of)
    }
}
