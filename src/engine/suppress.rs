//! Suppression in the engine: whom nobody is told of and why, and what is made good when that ends. Owns the silences,
//! the inhibitors and the hold on an incident; how a notice is queued is `news`.
//!
//! An incident is held back while all its firing alerts are. It is opened, numbered, shown and scaled for all the same;
//! its pages and updates are left out. What channels were told as open they are told as over, held back or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::AlertKey;
use crate::domain::incident::{Happening, IncidentState, Member};
use crate::domain::inhibition::Inhibitors;
use crate::domain::labels::Labels;
use crate::domain::name::{ChannelName, IncidentId, SilenceId};
use crate::domain::notice::NoticeEvent;
use crate::domain::severity::Severity;
use crate::domain::silence::{Silence, SilenceMove, SilenceState};
use crate::domain::suppression::{Hold, Suppression};

use super::Engine;
use super::incidents::DAEMON;
use super::report::Report;

/// What suppression needs beside the durable state. All of it is derived or lives within one event.
#[derive(Debug, Default)]
pub(super) struct Suppressor {
    inhibitors: Inhibitors,
    /// Incidents whose alerts moved since they were filed.
    moved: BTreeSet<IncidentId>,
    /// Incidents whose silence is about to end: their channels are told so, though they are held back.
    ending: BTreeSet<IncidentId>,
    /// What held back the incidents that nothing holds back any more, until what was missed is told.
    released: BTreeMap<IncidentId, Hold>,
}

impl Suppressor {
    /// Alerts of an incident began, moved or ended: what they inhibit has to be looked at.
    pub(super) fn alerts_moved(&mut self, id: &IncidentId) {
        self.moved.insert(id.clone());
    }
}

// === commands and timers ===

impl Engine {
    /// A person silences alerts, or changes a silence that is there.
    pub(super) fn silence(&mut self, mut silence: Silence, now: Timestamp) {
        let known = self.state.silences.get(&silence.id);
        let moved = if known.is_some() { SilenceMove::Changed } else { SilenceMove::Made };
        if let Some(known) = known {
            silence.created_at = known.created_at;
            silence.warned_of = known.warned_of;
        }
        let by = silence.author.clone();
        self.put_silence(silence, moved, by);
        self.settle_suppressions(now);
    }

    /// A person ends a silence.
    pub(super) fn expire_silence(&mut self, id: &SilenceId, by: &Arc<str>, now: Timestamp) {
        let Some(mut silence) = self.state.silences.get(id).cloned() else { return };
        if silence.expire(now) {
            self.put_silence(silence, SilenceMove::Ended, by.clone());
            self.settle_suppressions(now);
        }
    }

    /// What is due in the life of silences and of the incidents that are held back. To be called before other timers
    /// speak of incidents.
    pub(super) fn end_suppressions(&mut self, now: Timestamp) {
        let gone: Vec<SilenceId> = self
            .state
            .silences
            .values()
            .filter(|silence| silence.is_past_retention(now))
            .map(|silence| silence.id.clone())
            .collect();
        for id in gone {
            if let Some(silence) = self.state.silences.remove(&id) {
                self.report_silence(&silence, SilenceMove::Forgotten, DAEMON.into());
                self.dirty.silences.insert(id);
            }
        }
        self.settle_suppressions(now);
        self.warn_of_ends(now);
    }

    /// Begins, changes and ends the hold on each incident as the silences, inhibitors and windows have it now.
    pub(super) fn settle_suppressions(&mut self, now: Timestamp) {
        self.refresh_inhibitors();
        let any_held = self.state.incidents.values().any(|incident| incident.held.is_some());
        if !any_held && !self.may_suppress() {
            return;
        }
        let active: Vec<IncidentId> = self
            .state
            .incidents
            .values()
            .filter(|incident| incident.state.is_active())
            .map(|incident| incident.id.clone())
            .collect();
        for id in active {
            match self.suppressed(&id, now) {
                Some(why) => self.hold_back(&id, why, None, now),
                None => self.release(&id),
            }
        }
    }

    /// People hear some time before a silence ends that what it holds back is still there.
    fn warn_of_ends(&mut self, now: Timestamp) {
        let due: Vec<Silence> =
            self.state.silences.values().filter(|silence| silence.is_warning_due(now)).cloned().collect();
        for mut silence in due {
            let holds =
                |hold: &Hold| matches!(&hold.why, Suppression::Silenced { id, .. } if *id == silence.id);
            let held: Vec<IncidentId> = self
                .state
                .incidents
                .values()
                .filter(|incident| incident.state.is_active() && incident.held.as_ref().is_some_and(holds))
                .map(|incident| incident.id.clone())
                .collect();
            if held.is_empty() {
                continue;
            }
            let text: Arc<str> =
                format!("its silence ends at {}", silence.ends_at.strftime("%H:%M UTC")).into();
            for id in held {
                let what = Happening::SilenceEnding { silence: silence.id.clone(), at: silence.ends_at };
                self.note(&id, now, what);
                self.news.add(&id, NoticeEvent::StatusUpdate, Some(text.clone()));
                self.suppressor.ending.insert(id);
            }
            silence.warned_of = Some(silence.ends_at);
            self.put_silence(silence, SilenceMove::Ending, DAEMON.into());
        }
    }

    fn put_silence(&mut self, silence: Silence, moved: SilenceMove, by: Arc<str>) {
        self.report_silence(&silence, moved, by);
        self.dirty.silences.insert(silence.id.clone());
        self.state.silences.insert(silence.id.clone(), silence);
    }

    fn report_silence(&mut self, silence: &Silence, moved: SilenceMove, by: Arc<str>) {
        self.reports.push(Report::Silence {
            id: silence.id.clone(),
            moved,
            by,
            matchers: silence.matchers.clone(),
            until: silence.ends_at,
        });
    }
}

// === what is told ===

impl Engine {
    /// Who hears of an event as what: nobody while the incident is held back; afterwards each channel what it missed.
    ///
    /// What is over is told to whoever was told that it is open, held back or not.
    pub(super) fn hearers(
        &mut self,
        id: &IncidentId,
        event: &NoticeEvent,
        now: Timestamp,
    ) -> Vec<(ChannelName, NoticeEvent)> {
        let as_it_is = |channels: Vec<ChannelName>| {
            channels.into_iter().map(|channel| (channel, event.clone())).collect::<Vec<_>>()
        };
        let is_over = *event == NoticeEvent::Resolved;
        let suppression = if is_over { None } else { self.suppressed(id, now) };
        if let Some(why) = suppression {
            if self.suppressor.ending.remove(id) {
                self.hold_back(id, why, Some(event), now);
                let update = NoticeEvent::StatusUpdate;
                let channels = self.audience(id, &update);
                return channels.into_iter().map(|channel| (channel, update.clone())).collect();
            }
            self.hold_back(id, why, Some(event), now);
            return Vec::new();
        }
        self.suppressor.ending.remove(id);
        let ended = self.state.incidents.get_mut(id).and_then(|incident| incident.held.take());
        let ended = ended.or_else(|| self.suppressor.released.remove(id));
        match ended.filter(|_| !is_over) {
            None => as_it_is(self.audience(id, event)),
            Some(hold) => {
                self.note(id, now, Happening::Released { why: hold.why.clone() });
                self.reports.push(Report::Suppressed { id: id.clone(), why: None });
                self.missed(id, event, &hold)
            }
        }
    }

    /// What each channel missed while the incident was held back.
    fn missed(&self, id: &IncidentId, event: &NoticeEvent, hold: &Hold) -> Vec<(ChannelName, NoticeEvent)> {
        // Whoever would have been paged, and whoever was told before.
        let channels = self.audience(id, &NoticeEvent::Reopened);
        let Some(incident) = self.state.incidents.get(id) else { return Vec::new() };
        let has_worsened = incident.severity > hold.severity;
        let of = |channel: &ChannelName| match incident.told.get(channel) {
            Some(told) if told.open && (event.is_page() || !has_worsened) => event.clone(),
            Some(told) if told.open => NoticeEvent::Worsened { was: hold.severity },
            Some(told) if told.pages > 0 => NoticeEvent::Reopened,
            Some(_) | None => NoticeEvent::Opened,
        };
        channels.into_iter().map(|channel| (channel.clone(), of(&channel))).collect()
    }

    /// Holds an incident back, or goes on doing so. The timeline has a line for each new reason and each page left out.
    fn hold_back(&mut self, id: &IncidentId, why: Suppression, event: Option<&NoticeEvent>, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let known = incident.held.take().or_else(|| self.suppressor.released.remove(id));
        let is_news = known.as_ref().is_none_or(|known| known.why != why);
        let page = event.filter(|event| event.is_page());
        let hold = match known {
            Some(known) => Hold { why: why.clone(), ..known },
            None => {
                Hold { why: why.clone(), since: now, severity: before(event).unwrap_or(incident.severity) }
            }
        };
        incident.held = Some(hold);
        if is_news {
            self.reports.push(Report::Suppressed { id: id.clone(), why: Some(why.clone()) });
        }
        if is_news || page.is_some() {
            self.note(id, now, Happening::Held { why, event: page.cloned() });
        }
    }

    /// Nothing holds the incident back any more: that is news, and the desk tells each channel what it missed.
    fn release(&mut self, id: &IncidentId) {
        let held = self.state.incidents.get_mut(id).and_then(|incident| incident.held.take());
        if let Some(hold) = held {
            self.news.add(id, NoticeEvent::StatusUpdate, Some(hold.why.ended().into()));
            self.suppressor.released.insert(id.clone(), hold);
            self.dirty.incidents.insert(id.clone());
        }
    }
}

/// The severity that people knew of before an event.
fn before(event: Option<&NoticeEvent>) -> Option<Severity> {
    match event {
        Some(NoticeEvent::Worsened { was } | NoticeEvent::Eased { was }) => Some(*was),
        _ => None,
    }
}

// === what is suppressed ===

impl Engine {
    /// Why nobody is told of an incident now: the reason of its leading alert, where every firing one has some.
    pub fn suppressed(&self, id: &IncidentId, now: Timestamp) -> Option<Suppression> {
        if !self.may_suppress() {
            return None;
        }
        let incident = self.state.incidents.get(id)?;
        let (lead, member) = incident.lead().filter(|(_, member)| member.firing)?;
        let reason = self.alert_suppressed(lead, &labels_of(member), now)?;
        let others = incident.alerts.iter().filter(|(key, member)| member.firing && *key != lead);
        let all = others
            .map(|(key, member)| self.alert_suppressed(key, &labels_of(member), now))
            .all(|reason| reason.is_some());
        all.then_some(reason)
    }

    /// Why nobody is told of the alert `key` with `labels` now. The labels are all that a matcher can see: the
    /// series' and the rule's own, `alertname` and `severity`.
    pub fn alert_suppressed(&self, key: &AlertKey, labels: &Labels, now: Timestamp) -> Option<Suppression> {
        let holding = self.state.silences.values().filter(|silence| silence.holds(labels, now));
        if let Some(silence) = holding.max_by_key(|silence| silence.ends_at) {
            return Some(Suppression::Silenced { id: silence.id.clone(), until: silence.ends_at });
        }
        if let Some(by) = self.inhibitor_of(labels) {
            return Some(Suppression::Inhibited { by: by.clone() });
        }
        self.out_of_hours(key, now)
    }

    /// The alert that says enough about one with these labels.
    pub(super) fn inhibitor_of(&self, labels: &Labels) -> Option<&AlertKey> {
        self.suppressor.inhibitors.inhibitor(labels)
    }

    /// Why nobody is told of an alert in this part of the calendar.
    pub(super) fn out_of_hours(&self, key: &AlertKey, now: Timestamp) -> Option<Suppression> {
        let of_external;
        let (mute, active) = if let Some(rule) = self.rule(&key.rule) {
            (&rule.mute_time_intervals, &rule.active_time_intervals)
        } else {
            of_external = self.windows_of_external(key)?;
            (&of_external.mute, &of_external.active)
        };
        let intervals = &self.plan.rules.time_intervals;
        let is_in = |name: &&Arc<str>| intervals.get(*name).is_some_and(|it| it.contains(now));
        if let Some(interval) = mute.iter().find(is_in) {
            return Some(Suppression::Muted { interval: interval.clone() });
        }
        let is_outside = !active.is_empty() && !active.iter().any(|name| is_in(&name));
        is_outside.then(|| Suppression::OutsideActiveWindow { interval: active.join(", ").into() })
    }

    /// Whether anything could hold an incident back at all.
    fn may_suppress(&self) -> bool {
        let rules = &self.plan.rules;
        !self.state.silences.is_empty()
            || self.suppressor.inhibitors.has_rules()
            || !rules.time_intervals.is_empty()
    }

    /// The silences that are remembered, in the order of their ids.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.state.silences.values()
    }

    /// How many incidents a silence would hold back or holds back: those active now with a firing alert that fits.
    pub fn silence_fits(&self, silence: &Silence) -> Vec<IncidentId> {
        let fits = |member: &Member| member.firing && silence.matchers.match_all(&labels_of(member));
        self.state
            .incidents
            .values()
            .filter(|incident| incident.state.is_active() && incident.alerts.values().any(fits))
            .map(|incident| incident.id.clone())
            .collect()
    }

    /// A silence that was not expired at `now`, for whoever wants to change or end it.
    pub fn living_silence(&self, id: &SilenceId, now: Timestamp) -> Option<&Silence> {
        self.state.silences.get(id).filter(|silence| silence.state(now) != SilenceState::Expired)
    }
}

/// The labels that matchers see.
pub(super) fn labels_of(member: &Member) -> Labels {
    if member.labels.get("severity").is_some() {
        return member.labels.clone();
    }
    member.labels.with([("severity", member.severity.as_str())])
}

// === the inhibitors ===

impl Engine {
    /// Files all firing alerts under the plan's rules: at the start and when the rules change.
    pub(super) fn rebuild_inhibitors(&mut self) {
        self.suppressor.inhibitors = Inhibitors::new(self.plan.rules.inhibit_rules.clone());
        if self.suppressor.inhibitors.has_rules() {
            let all: Vec<IncidentId> = self.state.incidents.keys().cloned().collect();
            self.file_alerts_of(&all);
        }
    }

    /// Files what changed in this event.
    pub(super) fn refresh_inhibitors(&mut self) {
        let moved = std::mem::take(&mut self.suppressor.moved);
        if self.suppressor.inhibitors.has_rules() {
            self.file_alerts_of(&moved.into_iter().collect::<Vec<_>>());
        }
    }

    fn file_alerts_of(&mut self, ids: &[IncidentId]) {
        for incident in ids.iter().filter_map(|id| self.state.incidents.get(id)) {
            for (key, member) in &incident.alerts {
                let holder = self.state.holders.get(key);
                // An alert is filed by the incident that holds it; none does once that is closed.
                if holder.is_some_and(|holder| *holder != incident.id) {
                    continue;
                }
                let fires = member.firing && incident.state != IncidentState::Closed;
                self.suppressor.inhibitors.set(key, fires.then(|| labels_of(member)));
            }
        }
    }
}
