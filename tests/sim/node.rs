//! The node: one incarnation of the daemon. Owns the core's loop as the simulation runs it (take what waits, commit, hand
//! out), and dying: at any boundary, inside a commit, and on the way back.

use std::collections::{BTreeMap, VecDeque};

use runbookd::domain::change::Change;
use runbookd::domain::name::{ChannelName, NoticeId};
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::domain::trouble::Trouble;
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::state::State;

use crate::bugs::Bug;
use crate::disk::Commit;
use crate::faults::Class;
use crate::step::{Record, Step};
use crate::world::{Happens, World};

/// As many as the live core takes into one commit.
const BATCH: usize = 256;

/// How often the record is compared with the engine, in commits.
const COMPARE_EVERY: u32 = 40;

/// A point that a kill waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    InsideACommit,
    BeforeSending,
    AfterSending,
    BeforeTheAnswer,
}

/// A notice whose end is not on record.
pub(crate) struct Unsettled {
    pub(crate) channel: ChannelName,
    /// Whether the engine has heard of the end.
    pub(crate) answered: bool,
    /// How many messages a kill makes of it: a digest that left without a record is forgotten, and its parts are told
    /// once more.
    pub(crate) parts: usize,
}

/// One incarnation.
pub(crate) struct Node {
    pub(crate) life: u32,
    pub(crate) step: Step,
    /// Whether the last commit did not end well.
    pub(crate) failing: bool,
    /// Handed out, and the engine has not heard of the end.
    pub(crate) flying: BTreeMap<NoticeId, ChannelName>,
    /// On the wire at some time, and the end is not on record.
    pub(crate) unsettled: BTreeMap<NoticeId, Unsettled>,
    pub(crate) armed: Option<Point>,
    waiting: VecDeque<Event>,
    committing: Option<Vec<Change>>,
    commits: u32,
    /// How often the store began to fail or to work.
    pub(crate) turns_of_store: u32,
    turn: u64,
}

impl World {
    /// Starts the daemon from what is on record.
    pub(crate) fn start(&mut self) {
        if self.node.is_some() {
            return;
        }
        let mut state = match self.disk.read() {
            Ok(state) => state,
            Err(what) => return self.fail(13, what),
        };
        if let Some(bug) = self.order.bug {
            bug.at_restore(&mut state);
        }
        self.lives += 1;
        let life = self.lives;
        self.plan = self.taste.plan(self.edition);
        let (engine, resumed) = Engine::restore(self.plan.clone(), state, self.agenda.wall());
        self.log(|| format!("life {life} begins, resumes {}", resumed.len()));
        self.trace(("start", life, resumed.len()));
        if self.compares_records()
            && let Err(what) = crate::invariants::restored::went_on(&engine, &self.disk.image, &self.plan)
        {
            self.fail(13, what);
        }
        self.node = Some(Node {
            life,
            step: Step::new(engine, resumed),
            failing: false,
            flying: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            armed: None,
            waiting: VecDeque::new(),
            committing: None,
            commits: 0,
            turns_of_store: 0,
            turn: 0,
        });
        // Whoever was here before may have died between a trouble and its end.
        self.watch.started(self.agenda.now());
        self.hand_in_later(Event::Trouble { trouble: Trouble::StoreFailing, detail: None });
        if self.lives > 1 && self.faults.strikes(Class::Process, 0.2) {
            self.marks.reached("kill_during_recovery");
            let inside = self.faults.chance(Class::Process).strikes(0.5);
            if !inside {
                return self.kill();
            }
            self.arm(Point::InsideACommit);
        }
        self.commit();
        self.agenda.after(0, Happens::Tick { life });
        for query in 0..self.source.queries() {
            let phase = self.wire.between(0, 200);
            self.agenda.after(phase, Happens::Round { life, query });
        }
    }

    fn arm(&mut self, point: Point) {
        if let Some(node) = &mut self.node {
            node.armed = Some(point);
        }
    }

    /// Whether a kill waited for this point.
    pub(crate) fn struck(&mut self, point: Point) -> bool {
        let armed = self.node.as_mut().filter(|node| node.armed == Some(point));
        armed.is_some_and(|node| node.armed.take().is_some())
    }

    pub(crate) fn tick(&mut self, life: u32) {
        if self.is_alive(life) {
            let busy = !self.flights.is_empty()
                || self.node.as_ref().is_some_and(|node| node.step.engine().outbox().next().is_some());
            self.agenda.after(if busy { 1_000 } else { 3_000 }, Happens::Tick { life });
            self.hand_in(Event::Tick);
        }
    }

    pub(crate) fn wake(&mut self, life: u32, turn: u64) {
        if self.node.as_ref().is_some_and(|node| node.life == life && node.turn == turn) {
            self.hand_in(Event::Wake);
        }
    }

    pub(crate) fn is_alive(&self, life: u32) -> bool {
        self.node.as_ref().is_some_and(|node| node.life == life)
    }

    /// An event for the daemon, after the commit that comes first.
    fn hand_in_later(&mut self, event: Event) {
        if let Some(node) = &mut self.node {
            node.waiting.push_back(event);
        }
    }

    /// An event for the daemon, if it is up.
    pub(crate) fn hand_in(&mut self, event: Event) {
        let Some(node) = &mut self.node else { return };
        node.waiting.push_back(event);
        self.run_core();
    }

    fn run_core(&mut self) {
        let Some(node) = &mut self.node else { return };
        if node.committing.is_some() || node.waiting.is_empty() {
            return;
        }
        let now = self.agenda.wall();
        for _ in 0..BATCH {
            let Some(event) = node.waiting.pop_front() else { break };
            if let Event::Attempted { notice, .. } = &event {
                node.flying.remove(notice);
                if let Some(unsettled) = node.unsettled.get_mut(notice) {
                    unsettled.answered = true;
                }
            }
            if let Err((invariant, what)) = self.watch.take(&mut node.step, event, now, self.agenda.now()) {
                return self.fail(invariant, what);
            }
            for report in node.step.reports() {
                self.watch.report(&report, &mut self.marks);
            }
        }
        self.commit();
    }

    /// Commits what was decided, or begins to.
    fn commit(&mut self) {
        let Some(node) = &mut self.node else { return };
        if self.order.bug == Some(Bug::SendsBeforeTheCommit) {
            let early = node.step.effects(Record::Kept, self.agenda.wall());
            self.hand_out(early);
        }
        let Some(node) = &mut self.node else { return };
        let changes = node.step.changes();
        if changes.is_empty() {
            return self.conclude(Commit::Kept, changes);
        }
        node.commits += 1;
        if self.struck(Point::InsideACommit) {
            return self.die_inside(&changes);
        }
        let commit = if self.disk.full {
            Commit::Refused
        } else if self.faults.strikes(Class::Disk, self.faults.commit) {
            let unknown = self.faults.chance(Class::Disk).strikes(0.5);
            self.marks.reached(if unknown {
                "unknown_commit_that_had_happened"
            } else {
                "unknown_commit_that_had_not"
            });
            if unknown { Commit::Unknown } else { Commit::Refused }
        } else {
            Commit::Kept
        };
        if self.faults.strikes(Class::Disk, self.faults.slow) {
            let takes = self.faults.chance(Class::Disk).millis(0.05, 2.0);
            let Some(node) = &mut self.node else { return };
            node.committing = Some(changes);
            self.agenda.after(takes, Happens::CommitEnds { life: node.life, commit });
            return;
        }
        self.conclude(commit, changes);
    }

    pub(crate) fn commit_ends(&mut self, life: u32, commit: Commit) {
        let Some(node) = self.node.as_mut().filter(|node| node.life == life) else { return };
        let Some(changes) = node.committing.take() else { return };
        self.conclude(commit, changes);
    }

    /// A commit ended: what may leave now leaves.
    fn conclude(&mut self, commit: Commit, changes: Vec<Change>) {
        self.trace((commit == Commit::Kept, changes.len()));
        if commit != Commit::Refused {
            if let Err((invariant, what)) =
                self.watch.committed(&changes, &self.disk, &self.plan, &mut self.marks)
            {
                return self.fail(invariant, what);
            }
            self.disk.write(&changes);
            self.watch.kept();
        }
        let compares = self.compares_records();
        let Some(node) = &mut self.node else { return };
        let ignored = commit != Commit::Kept && self.order.bug == Some(Bug::IgnoresFailedCommits);
        let kept = commit == Commit::Kept || ignored;
        if std::mem::replace(&mut node.failing, !kept) == kept {
            node.turns_of_store += 1;
            let detail = (!kept).then(|| "it does not take anything".into());
            node.waiting.push_back(Event::Trouble { trouble: Trouble::StoreFailing, detail });
        }
        let record = if kept {
            node.unsettled.retain(|_, unsettled| !unsettled.answered);
            self.watch.settled(node.step.engine(), self.agenda.wall());
            if node.commits % COMPARE_EVERY == 1
                && !ignored
                && compares
                && let Err(what) =
                    crate::invariants::restored::is_recorded(node.step.engine(), &self.disk.image)
            {
                return self.fail(13, what);
            }
            Record::Kept
        } else if self.order.bug == Some(Bug::DropsChangesOfFailedCommits) {
            Record::Unknown(Vec::new())
        } else {
            Record::Unknown(changes)
        };
        let effects = node.step.effects(record, self.agenda.wall());
        if !kept && !effects.is_empty() {
            self.marks.reached("paged_from_memory");
        }
        let held = |notice: &Notice| notice.event == NoticeEvent::Heartbeat && notice.attempts > 0;
        if !kept && node.step.engine().outbox().any(|(_, notice)| held(notice)) {
            self.marks.reached("heartbeat_held_without_a_record");
        }
        if kept && !effects.is_empty() && self.struck(Point::BeforeSending) {
            self.marks.reached("kill_between_commit_and_send");
            return self.kill();
        }
        self.hand_out(effects);
        self.sleep();
        self.run_core();
    }

    fn hand_out(&mut self, effects: Vec<Effect>) {
        let Some(node) = &mut self.node else { return };
        let life = node.life;
        for effect in effects {
            let Effect::Deliver(notice) = effect else { continue };
            if let Err((invariant, what)) =
                self.watch.handed_out(node, &notice, &self.plan, self.agenda.wall())
            {
                return self.fail(invariant, what);
            }
            match notice.event {
                NoticeEvent::Digest => self.marks.reached("digest_in_a_storm"),
                NoticeEvent::Escalated { .. } if life > 1 => self.marks.reached("escalation_after_a_restart"),
                _ => {}
            }
            node.flying.insert(notice.id.clone(), notice.channel.clone());
            if self.order.bug == Some(Bug::SendsTwice) && self.bug_draws.strikes(0.02) {
                self.agenda.after(self.wire.between(0, 3), Happens::Send { life, notice: notice.clone() });
            }
            self.agenda.after(self.wire.between(0, 3), Happens::Send { life, notice });
        }
    }

    /// When the engine wants to be woken.
    fn sleep(&mut self) {
        let Some(node) = &mut self.node else { return };
        let wall = self.agenda.wall();
        node.turn += 1;
        if let Some(at) = node.step.engine().next_turn(wall) {
            let wait = u64::try_from(at.duration_since(wall).as_millis()).unwrap_or(0);
            self.agenda.after(wait + 1, Happens::Wake { life: node.life, turn: node.turn });
        }
    }

    /// Whether everything decided is on record and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.node
            .as_ref()
            .is_some_and(|node| node.committing.is_none() && node.waiting.is_empty() && !node.failing)
    }

    /// A bug: the engine is made anew from a record that was tampered with.
    pub(crate) fn restart_in_place(&mut self, tamper: impl FnOnce(&mut State)) {
        let mut state = self.disk.image.clone();
        tamper(&mut state);
        let idle = self.is_idle();
        let Some(node) = self.node.as_mut().filter(|node| idle && node.flying.is_empty()) else { return };
        let (engine, resumed) = Engine::restore(self.plan.clone(), state, self.agenda.wall());
        node.step = Step::new(engine, resumed);
    }

    // === dying ===

    /// A kill is due: it strikes now or waits for one of the points that matter.
    pub(crate) fn kill_somehow(&mut self) {
        if self.node.is_none() || !self.faults.happens(Class::Process) {
            return;
        }
        match self.faults.chance(Class::Process).between(0, 5) {
            0 => self.arm(Point::InsideACommit),
            1 => self.arm(Point::BeforeSending),
            2 => self.arm(Point::AfterSending),
            3 => self.arm(Point::BeforeTheAnswer),
            _ => {
                self.marks.reached("kill_at_an_event_boundary");
                let committing = self.node.as_mut().and_then(|node| node.committing.take());
                match committing {
                    Some(changes) => self.die_inside(&changes),
                    None => self.kill(),
                }
            }
        }
    }

    fn die_inside(&mut self, changes: &[Change]) {
        if self.faults.chance(Class::Process).strikes(0.5) {
            self.marks.reached("kill_inside_a_commit_that_happened");
            if let Err((invariant, what)) =
                self.watch.committed(changes, &self.disk, &self.plan, &mut self.marks)
            {
                return self.fail(invariant, what);
            }
            self.disk.write(changes);
            if let Some(node) = &self.node {
                self.watch.settled(node.step.engine(), self.agenda.wall());
            }
        } else {
            self.marks.reached("kill_inside_a_commit_that_had_not");
        }
        self.kill();
    }

    /// The daemon dies. What is on the wire may still arrive.
    pub(crate) fn kill(&mut self) {
        let Some(node) = self.node.take() else { return };
        self.log(|| format!("life {} dies", node.life));
        self.trace(("kill", node.life));
        let flying = |notice: &NoticeId| self.flights.values().any(|it| it.notice == *notice);
        let mut lanes: BTreeMap<&ChannelName, u32> = BTreeMap::new();
        for (notice, unsettled) in &node.unsettled {
            *lanes.entry(&unsettled.channel).or_insert(0) += 1;
            if self.truth.has(notice) || flying(notice) {
                (0..unsettled.parts).for_each(|_| self.truth.excuse(&unsettled.channel));
            }
        }
        let crowded = lanes.into_iter().find(|(channel, count)| {
            self.plan.channels.get(*channel).is_some_and(|policy| *count > policy.lanes)
        });
        let crowded = crowded.filter(|_| !node.failing && !self.watch.moved_lanes(node.life));
        if let Some((channel, count)) = crowded {
            self.fail(4, format!("a kill may repeat {count} messages of {channel}, more than it has lanes"));
        }
        for message in self.flights.values_mut() {
            message.late = true;
        }
        self.watch.killed(node.failing);
        let down = self.wire.millis(0.3, 40.0);
        if self.faults.strikes(Class::Files, 0.1) {
            self.edition = self.draw_edition();
        }
        self.agenda.after(down, Happens::Restart);
    }
}
