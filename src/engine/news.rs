//! News: turns what happened to incidents in one event into at most one notice for each incident and channel. Owns
//! whom an event concerns, revisions, what is superseded, and who has to hear that it is over; when a notice leaves is
//! `lanes`, what becomes of it `delivery`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::headline::headline;
use crate::domain::incident::{Happening, Heard, Told};
use crate::domain::name::{ChannelName, IncidentId, NoticeId};
use crate::domain::notice::{Facts, Notice, NoticeEvent, Recipients};

use super::Engine;
use super::incidents::DAEMON;
use super::report::Report;

/// What happened to incidents and has not been told yet.
#[derive(Debug, Default)]
pub(super) struct NewsDesk {
    items: BTreeMap<IncidentId, Item>,
    /// The reason each undelivered notice last failed for, so that a timeline holds changes and not every attempt.
    pub(super) failures: BTreeMap<NoticeId, Arc<str>>,
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
        // All but the first are told by themselves, never as news of an incident.
        NoticeEvent::StatusUpdate
        | NoticeEvent::Escalated { .. }
        | NoticeEvent::Digest
        | NoticeEvent::Heartbeat => 0,
    }
}

/// Whether a notice says all that an older one does. That somebody took the incident stops a pager from ringing, which
/// no other update does.
fn says_more(newer: &Notice, older: &Notice) -> bool {
    let takes = |notice: &Notice| matches!(notice.event, NoticeEvent::Acknowledged { .. });
    let is_taken = newer.facts.acknowledged_by.is_some() && newer.event != NoticeEvent::Resolved;
    older.event.is_superseded() && (!takes(older) || takes(newer) || !is_taken)
}

impl Engine {
    /// Writes the notices of this event.
    pub(super) fn publish(&mut self, now: Timestamp) {
        self.refresh_inhibitors();
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
        let hearers = self.hearers(id, event, now);
        self.reports.push(Report::Incident {
            id: id.clone(),
            event: event.clone(),
            severity: facts.severity,
            headline,
            channels: hearers.len(),
        });
        for (channel, event) in hearers {
            self.queue(&facts, &channel, &event, &Recipients::Own, now);
        }
    }

    /// Whom an event concerns: pages go to the channels of the severity and to all that were told; everything else
    /// goes to those whose last word is "open", whatever the routing says by now.
    pub(super) fn audience(&self, id: &IncidentId, event: &NoticeEvent) -> Vec<ChannelName> {
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

    /// Puts a notice about an incident's present revision into the outbox. A channel that is told for the first time,
    /// or that was told beside others, tells `recipients`; otherwise those it told before.
    pub(super) fn queue(
        &mut self,
        facts: &Facts,
        channel: &ChannelName,
        event: &NoticeEvent,
        recipients: &Recipients,
        now: Timestamp,
    ) {
        let id = &facts.incident_id;
        let plan = self.plan.clone();
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let revision = incident.revision;
        let is_routed = plan.communication.channels(incident.severity).contains(channel);
        let escalates = matches!(event, NoticeEvent::Escalated { .. });
        let told = match incident.told.get_mut(channel) {
            Some(told) => {
                // What goes to the severity's channels reaches their own receivers, whoever was woken before. A channel
                // that only woke somebody goes on telling them alone.
                if escalates || (event.is_page() && is_routed) {
                    told.recipients = told.recipients.and(recipients);
                }
                told
            }
            None => incident.told.entry(channel.clone()).or_insert(Told {
                open: false,
                pages: 0,
                first: revision,
                receipt: None,
                heard: Heard::Nothing,
                recipients: recipients.clone(),
            }),
        };
        // A channel that hears of the incident for the first time gets the opening, whatever happened meanwhile.
        let event =
            if told.pages == 0 && event.is_page() && !escalates { &NoticeEvent::Opened } else { event };
        if event.is_page() {
            told.pages += 1;
        }
        if *event == NoticeEvent::Opened {
            told.first = revision;
        }
        told.open = *event != NoticeEvent::Resolved;
        let facts = Facts { pages: told.pages, opened_revision: told.first, ..facts.clone() };
        let notice = Notice {
            recipients: if escalates { recipients.clone() } else { told.recipients.clone() },
            ..Notice::new(channel.clone(), revision, event.clone(), facts, now)
        };
        incident.note(
            now,
            DAEMON,
            Happening::Queued { channel: channel.clone(), event: event.clone(), revision },
        );
        self.supersede(&notice, now);
        self.post(notice);
    }

    /// Updates that still wait and that the new notice says more than are left out.
    fn supersede(&mut self, newer: &Notice, now: Timestamp) {
        for id in self.lanes.waiting(&newer.channel, &newer.facts.uid) {
            let Some(older) = self.state.outbox.get(&id).filter(|older| says_more(newer, older)) else {
                continue;
            };
            let what = Happening::Superseded { channel: older.channel.clone(), revision: older.revision };
            self.note(&newer.facts.incident_id, now, what);
            self.forget_notice(&newer.channel, &id);
        }
    }

    /// Puts a notice into the outbox, behind all others of its incident.
    pub(super) fn post(&mut self, notice: Notice) {
        let policy = self.plan.channels.get(&notice.channel).copied().unwrap_or_default();
        self.lanes.add(&notice, policy);
        self.dirty.notices.insert(notice.id.clone());
        self.state.outbox.insert(notice.id.clone(), notice);
    }

    /// Takes a notice out of the outbox.
    pub(super) fn forget_notice(&mut self, channel: &ChannelName, id: &NoticeId) {
        self.state.outbox.remove(id);
        self.lanes.remove(channel, id);
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
}
