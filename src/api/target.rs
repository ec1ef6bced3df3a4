//! A target as the API shows it: its bounds now, rests, what is held and why, pauses, and the last actions with their
//! way. Owns the wire form only.

use serde::Serialize;

use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::scaling::{ActionState, Axis, Direction, HeldReason, ScalingAction, Target, TargetRecord};
use crate::engine::Engine;

/// So many actions of a target are shown.
const MOST_ACTIONS: usize = 20;

/// A target and what is known of it.
#[derive(Debug, Serialize)]
pub(super) struct TargetView {
    target: String,
    kind: String,
    service: String,
    /// The bounds that hold now, with the windows of the schedule that are open.
    min_replicas: u32,
    max_replicas: u32,
    cooldowns: Vec<CooldownView>,
    held: Vec<HeldView>,
    paused: Option<PauseView>,
    frozen: Vec<HeldView>,
    actions: Vec<ActionView>,
}

/// When a target's rest on an axis ends.
#[derive(Debug, Serialize)]
struct CooldownView {
    axis: &'static str,
    direction: &'static str,
    until: Timestamp,
}

/// Why a wanted step is not taken.
#[derive(Debug, Serialize)]
struct HeldView {
    axis: &'static str,
    direction: &'static str,
    reason: &'static str,
    text: String,
}

/// Who asked for rest, and for how long.
#[derive(Debug, Serialize)]
struct PauseView {
    by: String,
    reason: String,
    since: Timestamp,
    until: Option<Timestamp>,
}

/// A scaling action.
#[derive(Debug, Serialize)]
struct ActionView {
    id: String,
    axis: &'static str,
    direction: &'static str,
    purpose: &'static str,
    state: &'static str,
    reason: &'static str,
    change: String,
    trigger: String,
    evidence: String,
    incident: Option<String>,
    planned_at: Timestamp,
    /// Every state it has been in, the first first.
    way: Vec<PassageView>,
}

/// A state of an action, when and why.
#[derive(Debug, Serialize)]
struct PassageView {
    state: &'static str,
    reason: &'static str,
    at: Timestamp,
}

impl TargetView {
    pub(super) fn new(engine: &Engine, target: &Target) -> Self {
        let places =
            || Axis::ALL.into_iter().flat_map(|axis| Direction::ALL.map(|direction| (axis, direction)));
        let cooldowns = places().filter_map(|(axis, direction)| {
            let until = engine.cooldown(&target.id, axis, direction)?;
            let (axis, direction) = (axis.as_str(), direction.as_str());
            Some(CooldownView { axis, direction, until })
        });
        let held = places().filter_map(|(axis, direction)| {
            Some(HeldView::new(axis, direction, engine.held(&target.id, axis, direction)?))
        });
        let record = engine.target_record(&target.id);
        let mut actions: Vec<&ScalingAction> =
            engine.actions().filter(|action| action.target == target.id).collect();
        actions.sort_by_key(|action| std::cmp::Reverse(action.planned_at));
        let bounds = target.bounds(clock::now());
        Self {
            target: target.id.to_string(),
            kind: target.id.kind.to_string(),
            service: target.service.to_string(),
            min_replicas: bounds.least,
            max_replicas: bounds.most,
            cooldowns: cooldowns.collect(),
            held: held.collect(),
            paused: record.and_then(|record| record.pause.as_ref()).map(|order| PauseView {
                by: order.by.to_string(),
                reason: order.reason.to_string(),
                since: order.since,
                until: order.until,
            }),
            frozen: record.map_or_else(Vec::new, frozen),
            actions: actions.into_iter().take(MOST_ACTIONS).map(ActionView::new).collect(),
        }
    }
}

fn frozen(record: &TargetRecord) -> Vec<HeldView> {
    let axes = record.standings.iter().filter_map(|(axis, standing)| {
        let reason = HeldReason::Frozen(standing.frozen.clone()?);
        Some(HeldView::new(*axis, Direction::Out, &reason))
    });
    axes.collect()
}

impl HeldView {
    fn new(axis: Axis, direction: Direction, reason: &HeldReason) -> Self {
        let (axis, direction) = (axis.as_str(), direction.as_str());
        Self { axis, direction, reason: reason.as_str(), text: reason.to_string() }
    }
}

impl ActionView {
    fn new(action: &ScalingAction) -> Self {
        let purpose = action.course.purpose.as_str();
        let passage = |state: &ActionState| PassageView {
            state: state.as_str(),
            reason: if *state == ActionState::Planned { purpose } else { state.reason() },
            at: state.at().unwrap_or(action.planned_at),
        };
        Self {
            id: action.id.to_string(),
            axis: action.axis.as_str(),
            direction: action.course.direction.as_str(),
            purpose,
            state: action.state.as_str(),
            reason: action.reason(),
            change: action.change(),
            trigger: action.trigger.to_string(),
            evidence: action.evidence.to_string(),
            incident: action.incident.as_ref().map(ToString::to_string),
            planned_at: action.planned_at,
            way: action.course.past.iter().chain([&action.state]).map(passage).collect(),
        }
    }
}
