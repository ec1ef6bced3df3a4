//! Actions in the engine: how a recorded step moves and what is said about each move. Owns the records and the cooldowns;
//! what step is taken is `scaling`, what a look says about one under way `verify`.
//!
//! ```text
//! planned ─▶ checked ─▶ applied ─▶ ready ─▶ healthy ─▶ verified      the rest begins at the accepted write
//!    │          │          └─────────┴─────────┴──▶ failed ─▶ reverted
//!    ├──────────┴─▶ refused, dry_run
//!    └─▶ (outcome unknown) the same write again, which can win only once
//! ```

use crate::domain::Timestamp;
use crate::domain::incident::{ActionTaken, Happening, IncidentState};
use crate::domain::labels::Fnv;
use crate::domain::name::{ActionId, IncidentId, TargetId, TriggerName};
use crate::domain::notice::NoticeEvent;
use crate::domain::rest::Rest;
use crate::domain::scaling::{
    ActionState, Announcement, AppliedReason, Axis, Ballot, CheckedReason, ClusterFailure, Course, Direction,
    FailedReason, HeldReason, Purpose, RefusedReason, ScalingAction, ScalingMode, Size, Target,
    WorkloadSnapshot,
};

use super::Engine;
use super::checks::Decided;
use super::effect::Effect;
use super::evidence::{Vote, words};
use super::incidents::DAEMON;
use super::report::Report;
use super::scaling::Wanted;
use super::verify::crashing;

/// How many ended actions are remembered beyond those that something still needs.
const REMEMBERED: usize = 100;

impl Engine {
    /// Records a step that may be taken, and writes it.
    pub(super) fn plan_action(
        &mut self,
        target: &Target,
        decided: Decided,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) {
        let Decided { ask, from, to, cores, checks } = decided;
        self.release_held(target, ask.axis, ask.direction);
        let mut action = self.action(target, ask, (from, to), snapshot, now);
        action.course.cores = cores;
        action.course.raised_from =
            checks.raise.as_deref().and_then(|autoscaler| snapshot.surroundings.least_of(autoscaler));
        action.course.raise = checks.raise;
        self.narrate(&action, &format!("planned {}: {}", action.change(), action.evidence), now);
        let reason =
            if checks.unknown.is_empty() { CheckedReason::Passed } else { CheckedReason::UnknownAllowed };
        let remarks: Vec<String> =
            checks.warned.iter().chain(&checks.unknown).map(ToString::to_string).collect();
        let remarks = if remarks.is_empty() { String::new() } else { format!(": {}", remarks.join("; ")) };
        action.move_to(ActionState::Checked { at: now, reason });
        self.narrate(&action, &format!("checked {}{remarks}", action.change()), now);
        self.keep(action.clone());
        if self.plan.scaling == ScalingMode::Apply {
            self.write(action);
            return;
        }
        let text = format!("would scale {} (dry run, {})", action.change(), action.evidence);
        self.cool_down(&mut action, now);
        self.finish(action, ActionState::DryRun { at: now }, &text, NoticeEvent::Scaled, now);
    }

    /// Records a step that a check is against; once for each kind of reason.
    pub(super) fn refuse_plan(
        &mut self,
        target: &Target,
        ask: Wanted,
        sizes: (Size, Size),
        reason: HeldReason,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) {
        if self.newly_held(target, ask, &reason).is_none() {
            return;
        }
        let action = self.action(target, ask, sizes, snapshot, now);
        self.narrate(&action, &format!("planned {}: {}", action.change(), action.evidence), now);
        let text = format!("{}: {reason}", action.change());
        let state = ActionState::Refused { at: now, reason: RefusedReason::Held(reason) };
        self.finish(action, state, &text, NoticeEvent::NotScaled, now);
    }

    /// A new record of a step.
    pub(super) fn action(
        &self,
        target: &Target,
        ask: Wanted,
        (from, to): (Size, Size),
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) -> ScalingAction {
        let plan = self.plan.clone();
        let policy = plan.rules.policy.as_ref();
        let asking = policy.map_or_else(Vec::new, |policy| match ask.purpose {
            Purpose::Triggered => self.asking(policy, target, ask.axis, now),
            _ => Vec::new(),
        });
        let votes = match (policy, ask.purpose) {
            (Some(policy), Purpose::Triggered | Purpose::Cleared) => {
                self.ballots(policy, target, &asking, now)
            }
            _ => Vec::new(),
        };
        let word = ask.purpose.as_str();
        let trigger = asking.first().map_or_else(|| TriggerName::from(word), |it| it.name.clone());
        let evidence = evidence(ask.purpose, &votes);
        ScalingAction {
            id: action_id(&target.id, ask, &snapshot.uid, now),
            target: target.id.clone(),
            uid: snapshot.uid.clone(),
            axis: ask.axis,
            trigger,
            evidence: evidence.into(),
            from,
            to,
            resource_version: snapshot.resource_version.clone(),
            vertical: target.limits.vertical,
            incident: self.incident_of(target),
            planned_at: now,
            ready_by: now.checked_add(target.ready_within).unwrap_or(Timestamp::MAX),
            state: ActionState::Planned,
            course: Course {
                purpose: ask.purpose,
                direction: ask.direction,
                votes,
                crashing: crashing(snapshot),
                template: match ask.axis {
                    Axis::Horizontal => Vec::new(),
                    Axis::Vertical => snapshot.containers.clone(),
                },
                ..Course::default()
            },
        }
    }

    /// A scaling write ended.
    pub(super) fn written(&mut self, id: &ActionId, outcome: Result<(), ClusterFailure>, now: Timestamp) {
        let Some(action) = self.state.actions.get(id).cloned() else { return };
        if let Some(state) = self.targets.get_mut(&action.target) {
            state.writing = false;
        }
        if !action.state.is_unwritten() {
            return;
        }
        match outcome {
            Ok(()) => self.applied(action, AppliedReason::Accepted, now),
            // Whether it happened is unknown: the next look tells, and repeats the same write if it did not.
            Err(ClusterFailure::Unreachable | ClusterFailure::Unavailable) => self.doubt(action),
            // That this one was refused does not say that an earlier one was.
            Err(reason) if action.course.doubtful => {
                self.rest_after(&action, reason, now);
                self.end_in_doubt(action, FailedReason::Unseen, now);
            }
            Err(reason) => {
                let text = format!("not scaled {}: {reason}", action.change());
                self.rest_after(&action, reason, now);
                self.refuse(action, reason, &text, now);
            }
        }
    }

    /// Remembers that a write may have happened although nobody says so.
    fn doubt(&mut self, mut action: ScalingAction) {
        if !std::mem::replace(&mut action.course.doubtful, true) {
            self.keep(action);
        }
    }

    /// What was not known to be written when the daemon went down may have been on its way.
    pub(super) fn doubt_writes(&mut self) {
        let unwritten = self.state.actions.values().filter(|action| action.state.is_unwritten());
        for action in unwritten.cloned().collect::<Vec<_>>() {
            self.doubt(action);
        }
    }

    /// Whether a write happened will not be known any more. It may have: it counts as a step, and the rest begins.
    pub(super) fn end_in_doubt(&mut self, mut action: ScalingAction, reason: FailedReason, now: Timestamp) {
        self.cool_down(&mut action, now);
        if action.course.purpose == Purpose::Revert {
            self.revert_refused(&action);
        }
        let text = format!("{}: {}", action.change(), reason.words());
        self.finish(action, ActionState::Failed { at: now, reason }, &text, NoticeEvent::NotScaled, now);
    }

    /// One write of a target at a time: another goes out only once the outcome of the last is known to be unknown.
    pub(super) fn write(&mut self, action: ScalingAction) {
        let Some(state) = self.targets.get_mut(&action.target) else { return };
        if !std::mem::replace(&mut state.writing, true) {
            self.effects.push(Effect::Write(Box::new(action)));
        }
    }

    /// The write happened.
    pub(super) fn applied(&mut self, mut action: ScalingAction, reason: AppliedReason, now: Timestamp) {
        action.move_to(ActionState::Applied { at: now, reason });
        action.course.applied_at = Some(now);
        action.ready_by = self
            .target(&action.target)
            .and_then(|target| now.checked_add(target.ready_within).ok())
            .unwrap_or(action.ready_by);
        self.cool_down(&mut action, now);
        self.remember_step(&action, now);
        let text = format!("scaled {}", action.change());
        self.narrate(&action, &format!("applied {}: {}", action.change(), action.evidence), now);
        if let Some(id) = action.incident.clone() {
            self.act(&id, &text, now);
            if action.course.purpose.is_demand() {
                if let Some(incident) = self.state.incidents.get_mut(&id) {
                    incident.move_to(IncidentState::Mitigating);
                    for item in
                        incident.checklist.iter_mut().filter(|item| item.ticked_by == Some(action.axis))
                    {
                        item.done.get_or_insert((DAEMON.into(), now));
                    }
                }
                self.news.add(&id, NoticeEvent::Scaled, Some(action.change().into()));
            }
        }
        self.keep(action.clone());
        if action.course.purpose == Purpose::Revert {
            self.reverted(&action, now);
        }
    }

    /// The rest begins at the accepted write. What was seen before it no longer counts as evidence for another step.
    pub(super) fn cool_down(&mut self, action: &mut ScalingAction, now: Timestamp) {
        action.course.counts_from = Some(now);
        let policy = self.plan.rules.policy.as_ref();
        let rest = match action.course.direction {
            Direction::Out => policy.and_then(|policy| policy.axis(action.axis)).map(|axis| axis.cool_down),
            Direction::In => policy.and_then(|policy| policy.scale_in).map(|scale_in| scale_in.cool_down),
        };
        // What gives back or keeps a size must not shorten a rest that a step began.
        if let Some(rest) = rest
            && action.course.purpose != Purpose::KeepSize
        {
            let place = (action.target.clone(), action.axis, action.course.direction);
            self.state.cooldowns.insert(place.clone(), Rest::of(rest, now));
            self.dirty.cooldowns.insert(place);
        }
        if let Some(state) = self.targets.get_mut(&action.target) {
            state.evidence_after = Some(now);
            state.votes.values_mut().for_each(Vote::forget);
        }
    }

    /// The write did not happen and will not.
    pub(super) fn refuse(
        &mut self,
        action: ScalingAction,
        reason: ClusterFailure,
        text: &str,
        now: Timestamp,
    ) {
        match action.course.purpose {
            Purpose::Revert => self.revert_refused(&action),
            // What may not be kept is let go; what somebody changed in between is looked at again.
            Purpose::KeepSize if reason != ClusterFailure::Conflict => self.let_go(&action.target),
            _ => {}
        }
        let state = ActionState::Refused { at: now, reason: RefusedReason::Cluster(reason) };
        self.finish(action, state, text, NoticeEvent::NotScaled, now);
    }

    /// Ends what a new plan no longer follows: actions on targets that left it, all where scaling is off, and steps
    /// that were not written yet where nothing may be written any more.
    pub(super) fn abandon_unwatched(&mut self, now: Timestamp) {
        let mode = self.plan.scaling;
        let unwatched = self.state.actions.values().filter(|action| {
            let may_go_on = match mode {
                ScalingMode::Off => false,
                ScalingMode::DryRun => !action.state.is_unwritten(),
                ScalingMode::Apply => true,
            };
            action.state.is_running() && !(may_go_on && self.target(&action.target).is_some())
        });
        let unwatched: Vec<ScalingAction> = unwatched.cloned().collect();
        for mut action in unwatched {
            // Its write may be on the wire: a step that nobody could see counts as one.
            if action.state.is_unwritten() {
                self.cool_down(&mut action, now);
            }
            let text = format!("{}: no longer followed, the configuration changed", action.change());
            self.finish(action, ActionState::Abandoned { at: now }, &text, NoticeEvent::NotScaled, now);
        }
    }

    /// An action ended, one way or the other.
    pub(super) fn finish(
        &mut self,
        mut action: ScalingAction,
        state: ActionState,
        text: &str,
        event: NoticeEvent,
        now: Timestamp,
    ) {
        action.move_to(state);
        if action.incident.is_none() {
            // An incident may have been opened since the step was decided.
            action.incident = self.target(&action.target).and_then(|target| self.incident_of(target));
        }
        self.narrate(&action, &format!("{}: {text}", action.state.as_str()), now);
        if let Some(id) = action.incident.clone() {
            self.act(&id, text, now);
            if let Some(incident) = self.state.incidents.get_mut(&id)
                && incident.state == IncidentState::Mitigating
            {
                let taken = incident.acknowledged.is_some();
                incident.move_to(if taken { IncidentState::Acknowledged } else { IncidentState::Open });
            }
            if action.course.purpose.is_demand() || action.state.is_bad() {
                self.news.add(&id, event, Some(text.into()));
            }
        }
        self.keep(action);
        self.forget_old_actions(now);
    }

    /// Puts an action on record as it is now.
    pub(super) fn keep(&mut self, action: ScalingAction) {
        self.dirty.actions.insert(action.id.clone());
        self.state.keep(action);
    }

    /// The last hundred ended actions are remembered, and those that a budget or a revert still needs.
    fn forget_old_actions(&mut self, now: Timestamp) {
        let ended = self.state.actions.values().filter(|action| {
            !action.state.is_running()
                && action.course.owes_revert.is_none()
                && !self.is_budgeted(action, now)
        });
        let mut ended: Vec<_> = ended.map(|action| (action.planned_at, action.id.clone())).collect();
        ended.sort();
        for (_, id) in ended.iter().take(ended.len().saturating_sub(REMEMBERED)) {
            self.state.actions.remove(id);
            self.dirty.actions.insert(id.clone());
        }
    }

    /// Says that an action moved: to logs and metrics, on its incident's timeline, and on the workload.
    pub(super) fn narrate(&mut self, action: &ScalingAction, text: &str, now: Timestamp) {
        self.reports.push(Report::Scaling {
            action: action.id.clone(),
            target: action.target.clone(),
            axis: action.axis,
            state: action.state.clone(),
            reason: action.reason(),
            change: action.change().into(),
            evidence: action.evidence.clone(),
        });
        self.effects.push(Effect::Announce(Box::new(Announcement::of(action, text))));
        if let Some(id) = action.incident.clone() {
            let what = Happening::Scaling { action: action.id.clone(), axis: action.axis, text: text.into() };
            self.note(&id, now, what);
        }
    }

    /// A line of "actions taken".
    pub(super) fn act(&mut self, id: &IncidentId, text: &str, now: Timestamp) {
        if let Some(incident) = self.state.incidents.get_mut(id) {
            incident.actions.push(ActionTaken { at: now, text: text.into() });
            self.dirty.incidents.insert(id.clone());
        }
    }
}

/// Why a step was decided, in words.
fn evidence(purpose: Purpose, votes: &[Ballot]) -> String {
    match purpose {
        Purpose::Triggered => words(votes),
        Purpose::Cleared => format!("clear for long: {}", words(votes)),
        Purpose::Scheduled => "the schedule asks for it".into(),
        Purpose::Revert => "the last good size".into(),
        Purpose::KeepSize => "new pods start from the template".into(),
    }
}

fn action_id(target: &TargetId, ask: Wanted, uid: &str, now: Timestamp) -> ActionId {
    let mut hash = Fnv::default();
    hash.write(target.to_string().as_bytes());
    hash.write(ask.axis.as_str().as_bytes());
    // The names that steps out have always had stay as they are.
    if ask.purpose != Purpose::Triggered {
        hash.write(ask.purpose.as_str().as_bytes());
    }
    hash.write(uid.as_bytes());
    hash.write(&now.as_nanosecond().to_be_bytes());
    ActionId::from(format!("{}-{:016x}", now.as_second(), hash.0))
}
