//! The player: an engine, a virtual clock and answers to every effect. Owns the order of ticks and rounds, and the
//! journal of what came of them.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertChange, AlertReason};
use crate::domain::communication::LanePolicy;
use crate::domain::delivery::Attempt;
use crate::domain::headline::headline;
use crate::domain::labels::Labels;
use crate::domain::name::{ActionId, ChannelName, IncidentId, RuleId, TargetId};
use crate::domain::observation::Round;
use crate::domain::scaling::{Axis, Direction, HeldReason, ScalingMode};
use crate::domain::severity::Severity;
use crate::engine::Engine;
use crate::engine::effect::Effect;
use crate::engine::event::Event;
use crate::engine::plan::Plan;
use crate::engine::report::Report;

use super::workloads::Workloads;

/// How often time passes for the engine, as in the daemon.
const TICK: SignedDuration = SignedDuration::from_secs(1);

/// The plan of a rehearsal: channels take everything at once, because what is rehearsed is what people are told and not
/// how fast a channel is; nothing beats for an outside watchdog; scaling is as `mode` says.
pub fn rehearsed(mut plan: Plan, mode: ScalingMode) -> Plan {
    for policy in plan.channels.values_mut() {
        *policy = LanePolicy { lanes: 16, pace: std::time::Duration::ZERO, digests: false };
    }
    plan.heartbeat = None;
    plan.scaling = mode;
    plan
}

/// A step of scaling as it was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The target.
    pub target: TargetId,
    /// The axis.
    pub axis: Axis,
    /// The size before.
    pub from: String,
    /// The size after.
    pub to: String,
    /// What asked for it, in words.
    pub evidence: Arc<str>,
}

/// Something that came of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// An alert moved.
    Alert {
        /// Its rule.
        rule: RuleId,
        /// Its series.
        series: Labels,
        /// How.
        change: AlertChange,
        /// Why.
        reason: AlertReason,
        /// The last value.
        value: Option<f64>,
    },
    /// A notice left for a channel, and was accepted.
    Notice {
        /// The channel.
        channel: ChannelName,
        /// What it tells, such as `opened`.
        event: &'static str,
        /// Whether it wakes somebody.
        page: bool,
        /// The incident's severity.
        severity: Severity,
        /// The incident.
        incident: IncidentId,
        /// The rule whose alert stands for the incident, where there is one.
        rule: Option<RuleId>,
        /// The headline.
        headline: String,
    },
    /// A step was decided, and taken unless this is a dry run.
    Scaled(Step),
    /// A wanted step is held.
    Held {
        /// The target.
        target: TargetId,
        /// The axis.
        axis: Axis,
        /// Out or back.
        direction: Direction,
        /// Why.
        reason: HeldReason,
    },
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Happened,
}

/// An engine on a virtual clock.
#[derive(Debug)]
pub struct Player {
    engine: Engine,
    workloads: Workloads,
    now: Timestamp,
    journal: Vec<Entry>,
    /// The actions whose step is in the journal.
    stepped: std::collections::BTreeSet<ActionId>,
}

impl Player {
    /// An engine that knows nothing yet, at `start`.
    pub fn new(plan: Arc<Plan>, workloads: Workloads, start: Timestamp) -> Self {
        let engine = Engine::new(plan, start);
        let stepped = std::collections::BTreeSet::new();
        let mut player = Self { engine, workloads, now: start, journal: Vec::new(), stepped };
        player.happens(Event::Tick);
        player
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The engine, to be looked at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What came of everything since this was last asked.
    pub fn take_journal(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.journal)
    }

    /// Lets time pass until `to`: a tick a second, the last one at or before `to`.
    pub fn pass_to(&mut self, to: Timestamp) {
        while let Ok(next) = self.now.checked_add(TICK)
            && next <= to
        {
            self.now = next;
            self.happens(Event::Tick);
        }
    }

    /// A query is answered, at the present instant.
    pub fn observe(&mut self, round: Round) {
        self.happens(Event::Observed(round));
    }

    /// One event, and the answers to the effects it has.
    pub fn happens(&mut self, event: Event) {
        let mut waiting = VecDeque::from([event]);
        while let Some(event) = waiting.pop_front() {
            let effects = self.engine.on(event, self.now);
            // Nothing is kept, and what changed must not pile up.
            drop(self.engine.take_changes());
            for report in self.engine.take_reports() {
                self.write_down(report);
            }
            for effect in effects {
                waiting.extend(self.answer(effect));
            }
        }
    }

    fn answer(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Deliver(notice) => {
                let words = match &notice.digest {
                    Some(digest) => digest.headline(),
                    None => headline(&notice.event, &notice.facts),
                };
                self.note(Happened::Notice {
                    channel: notice.channel.clone(),
                    event: notice.event.as_str(),
                    page: notice.is_page(),
                    severity: notice.facts.severity,
                    incident: notice.facts.incident_id.clone(),
                    rule: notice.facts.lead.as_ref().map(|lead| lead.rule.clone()),
                    headline: words,
                });
                Some(Event::Attempted { notice: notice.id, attempt: Attempt::ACCEPTED })
            }
            Effect::Look(target) => {
                let seen = self.workloads.look(&target);
                Some(Event::TargetSeen { target, seen })
            }
            Effect::Write(action) => {
                let outcome = self.workloads.write(&action);
                Some(Event::Written { action: action.id, outcome })
            }
            // There is nobody to ask and nothing to write on.
            Effect::Diagnose(_) | Effect::Announce(_) => None,
        }
    }

    fn write_down(&mut self, report: Report) {
        match report {
            Report::Alert { rule, series, change, reason, value } => {
                self.note(Happened::Alert { rule, series, change, reason, value });
            }
            Report::Scaling { action, evidence, state, .. } => {
                use crate::domain::scaling::ActionState as S;
                let is_taken = matches!(state, S::Applied { .. } | S::DryRun { .. });
                let found = self.engine.actions().find(|it| it.id == action);
                if is_taken && let Some(found) = found {
                    let step = Step {
                        target: found.target.clone(),
                        axis: found.axis,
                        from: found.from.to_string(),
                        to: found.to.to_string(),
                        evidence,
                    };
                    if self.stepped.insert(action) {
                        self.note(Happened::Scaled(step));
                    }
                }
            }
            Report::Held { target, axis, direction, reason } => {
                self.note(Happened::Held { target, axis, direction, reason });
            }
            Report::External { .. }
            | Report::Incident { .. }
            | Report::Paused { .. }
            | Report::Diagnosed { .. }
            | Report::Suppressed { .. }
            | Report::Silence { .. }
            | Report::Trouble { .. }
            | Report::Sight { .. } => {}
        }
    }

    fn note(&mut self, what: Happened) {
        self.journal.push(Entry { at: self.now, what });
    }
}
