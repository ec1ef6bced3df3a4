//! Pages: the first form of what a person sees when following a notice's link. Server-rendered, no script; every
//! value is escaped by the template library.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::Environment;
use serde::Serialize;

use crate::core::clock;
use crate::domain::caption::caption;
use crate::domain::name::IncidentId;
use crate::engine::Engine;

use super::Api;
use super::problem::Problem;
use super::view::IncidentView;

/// How many incidents the overview shows.
const SHOWN: usize = 50;

/// The templates are part of the binary; they are parsed once, at the first page.
static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.add_template("overview.html", include_str!("pages/overview.html"))?;
    templates.add_template("incident.html", include_str!("pages/incident.html"))?;
    Ok(templates)
});

#[derive(Serialize)]
struct Overview {
    incidents: Vec<IncidentView>,
    rules: usize,
    blind: bool,
    refused: Option<String>,
}

pub(super) async fn overview(State(api): State<Api>) -> Result<Html<String>, Problem> {
    let refused =
        api.reload.lock().ok().filter(|status| !status.taken).map(|status| status.diagnostics.to_string());
    let page = api
        .core
        .peek(move |engine| {
            let mut incidents: Vec<_> = engine.incidents().collect();
            incidents.sort_by_key(|it| {
                (!it.state.is_active(), std::cmp::Reverse(it.severity), std::cmp::Reverse(it.opened_at))
            });
            Overview {
                incidents: incidents
                    .into_iter()
                    .take(SHOWN)
                    .map(|it| IncidentView::new(engine, it, false))
                    .collect(),
                rules: engine.plan().rules.rules.len(),
                blind: engine.is_blind(),
                refused,
            }
        })
        .await?;
    render("overview.html", &page)
}

#[derive(Serialize)]
struct IncidentPage {
    #[serde(flatten)]
    view: IncidentView,
    /// What the chart shows, where there is a query to draw.
    chart: Option<String>,
}

fn chart_of(engine: &Engine, id: &IncidentId) -> Option<String> {
    let now = clock::now();
    let facts = engine.facts_of(id, now)?;
    let lead = facts.lead.as_ref()?;
    engine.plan().rules.rules.contains_key(&lead.rule).then(|| caption(&facts, now))
}

pub(super) async fn incident(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Html<String>, Problem> {
    let wanted = IncidentId::from(id.as_str());
    let found = api
        .core
        .peek(move |engine| {
            let view = IncidentView::new(engine, engine.incident(&wanted)?, true);
            Some(IncidentPage { view, chart: chart_of(engine, &wanted) })
        })
        .await?;
    let page =
        found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no incident {id}")))?;
    render("incident.html", &page)
}

pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("pages/style.css")).into_response()
}

fn render(name: &str, page: &impl Serialize) -> Result<Html<String>, Problem> {
    let failed = |error: &minijinja::Error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the page cannot be written: {error}"))
    };
    let templates = TEMPLATES.as_ref().map_err(failed)?;
    let rendered =
        templates.get_template(name).and_then(|template| template.render(minijinja::value::Serde(page)));
    rendered.map(Html).map_err(|error| failed(&error))
}
