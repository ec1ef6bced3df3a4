//! Silences as a page: what is held back and until when, a form for another with the engine's own preview of what it
//! would hold back, and their end.

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::Api;
use crate::api::incidents::signed;
use crate::api::silences::{self, SilenceView};
use crate::domain::Timestamp;
use crate::domain::matcher::Matchers;
use crate::domain::silence::{Silence, SilenceState};
use crate::engine::Engine;

use super::act::{back, body};
use super::door::{Actor, Visitor};
use super::frame::{Asked, show};
use super::sorry::Sorry;

/// How many silences that are over are listed.
const OVER: usize = 50;

/// How many of the alerts that a silence would fit are named.
const NAMED: usize = 20;

/// The form as it was filled in: it is never lost.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
pub(super) struct Filled {
    #[serde(default)]
    matchers: String,
    #[serde(rename = "for", default)]
    lasts: String,
    #[serde(default)]
    comment: String,
    /// `preview` shows what it would hold back and makes nothing.
    #[serde(rename = "do", default)]
    action: String,
}

#[derive(Serialize)]
struct Page {
    silences: Vec<SilenceView>,
    over: Vec<SilenceView>,
    filled: Filled,
    wrong: Option<String>,
    preview: Option<Preview>,
}

/// What a silence would hold back now.
#[derive(Serialize)]
struct Preview {
    fitting: usize,
    firing: usize,
    of: usize,
    named: Vec<String>,
}

pub(super) async fn page(
    State(api): State<Api>,
    visitor: Visitor,
    Query(filled): Query<Filled>,
) -> Result<Response, Sorry> {
    with_form(&api, visitor, filled, None).await
}

async fn with_form(
    api: &Api,
    visitor: Visitor,
    filled: Filled,
    wrong: Option<String>,
) -> Result<Response, Sorry> {
    let asked = Asked { section: "silences", template: "silences.html", visitor };
    show(api, asked, String::new, move |engine, now| Some(view(engine, filled, wrong, now))).await
}

fn view(engine: &Engine, filled: Filled, wrong: Option<String>, now: Timestamp) -> Page {
    let mut all: Vec<&Silence> = engine.silences().collect();
    all.sort_by_key(|silence| (silence.ends_at, &silence.id));
    let (over, living): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|silence| silence.state(now) == SilenceState::Expired);
    let seen = |silence: &&Silence| SilenceView::new(engine, silence, now);
    let (preview, wrong) = match (filled.matchers.trim(), wrong) {
        ("", wrong) => (None, wrong),
        (text, None) => match Matchers::parse(text) {
            Ok(matchers) => (Some(preview(engine, &matchers)), None),
            Err(error) => (None, Some(error.to_string())),
        },
        (_, wrong) => (None, wrong),
    };
    Page {
        silences: living.iter().map(seen).collect(),
        over: over.iter().rev().take(OVER).map(seen).collect(),
        filled,
        wrong,
        preview,
    }
}

fn preview(engine: &Engine, matchers: &Matchers) -> Preview {
    let mut found = Preview { fitting: 0, firing: 0, of: 0, named: Vec::new() };
    for (id, series, alert) in engine.alerts() {
        found.of += 1;
        let Some(rule) = engine.rule(id) else { continue };
        let mut labels = series.with(rule.labels.iter()).with([("alertname", rule.name.as_ref())]);
        if let Some(severity) = alert.state.severity()
            && labels.get("severity").is_none()
        {
            labels = labels.with([("severity", severity.as_str())]);
        }
        if !matchers.match_all(&labels) {
            continue;
        }
        found.fitting += 1;
        found.firing += usize::from(alert.state.is_firing());
        if found.named.len() < NAMED {
            found.named.push(format!("{} {series} ({})", rule.name, alert.state.as_str()));
        }
    }
    found
}

pub(super) async fn put(
    State(api): State<Api>,
    visitor: Visitor,
    Actor(who): Actor,
    Form(filled): Form<Filled>,
) -> Result<Response, Sorry> {
    if filled.action == "preview" {
        return with_form(&api, visitor, filled, None).await;
    }
    let asked = json!({
        "matchers": filled.matchers,
        "for": filled.lasts,
        "comment": filled.comment,
    });
    match silences::put(State(api.clone()), who, body(asked)?).await {
        Ok(_) => Ok(back(&api, "/silences?said=silenced".to_owned()).await?.into_response()),
        Err(problem) => {
            let wrong = Sorry::from(problem);
            let status = wrong.status();
            let mut page = with_form(&api, visitor, filled, Some(wrong.into_detail())).await?;
            *page.status_mut() = status;
            Ok(page)
        }
    }
}

pub(super) async fn expire(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    silences::end(&api, signed(who, None)?, &id).await?;
    Ok(back(&api, "/silences?said=ended".to_owned()).await?.into_response())
}
