//! Digests in the engine: joins what waits for a channel into one message, and takes it apart again where it does not get
//! through. When a storm is one says `lanes`; how a digest reads is the domain's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::digest::{Digest, DigestRow};
use crate::domain::headline::what;
use crate::domain::incident::{Heard, Told};
use crate::domain::name::{ChannelName, IncidentId, NoticeId};
use crate::domain::notice::{Facts, Notice, NoticeEvent, Recipients};

use super::Engine;
use super::incidents::DIGESTS;

impl Engine {
    /// Joins what waits for a channel into one message: in the outbox it takes their place.
    pub(super) fn digest(&mut self, channel: &ChannelName, all: &[NoticeId], now: Timestamp) {
        let mut rows: BTreeMap<IncidentId, (DigestRow, Notice)> = BTreeMap::new();
        let mut span = (now, now);
        let mut possibly_sent = false;
        for id in all {
            let Some(notice) = self.state.outbox.get(id).cloned() else { continue };
            possibly_sent |= notice.possibly_sent;
            let page = notice.event.is_page();
            if page && notice.possibly_sent {
                self.perhaps_heard(&notice.facts.incident_id, channel);
            }
            span.0 = span.0.min(notice.created_at);
            let row = DigestRow {
                incident: notice.facts.incident_id.clone(),
                event: notice.event.clone(),
                revision: notice.revision,
                page,
                severity: notice.facts.severity,
                incident_type: notice.facts.incident_type.clone(),
                what: format!("{} {}", notice.facts.subject_name, what(&notice.facts)).into(),
                labels: notice.facts.labels.clone(),
                opened_at: notice.facts.opened_at,
            };
            // In the order of revisions, so the newest stays.
            match rows.get_mut(&row.incident) {
                Some((known, _)) if known.revision > row.revision => known.page |= page,
                Some((known, newest)) => {
                    let page = known.page || page;
                    // What is told one by one after all is told as the page it was.
                    let keeps = !row.is_over()
                        && (known.event == NoticeEvent::Opened || (known.page && !row.event.is_page()))
                        && known.event.is_page();
                    let event = if keeps { known.event.clone() } else { row.event.clone() };
                    *known = DigestRow { event, page, ..row };
                    *newest = notice;
                }
                None => drop(rows.insert(row.incident.clone(), (row, notice))),
            }
            self.forget_notice(channel, id);
        }
        let day = DIGESTS;
        let number = self.state.numbered.entry(day).or_insert(0);
        *number += 1;
        let name: Arc<str> = format!("D-{number:04}").into();
        self.dirty.days.insert(day);
        let worst = rows.values().max_by_key(|(row, notice)| {
            (!row.is_over(), row.severity, std::cmp::Reverse(notice.facts.opened_at))
        });
        let Some((_, worst)) = worst else { return };
        // What was done and is to be done about one of them is nothing to say about all.
        let mut facts = Facts {
            actions: Vec::new(),
            next_steps: Vec::new(),
            diagnosis: Vec::new(),
            links: Vec::new(),
            runbook_url: None,
            ..worst.facts.clone()
        };
        facts.uid = format!("digest/{channel}/{name}").into();
        let recipients = rows.values().fold(Recipients::Own, |all, (_, notice)| all.and(&notice.recipients));
        let digest = Digest::new(name, rows.into_values().map(|(row, _)| row).collect(), span);
        facts.severity = digest.severity();
        self.post(Notice {
            possibly_sent,
            recipients,
            digest: Some(Box::new(digest)),
            ..Notice::new(channel.clone(), 0, NoticeEvent::Digest, facts, now)
        });
    }

    /// Tells those incidents of a digest that have to be told one by one, in its place: a page stays one, and an incident
    /// that began and ended in the digest is told with both.
    pub(super) fn break_up(&mut self, digest: &Notice, has_to: impl Fn(&DigestRow) -> bool, now: Timestamp) {
        self.forget_notice(&digest.channel, &digest.id);
        for row in digest.digest.iter().flat_map(|digest| &digest.rows).filter(|row| has_to(row)) {
            let Some(told) = self.told(&row.incident, &digest.channel).cloned() else { continue };
            let beginning = row.page && !row.event.is_page();
            if beginning && row.is_over() && told.heard != Heard::Open && told.first < row.revision {
                let revision = told.first.max(row.revision - 1);
                self.tell_alone(digest, &row.incident, &told, (NoticeEvent::Opened, revision), now);
            }
            // Nobody is woken for what somebody has taken meanwhile; that it began is told all the same.
            let taken = self.state.incidents.get(&row.incident).is_some_and(|it| it.acknowledged.is_some());
            let wakes = matches!(row.event, NoticeEvent::Escalated { .. });
            let opens = (beginning && !row.is_over()) || (wakes && taken);
            let event = if opens { NoticeEvent::Opened } else { row.event.clone() };
            self.tell_alone(digest, &row.incident, &told, (event, row.revision), now);
        }
    }

    /// Tells one incident of a digest by itself.
    fn tell_alone(
        &mut self,
        digest: &Notice,
        incident: &IncidentId,
        told: &Told,
        (event, revision): (NoticeEvent, u32),
        now: Timestamp,
    ) {
        let Some(facts) = self.facts(incident, None, now) else { return };
        let facts = Facts { pages: told.pages, opened_revision: told.first, ..facts };
        self.post(Notice {
            recipients: told.recipients.clone(),
            possibly_sent: digest.possibly_sent || told.heard == Heard::Perhaps,
            ..Notice::new(digest.channel.clone(), revision, event, facts, digest.created_at)
        });
    }
}
