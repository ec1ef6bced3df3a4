//! Incidents as pages: the list, and the one somebody was woken for. Its first screen answers how bad, since when, who,
//! what was done and what is next.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::view::IncidentView;
use crate::domain::Timestamp;
use crate::domain::caption::caption;
use crate::domain::headline::what_and_limit;
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::name::IncidentId;
use crate::engine::Engine;

use super::door::Visitor;
use super::explain::{ChannelView, told};
use super::frame::{Asked, show};
use super::sorry::Sorry;

/// How many incidents a page of the list shows.
const PAGE: usize = 50;

/// The longest timeline that is shown at once, newest first; the whole of it is a link away.
const TIMELINE: usize = 60;

/// An incident in one line.
#[derive(Serialize)]
pub(super) struct LineView {
    id: String,
    state: &'static str,
    severity: &'static str,
    subject: String,
    what: String,
    opened_at: Timestamp,
    resolved_at: Option<Timestamp>,
    acknowledged_by: Option<String>,
    held: Option<String>,
    did: Option<String>,
}

impl LineView {
    pub(super) fn new(engine: &Engine, incident: &Incident, now: Timestamp) -> Self {
        let facts = engine.facts_of(&incident.id, now);
        Self {
            id: incident.id.to_string(),
            state: incident.state.as_str(),
            severity: incident.severity.as_str(),
            subject: incident.subject_name().to_owned(),
            what: facts.as_ref().map_or_else(|| incident.incident_type.to_string(), what_and_limit),
            opened_at: incident.opened_at,
            resolved_at: incident.resolved_at,
            acknowledged_by: incident.acknowledged.as_ref().map(|ack| ack.by.to_string()),
            held: incident.held.as_ref().map(|hold| hold.why.to_string()),
            did: facts.and_then(|facts| facts.did).map(|did| did.to_string()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Narrowed {
    /// Only this state; `active` is all that are not over.
    #[serde(default)]
    state: String,
    /// Only those before this id, newest first.
    before: Option<String>,
}

#[derive(Serialize)]
struct List {
    state: String,
    states: Vec<&'static str>,
    incidents: Vec<LineView>,
    total: usize,
    before: Option<String>,
    next: Option<String>,
}

pub(super) async fn list(
    State(api): State<Api>,
    visitor: Visitor,
    Query(narrowed): Query<Narrowed>,
) -> Result<Response, Sorry> {
    let asked = Asked { section: "incidents", template: "incidents.html", visitor };
    let question = move |engine: &Engine, now| {
        let Narrowed { state, before } = narrowed;
        let fits = |incident: &&Incident| match state.as_str() {
            "" => true,
            "active" => incident.state.is_active(),
            "waiting" => incident.state.is_active() && incident.acknowledged.is_none(),
            state => incident.state.as_str() == state,
        };
        let mut found: Vec<&Incident> = engine.incidents().filter(fits).collect();
        let total = found.len();
        found.retain(|incident| before.as_deref().is_none_or(|before| incident.id.as_str() < before));
        found.reverse();
        let more = found.len() > PAGE;
        let incidents: Vec<LineView> =
            found.into_iter().take(PAGE).map(|it| LineView::new(engine, it, now)).collect();
        let next = incidents.last().filter(|_| more).map(|last| last.id.clone());
        let states = std::iter::once("active").chain(IncidentState::ALL.map(IncidentState::as_str));
        Some(List { state, states: states.collect(), incidents, total, before, next })
    };
    show(&api, asked, String::new, question).await
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Whole {
    /// `all` shows the timeline to its beginning.
    #[serde(default)]
    timeline: String,
}

#[derive(Serialize)]
struct IncidentPage {
    #[serde(flatten)]
    view: IncidentView,
    /// What the chart shows, where there is a query to draw.
    chart: Option<String>,
    is_active: bool,
    name: String,
    what: String,
    impact: String,
    /// What the daemon and people did, newest first.
    actions: Vec<DoneView>,
    channels: Vec<ChannelView>,
    /// Channels that still have to hear that it is over.
    owed: usize,
    next_escalation: Option<NextView>,
    done: usize,
    /// How many lines of the timeline are not shown.
    earlier: usize,
    can_silence: bool,
}

#[derive(Serialize)]
struct DoneView {
    at: Timestamp,
    text: String,
}

/// Who is woken next, and when.
#[derive(Serialize)]
struct NextView {
    role: String,
    channel: String,
    at: Option<Timestamp>,
}

pub(super) async fn one(
    State(api): State<Api>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(whole): Query<Whole>,
) -> Result<Response, Sorry> {
    let asked = Asked { section: "incidents", template: "incident.html", visitor };
    let wanted = IncidentId::from(id.as_str());
    let all = whole.timeline == "all";
    let question = move |engine: &Engine, now| view(engine, &wanted, all, now);
    show(&api, asked, || format!("there is no incident {id}"), question).await
}

fn view(engine: &Engine, id: &IncidentId, all: bool, now: Timestamp) -> Option<IncidentPage> {
    let incident = engine.incident(id)?;
    let mut view = IncidentView::new(engine, incident, true);
    let mut earlier = 0;
    if let Some(timeline) = &mut view.timeline {
        timeline.reverse();
        if !all {
            earlier = timeline.len().saturating_sub(TIMELINE);
            timeline.truncate(TIMELINE);
        }
    }
    let facts = engine.facts_of(id, now)?;
    let is_active = incident.state.is_active();
    let lead = facts.lead.as_ref();
    let drawn = lead.is_some_and(|lead| engine.plan().rules.rules.contains_key(&lead.rule));
    let waking = incident.escalation.as_ref().filter(|_| is_active && incident.acknowledged.is_none());
    Some(IncidentPage {
        chart: drawn.then(|| caption(&facts, now)),
        is_active,
        name: incident.subject_name().to_owned(),
        what: what_and_limit(&facts),
        impact: facts.impact.to_string(),
        actions: facts.actions.iter().map(|it| DoneView { at: it.at, text: it.text.to_string() }).collect(),
        channels: told(engine, id, now),
        owed: incident.told.values().filter(|told| told.open).count(),
        next_escalation: waking.and_then(|chain| {
            let step = chain.steps.get(chain.taken)?;
            let at = chain.wait.as_ref().map(|wait| wait.until);
            Some(NextView { role: step.role.to_string(), channel: step.channel.to_string(), at })
        }),
        done: incident.checklist.iter().filter(|item| item.done.is_some()).count(),
        earlier,
        can_silence: is_active && incident.silence_matchers().is_some(),
        view,
    })
}
