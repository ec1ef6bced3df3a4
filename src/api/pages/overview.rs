//! The overview: what is wrong, who has it, what the daemon is doing, and whether it can see.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::Api;
use crate::domain::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::scaling::ScalingAction;
use crate::domain::trouble::Trouble;
use crate::engine::Engine;

use super::alerts::{FiringView, firing};
use super::door::Visitor;
use super::frame::{Asked, show};
use super::incidents::LineView;
use super::sorry::Sorry;

/// How many open incidents the first page shows.
const INCIDENTS: usize = 25;

/// How many alerts of those that fire.
const ALERTS: usize = 20;

/// How many of the last scaling actions and deliveries.
const LATELY: usize = 8;

#[derive(Serialize)]
struct Overview {
    incidents: Vec<LineView>,
    active: usize,
    /// Those that are over and may still come back, or were closed lately.
    over: Vec<LineView>,
    alerts: Vec<FiringView>,
    firing: usize,
    actions: Vec<StepView>,
    waiting: Vec<WaitingView>,
    troubles: Vec<TroubleView>,
    targets: usize,
}

/// A scaling action in one line.
#[derive(Serialize)]
struct StepView {
    at: Timestamp,
    target: String,
    change: String,
    state: &'static str,
    reason: &'static str,
    bad: bool,
    incident: Option<String>,
}

/// A channel with notices that wait.
#[derive(Serialize)]
struct WaitingView {
    channel: String,
    notices: usize,
    /// Attempts that failed, of the notice that was tried most.
    attempts: u32,
    parked: bool,
}

/// Something wrong with the daemon itself.
#[derive(Serialize)]
struct TroubleView {
    code: &'static str,
    summary: &'static str,
    incident: Option<String>,
}

pub(super) async fn page(State(api): State<Api>, visitor: Visitor) -> Result<Response, Sorry> {
    let asked = Asked { section: "overview", template: "overview.html", visitor };
    show(&api, asked, String::new, |engine, now| Some(view(engine, now))).await
}

fn view(engine: &Engine, now: Timestamp) -> Overview {
    let (mut active, mut over): (Vec<&Incident>, Vec<&Incident>) =
        engine.incidents().partition(|incident| incident.state.is_active());
    // Worst first, then oldest: a new one never moves what somebody is reading above it of the same kind.
    active.sort_by_key(|it| (std::cmp::Reverse(it.severity), it.opened_at, &it.id));
    over.sort_by_key(|it| std::cmp::Reverse((it.resolved_at, &it.id)));
    let mut actions: Vec<&ScalingAction> = engine.actions().collect();
    actions.sort_by_key(|action| std::cmp::Reverse(action.planned_at));
    let (alerts, firing) = firing(engine, now, 0, ALERTS);
    let line = |incident: &&Incident| LineView::new(engine, incident, now);
    Overview {
        active: active.len(),
        incidents: active.iter().take(INCIDENTS).map(line).collect(),
        over: over.iter().take(LATELY).map(line).collect(),
        alerts,
        firing,
        actions: actions.into_iter().take(LATELY).map(StepView::new).collect(),
        waiting: waiting(engine),
        troubles: troubles(engine),
        targets: engine.plan().rules.policy.iter().map(|policy| policy.targets.len()).sum(),
    }
}

impl StepView {
    fn new(action: &ScalingAction) -> Self {
        Self {
            at: action.planned_at,
            target: action.target.to_string(),
            change: action.change(),
            state: action.state.as_str(),
            reason: action.reason(),
            bad: action.state.is_bad(),
            incident: action.incident.as_ref().map(ToString::to_string),
        }
    }
}

fn waiting(engine: &Engine) -> Vec<WaitingView> {
    let mut channels: std::collections::BTreeMap<String, WaitingView> = std::collections::BTreeMap::new();
    for (_, notice) in engine.outbox() {
        let channel = notice.channel.to_string();
        let line = channels.entry(channel.clone()).or_insert(WaitingView {
            channel,
            notices: 0,
            attempts: 0,
            parked: false,
        });
        line.notices += 1;
        line.attempts = line.attempts.max(notice.attempts);
        line.parked |= notice.parked;
    }
    channels.into_values().collect()
}

/// Each trouble is an incident of its own type.
fn troubles(engine: &Engine) -> Vec<TroubleView> {
    let active =
        |code: &str| engine.incidents().find(|it| it.state.is_active() && it.incident_type.as_str() == code);
    let found = Trouble::ALL.into_iter().filter_map(|trouble| {
        let incident = active(trouble.as_str())?;
        Some(TroubleView {
            code: trouble.as_str(),
            summary: trouble.summary(),
            incident: Some(incident.id.to_string()),
        })
    });
    found.collect()
}
