//! Scaling in the engine: what is asked becomes wanted steps, wanted steps become recorded actions or a reason why not.
//! Owns which step is taken; what triggers say is `evidence`, whether a step may be taken `checks`, what becomes of it
//! `action`, the arithmetic of a step the domain's.
//!
//! ```text
//! asked ─▶ held? ─▶ Look ─▶ TargetSeen ─▶ checks ─▶ action planned, checked ─▶ Write
//!            │                               │            (dry run ends here)
//!            └─ reason ◀─────────────────────┴─ reason
//! ```
//! The size is decided from a fresh look and recorded, absolute and with the version it was seen at, before it is
//! written: a crash in between repeats the same write, which can win only once.
//!
//! What a tick costs: a few look-ups a target and trigger, one pass over the remembered actions, and no call to the
//! cluster for a target that nothing is asked of. `benches/scaling.rs` measures it.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::incident::{Happening, Incident};
use crate::domain::name::{IncidentId, TargetId};
use crate::domain::notice::NoticeEvent;
use crate::domain::rest::Rest;
use crate::domain::scaling::{
    ActionState, Axis, ClusterFailure, Direction, HeldReason, Policy, Purpose, ScalingAction, ScalingMode,
    Target, WorkloadSnapshot,
};

use super::Engine;
use super::effect::Effect;
use super::evidence::{Respite, Seen, speaks_of};
use super::grievance::is_about_scaling;
use super::report::Report;

/// How often a target is looked at while an action on it is under way, and while only its effect is awaited.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_SETTLED_EVERY: Duration = Duration::from_secs(15);

/// How often a target is looked at that nothing is asked of, where its schedule or the size of its pods wants that.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(60);

/// How soon after a failed look or write the next attempt may come.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How soon after a refusal that will not pass by itself the step is tried again: people hear of each try.
const RETRY_REFUSED_AFTER: Duration = Duration::from_secs(10 * 60);

/// A step that is asked for and that nothing held before the target was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) axis: Axis,
    pub(super) direction: Direction,
    pub(super) purpose: Purpose,
}

impl Wanted {
    /// Where it rests: a rest of one axis and direction holds up no other.
    pub(super) fn place(self) -> (Axis, Direction) {
        (self.axis, self.direction)
    }
}

impl Engine {
    /// Looks at every target: carries on what is under way, and starts what is wanted and free to start.
    pub(super) fn evaluate_scaling(&mut self, now: Timestamp) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        if plan.scaling == ScalingMode::Off {
            return;
        }
        for target in &policy.targets {
            self.end_pause(&target.id, now);
            if let Some(action) = self.running(&target.id) {
                let settled = matches!(action.state, ActionState::Healthy { .. });
                self.look(&target.id, if settled { LOOK_SETTLED_EVERY } else { LOOK_EVERY }, now);
                continue;
            }
            self.settle_standings(policy, target, now);
            let wanted = self.wanted(policy, target, now);
            let Some(state) = self.targets.get_mut(&target.id) else { continue };
            state.wanted = wanted.first().copied();
            let owed = self.owed(&target.id).map(|failed| (failed.axis, Direction::In));
            let due: Vec<_> = match owed {
                Some(place) => vec![place],
                None => wanted.iter().map(|ask| ask.place()).collect(),
            };
            if due.iter().any(|place| !self.rests(&target.id, *place, now)) {
                self.look_at_sharers(target, now);
                self.look(&target.id, LOOK_EVERY, now);
            } else if !due.is_empty() {
                // What is wanted rests; that it does has its reason already.
            } else if target.bounds(now).scheduled || self.keeps_size(&target.id) {
                self.look(&target.id, LOOK_AROUND_EVERY, now);
            }
        }
    }

    /// What is asked of a target and held by nothing that can be said without looking at it, the first to be tried
    /// first. What is held is reported.
    pub(super) fn wanted(&mut self, policy: &Policy, target: &Target, now: Timestamp) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let mut is_asked = false;
        for axis in Axis::ALL {
            let asking = self.asking(policy, target, axis, now);
            let purpose = match asking.first() {
                Some(_) => Purpose::Triggered,
                None if axis == Axis::Horizontal && self.is_below_floor(target, now) => Purpose::Scheduled,
                None => {
                    self.release_held(target, axis, Direction::Out);
                    continue;
                }
            };
            is_asked = true;
            let ask = Wanted { axis, direction: Direction::Out, purpose };
            match self.held_before(policy, target, ask, asking.first().copied(), now) {
                Some(reason) => self.hold(target, ask, &reason, now),
                None => {
                    self.recall_why(target, ask, now);
                    wanted.push(ask);
                }
            }
        }
        if is_asked {
            self.release_held(target, Axis::Horizontal, Direction::In);
        } else {
            wanted.extend(self.wanted_in(policy, target, now));
        }
        wanted
    }

    /// A target was looked at.
    pub(super) fn target_seen(
        &mut self,
        id: &TargetId,
        seen: Result<Box<WorkloadSnapshot>, ClusterFailure>,
        now: Timestamp,
    ) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        let Some(target) = self.target_index.place_of(id).and_then(|at| policy.targets.get(at)) else {
            return;
        };
        if let Some(state) = self.targets.get_mut(id) {
            state.unseen = seen.is_err();
            if let Ok(snapshot) = &seen {
                state.seen = Some(Seen { at: now, replicas: snapshot.replicas });
            }
        }
        if let Some(action) = self.running(id).cloned() {
            match seen {
                Ok(snapshot) => self.follow(target, action, &snapshot, now),
                Err(_) if action.ready_by <= now => self.lose_sight(action, now),
                Err(_) => {}
            }
            return;
        }
        if plan.scaling == ScalingMode::Off {
            return;
        }
        if let Some(failed) = self.owed(id).cloned() {
            match seen {
                Ok(snapshot) => self.give_back_size(target, failed, &snapshot, now),
                Err(_) => self.rest(id, now),
            }
            return;
        }
        // The look took time: what was wanted must still be wanted.
        let wanted = self.wanted(policy, target, now);
        if wanted.is_empty() {
            if let Ok(snapshot) = seen {
                self.keep_size(target, &snapshot, now);
            }
            return;
        }
        let snapshot = match seen {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                self.rest(id, now);
                for ask in wanted {
                    self.hold(target, ask, &HeldReason::Cluster(failure), now);
                }
                return;
            }
        };
        let free = wanted.into_iter().filter(|ask| !self.rests(id, ask.place(), now));
        for ask in free.collect::<Vec<_>>() {
            match self.decide_step(policy, target, ask, &snapshot, now) {
                Ok(step) => return self.plan_action(target, step, &snapshot, now),
                Err(held) => self.not_taken(target, ask, held, &snapshot, now),
            }
        }
    }

    /// The targets that an incident's subject names.
    pub(super) fn targets_of<'a>(&'a self, incident: &'a Incident) -> impl Iterator<Item = &'a Target> {
        let targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        targets.filter(|target| speaks_of(&incident.subject, target))
    }

    /// A wanted step is not taken. People hear of a reason once, when it begins.
    pub(super) fn hold(&mut self, target: &Target, ask: Wanted, reason: &HeldReason, now: Timestamp) {
        let Some(text) = self.newly_held(target, ask, reason) else { return };
        let Some(id) = self.incident_of(target) else { return };
        let code = reason.as_str().into();
        self.note(&id, now, Happening::NotScaled { axis: ask.axis, reason: code, text: text.clone() });
        // What is not taken back is nobody's worry.
        if ask.direction == Direction::Out && !reason.passes() {
            self.news.add(&id, NoticeEvent::NotScaled, Some(text));
        }
    }

    /// Remembers why a step is held; what there is to say about it where that is new.
    pub(super) fn newly_held(
        &mut self,
        target: &Target,
        ask: Wanted,
        reason: &HeldReason,
    ) -> Option<Arc<str>> {
        let Wanted { axis, direction, .. } = ask;
        let state = self.targets.get_mut(&target.id)?;
        let known = state.held.insert((axis, direction), reason.clone());
        if known.is_some_and(|known| known.is_like(reason)) {
            return None;
        }
        self.reports.push(Report::Held {
            target: target.id.clone(),
            axis,
            direction,
            reason: reason.clone(),
        });
        Some(match direction {
            Direction::Out => format!("{axis} step held: {reason}").into(),
            Direction::In => format!("{axis} step back held: {reason}").into(),
        })
    }

    pub(super) fn release_held(&mut self, target: &Target, axis: Axis, direction: Direction) {
        if let Some(state) = self.targets.get_mut(&target.id) {
            state.held.remove(&(axis, direction));
        }
    }

    pub(super) fn look(&mut self, id: &TargetId, every: Duration, now: Timestamp) {
        let Some(state) = self.targets.get_mut(id) else { return };
        if state.looked_at.is_none_or(|at| has_passed(at, every, now) || at > now) {
            state.looked_at = Some(now);
            self.effects.push(Effect::Look(id.clone()));
        }
    }

    /// After a look that failed nothing of the target is tried for a while.
    pub(super) fn rest(&mut self, id: &TargetId, now: Timestamp) {
        for axis in Axis::ALL {
            for direction in Direction::ALL {
                self.rest_for(id, (axis, direction), RETRY_AFTER, now);
            }
        }
    }

    /// After a refused write its axis rests, and says why: a conflict passes, a missing right or an invalid size does not.
    pub(super) fn rest_after(&mut self, action: &ScalingAction, refusal: ClusterFailure, now: Timestamp) {
        let place = (action.axis, action.course.direction);
        let passes = refusal == ClusterFailure::Conflict;
        self.rest_for(&action.target, place, if passes { RETRY_AFTER } else { RETRY_REFUSED_AFTER }, now);
        if let Some(state) = self.targets.get_mut(&action.target) {
            let why = HeldReason::Cluster(refusal);
            // Also where nothing is asked yet: a step that is asked for later rests for it.
            if let Some(respite) = state.rests.get_mut(&place) {
                respite.why = Some(why.clone());
            }
            // People hear of the refused action itself.
            if action.course.purpose.is_asked() {
                state.held.insert(place, why);
            }
        }
    }

    pub(super) fn rest_for(
        &mut self,
        id: &TargetId,
        place: (Axis, Direction),
        span: Duration,
        now: Timestamp,
    ) {
        if let Some(state) = self.targets.get_mut(id) {
            state.rests.insert(place, Respite { rest: Rest::of(span, now), why: None });
        }
    }

    /// Whether nothing of an axis and direction is tried now.
    pub(super) fn rests(&self, id: &TargetId, place: (Axis, Direction), now: Timestamp) -> bool {
        let respite = self.targets.get(id).and_then(|state| state.rests.get(&place));
        respite.is_some_and(|respite| !respite.rest.is_over(now))
    }

    /// A step is asked for again while it rests: the reason is still what it was, and was told.
    fn recall_why(&mut self, target: &Target, ask: Wanted, now: Timestamp) {
        let Some(state) = self.targets.get_mut(&target.id) else { return };
        let respite = state.rests.get(&ask.place()).filter(|respite| !respite.rest.is_over(now));
        if let Some(why) = respite.and_then(|respite| respite.why.clone()) {
            state.held.entry(ask.place()).or_insert(why);
        }
    }

    /// The failed action whose size is owed to a target.
    fn owed(&self, id: &TargetId) -> Option<&ScalingAction> {
        self.state.actions.get(self.state.owing.get(id)?)
    }

    pub(super) fn running(&self, id: &TargetId) -> Option<&ScalingAction> {
        self.state.actions.get(self.state.running.get(id)?)
    }

    pub(super) fn target(&self, id: &TargetId) -> Option<&Target> {
        let at = self.target_index.place_of(id)?;
        self.plan.rules.policy.as_ref()?.targets.get(at)
    }

    /// The worst active incident whose subject names the target; complaints about scaling itself are none.
    pub(super) fn incident_of(&self, target: &Target) -> Option<IncidentId> {
        self.incidents_of(target)
            .filter(|incident| incident.state.is_active() && !is_about_scaling(incident))
            .max_by_key(|incident| (incident.severity, std::cmp::Reverse(incident.opened_at)))
            .map(|incident| incident.id.clone())
    }

    /// The incidents that are not closed and whose subject names the target.
    pub(super) fn incidents_of(&self, target: &Target) -> impl Iterator<Item = &Incident> {
        let open = self.state.open.values().filter_map(|id| self.state.incidents.get(id));
        open.filter(|incident| speaks_of(&incident.subject, target))
    }
}
