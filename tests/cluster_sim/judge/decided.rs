//! Decided: what must hold of what the engine decides: I1, I2 where nothing is written, I3, and I5 where an action ends.

use runbookd::domain::labels::Labels;
use runbookd::domain::scaling::{
    ActionState, AppliedReason, Direction, Purpose, ScalingAction, Size, Target,
};
use runbookd::engine::Engine;

use super::{Held, Judge, Planned, SLACK, cool, millis, told};
use crate::accepted;
use crate::evidence::{GAP, Run};
use crate::plans::{BLIND_AFTER, Edition};

impl Judge {
    /// An action moved.
    pub(crate) fn moved(
        &mut self,
        action: &ScalingAction,
        engine: &Engine,
        edition: &Edition,
        now: u64,
    ) -> Held {
        self.moved_at.insert(action.target.clone(), now);
        match &action.state {
            ActionState::Checked { .. } => {
                self.founded(action, engine, edition, now)?;
                self.plan(action, edition, now);
                Ok(())
            }
            ActionState::DryRun { .. } => self.rested_dry(action, edition, now),
            ActionState::Applied { reason, .. } => {
                if *reason == AppliedReason::Accepted && !self.done.contains(&action.id) {
                    return Err((5, format!("{} counts as carried out and was not", told(action))));
                }
                self.known.insert(action.id.clone());
                self.applied_at.insert(action.target.clone(), now);
                if action.course.purpose == Purpose::Revert {
                    // Where somebody wrote the same size a moment before, nobody can say whose it is.
                    self.quiet_at.insert(action.target.clone(), now);
                }
                Ok(())
            }
            ActionState::Refused { .. } => {
                self.planned.remove(&action.id);
                if self.carried.iter().any(|it| it.id == action.id && !it.hidden) {
                    return Err((5, format!("{} was carried out and counts as refused", told(action))));
                }
                Ok(())
            }
            ActionState::Failed { .. }
            | ActionState::Verified { .. }
            | ActionState::Reverted { .. }
            | ActionState::Abandoned { .. } => {
                self.planned.remove(&action.id);
                self.rests(action, engine, now)
            }
            ActionState::Planned | ActionState::Ready { .. } | ActionState::Healthy { .. } => Ok(()),
        }
    }

    fn plan(&mut self, action: &ScalingAction, edition: &Edition, now: u64) {
        let bounds = edition.target(&action.target).map(|it| (it.min_replicas, it.max_replicas));
        let budget = edition.policy().budget.and_then(|budget| Some((budget.steps?, millis(budget.per))));
        let planned = Planned { at: now, bounds, budget, disturbed: false, up: 0, counted: now };
        self.planned.insert(action.id.clone(), planned);
    }

    /// I1 and I3: a decision is within the bounds, and rests on what was seen.
    fn founded(&self, action: &ScalingAction, engine: &Engine, edition: &Edition, now: u64) -> Held {
        let Some(target) = edition.target(&action.target) else {
            return Err((1, format!("{} on what is no target", told(action))));
        };
        within(action, target)?;
        let steady = self.steady_since(now.saturating_sub(2 * BLIND_AFTER));
        let blind = engine.is_blind() || (steady && self.is_blind(now));
        // That pods do not come up is seen in the cluster, not in the metrics.
        let gives_back_what_is_down =
            action.course.purpose == Purpose::Revert && self.down.get(&action.target) == Some(&true);
        if blind && !gives_back_what_is_down {
            return Err((3, format!("{} while blind", told(action))));
        }
        match action.course.purpose {
            Purpose::Triggered => self.breached(action, target, edition, now)?,
            Purpose::Cleared => self.cleared(action, target, engine, edition, now)?,
            Purpose::Scheduled | Purpose::Revert | Purpose::KeepSize => return Ok(()),
        }
        if self.rollouts.get(&action.target) == Some(&true) {
            return Err((3, format!("{} during a rollout", told(action))));
        }
        Ok(())
    }

    fn breached(&self, action: &ScalingAction, target: &Target, edition: &Edition, now: u64) -> Held {
        let policy = edition.policy();
        let Some(trigger) = policy.triggers.iter().find(|it| it.name == action.trigger) else {
            return Err((3, format!("{} for a trigger that is none", told(action))));
        };
        let since = self.applied_at.get(&action.target).copied().unwrap_or(0);
        let Some(run) = self.evidence.breach(target, trigger, since) else {
            return Err((3, format!("{} and {} is not beyond its threshold", told(action), trigger.metric)));
        };
        if !run.last.is_finite() {
            return Err((3, format!("{} on a value of {}", told(action), run.last)));
        }
        self.lasted(action, run, millis(policy.sustained), now)
    }

    fn cleared(
        &self,
        action: &ScalingAction,
        target: &Target,
        engine: &Engine,
        edition: &Edition,
        now: u64,
    ) -> Held {
        let policy = edition.policy();
        let Some(scale_in) = policy.scale_in else {
            return Err((3, format!("{} and nothing is ever taken back", told(action))));
        };
        let since = self.applied_at.get(&action.target).copied().unwrap_or(0);
        for trigger in &policy.triggers {
            let Some(run) = self.evidence.clear(target, trigger, since) else {
                return Err((3, format!("{} and {} is not clear", told(action), trigger.metric)));
            };
            self.lasted(action, run, millis(scale_in.stabilize), now)?;
        }
        let concerns = |labels: &Labels| labels.get("service") == Some(&target.service);
        if engine.incidents().any(|it| it.state.is_active() && concerns(&it.subject)) {
            return Err((3, format!("{} during an incident", told(action))));
        }
        Ok(())
    }

    /// Whether a run is long enough and fresh.
    fn lasted(&self, action: &ScalingAction, run: Run, wanted: u64, now: u64) -> Held {
        if !self.steady_since(run.from.saturating_sub(4 * GAP)) {
            return Ok(());
        }
        if run.lasts() < wanted {
            return Err((3, format!("{} after {} of {wanted} ms", told(action), run.lasts())));
        }
        if now - run.to >= GAP + SLACK {
            return Err((3, format!("{} on a value that is {} ms old", told(action), now - run.to)));
        }
        Ok(())
    }

    fn is_blind(&self, now: u64) -> bool {
        now - self.evidence.answered_at > BLIND_AFTER + SLACK
    }

    /// I2 where nothing is written.
    fn rested_dry(&mut self, action: &ScalingAction, edition: &Edition, now: u64) -> Held {
        if action.course.direction == Direction::In {
            return Ok(());
        }
        let place = (action.target.clone(), action.axis);
        let next = (now, cool(edition, action.axis, Direction::Out), action.id.clone());
        let Some((at, rest, _)) = self.dry.insert(place, next) else { return Ok(()) };
        let passed = now - at + self.ahead_since(at) + SLACK;
        if passed < rest {
            return Err((2, format!("{} would come {} ms after another", told(action), now - at)));
        }
        Ok(())
    }

    /// I5: what was carried out is followed by a rest.
    fn rests(&self, action: &ScalingAction, engine: &Engine, now: u64) -> Held {
        let Some(carried) = self.carried.iter().find(|it| it.id == action.id && it.counts()) else {
            return Ok(());
        };
        let over = now - carried.at + self.ahead_since(carried.at) + SLACK >= carried.cool;
        let rest = engine.cooldown(&action.target, action.axis, action.course.direction);
        if rest.is_none() && !over {
            return Err((5, format!("{} was carried out and no rest followed", told(action))));
        }
        Ok(())
    }
}

/// I1.
fn within(action: &ScalingAction, target: &Target) -> Held {
    let (min, max) = (target.min_replicas, target.max_replicas);
    let most = target.max_memory.unwrap_or(f64::INFINITY);
    let is_within = match &action.to {
        Size::Replicas(to) => (min..=max).contains(to),
        Size::Resources(sizes) => {
            sizes.iter().filter_map(|size| size.memory_limit).all(|memory| memory <= most)
        }
    };
    if is_within || accepted::beyond_the_bounds(action, target) {
        return Ok(());
    }
    Err((1, format!("{} is not within {min} and {max} replicas, {most} bytes", told(action))))
}
