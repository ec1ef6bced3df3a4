//! The wire: sending, arriving and being answered. Owns I1 (nothing leaves that is not on record), and the moods that
//! channels fall into.

use std::sync::Arc;

use runbookd::domain::delivery::Attempt;
use runbookd::domain::name::NoticeId;
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::engine::Engine;
use runbookd::engine::event::Event;

use crate::channels::{Mood, fate};
use crate::faults::Class;
use crate::node::{Point, Unsettled};
use crate::truth::{Kind, Line, Message};
use crate::world::{Happens, World};

impl World {
    pub(crate) fn send(&mut self, life: u32, notice: Notice) {
        let Some(node) = self.node.as_mut().filter(|node| node.life == life) else { return };
        let beats = notice.event == NoticeEvent::Heartbeat;
        let recorded = self.disk.notices.contains(&notice.id);
        if !recorded && (beats || !node.failing) {
            let what = format!("{} to {} left without a record", notice.event, notice.channel);
            return self.fail(1, what);
        }
        let known = beats || self.plan.channels.contains_key(&notice.channel);
        let mood = self.moods.get(&notice.channel).copied().unwrap_or(Mood::Works);
        let stray = self.faults.strikes(Class::Sender, self.faults.sender);
        let mut fate = fate(&notice, known, mood, stray, &mut self.wire);
        let lost = fate.is_lost_answer();
        if let Some(bug) = self.order.bug {
            bug.at_send(&notice, &mut fate, &mut self.bug_draws);
        }
        if let Attempt::Failed { retry_after: Some(wait), .. } = &fate.answer {
            self.marks.reached("rate_limited");
            let wait = u64::try_from(wait.as_millis()).unwrap_or(0).min(3_600_000);
            self.asked_to_wait = self.asked_to_wait.max(wait);
        }
        let Some(node) = &mut self.node else { return };
        let message = Message {
            notice: notice.id.clone(),
            channel: notice.channel.clone(),
            lines: if beats { Vec::new() } else { lines(&notice, node.step.engine()) },
            recorded,
            late: false,
        };
        let parts = if recorded { 1 } else { message.lines.len().max(1) };
        let unsettled = Unsettled { channel: notice.channel.clone(), answered: false, parts };
        node.unsettled.insert(notice.id.clone(), unsettled);
        if matches!(fate.answer, Attempt::Refused { .. }) && (notice.possibly_sent || notice.digest.is_some())
        {
            self.truth.doubt(&message);
        }
        if lost && notice.digest.is_some() {
            // Its parts may be told again, one by one.
            self.truth.doubt(&message);
        }
        if matches!(fate.answer, Attempt::Refused { .. }) && notice.digest.is_some() && notice.possibly_sent {
            // It may have been told, and its parts are told once more.
            message.lines.iter().for_each(|_| self.truth.excuse(&notice.channel));
        }
        if lost {
            self.truth.excuse(&notice.channel);
            let late = fate.arrives.is_some_and(|at| at > fate.answered);
            self.marks.reached(if late { "accepted_late" } else { "answer_lost" });
        }
        self.trace((notice.id.as_str(), fate.arrives, fate.answered));
        self.log(|| {
            let told: Vec<String> = message
                .lines
                .iter()
                .map(|it| format!("{} r{} {:?}", &it.uid[..6], it.revision, it.kind))
                .collect();
            format!(
                "sends {} {} {} to {} [{}] arrives {:?} answer {:?} in {}",
                notice.id,
                notice.facts.incident_id,
                notice.event,
                notice.channel,
                told.join(", "),
                fate.arrives,
                fate.answer,
                fate.answered
            )
        });
        self.messages += 1;
        let flight = self.messages;
        if let Some(arrives) = fate.arrives {
            self.flights.insert(flight, message);
            self.agenda.after(arrives, Happens::Arrive { life, flight });
        }
        let answer = Happens::Answer { life, flight, notice: notice.id, attempt: fate.answer };
        self.agenda.after(fate.answered, answer);
        if !beats && self.struck(Point::AfterSending) {
            self.marks.reached("kill_between_send_and_answer");
            self.kill();
        }
    }

    pub(crate) fn arrive(&mut self, life: u32, flight: u64) {
        let Some(message) = self.flights.remove(&flight) else { return };
        if message.lines.is_empty() {
            return;
        }
        if self.truth.has(&message.notice) && self.lives > 1 {
            self.marks.reached("repeat_after_a_kill");
        }
        self.trace(("arrives", flight, message.late));
        self.log(|| {
            format!(
                "arrives {} at {}{}",
                message.notice,
                message.channel,
                if message.late { ", late" } else { "" }
            )
        });
        if let Err((invariant, what)) = self.truth.accept(&message) {
            return self.fail(invariant, what);
        }
        if self.is_alive(life) && self.struck(Point::BeforeTheAnswer) {
            self.marks.reached("kill_between_send_and_answer");
            self.kill();
        }
    }

    pub(crate) fn answer(&mut self, life: u32, flight: u64, notice: NoticeId, attempt: Attempt) {
        // Whoever was told that it failed must not be surprised by what comes later.
        if matches!(attempt, Attempt::Failed { .. })
            && let Some(message) = self.flights.get_mut(&flight)
        {
            message.late = true;
        }
        if self.is_alive(life) {
            self.hand_in(Event::Attempted { notice, attempt });
        }
    }

    // === moods ===

    pub(crate) fn channel_fails(&mut self, channel: &'static str) {
        if !self.faults.happens(Class::Outage) {
            return;
        }
        let mood = Mood::bad(self.faults.chance(Class::Outage));
        let lasts = self.faults.chance(Class::Outage).millis(1.0, 3_600.0);
        self.log(|| format!("{channel} {mood:?} for {} s", lasts / 1_000));
        self.moods.insert(channel.into(), mood);
        self.agenda.after(lasts, Happens::ChannelWorks { channel });
    }

    pub(crate) fn channel_works(&mut self, channel: &'static str) {
        if self.moods.remove(&channel.into()).is_some() {
            self.log(|| format!("{channel} works again"));
            self.marks.reached("channel_gone_and_back");
        }
    }
}

/// What a notice tells, by the identities that no restart reuses.
fn lines(notice: &Notice, engine: &Engine) -> Vec<Line> {
    let Some(digest) = &notice.digest else {
        let page = notice.event.is_page();
        let kind = Kind::of(&notice.event, page);
        return vec![Line { uid: notice.facts.uid.clone(), revision: notice.revision, kind, page }];
    };
    let uid = |row: &runbookd::domain::digest::DigestRow| -> Option<Arc<str>> {
        engine.incident(&row.incident).map(|incident| incident.uid.clone())
    };
    let line = |row: &runbookd::domain::digest::DigestRow| {
        let kind = Kind::of(&row.event, row.page);
        Some(Line { uid: uid(row)?, revision: row.revision, kind, page: row.page })
    };
    digest.rows.iter().filter_map(line).collect()
}
