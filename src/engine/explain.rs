//! Explanations in the engine: why somebody was, or was not, told. Reads the state, the plan and the timelines; decides
//! nothing and keeps nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertKey, AlertState};
use crate::domain::explanation::{Explained, Reason};
use crate::domain::headline::{clock_seen, spoken};
use crate::domain::incident::{Happening, Incident};
use crate::domain::name::{ChannelName, IncidentId, NoticeId};
use crate::domain::notice::Notice;
use crate::domain::severity::Severity;

use super::Engine;

impl Engine {
    /// Why an alert is where it is, and what came of it: value, thresholds and clock, grouping, suppression, and for
    /// each channel why it was told or not. Nothing where the alert is not known.
    pub fn explain_alert(&self, key: &AlertKey, now: Timestamp) -> Vec<Explained> {
        let found = self.value_of(key, now).or_else(|| self.explain_external(key));
        let Some(value) = found else { return Vec::new() };
        let mut chain = vec![value];
        match self.state.holders.get(key) {
            Some(id) => {
                chain.extend(self.grouping(id));
                chain.extend(self.explain_incident(id, now));
            }
            None => chain.push(Explained { at: None, reason: Reason::NotFiring }),
        }
        chain
    }

    /// Why each channel was, or was not, told of an incident, with every attempt. Nothing where it is not known.
    pub fn explain_incident(&self, id: &IncidentId, now: Timestamp) -> Vec<Explained> {
        let Some(incident) = self.state.incidents.get(id) else { return Vec::new() };
        let mut chain = Vec::new();
        if let Some(why) = self.suppressed(id, now) {
            let at = incident.held.as_ref().map(|hold| hold.since);
            chain.push(Explained { at, reason: Reason::Held(why) });
        }
        for channel in self.concerned(incident) {
            chain.push(self.routing(incident, &channel));
            chain.extend(self.fate(incident, &channel, None, now));
        }
        chain
    }

    /// What became of one notice, as long as its incident is remembered.
    pub fn explain_notice(&self, id: &NoticeId, now: Timestamp) -> Vec<Explained> {
        for incident in self.state.incidents.values() {
            for entry in &incident.timeline {
                let Happening::Queued { channel, revision, .. } = &entry.what else { continue };
                if Notice::id(&incident.uid, channel, *revision) == *id {
                    return self.fate(incident, channel, Some(*revision), now);
                }
            }
        }
        Vec::new()
    }

    fn value_of(&self, key: &AlertKey, now: Timestamp) -> Option<Explained> {
        let alert = self.state.alert(key)?;
        let rule = self.rule(&key.rule)?;
        let value = alert.value.map_or_else(|| "no value".to_owned(), |value| rule.unit.show(value));
        let mut text = format!("{} {value}", spoken(&rule.name));
        if let Some(limits) = rule.thresholds_for(&key.series) {
            for severity in [Severity::Warning, Severity::Critical] {
                let Some(limit) = limits.of(severity) else { continue };
                text.push_str(&format!(", {severity} beyond {}", rule.unit.show(limit.value)));
                if !limit.hold.is_zero() {
                    let hold = crate::domain::quantity::show_duration(limit.hold);
                    text.push_str(&format!(" for {hold}"));
                }
            }
        }
        if let Some(since) = alert.breaching_since() {
            text.push_str(&format!(", breaching since {}", clock_seen(since, now)));
        }
        text.push_str(&format!(": {}", alert.state.as_str()));
        let at = match alert.state {
            AlertState::Inactive => None,
            AlertState::Pending { since, .. } | AlertState::Firing { since, .. } => Some(since),
            AlertState::Resolved { at, .. } => Some(at),
        };
        Some(Explained { at, reason: Reason::Value { reason: alert.reason, text: text.into() } })
    }

    fn grouping(&self, id: &IncidentId) -> Option<Explained> {
        let incident = self.state.incidents.get(id)?;
        let by = format!("incidents of type {} about {}", incident.incident_type, incident.subject);
        let reason = Reason::Grouped { incident: id.clone(), by: by.into() };
        Some(Explained { at: Some(incident.opened_at), reason })
    }

    /// The channels there are something to say about: those told, and all that are configured.
    fn concerned(&self, incident: &Incident) -> BTreeSet<ChannelName> {
        let routed = self.plan.communication.channels(incident.severity);
        let configured = self.plan.channels.keys();
        incident.told.keys().chain(routed).chain(configured).cloned().collect()
    }

    fn routing(&self, incident: &Incident, channel: &ChannelName) -> Explained {
        let (channel, severity) = (channel.clone(), incident.severity);
        let told = incident.told.get(&channel);
        let at = incident.timeline.iter().find_map(|entry| match &entry.what {
            Happening::Queued { channel: queued, .. } if *queued == channel => Some(entry.at),
            _ => None,
        });
        let reason = match told {
            Some(told) if told.pages > 0 => Reason::AlreadyTold { channel, pages: told.pages },
            _ if self.plan.communication.channels(severity).contains(&channel) => {
                Reason::Routed { channel, severity }
            }
            _ => Reason::NotRouted { channel, severity },
        };
        Explained { at, reason }
    }

    /// What the timeline and the outbox say of an incident's notices to a channel, or of one of them.
    fn fate(
        &self,
        incident: &Incident,
        channel: &ChannelName,
        revision: Option<u32>,
        now: Timestamp,
    ) -> Vec<Explained> {
        let fits = |of: &ChannelName, it: u32| of == channel && revision.is_none_or(|wanted| wanted == it);
        let mut chain: Vec<Explained> = Vec::new();
        for entry in &incident.timeline {
            let became =
                |text: String| Some(Reason::Became { channel: channel.clone(), text: Arc::from(text) });
            let reason = match &entry.what {
                Happening::Queued { channel: of, event, revision } if fits(of, *revision) => {
                    let (channel, event) = (of.clone(), event.clone());
                    Some(Reason::Queued { channel, event, revision: *revision })
                }
                Happening::Delivered { channel: of, revision } if fits(of, *revision) => {
                    became(format!("accepted revision {revision}"))
                }
                Happening::DeliveryFailed { channel: of, revision, reason, retried }
                    if fits(of, *revision) =>
                {
                    let then = if *retried { "it is tried again" } else { "it is given up" };
                    became(format!("revision {revision} failed with {reason}; {then}"))
                }
                Happening::Superseded { channel: of, revision } if fits(of, *revision) => {
                    became(format!("revision {revision} was left out, a newer one says more"))
                }
                Happening::Digested { channel: of, revision, digest } if fits(of, *revision) => {
                    became(format!("revision {revision} was told in digest {digest}"))
                }
                Happening::Parked { channel: of, revision } if fits(of, *revision) => {
                    became(format!("revision {revision} waits for a mend"))
                }
                Happening::PassedOn { from, to } if revision.is_none() && from == channel => {
                    became(format!("it failed, so {to} was told"))
                }
                _ => None,
            };
            chain.extend(reason.map(|reason| Explained { at: Some(entry.at), reason }));
        }
        let waiting = self
            .state
            .outbox
            .values()
            .filter(|notice| notice.facts.uid == incident.uid && fits(&notice.channel, notice.revision));
        chain.extend(waiting.map(|notice| Explained { at: None, reason: self.waiting(notice, now) }));
        chain
    }

    fn waiting(&self, notice: &Notice, now: Timestamp) -> Reason {
        let channel = notice.channel.clone();
        if self.lanes.is_in_flight(&channel, &notice.id) {
            return Reason::InFlight { channel };
        }
        let until = notice.rest.filter(|rest| !rest.is_over(now)).map(|rest| rest.until);
        Reason::Waits { channel, until, parked: notice.parked }
    }
}
