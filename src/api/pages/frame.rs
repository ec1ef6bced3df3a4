//! The frame around every page: where one is, who one is, and what is wrong with the daemon itself, which no page may
//! hide. Owns how a page is put together.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use crate::api::Api;
use crate::core::clock;
use crate::domain::Timestamp;
use crate::engine::Engine;

use super::assets::MARK;
use super::door::Visitor;
use super::sorry::Sorry;
use super::template::render;

/// What every page shows.
#[derive(Debug, Serialize)]
pub(super) struct Frame {
    section: &'static str,
    now: Timestamp,
    mark: &'static str,
    visitor: Visitor,
    pulse: Pulse,
    reload: Reload,
    /// Whether everything below is known: not on a page that says why something failed.
    seen: bool,
}

/// The state of the whole in numbers.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub(super) struct Pulse {
    pub(super) blind: bool,
    /// When a query was last answered.
    last_answer: Option<Timestamp>,
    open: usize,
    unacknowledged: usize,
    pub(super) firing: usize,
    pending: usize,
    pub(super) rules: usize,
    silences: usize,
}

impl Pulse {
    pub(super) fn of(engine: &Engine, now: Timestamp) -> Self {
        use crate::domain::alert::AlertState;
        use crate::domain::silence::SilenceState;
        let mut pulse = Self {
            blind: engine.is_blind(),
            last_answer: Some(engine.last_answer()),
            rules: engine.plan().rules.rules.len(),
            ..Self::default()
        };
        for incident in engine.incidents().filter(|incident| incident.state.is_active()) {
            pulse.open += 1;
            pulse.unacknowledged += usize::from(incident.acknowledged.is_none());
        }
        for (_, _, alert) in engine.alerts() {
            match alert.state {
                AlertState::Firing { .. } => pulse.firing += 1,
                AlertState::Pending { .. } => pulse.pending += 1,
                AlertState::Inactive | AlertState::Resolved { .. } => {}
            }
        }
        pulse.silences = engine.silences().filter(|it| it.state(now) == SilenceState::Active).count();
        pulse
    }
}

/// How the configuration was last loaded.
#[derive(Debug, Serialize)]
struct Reload {
    taken: bool,
    at: Option<Timestamp>,
    diagnostics: String,
    /// The place and the words of the first mistake.
    first: Option<String>,
}

impl Reload {
    fn of(api: &Api) -> Self {
        let Ok(status) = api.reload.lock() else {
            return Self { taken: true, at: None, diagnostics: String::new(), first: None };
        };
        let text = status.diagnostics.to_string();
        let first = (!status.taken).then(|| first_mistake(&text)).flatten();
        Self { taken: status.taken, at: Some(status.at), diagnostics: text, first }
    }
}

/// `rules/cpu.yaml:14:20 the words of the mistake`, out of the text that stands on a terminal.
fn first_mistake(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let words = lines.find(|line| line.starts_with("error"))?;
    let words = words.split_once(": ").map_or(words, |(_, words)| words);
    let place = lines.find_map(|line| line.trim_start().strip_prefix("--> "));
    Some(place.map_or_else(|| words.to_owned(), |place| format!("{}: {words}", place.trim())))
}

#[derive(Serialize)]
struct Whole<T> {
    frame: Frame,
    #[serde(flatten)]
    page: T,
}

/// Which page is asked for, and by whom.
pub(super) struct Asked {
    pub(super) section: &'static str,
    pub(super) template: &'static str,
    pub(super) visitor: Visitor,
}

/// Asks the engine for a page and writes it; where the question has no answer, says that `missing` is not there.
pub(super) async fn show<T: Serialize + Send + 'static>(
    api: &Api,
    asked: Asked,
    missing: impl FnOnce() -> String,
    question: impl FnOnce(&Engine, Timestamp) -> Option<T> + Send + 'static,
) -> Result<Response, Sorry> {
    let Asked { section, template, visitor } = asked;
    let reload = Reload::of(api);
    let written = api
        .core
        .peek(move |engine| {
            let now = clock::now();
            let page = question(engine, now)?;
            Some((Pulse::of(engine, now), now, page))
        })
        .await?;
    let (pulse, now, page) = written.ok_or_else(|| Sorry::new(StatusCode::NOT_FOUND, missing()))?;
    let frame = Frame { section, now, mark: &MARK, visitor, pulse, reload, seen: true };
    Ok(html(StatusCode::OK, template, &Whole { frame, page }))
}

/// A page about nothing but itself.
pub(super) fn plain(
    code: StatusCode,
    template: &str,
    section: &'static str,
    visitor: Visitor,
    page: impl Serialize,
) -> Response {
    let reload = Reload { taken: true, at: None, diagnostics: String::new(), first: None };
    let pulse = Pulse::default();
    let frame = Frame { section, now: clock::now(), mark: &MARK, visitor, pulse, reload, seen: false };
    html(code, template, &Whole { frame, page })
}

fn html(code: StatusCode, template: &str, page: &impl Serialize) -> Response {
    match render(template, page) {
        Ok(text) => {
            let mut response = (code, Html(text)).into_response();
            let fresh = HeaderValue::from_static("no-store");
            response.headers_mut().insert(header::CACHE_CONTROL, fresh);
            response
        }
        // Without the template of an error there is nothing left but its words.
        Err(error) => {
            let detail = format!("the page cannot be written: {error:#}");
            (StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_mistake;

    #[test]
    fn the_first_mistake_is_told_with_its_place() {
        let text = "warning[never]: w\n  --> a.yaml:1:1\nerror[unit-mismatch]: `x` is a ratio\n  --> rules/cpu.yaml:14:20\n";
        assert_eq!(first_mistake(text).as_deref(), Some("rules/cpu.yaml:14:20: `x` is a ratio"));
        assert_eq!(first_mistake("error: no such folder").as_deref(), Some("no such folder"));
        assert_eq!(first_mistake("1 warning in 2 files"), None);
    }
}
