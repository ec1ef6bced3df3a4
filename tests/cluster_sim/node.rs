//! The node: one incarnation of the daemon. Owns the core's loop as the simulation runs it (take, commit, hand out), what
//! is on record, and dying between any two steps in the life of a scaling action.

use std::collections::{BTreeMap, BTreeSet};

use runbookd::domain::Timestamp;
use runbookd::domain::change::Change;
use runbookd::domain::name::{ActionId, QueryId, TargetId};
use runbookd::domain::observation::{Answer, Round};
use runbookd::domain::scaling::{ActionState, ScalingAction};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::report::Report;
use runbookd::engine::state::State;

use crate::bugs::Bug;
use crate::faults::Class;
use crate::plans::INTERVAL;
use crate::step::{Record, Step};
use crate::wire::Lane;
use crate::world::{DOWN, Happens, World};

/// One incarnation.
pub(crate) struct Node {
    pub(crate) life: u32,
    pub(crate) step: Step,
    pub(crate) lanes: BTreeMap<TargetId, Lane>,
    /// Whether the last commit was not known to be kept.
    pub(crate) failing: bool,
}

/// What is on record.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) image: State,
    /// The id of every action that ever was on record.
    pub(crate) actions: BTreeSet<ActionId>,
}

impl Disk {
    fn write(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Action(id, Some(_)) = change {
                self.actions.insert(id.clone());
            }
            self.image.apply(change.clone());
        }
    }
}

impl World {
    /// Starts the daemon from what is on record.
    pub(crate) fn start(&mut self) {
        if self.node.is_some() {
            return;
        }
        let mut state = self.disk.image.clone();
        for action in state.actions.values() {
            if action.state.is_unwritten() {
                self.marks.reached("restart_with_a_planned_step");
            } else if action.state.is_running() {
                self.marks.reached("restart_with_an_applied_step");
            } else if action.course.owes_revert.is_some() {
                self.marks.reached("restart_that_owes_a_revert");
            }
        }
        let owed = state.actions.values().filter(|action| action.course.owes_revert.is_some());
        let owed: Vec<ActionId> = owed.map(|action| action.id.clone()).collect();
        if let Some(bug) = self.order.bug {
            bug.at_restore(&mut state);
        }
        self.lives += 1;
        let life = self.lives;
        let plan = self.edition.plan.clone();
        let (engine, resumed) = Engine::restore(plan, state, self.agenda.wall());
        let knows = |id: &ActionId| {
            engine.actions().any(|action| action.id == *id && action.course.owes_revert.is_some())
        };
        if let Some(id) = owed.iter().find(|id| !knows(id)) {
            self.fail(5, format!("what {id} owes is forgotten over a restart"));
        }
        self.log(|| format!("life {life} begins"));
        self.trace(("start", life, resumed.len()));
        self.judge.started(&self.disk.actions, self.agenda.now());
        self.node =
            Some(Node { life, step: Step::new(engine, resumed), lanes: BTreeMap::new(), failing: false });
        self.commit();
        self.agenda.after(0, Happens::Tick { life });
        for metric in 0..self.edition.policy().triggers.len() {
            let phase = self.wire.between(0, INTERVAL);
            self.agenda.after(phase, Happens::Round { life, metric });
        }
    }

    pub(crate) fn is_alive(&self, life: u32) -> bool {
        self.node.as_ref().is_some_and(|node| node.life == life)
    }

    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.node.as_ref().map(|node| node.step.engine())
    }

    pub(crate) fn tick(&mut self, life: u32) {
        if !self.is_alive(life) {
            return;
        }
        // While nothing is under way a tick is like the other.
        let busy = self.engine().is_some_and(|engine| engine.actions().any(|it| it.state.is_running()));
        self.agenda.after(if busy { 2_000 } else { 5_000 }, Happens::Tick { life });
        self.hand_in(Event::Tick);
        let now = self.agenda.now();
        let Some(node) = &self.node else { return };
        let held = self.judge.looks_at(node.step.engine(), &self.edition, now);
        self.check(held);
    }

    pub(crate) fn observe(&mut self, query: QueryId, at: Timestamp, answer: Answer) {
        self.hand_in(Event::Observed(Round { query, at, answer }));
    }

    /// An event for the daemon, if it is up: take, commit, hand out.
    pub(crate) fn hand_in(&mut self, event: Event) {
        let Some(node) = &mut self.node else { return };
        let is_written = matches!(event, Event::Written { .. });
        node.step.take(event, self.agenda.wall());
        if is_written && self.dies_at("kill_before_the_answer_is_on_record") {
            return;
        }
        self.commit();
    }

    fn commit(&mut self) {
        let Some(node) = &mut self.node else { return };
        let reports = node.step.reports();
        for report in &reports {
            self.tell(report);
        }
        let early = self.order.bug == Some(Bug::WritesBeforeTheCommit);
        if early && let Some(node) = &mut self.node {
            let effects = node.step.effects(Record::Kept, self.agenda.wall());
            self.hand_out(effects);
        }
        let Some(node) = &mut self.node else { return };
        let changes = node.step.changes();
        let is_step = |change: &Change| matches!(change, Change::Action(..));
        let about_a_step = changes.iter().any(is_step);
        let plans = |report: &Report| matches!(report, Report::Scaling { state: ActionState::Planned, .. });
        if reports.iter().any(plans) && self.dies_at("kill_before_the_plan_is_on_record") {
            return;
        }
        let (mut kept, mut told) = (true, true);
        if !changes.is_empty() && self.faults.strikes(Class::Disk, self.faults.commit) {
            kept = self.faults.chance(Class::Disk).strikes(0.5);
            told = false;
            if about_a_step {
                let unknown = kept;
                let mark = if unknown { "commit_unknown_with_a_step" } else { "commit_refused_with_a_step" };
                self.marks.reached(mark);
            }
            self.log(|| format!("the commit of {} changes fails, kept: {kept}", changes.len()));
        }
        if kept {
            self.disk.write(&changes);
        }
        let record = match self.order.bug {
            _ if told => Record::Kept,
            Some(Bug::IgnoresFailedCommits) => Record::Kept,
            Some(Bug::DropsChangesOfFailedCommits) => Record::Unknown(Vec::new()),
            _ => Record::Unknown(changes),
        };
        let Some(node) = &mut self.node else { return };
        node.failing = !told;
        let effects = node.step.effects(record, self.agenda.wall());
        let writes = effects.iter().any(|effect| matches!(effect, Effect::Write(_)));
        if writes && self.dies_at("kill_between_plan_and_write") {
            return;
        }
        self.hand_out(effects);
    }

    fn tell(&mut self, report: &Report) {
        let now = self.agenda.now();
        match report {
            Report::Scaling { action, target, axis, state, change, evidence, .. } => {
                self.log(|| format!("{target} {axis} {}: {change} ({evidence}) {action}", state.as_str()));
                self.trace((action.as_str(), state.as_str()));
                self.marks.moved(state);
                let Some(node) = &self.node else { return };
                let engine = node.step.engine();
                let Some(mut found) = engine.actions().find(|it| it.id == *action).cloned() else { return };
                found.state = state.clone();
                let held = self.judge.moved(&found, engine, &self.edition, now);
                let paused = self.paused_against(&found);
                self.check(held);
                self.check(paused);
            }
            Report::Held { target, axis, direction, reason } => {
                self.log(|| format!("{target} {axis} {direction:?} held: {reason}"));
                self.trace(reason.as_str());
                self.marks.held(reason);
            }
            Report::Sight { blind } => {
                self.log(|| if *blind { "blind".into() } else { "sees again".into() });
                if *blind {
                    self.marks.reached("blind");
                }
            }
            _ => {}
        }
    }

    /// I10: what is paused on record takes no step.
    fn paused_against(&self, action: &ScalingAction) -> Result<(), (u8, String)> {
        let is_known = self.node.as_ref().is_some_and(|node| !node.failing);
        let record = self.disk.image.targets.get(&action.target);
        let wall = self.agenda.wall();
        let paused = record.and_then(|record| record.pause.as_ref()).is_some_and(|pause| pause.holds(wall));
        if is_known && paused && matches!(action.state, ActionState::Checked { .. }) {
            return Err((10, format!("{} {} while it is paused", action.target, action.change())));
        }
        Ok(())
    }

    fn hand_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Look(target) => self.call_look(target),
                Effect::Write(action) => self.call_write(action),
                Effect::Deliver(_) | Effect::Diagnose(_) | Effect::Announce(_) => {}
            }
        }
    }

    // === dying ===

    /// Whether the daemon dies between two steps in the life of an action.
    pub(crate) fn dies_at(&mut self, mark: &'static str) -> bool {
        if self.node.is_none() || !self.faults.strikes(Class::Process, self.faults.kill) {
            return false;
        }
        self.marks.reached(mark);
        self.log(|| mark.replace('_', " "));
        self.kill();
        true
    }

    pub(crate) fn kill_at_a_boundary(&mut self) {
        if self.node.is_none() || !self.faults.happens(Class::Process) {
            return;
        }
        let starting = |action: &ScalingAction| matches!(action.state, ActionState::Applied { .. });
        if self.engine().is_some_and(|engine| engine.actions().any(starting)) {
            self.marks.reached("kill_while_pods_start");
        }
        self.kill();
    }

    /// The daemon dies. What is on the wire may still arrive.
    fn kill(&mut self) {
        let Some(node) = self.node.take() else { return };
        self.log(|| format!("life {} dies", node.life));
        self.trace(("kill", node.life));
        self.last_answers.clear();
        let down = self.wire.millis(0.3, 200.0).min(DOWN - 1);
        self.agenda.after(down, Happens::Restart);
    }
}
