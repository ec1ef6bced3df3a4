//! People: who acknowledges, gives back, resolves and writes; who edits files, sets the clock, fills the disk and frees
//! it. Owns what they do; the daemon owns what comes of it.

use std::sync::Arc;
use std::time::Duration;

use runbookd::domain::incident::Happening;
use runbookd::domain::name::IncidentId;
use runbookd::engine::event::Event;

use crate::bugs::Bug;
use crate::faults::Class;
use crate::invariants::deadlines::Deadlines;
use crate::plans::Edition;
use crate::world::{Happens, World};

impl World {
    /// Somebody does something about an open incident.
    pub(crate) fn somebody_does_something(&mut self) {
        let Some(node) = &self.node else { return };
        let open = node.step.engine().incidents().filter(|incident| incident.state.is_active());
        let open: Vec<IncidentId> = open.map(|incident| incident.id.clone()).collect();
        if !self.faults.happens(Class::People) {
            return;
        }
        let draws = self.faults.chance(Class::People);
        let what = draws.between(0, 9);
        let lasts = Duration::from_millis(draws.millis(60.0, 3_600.0));
        let by: Arc<str> = draws.of(&["ann", "bob"]).copied().unwrap_or("ann").into();
        let Some(incident) = draws.of(&open).cloned() else { return };
        let until = self.agenda.wall().checked_add(lasts).ok();
        self.log(|| format!("{by} does {what} about {incident}"));
        self.watch.somebody_acts(&incident, what <= 6);
        let event = match what {
            0..=3 => Event::Acknowledge { incident, by, until: None, origin: None },
            4..=5 => Event::Acknowledge { incident, by, until, origin: None },
            6 => Event::Unacknowledge { incident, by },
            7 => Event::Resolve { incident, by },
            8 => Event::Note { incident, by, text: "looked at it".into() },
            _ => Event::Check { incident, step: 0, done: true, by },
        };
        if let Event::Acknowledge { incident, .. } = &event {
            let known = self.node.as_ref().and_then(|node| node.step.engine().incident(incident));
            let passed = |it: &Happening| matches!(it, Happening::PassedOn { .. });
            if known.is_some_and(|incident| incident.timeline.iter().any(|entry| passed(&entry.what))) {
                self.marks.reached("ack_during_failover");
            }
        }
        self.hand_in(event);
    }

    // === files ===

    pub(crate) fn draw_edition(&mut self) -> Edition {
        self.faults.chance(Class::Files).of(&Edition::ALL).copied().unwrap_or(Edition::Base)
    }

    pub(crate) fn reload_somehow(&mut self) {
        if !self.faults.happens(Class::Files) {
            return;
        }
        match self.faults.chance(Class::Files).between(0, 9) {
            0 => self.marks.reached("reload_refused"),
            1..=3 => self.reload(self.edition),
            _ => {
                let edition = self.draw_edition();
                self.reload(edition);
            }
        }
    }

    /// Files of an edition are loaded.
    pub(crate) fn reload(&mut self, edition: Edition) {
        let same = edition == self.edition;
        self.edition = edition;
        if self.node.is_none() {
            return;
        }
        self.log(|| format!("reload {edition:?}"));
        let plan = self.taste.plan(edition);
        let Some(node_now) = &self.node else { return };
        let engine = node_now.step.engine();
        if engine.outbox().any(|(_, notice)| notice.attempts > 0 && notice.rest.is_some()) {
            self.marks.reached("reload_while_retrying");
        }
        let goes = |rule: &runbookd::domain::name::RuleId| !plan.rules.rules.contains_key(rule);
        if engine.alerts().any(|(rule, _, alert)| alert.state.is_firing() && goes(rule)) {
            self.marks.reached("rule_removed_while_firing");
        }
        if engine.outbox().any(|(_, notice)| notice.parked && notice.event.as_str() == "resolved") {
            self.marks.reached("parked_last_word_mended");
        }
        let known = |name| plan.channels.contains_key(name) != self.plan.channels.contains_key(name);
        if self.plan.channels.keys().chain(plan.channels.keys()).any(known) {
            self.watch.lanes_move(node_now.life);
        }
        self.hand_in(Event::Wake);
        self.plan = plan.clone();
        let before = self.node.as_ref().filter(|_| same && self.is_idle());
        let before = before.map(|node| (node.turns_of_store, Deadlines::of(node.step.engine())));
        if self.order.bug == Some(Bug::ReloadForgetsWaits) {
            self.restart_in_place(|state| {
                state.outbox.values_mut().for_each(|notice| notice.rest = None);
                let next = |it: &mut runbookd::domain::incident::Incident| it.next_update_at = it.opened_at;
                state.incidents.values_mut().for_each(next);
            });
        }
        self.hand_in(Event::Reloaded(plan));
        let after = self.node.as_ref().filter(|_| self.is_idle());
        if let (Some((turns, before)), Some(node)) = (before, after)
            && turns == node.turns_of_store
            && let Err(what) = before.still(&Deadlines::of(node.step.engine()))
        {
            self.fail(14, what);
        }
    }

    // === clock and disk ===

    pub(crate) fn set_clock(&mut self) {
        if !self.faults.happens(Class::Time) {
            return;
        }
        let draws = self.faults.chance(Class::Time);
        let size = i64::try_from(draws.millis(1.0, 7_200.0)).unwrap_or(1_000);
        let step = if draws.strikes(0.5) { size } else { -size };
        self.marks.reached(if step < 0 { "clock_set_back" } else { "clock_set_ahead" });
        self.log(|| format!("the clock is set by {} s", step / 1_000));
        self.agenda.step_wall(step);
        self.watch.clock_set(step);
    }

    pub(crate) fn disk_full(&mut self) {
        if !self.faults.happens(Class::Disk) {
            return;
        }
        self.log(|| "the disk is full".into());
        self.disk.full = true;
        let lasts = self.faults.chance(Class::Disk).millis(5.0, 1_200.0);
        self.agenda.after(lasts, Happens::DiskFreed);
    }

    pub(crate) fn disk_freed(&mut self) {
        if std::mem::take(&mut self.disk.full) {
            self.log(|| "the disk is freed".into());
            self.marks.reached("full_disk_freed");
        }
    }
}
