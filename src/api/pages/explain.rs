//! Explanations as pages: why somebody was, or was not, told, link by link in the order the daemon decides. Owns which
//! links are the answer; finds none itself.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::domain::Timestamp;
use crate::domain::alert::AlertKey;
use crate::domain::explanation::{Explained, Reason};
use crate::domain::name::{IncidentId, NoticeId};
use crate::engine::Engine;

use super::alerts::mark;
use super::door::Visitor;
use super::frame::{Asked, show};
use super::sorry::Sorry;

/// A link of the chain.
#[derive(Clone, Serialize)]
pub(super) struct LinkView {
    at: Option<Timestamp>,
    code: &'static str,
    text: String,
    /// `go`, `stop` or `wait`: what the link means for somebody who waits to be told.
    way: &'static str,
    incident: Option<String>,
}

/// What one channel was told of an incident.
#[derive(Serialize)]
pub(super) struct ChannelView {
    channel: String,
    /// How it stands with the channel now: its last link.
    now: LinkView,
    links: Vec<LinkView>,
    attempts: usize,
}

impl LinkView {
    fn new(explained: &Explained) -> Self {
        let reason = &explained.reason;
        let way = match reason {
            Reason::NotFiring
            | Reason::Held(_)
            | Reason::NotRouted { .. }
            | Reason::Waits { parked: true, .. } => "stop",
            Reason::Became { text, .. } if text.contains("given up") => "stop",
            Reason::Became { text, .. } if text.contains("tried again") => "wait",
            Reason::Waits { .. } | Reason::InFlight { .. } => "wait",
            Reason::Value { .. }
            | Reason::Posted { .. }
            | Reason::Grouped { .. }
            | Reason::Routed { .. }
            | Reason::AlreadyTold { .. }
            | Reason::Queued { .. }
            | Reason::Became { .. } => "go",
        };
        let incident = match reason {
            Reason::Grouped { incident, .. } => Some(incident.to_string()),
            _ => None,
        };
        Self { at: explained.at, code: reason.as_str(), text: reason.to_string(), way, incident }
    }
}

fn channel_of(reason: &Reason) -> Option<&str> {
    match reason {
        Reason::Value { .. }
        | Reason::Posted { .. }
        | Reason::Grouped { .. }
        | Reason::NotFiring
        | Reason::Held(_) => None,
        Reason::Routed { channel, .. }
        | Reason::NotRouted { channel, .. }
        | Reason::AlreadyTold { channel, .. }
        | Reason::Queued { channel, .. }
        | Reason::Became { channel, .. }
        | Reason::InFlight { channel }
        | Reason::Waits { channel, .. } => Some(channel.as_str()),
    }
}

/// What each channel was told of an incident, and what every attempt said.
pub(super) fn told(engine: &Engine, id: &IncidentId, now: Timestamp) -> Vec<ChannelView> {
    let mut channels: Vec<ChannelView> = Vec::new();
    for explained in engine.explain_incident(id, now) {
        let Some(channel) = channel_of(&explained.reason) else { continue };
        let link = LinkView::new(&explained);
        let is_attempt = matches!(explained.reason, Reason::Became { .. });
        match channels.iter_mut().find(|it| it.channel == channel) {
            Some(known) => {
                known.now = link.clone();
                known.links.push(link);
                known.attempts += usize::from(is_attempt);
            }
            None => channels.push(ChannelView {
                channel: channel.to_owned(),
                now: link.clone(),
                links: vec![link],
                attempts: usize::from(is_attempt),
            }),
        }
    }
    channels
}

#[derive(Serialize)]
struct Explanation {
    title: String,
    incident: Option<String>,
    links: Vec<LinkView>,
    /// The first link that stands in the way, from 1.
    answer: Option<usize>,
}

impl Explanation {
    fn new(title: String, incident: Option<String>, chain: &[Explained]) -> Option<Self> {
        let links: Vec<LinkView> = chain.iter().map(LinkView::new).collect();
        let answer = links.iter().position(|link| link.way == "stop").map(|at| at + 1);
        (!links.is_empty()).then_some(Self { title, incident, links, answer })
    }
}

fn asked(visitor: Visitor) -> Asked {
    Asked { section: "incidents", template: "explain.html", visitor }
}

pub(super) async fn incident(
    State(api): State<Api>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    let wanted = IncidentId::from(id.as_str());
    let question = move |engine: &Engine, now| {
        let incident = engine.incident(&wanted)?;
        // What its lead alert says comes first: that is what the incident is there for.
        let lead = incident.lead().map(|(key, _)| engine.explain_alert(key, now)).unwrap_or_default();
        let own = |explained: &&Explained| {
            matches!(explained.reason, Reason::Value { .. } | Reason::Grouped { .. })
        };
        let mut chain: Vec<Explained> = lead.iter().filter(own).cloned().collect();
        chain.extend(engine.explain_incident(&wanted, now));
        Explanation::new(wanted.to_string(), Some(wanted.to_string()), &chain)
    };
    show(&api, asked(visitor), || format!("there is no incident {id}"), question).await
}

#[derive(Debug, Deserialize)]
pub(super) struct Series {
    rule: String,
    series: String,
}

pub(super) async fn alert(
    State(api): State<Api>,
    visitor: Visitor,
    Query(wanted): Query<Series>,
) -> Result<Response, Sorry> {
    let question = move |engine: &Engine, now| {
        let (rule, labels, _) = engine
            .alerts()
            .find(|(rule, labels, _)| rule.as_str() == wanted.rule && mark(labels) == wanted.series)?;
        let key = AlertKey { rule: rule.clone(), series: labels.clone() };
        let name = engine.rule(rule).map_or_else(|| rule.to_string(), |rule| rule.name.to_string());
        Explanation::new(format!("{name} {labels}"), None, &engine.explain_alert(&key, now))
    };
    let missing = || "this series is not known, or no longer".to_owned();
    show(&api, asked(visitor), missing, question).await
}

pub(super) async fn notice(
    State(api): State<Api>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    if id.len() > 200 {
        return Err(Sorry::new(StatusCode::BAD_REQUEST, "the id is too long"));
    }
    let wanted = NoticeId::from(id.as_str());
    let question = move |engine: &Engine, now| {
        Explanation::new(format!("Notice {wanted}"), None, &engine.explain_notice(&wanted, now))
    };
    show(&api, asked(visitor), || format!("there is no notice {id}"), question).await
}
