//! The engine: wires the domain's state machines into `Engine::on(event, now) -> effects`. Pure and synchronous: no
//! clock, no randomness, no I/O; the same events at the same times always give the same effects.
//!
//! ```text
//! Observed ─▶ rounds ─▶ incidents ─▶ news ─▶ Deliver          (one notice a channel and incident, however much
//!                │          └─▶ diagnosis ─▶ Diagnose           happened in one event)
//!                └────▶ scaling ───────────▶ Look, Write, Announce
//! ```
//!
//! After each event the shell takes [`Engine::take_changes`], commits them with the effects, and only then performs
//! the effects.

mod action;
mod budget;
pub mod capacity;
mod checks;
mod clock_set;
mod delivery;
mod diagnosis;
mod digest;
pub mod effect;
mod escalation;
pub mod event;
mod evidence;
mod explain;
pub mod external;
mod facts;
pub mod firing;
mod grievance;
pub mod heartbeat;
mod incidents;
mod kept_size;
mod lanes;
mod news;
mod pause;
pub mod plan;
mod reload;
pub mod report;
mod revert;
mod rounds;
mod scale_in;
mod scaling;
mod sight;
mod standing;
pub mod state;
mod suppress;
pub mod tenant;
mod trouble;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertKey, AlertReason};
use crate::domain::change::Change;
use crate::domain::incident::{Acknowledgement, Incident};
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentId, NoticeId, RuleId, TargetId};
use crate::domain::notice::{Facts, Notice};
use crate::domain::rest::Rest;
use crate::domain::rule::Rule;
use crate::domain::scaling::{Axis, Direction, HeldReason, ScalingAction, TargetRecord};
use crate::domain::trouble::Trouble;

use effect::Effect;
use event::Event;
use evidence::{TargetIndex, TargetState};
use lanes::Lanes;
use news::NewsDesk;
use plan::Plan;
use report::Report;
use sight::Sight;
use state::{Dirty, State};
use suppress::Suppressor;

/// The whole decision maker: its state and the plan it decides by.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    index: rounds::Index,
    target_index: TargetIndex,
    state: State,
    sight: Sight,
    targets: BTreeMap<TargetId, TargetState>,
    health: BTreeMap<TargetId, evidence::Health>,
    news: NewsDesk,
    lanes: Lanes,
    /// When a step of an escalation was last seen to be late.
    late_at: Option<Timestamp>,
    /// When this engine began to decide.
    started_at: Timestamp,
    /// What is wrong with the daemon itself now, as far as somebody else notices it.
    troubles: BTreeMap<Trouble, Arc<str>>,
    /// When rests and deadlines of scaling were last held against the clock.
    minded_at: Option<Timestamp>,
    /// The rest after the last heartbeat.
    beaten: Option<Rest>,
    diagnoses: BTreeSet<(IncidentId, usize)>,
    suppressor: Suppressor,
    capacity: capacity::CapacityState,
    dirty: Dirty,
    effects: Vec<Effect>,
    reports: Vec<Report>,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(plan: Arc<Plan>, now: Timestamp) -> Self {
        Self::restore(plan, State::default(), now).0
    }

    /// An engine that goes on from committed state, and the effects that were committed but not known to be done.
    pub fn restore(plan: Arc<Plan>, state: State, now: Timestamp) -> (Self, Vec<Effect>) {
        let mut engine = Self {
            index: rounds::Index::new(&plan),
            target_index: TargetIndex::new(&plan),
            plan,
            state,
            sight: Sight::new(now),
            targets: BTreeMap::new(),
            health: BTreeMap::new(),
            news: NewsDesk::default(),
            lanes: Lanes::default(),
            late_at: None,
            started_at: now,
            troubles: BTreeMap::new(),
            minded_at: None,
            beaten: None,
            diagnoses: BTreeSet::new(),
            suppressor: Suppressor::default(),
            capacity: capacity::CapacityState::default(),
            dirty: Dirty::default(),
            effects: Vec::new(),
            reports: Vec::new(),
        };
        engine.state.rebuild_index();
        engine.sight.restore(&engine.state);
        engine.rebuild_inhibitors();
        engine.resume();
        engine.doubt_writes();
        engine.adopt(now);
        engine.resume_diagnoses();
        engine.publish(now);
        engine.dispatch(now);
        engine.ask_diagnoses();
        let effects = std::mem::take(&mut engine.effects);
        (engine, effects)
    }

    /// Takes one event at `now` and says what to do.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Observed(round) => self.observed(&round, now),
            Event::Tick => self.tick(now),
            // What may leave leaves after every event.
            Event::Wake => {}
            Event::Reloaded(plan) => self.reload(plan, now),
            Event::Acknowledge { incident, by, until, origin } => {
                self.acknowledge(&incident, Acknowledgement { by, at: now, until, origin }, now);
            }
            Event::Unacknowledge { incident, by } => self.unacknowledge(&incident, &by, false, now),
            Event::Note { incident, by, text } => self.note_by(&incident, &by, text, now),
            Event::Check { incident, step, done, by } => self.check(&incident, step, done, &by, now),
            Event::Trouble { trouble, detail } => self.trouble(trouble, detail, now),
            Event::Resolve { incident, by } => self.resolve_by_hand(&incident, &by, now),
            Event::Posted(alerts) => self.posted(alerts, now),
            Event::Silence(silence) => self.silence(*silence, now),
            Event::ExpireSilence { id, by } => self.expire_silence(&id, &by, now),
            Event::Attempted { notice, attempt } => self.attempted(&notice, attempt, now),
            Event::Diagnosed { incident, step, asked_at, finding } => {
                self.diagnosed(&incident, step, asked_at, *finding, now);
            }
            Event::TargetSeen { target, seen } => self.target_seen(&target, seen, now),
            Event::PauseScaling { target, order } => self.pause_scaling(&target, order, now),
            Event::ResumeScaling { target, by } => self.resume_scaling(&target, &by, now),
            Event::History { of, seen } => self.history(of, seen),
            Event::Looked(looks) => self.looked(*looks),
            Event::Written { action, outcome } => self.written(&action, outcome, now),
        }
        self.publish(now);
        self.dispatch(now);
        self.ask_diagnoses();
        std::mem::take(&mut self.effects)
    }

    /// The pieces of state that changed since this was last asked.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.dirty).into_changes(&self.state, &self.plan.rules)
    }

    /// All that must survive, as changes to an empty state: for a store that lost what it held.
    pub fn everything(&self) -> Vec<Change> {
        Dirty::everything(&self.state).into_changes(&self.state, &self.plan.rules)
    }

    /// What was decided since this was last asked, for logs and metrics.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Takes back changes whose commit failed: they are part of the next ones, as they are by then.
    pub fn give_back(&mut self, changes: Vec<Change>) {
        self.dirty.give_back(changes);
    }

    fn tick(&mut self, now: Timestamp) {
        self.check_sight(now);
        self.end_suppressions(now);
        self.end_external_alerts(now);
        self.update_incidents(now);
        self.escalate(now);
        self.pass_on_late_pages(now);
        self.renew_troubles(now);
        self.end_troubles(now);
        self.beat(now);
        self.mind_the_clock(now);
        self.evaluate_scaling(now);
        self.evaluate_capacity(now);
    }
}

// === what surfaces read ===

impl Engine {
    /// The plan decided by.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Every tracked series of every rule, in a fixed order.
    pub fn alerts(&self) -> impl Iterator<Item = (&RuleId, &Labels, &Alert)> {
        self.state.alerts.iter().flat_map(|(rule, series)| {
            series.iter().map(move |(labels, tracked)| (rule, labels, &tracked.alert))
        })
    }

    /// Every incident that is remembered, by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.state.incidents.values()
    }

    /// One incident.
    pub fn incident(&self, id: &IncidentId) -> Option<&Incident> {
        self.state.incidents.get(id)
    }

    /// What there is to say about an incident at `now`.
    pub fn facts_of(&self, id: &IncidentId, now: Timestamp) -> Option<Facts> {
        self.facts(id, None, now)
    }

    /// Notices decided and not yet known to be delivered.
    pub fn outbox(&self) -> impl Iterator<Item = (&NoticeId, &Notice)> {
        self.state.outbox.iter()
    }

    /// The scaling actions that are remembered.
    pub fn actions(&self) -> impl Iterator<Item = &ScalingAction> {
        self.state.actions.values()
    }

    /// Until when a target rests on an axis after a step out or back.
    pub fn cooldown(&self, target: &TargetId, axis: Axis, direction: Direction) -> Option<Timestamp> {
        self.state.cooldowns.get(&(target.clone(), axis, direction)).map(|rest| rest.until)
    }

    /// Why a target's wanted step on an axis is not taken, where one is wanted and held.
    pub fn held(&self, target: &TargetId, axis: Axis, direction: Direction) -> Option<&HeldReason> {
        self.targets.get(target).and_then(|state| state.held(axis, direction))
    }

    /// What is remembered of a target beside its actions.
    pub fn target_record(&self, target: &TargetId) -> Option<&TargetRecord> {
        self.state.targets.get(target)
    }

    /// Whether nothing can be evaluated now.
    pub fn is_blind(&self) -> bool {
        self.sight.is_blind()
    }

    /// Why an alert is in its state.
    pub fn explain(&self, key: &AlertKey) -> Option<AlertReason> {
        self.state.alerts.get(&key.rule)?.get(&key.series).map(|tracked| tracked.alert.reason)
    }

    /// A rule, by id.
    pub fn rule(&self, id: &RuleId) -> Option<&Arc<Rule>> {
        self.plan.rules.rules.get(id)
    }
}
