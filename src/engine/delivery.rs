//! Delivery: what leaves now, and what becomes of what left. Owns retries, failing over to the next rung and the last
//! word that every channel has to hear; which notice is next is `lanes`, a storm's one message `digest`.
//!
//! ```text
//! outbox ─▶ in flight ─▶ accepted: gone from the outbox
//!   ▲           ├──────▶ failed: rests, and is tried again; a page that is late goes to the next rung as well
//!   └───────────┘──────▶ refused: a page goes to the next rung at once, a last word waits for a mend
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::delivery::{Attempt, DeliveryReason, backoff};
use crate::domain::digest::DigestRow;
use crate::domain::incident::{Happening, Heard, Incident, Told};
use crate::domain::labels::Fnv;
use crate::domain::name::{ChannelName, IncidentId, NoticeId};
use crate::domain::notice::{Notice, NoticeEvent, Receipt, Recipients};
use crate::domain::rest::Rest;

use super::Engine;
use super::effect::Effect;
use super::lanes::Turn;

/// How long what must arrive and was refused waits for a mend before it is tried again, and at the most.
const PARKED_FOR: Duration = Duration::from_secs(60);
const PARKED_FOR_AT_MOST: Duration = Duration::from_secs(60 * 60);

/// After how many failures, some two minutes, a digest is told in parts.
const BREAK_UP_AFTER: u32 = 40;

/// How long a refused last word is tried on.
const PARKED_UNTIL: Duration = Duration::from_secs(7 * 86_400);

impl Engine {
    /// Hands out what may leave now.
    pub(super) fn dispatch(&mut self, now: Timestamp) {
        let storm = self.plan.communication.storm;
        loop {
            let turns = self.lanes.turns(storm, now);
            let mut digested = false;
            for (channel, turn) in turns {
                match turn {
                    Turn::Send(id) => self.send(&id),
                    Turn::Digest(all) => {
                        digested = true;
                        self.digest(&channel, &all, now);
                    }
                }
            }
            if !digested {
                return;
            }
        }
    }

    fn send(&mut self, id: &NoticeId) {
        let Some(notice) = self.state.outbox.get(id) else { return };
        let told = self.state.incidents.get(&notice.facts.incident_id);
        let told = told.and_then(|incident| incident.told.get(&notice.channel));
        // A digest is a message of its own, not the one that its worst incident already has.
        let receipt = told.filter(|_| notice.digest.is_none()).and_then(|told| told.receipt.clone());
        self.effects.push(Effect::Deliver(Box::new(Notice { receipt, ..notice.clone() })));
    }

    /// When something may leave that only waits for a time.
    pub fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        self.lanes.next_turn(self.plan.communication.storm, now)
    }

    /// An attempt to deliver a notice ended.
    pub(super) fn attempted(&mut self, id: &NoticeId, attempt: Attempt, now: Timestamp) {
        let Some(notice) = self.state.outbox.get(id).cloned() else { return };
        match attempt {
            Attempt::Accepted { receipt } => {
                self.channel_worked(&notice.channel);
                self.try_parked(&notice.channel, now);
                self.arrived(&notice, receipt, now);
            }
            // Nothing was said to the channel, so nobody knows whether it works.
            Attempt::NothingToSend => {
                self.forget_notice(&notice.channel, id);
            }
            Attempt::Failed { reason, detail, retry_after } => {
                self.failed(notice, reason, &detail, retry_after, now);
            }
            Attempt::Refused { reason, detail } => {
                self.channel_worked(&notice.channel);
                self.refused(notice, reason, &detail, now);
            }
        }
    }

    /// What failed because the channel did goes at once, now that it works.
    fn channel_worked(&mut self, channel: &ChannelName) {
        for id in self.lanes.worked(channel) {
            if self.lanes.is_in_flight(channel, &id) {
                continue;
            }
            let Some(notice) = self.state.outbox.get_mut(&id).filter(|it| it.rest.is_some()) else {
                continue;
            };
            notice.rest = None;
            let notice = notice.clone();
            self.dirty.notices.insert(id);
            self.lanes.moved(&notice);
        }
    }

    fn arrived(&mut self, notice: &Notice, receipt: Option<Receipt>, now: Timestamp) {
        let channel = notice.channel.clone();
        if let Some(digest) = &notice.digest {
            for row in &digest.rows {
                let name = digest.name.clone();
                let what =
                    Happening::Digested { channel: channel.clone(), revision: row.revision, digest: name };
                self.note(&row.incident, now, what);
                self.heard(&row.incident, &channel, row.is_over());
            }
        } else {
            let id = &notice.facts.incident_id;
            let told = self.state.incidents.get_mut(id).and_then(|it| it.told.get_mut(&channel));
            if let (Some(told), Some(receipt)) = (told, receipt) {
                told.receipt = Some(receipt);
            }
            self.note(id, now, Happening::Delivered { channel: channel.clone(), revision: notice.revision });
            self.heard(id, &channel, notice.event == NoticeEvent::Resolved);
        }
        self.forget_notice(&channel, &notice.id);
    }

    /// A channel heard about an incident that it is open, or over.
    fn heard(&mut self, id: &IncidentId, channel: &ChannelName, over: bool) {
        let told = self.state.incidents.get_mut(id).and_then(|it| it.told.get_mut(channel));
        if let Some(told) = told {
            told.heard = if over { Heard::Over } else { Heard::Open };
            self.dirty.incidents.insert(id.clone());
        }
    }

    /// A page to a channel will not be tried on, and may have arrived: whoever may have heard has to hear the end.
    pub(super) fn perhaps_heard(&mut self, id: &IncidentId, channel: &ChannelName) {
        let told = self.state.incidents.get_mut(id).and_then(|it| it.told.get_mut(channel));
        if let Some(told) = told.filter(|told| told.heard != Heard::Open) {
            told.heard = Heard::Perhaps;
            self.dirty.incidents.insert(id.clone());
        }
    }

    fn failed(
        &mut self,
        mut notice: Notice,
        reason: DeliveryReason,
        detail: &str,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        let jitter = jitter(&notice);
        notice.rest = Some(Rest::of(backoff(notice.attempts, retry_after, jitter), now));
        notice.attempts = notice.attempts.saturating_add(1);
        notice.parked = false;
        notice.possibly_sent |= matches!(
            reason,
            DeliveryReason::TimedOut | DeliveryReason::Unreachable | DeliveryReason::ServerError
        );
        let failures = self.lanes.failures(&notice.channel);
        let channel_rest = Rest::of(backoff(failures, retry_after, jitter), now);
        self.lanes.failed(&notice, channel_rest, now);
        self.note_failure(&notice, reason, detail, true, now);
        // It holds up all that follows it on its channel: perhaps its parts get through.
        if notice.attempts >= BREAK_UP_AFTER && notice.digest.is_some() {
            self.break_up(&notice, |_| true, now);
            return;
        }
        self.dirty.notices.insert(notice.id.clone());
        self.state.outbox.insert(notice.id.clone(), notice);
    }

    /// What went wrong, once a reason and not once an attempt.
    fn note_failure(
        &mut self,
        notice: &Notice,
        reason: DeliveryReason,
        detail: &str,
        retried: bool,
        now: Timestamp,
    ) {
        let reason: Arc<str> = format!("{reason}: {detail}").into();
        if self.news.failures.get(&notice.id) == Some(&reason) {
            return;
        }
        self.news.failures.insert(notice.id.clone(), reason.clone());
        let (channel, revision) = (notice.channel.clone(), notice.revision);
        let told = |incident: &IncidentId, revision, engine: &mut Self| {
            let (channel, reason) = (channel.clone(), reason.clone());
            engine.note(incident, now, Happening::DeliveryFailed { channel, revision, reason, retried });
        };
        match &notice.digest {
            Some(digest) => digest.rows.iter().for_each(|row| told(&row.incident, row.revision, self)),
            None => told(&notice.facts.incident_id, revision, self),
        }
    }

    /// It will never work as it is. A page goes to the next rung; where there is none, and for the last word, it
    /// waits for somebody to mend what is wrong.
    fn refused(&mut self, notice: Notice, reason: DeliveryReason, detail: &str, now: Timestamp) {
        let pages: Vec<IncidentId> = match &notice.digest {
            Some(digest) => {
                digest.rows.iter().filter(|row| row.page).map(|row| row.incident.clone()).collect()
            }
            None if notice.event.is_page() => vec![notice.facts.incident_id.clone()],
            None => Vec::new(),
        };
        let mut is_lost = false;
        if self.wake_otherwise(&notice, now) {
            self.note_failure(&notice, reason, detail, false, now);
            self.unheard(&notice.facts.incident_id, &notice.facts.uid, &notice);
            self.forget_notice(&notice.channel, &notice.id);
            return;
        }
        for incident in &pages {
            is_lost |= !self.fail_over(incident, &notice.channel, now);
        }
        if let Some(digest) = &notice.digest {
            self.note_failure(&notice, reason, detail, is_lost, now);
            for row in digest.rows.iter().filter(|row| row.page && notice.possibly_sent) {
                self.perhaps_heard(&row.incident, &notice.channel);
            }
            let heard = |engine: &Self, row: &DigestRow| {
                let told = engine.told(&row.incident, &notice.channel);
                told.is_some_and(|told| matches!(told.heard, Heard::Open | Heard::Perhaps))
            };
            let rows = notice.digest.iter().flat_map(|digest| &digest.rows);
            let owed: BTreeSet<IncidentId> = rows
                .filter(|row| (row.is_over() && heard(self, row)) || (is_lost && row.page))
                .map(|row| row.incident.clone())
                .collect();
            self.break_up(&notice, |row| owed.contains(&row.incident), now);
            for row in notice.digest.iter().flat_map(|digest| &digest.rows) {
                let uid = self.state.incidents.get(&row.incident).map(|incident| incident.uid.clone());
                if let Some(uid) = uid.filter(|_| row.page && !owed.contains(&row.incident)) {
                    self.unheard(&row.incident, &uid, &notice);
                }
            }
            return;
        }
        let is_last_word =
            notice.event == NoticeEvent::Resolved && !has_passed(notice.created_at, PARKED_UNTIL, now);
        let parked = is_lost || is_last_word;
        self.note_failure(&notice, reason, detail, parked, now);
        if !parked {
            if notice.event.is_page() {
                self.unheard(&notice.facts.incident_id, &notice.facts.uid, &notice);
            }
            self.forget_notice(&notice.channel, &notice.id);
            return;
        }
        let mut notice = notice;
        if !std::mem::replace(&mut notice.parked, true) {
            let (channel, revision) = (notice.channel.clone(), notice.revision);
            self.note(&notice.facts.incident_id, now, Happening::Parked { channel, revision });
        }
        let wait = PARKED_FOR.saturating_mul(1 << notice.attempts.min(6)).min(PARKED_FOR_AT_MOST);
        notice.attempts = notice.attempts.saturating_add(1);
        notice.rest = Some(Rest::of(wait, now));
        self.lanes.moved(&notice);
        self.dirty.notices.insert(notice.id.clone());
        self.state.outbox.insert(notice.id.clone(), notice);
    }

    /// A beginning was refused: a channel that did not hear it need not hear the end. What may have arrived before it
    /// was refused counts as heard, and what waits behind it up to the next page would be news without a beginning.
    fn unheard(&mut self, id: &IncidentId, uid: &str, refused: &Notice) {
        let channel = &refused.channel;
        let Some(told) = self.told(id, channel) else { return };
        if matches!(told.heard, Heard::Open | Heard::Perhaps) {
            return;
        }
        if refused.possibly_sent {
            // What is refused after it does not take that back.
            self.perhaps_heard(id, channel);
            return;
        }
        for waiting in self.lanes.waiting(channel, uid).into_iter().filter(|it| *it != refused.id) {
            if self.state.outbox.get(&waiting).is_some_and(Notice::is_page) {
                return;
            }
            self.forget_notice(channel, &waiting);
        }
        let incident = self.state.incidents.get_mut(id);
        let Some(told) = incident.and_then(|it| it.told.get_mut(channel)) else { return };
        told.open = false;
        if told.heard == Heard::Nothing {
            told.pages = 0;
        }
        self.dirty.incidents.insert(id.clone());
    }

    /// What waits for a mend is tried at once: a new configuration may be it, and so may what a restart found.
    pub(super) fn unpark(&mut self) {
        let parked = self.state.outbox.values().filter(|notice| notice.parked);
        let parked: Vec<NoticeId> = parked.map(|notice| notice.id.clone()).collect();
        self.unpark_these(parked);
    }

    /// A channel that refused accepts again: what waits for that is tried, each notice at most once in the time that a
    /// first refusal waits.
    fn try_parked(&mut self, channel: &ChannelName, now: Timestamp) {
        let rested = |id: &&NoticeId| {
            let rest = self.state.outbox.get(*id).and_then(|notice| notice.rest);
            rest.is_some_and(|rest| Rest::of(PARKED_FOR, rest.since).is_over(now))
        };
        let parked: Vec<NoticeId> = self.lanes.parked(channel).filter(rested).cloned().collect();
        self.unpark_these(parked);
    }

    fn unpark_these(&mut self, parked: Vec<NoticeId>) {
        for id in parked {
            let Some(notice) = self.state.outbox.get_mut(&id) else { continue };
            if self.lanes.is_in_flight(&notice.channel, &id) {
                continue;
            }
            // Still parked: refused once more it is no news.
            notice.rest = None;
            let notice = notice.clone();
            self.lanes.moved(&notice);
            self.dirty.notices.insert(id);
        }
    }

    /// A page that will not arrive on a channel goes to the first rung below that was not told yet. Says whether
    /// somebody else hears of it, or already did.
    fn fail_over(&mut self, incident: &IncidentId, lost: &ChannelName, now: Timestamp) -> bool {
        let below = self.plan.communication.below(lost);
        let channels = &self.plan.channels;
        let configured =
            |rung: &&ChannelName| (channels.is_empty() || channels.contains_key(*rung)) && *rung != lost;
        let rungs: Vec<ChannelName> = below.iter().filter(configured).cloned().collect();
        let told = |channel: &ChannelName| self.told(incident, channel);
        match self.state.incidents.get(incident) {
            None => true,
            // Once it is over nobody need be woken for it, but somebody has to have heard.
            Some(known) if !known.state.is_active() => {
                known.told.iter().any(|(channel, told)| channel != lost && told.pages > 0)
            }
            Some(_) => match rungs.iter().find(|rung| told(rung).is_none()) {
                Some(rung) => self.pass_on(incident, lost, rung, now),
                None => rungs.iter().any(|rung| told(rung).is_some_and(|told| told.pages > 0)),
            },
        }
    }

    /// An escalation that its channel refuses goes to the emergency channel, which names the role: that others were
    /// told of the incident wakes nobody. Says whether it did.
    fn wake_otherwise(&mut self, notice: &Notice, now: Timestamp) -> bool {
        let emergency = self.plan.communication.emergency.clone();
        let id = &notice.facts.incident_id;
        let active = |incident: &&mut Incident| incident.state.is_active() && incident.acknowledged.is_none();
        let Some(incident) = self.state.incidents.get_mut(id).filter(active) else { return false };
        if !matches!(notice.event, NoticeEvent::Escalated { .. }) || notice.channel == emergency {
            return false;
        }
        incident.revision += 1;
        self.note(id, now, Happening::PassedOn { from: notice.channel.clone(), to: emergency.clone() });
        if let Some(facts) = self.facts(id, None, now) {
            self.queue(&facts, &emergency, &notice.event, &Recipients::Own, now);
        }
        true
    }

    /// A page that did not get through for `failover_after` goes to the next rung too, unless that one was told
    /// anyway. The page itself goes on being tried: whoever is on the failing channel should hear of it as well.
    pub(super) fn pass_on_late_pages(&mut self, now: Timestamp) {
        let patience = self.plan.communication.failover_after;
        let passed = |since: Timestamp| has_passed(since, patience, now) || now < since;
        // One that only waits behind others is late where they fail.
        let failing: BTreeSet<&ChannelName> = self
            .state
            .outbox
            .values()
            .filter(|notice| notice.attempts > 0 && !notice.parked)
            .map(|notice| &notice.channel)
            .collect();
        let mut late: BTreeSet<(IncidentId, ChannelName)> = BTreeSet::new();
        for notice in self.state.outbox.values() {
            if !notice.is_page() || !failing.contains(&notice.channel) || !passed(notice.created_at) {
                continue;
            }
            let incidents: Vec<&IncidentId> = match &notice.digest {
                Some(digest) => digest.rows.iter().filter(|row| row.page).map(|row| &row.incident).collect(),
                None => vec![&notice.facts.incident_id],
            };
            for incident in incidents {
                late.insert((incident.clone(), notice.channel.clone()));
            }
        }
        for (incident, channel) in late {
            let next = self.plan.communication.below(&channel).into_iter().find(|rung| *rung != channel);
            if let Some(rung) = next.filter(|rung| self.told(&incident, rung).is_none()) {
                self.pass_on(&incident, &channel, &rung, now);
            }
        }
    }

    /// What a channel was told about an incident, or would have been had it not refused.
    pub(super) fn told(&self, id: &IncidentId, channel: &ChannelName) -> Option<&Told> {
        self.state.incidents.get(id)?.told.get(channel)
    }

    /// Tells another channel of an incident that is still open.
    fn pass_on(&mut self, id: &IncidentId, from: &ChannelName, to: &ChannelName, now: Timestamp) -> bool {
        let Some(incident) = self.state.incidents.get_mut(id).filter(|incident| incident.state.is_active())
        else {
            return true;
        };
        incident.revision += 1;
        self.note(id, now, Happening::PassedOn { from: from.clone(), to: to.clone() });
        if let Some(facts) = self.facts(id, None, now) {
            self.queue(&facts, to, &NoticeEvent::Opened, &Recipients::Own, now);
        }
        true
    }

    /// What was committed and may not have left goes on as it was; what may have been in flight may arrive twice.
    pub(super) fn resume(&mut self) {
        let plan = self.plan.clone();
        self.lanes.configure(&plan.channels, &self.state.outbox);
        for notice in self.state.outbox.values().filter(|it| it.attempts > 0 && !it.parked) {
            // It was the channel that asked for the wait, or that could not be reached.
            if let Some(rest) = notice.rest {
                self.lanes.rest(&notice.channel, rest);
            }
        }
        let firsts = self.lanes.firsts(&plan.channels);
        for notice in self.state.outbox.values_mut() {
            notice.possibly_sent |= notice.attempts > 0 || firsts.contains(&notice.id);
        }
        self.unpark();
    }
}

/// In `0..1`, spread over notices and attempts, so that channels do not retry in step.
fn jitter(notice: &Notice) -> f64 {
    let mut hash = Fnv::default();
    hash.write(notice.id.as_str().as_bytes());
    hash.write(&notice.attempts.to_be_bytes());
    f64::from(u32::try_from(hash.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
