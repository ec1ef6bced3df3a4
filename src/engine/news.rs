//! News: turns what happened to incidents in one event into at most one notice for each incident and channel. Owns
//! whom an event concerns, revisions, the outbox and the close contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::headline::headline;
use crate::domain::incident::{Happening, Told};
use crate::domain::name::{ChannelName, IncidentId, NoticeId};
use crate::domain::notice::{Attempt, Notice, NoticeEvent, Receipt};

use super::Engine;
use super::effect::Effect;
use super::incidents::DAEMON;
use super::report::Report;

/// What happened to incidents and has not been told yet.
#[derive(Debug, Default)]
pub(super) struct NewsDesk {
    items: BTreeMap<IncidentId, Item>,
    /// The reason each undelivered notice last failed for, so that a timeline holds changes and not every attempt.
    failures: BTreeMap<NoticeId, Arc<str>>,
}

#[derive(Debug)]
struct Item {
    event: NoticeEvent,
    did: Option<Arc<str>>,
}

impl NewsDesk {
    /// Something happened; the most telling of several events in one step is told, with the last thing done.
    pub(super) fn add(&mut self, id: &IncidentId, event: NoticeEvent, did: Option<Arc<str>>) {
        match self.items.get_mut(id) {
            Some(item) => {
                let came_back = item.event == NoticeEvent::Resolved && event == NoticeEvent::Reopened;
                if came_back || rank(&event) > rank(&item.event) {
                    item.event = event;
                }
                item.did = did.or_else(|| item.did.take());
            }
            None => {
                self.items.insert(id.clone(), Item { event, did });
            }
        }
    }
}

/// Which of two events says more.
fn rank(event: &NoticeEvent) -> u8 {
    match event {
        NoticeEvent::Resolved => 9,
        NoticeEvent::Opened => 8,
        NoticeEvent::Reopened => 7,
        NoticeEvent::Worsened { .. } => 6,
        NoticeEvent::Scaled => 5,
        NoticeEvent::NotScaled => 4,
        NoticeEvent::Acknowledged { .. } => 3,
        NoticeEvent::Eased { .. } => 2,
        NoticeEvent::Joined => 1,
        NoticeEvent::StatusUpdate => 0,
    }
}

impl Engine {
    /// Writes the notices of this event.
    pub(super) fn publish(&mut self, now: Timestamp) {
        for (id, item) in std::mem::take(&mut self.news.items) {
            self.tell(&id, &item.event, item.did, now);
        }
    }

    fn tell(&mut self, id: &IncidentId, event: &NoticeEvent, did: Option<Arc<str>>, now: Timestamp) {
        let every = self.plan.communication.status_every;
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        incident.revision += 1;
        incident.next_update_at = now.checked_add(every).unwrap_or(Timestamp::MAX);
        self.dirty.incidents.insert(id.clone());
        let Some(facts) = self.facts(id, did, now) else { return };
        let headline: Arc<str> = headline(event, &facts).into();
        if *event == NoticeEvent::Opened {
            self.note(id, now, Happening::Opened { headline: headline.clone() });
        }
        let audience = self.audience(id, event);
        self.reports.push(Report::Incident {
            id: id.clone(),
            event: event.clone(),
            severity: facts.severity,
            headline,
            channels: audience.len(),
        });
        for channel in audience {
            self.queue(id, &channel, event, &facts, now);
        }
    }

    /// Whom an event concerns: pages go to the channels of the severity and to all that were told; everything else
    /// goes to those whose last word is "open", whatever the routing says by now.
    fn audience(&self, id: &IncidentId, event: &NoticeEvent) -> Vec<ChannelName> {
        let Some(incident) = self.state.incidents.get(id) else { return Vec::new() };
        let told = incident.told.iter().filter(|(_, told)| told.open || event.is_page());
        let mut channels: Vec<ChannelName> = told.map(|(channel, _)| channel.clone()).collect();
        if event.is_page() {
            for channel in self.plan.communication.channels(incident.severity) {
                if !channels.contains(channel) {
                    channels.push(channel.clone());
                }
            }
        }
        channels
    }

    fn queue(
        &mut self,
        id: &IncidentId,
        channel: &ChannelName,
        event: &NoticeEvent,
        facts: &crate::domain::notice::Facts,
        now: Timestamp,
    ) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let revision = incident.revision;
        let told = incident.told.entry(channel.clone()).or_insert_with(|| Told {
            open: false,
            pages: 0,
            first: revision,
            receipt: None,
        });
        // A channel that hears of the incident for the first time gets the opening, whatever happened meanwhile.
        let event = if told.pages == 0 && event.is_page() { &NoticeEvent::Opened } else { event };
        if event.is_page() {
            told.pages += 1;
        }
        told.open = *event != NoticeEvent::Resolved;
        let facts =
            crate::domain::notice::Facts { pages: told.pages, opened_revision: told.first, ..facts.clone() };
        let notice = Notice {
            id: Notice::id(&incident.uid, channel, revision),
            channel: channel.clone(),
            revision,
            event: event.clone(),
            facts,
            created_at: now,
            attempts: 0,
            possibly_sent: false,
            receipt: told.receipt.clone(),
        };
        incident.note(
            now,
            DAEMON,
            Happening::Queued { channel: channel.clone(), event: event.clone(), revision },
        );
        self.dirty.notices.insert(notice.id.clone());
        self.effects.push(Effect::Deliver(Box::new(notice.clone())));
        self.state.outbox.insert(notice.id.clone(), notice);
    }

    /// An attempt to deliver a notice ended.
    pub(super) fn attempted(&mut self, id: &NoticeId, attempt: Attempt, now: Timestamp) {
        let Some(notice) = self.state.outbox.get(id).cloned() else { return };
        let incident = notice.facts.incident_id.clone();
        let (channel, revision) = (notice.channel.clone(), notice.revision);
        match attempt {
            Attempt::Accepted { receipt } => {
                self.keep_receipt(&incident, &channel, receipt);
                self.note(&incident, now, Happening::Delivered { channel, revision });
                self.forget_notice(id);
            }
            Attempt::NothingToSend => self.forget_notice(id),
            Attempt::Failed { reason, detail, .. } => {
                if let Some(waiting) = self.state.outbox.get_mut(id).filter(|waiting| waiting.attempts == 0) {
                    waiting.attempts = 1;
                    self.dirty.notices.insert(id.clone());
                }
                let reason: Arc<str> = format!("{reason}: {detail}").into();
                if self.news.failures.get(id) != Some(&reason) {
                    self.news.failures.insert(id.clone(), reason.clone());
                    let what = Happening::DeliveryFailed { channel, revision, reason, retried: true };
                    self.note(&incident, now, what);
                }
            }
            Attempt::Refused { reason, detail } => {
                let reason = format!("{reason}: {detail}").into();
                let what = Happening::DeliveryFailed { channel, revision, reason, retried: false };
                self.note(&incident, now, what);
                self.forget_notice(id);
                if notice.event.is_page() {
                    self.fail_over(&notice, now);
                }
            }
        }
    }

    fn keep_receipt(&mut self, id: &IncidentId, channel: &ChannelName, receipt: Option<Receipt>) {
        let told = self.state.incidents.get_mut(id).and_then(|incident| incident.told.get_mut(channel));
        if let (Some(told), Some(receipt)) = (told, receipt) {
            told.receipt = Some(receipt);
            self.dirty.incidents.insert(id.clone());
        }
    }

    /// A page that will never arrive goes to the first rung below that was not told yet.
    fn fail_over(&mut self, lost: &Notice, now: Timestamp) {
        let below = self.plan.communication.below(&lost.channel);
        let untold = below.into_iter().find(|rung| !self.has_told(&lost.facts.incident_id, rung));
        if let Some(rung) = untold {
            self.pass_on(lost, &rung, now);
        }
    }

    /// A page that no attempt got through for `failover_after` goes to the next rung too, unless that one was told anyway.
    /// The page itself goes on being tried: whoever is on the failing channel should hear of it as well.
    pub(super) fn pass_on_late_pages(&mut self, now: Timestamp) {
        let patience = self.plan.communication.failover_after;
        let late = self.state.outbox.values().filter(|notice| {
            notice.attempts > 0 && notice.event.is_page() && has_passed(notice.created_at, patience, now)
        });
        let late: Vec<Notice> = late.cloned().collect();
        for notice in late {
            let next = self.plan.communication.below(&notice.channel).into_iter().next();
            if let Some(rung) = next.filter(|rung| !self.has_told(&notice.facts.incident_id, rung)) {
                self.pass_on(&notice, &rung, now);
            }
        }
    }

    fn has_told(&self, id: &IncidentId, channel: &ChannelName) -> bool {
        self.state.incidents.get(id).is_some_and(|incident| incident.told.contains_key(channel))
    }

    /// Tells another channel of an incident that is still open.
    fn pass_on(&mut self, lost: &Notice, to: &ChannelName, now: Timestamp) {
        let id = &lost.facts.incident_id;
        let Some(incident) = self.state.incidents.get_mut(id).filter(|incident| incident.state.is_active())
        else {
            return;
        };
        incident.revision += 1;
        self.note(id, now, Happening::PassedOn { from: lost.channel.clone(), to: to.clone() });
        if let Some(facts) = self.facts(id, None, now) {
            self.queue(id, to, &NoticeEvent::Opened, &facts, now);
        }
    }

    fn forget_notice(&mut self, id: &NoticeId) {
        self.state.outbox.remove(id);
        self.news.failures.remove(id);
        self.dirty.notices.insert(id.clone());
    }

    /// Writes a line of an incident's timeline.
    pub(super) fn note(&mut self, id: &IncidentId, now: Timestamp, what: Happening) {
        if let Some(incident) = self.state.incidents.get_mut(id) {
            incident.note(now, DAEMON, what);
            self.dirty.incidents.insert(id.clone());
        }
    }

    /// Notices that were committed and may not have left: they are to be delivered again, oldest first.
    pub(super) fn resume(&mut self) {
        let mut waiting: Vec<Notice> = self.state.outbox.values().cloned().collect();
        waiting.sort_by(|one, two| {
            (one.created_at, one.revision, &one.id).cmp(&(two.created_at, two.revision, &two.id))
        });
        self.effects.extend(waiting.into_iter().map(|notice| Effect::Deliver(Box::new(notice))));
    }
}
