//! Facts: what there is to say about an incident at this revision, drawn together from its alerts, checklist, actions
//! and timers. Owns no state.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::headline::spoken;
use crate::domain::incident::{Incident, IncidentState, Member};
use crate::domain::name::IncidentId;
use crate::domain::notice::Facts;
use crate::domain::quantity::Unit;
use crate::domain::scaling::{Axis, Direction};

use super::Engine;
use super::diagnosis::found;

impl Engine {
    /// The facts of an incident now.
    pub(super) fn facts(&self, id: &IncidentId, did: Option<Arc<str>>, now: Timestamp) -> Option<Facts> {
        let incident = self.state.incidents.get(id)?;
        let (key, lead) = incident.lead().unzip();
        // The last observation may be newer than the alert's last move.
        let value = match key.and_then(|key| self.state.alert(key)) {
            Some(alert) => alert.value,
            None => lead.and_then(|lead| lead.value),
        };
        let opener = incident.alerts.get(&incident.opened_by).map(|member| member.name.clone());
        let mut actions = incident.actions.clone();
        actions.reverse();
        Some(Facts {
            incident_id: incident.id.clone(),
            uid: incident.uid.clone(),
            incident_type: incident.incident_type.clone(),
            severity: incident.severity,
            state: incident.state,
            acknowledged_by: incident.acknowledged.as_ref().map(|ack| ack.by.clone()),
            acknowledged_in: incident.acknowledged.as_ref().and_then(|ack| ack.origin.clone()),
            subject: incident.subject.clone(),
            subject_name: incident.subject_name().into(),
            opened_by: opener.unwrap_or_else(|| incident.incident_type.as_str().into()),
            metric: lead.map_or_else(|| incident.incident_type.as_str().into(), |lead| lead.name.clone()),
            value,
            unit: lead.map_or(Unit::Count, |lead| lead.unit),
            threshold: lead.and_then(|lead| lead.threshold),
            impact: impact(incident, lead, value).into(),
            team: incident.team.clone(),
            actions,
            next_steps: incident
                .checklist
                .iter()
                .filter(|item| item.done.is_none())
                .map(|item| item.text.clone())
                .collect(),
            eta: self.eta(incident, now),
            since: lead.map_or(incident.opened_at, |lead| lead.since),
            opened_at: incident.opened_at,
            resolved_at: incident.resolved_at,
            did,
            labels: lead.map_or_else(|| incident.subject.clone(), |lead| lead.labels.clone()),
            runbook_url: lead.and_then(|lead| lead.runbook_url.clone()),
            diagnosis: found(incident),
            links: self.links_of(incident),
            pages: 0,
            opened_revision: 0,
            lead: key.cloned(),
        })
    }

    /// When something happens next: a running action's deadline, else the end of a rest, else the next update.
    fn eta(&self, incident: &Incident, now: Timestamp) -> Option<Timestamp> {
        if incident.state == IncidentState::Resolved {
            return None;
        }
        let running = self
            .state
            .actions
            .values()
            .filter(|action| action.incident.as_ref() == Some(&incident.id))
            .find(|action| action.state.is_running() && !action.state.is_unwritten())
            .map(|action| action.ready_by);
        let resting = || {
            self.targets_of(incident)
                .flat_map(|target| Axis::ALL.map(|axis| (target.id.clone(), axis, Direction::Out)))
                .filter_map(|place| self.state.cooldowns.get(&place).map(|rest| rest.until))
                .filter(|until| *until > now)
                .min()
        };
        running.or_else(resting).or(Some(incident.next_update_at))
    }
}

/// The rule's own words, else its summary, with how many services and tenants are affected.
fn impact(incident: &Incident, lead: Option<&Member>, value: Option<f64>) -> String {
    let Some(lead) = lead else { return incident.incident_type.to_string() };
    if let Some(impact) = &lead.impact {
        return impact.to_string();
    }
    let summary = if let Some(summary) = &lead.summary {
        summary.to_string()
    } else {
        let value = value.map_or_else(|| "unknown".into(), |value| lead.unit.show(value));
        format!("{} of {} at {value}", spoken(&lead.name), incident.subject_name())
    };
    let counted: Vec<String> = [("service", "services"), ("tenant", "tenants")]
        .into_iter()
        .filter_map(|(one, many)| {
            let affected: BTreeSet<&str> = incident
                .alerts
                .values()
                .filter(|member| member.firing)
                .filter_map(|member| member.labels.get(one))
                .collect();
            match affected.len() {
                0 => None,
                1 => Some(format!("1 {one}")),
                count => Some(format!("{count} {many}")),
            }
        })
        .collect();
    if counted.is_empty() { summary } else { format!("{summary}; {} affected", counted.join(", ")) }
}
