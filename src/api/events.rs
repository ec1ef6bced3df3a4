//! The event stream: tells a page that something changed, so that it asks again. Owns the wire form (server-sent events);
//! a reader that falls behind is told so and let go.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::core::feed::News;

use super::Api;
use super::problem::Problem;

/// How often a line is sent that says nothing, so that proxies and browsers keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often it is looked whether the daemon stops: an open stream must not hold that up.
const LOOK: Duration = Duration::from_millis(500);

/// The data of an event.
#[derive(Debug, Serialize)]
struct NewsView {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl NewsView {
    fn new(news: &News) -> Self {
        let kind = news.kind();
        let bare = Self { kind, id: None, revision: None, state: None };
        match news {
            News::Incident { id, revision, state } => {
                Self { kind, id: Some(id.to_string()), revision: Some(*revision), state: Some(state) }
            }
            News::Silence { id } => Self { id: Some(id.to_string()), ..bare },
            News::Scaling { target } => Self { id: Some(target.to_string()), ..bare },
            News::Alerts | News::Config => bare,
        }
    }
}

/// Where a stream is.
enum At {
    /// Nothing was sent yet.
    Start(Receiver<News>),
    /// News are waited for.
    Watching(Receiver<News>),
    /// Nothing more is sent.
    Over,
}

pub(super) async fn events(
    State(api): State<Api>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    let watching = api.core.watch().ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many watch already: ask again, or by and by")
    })?;
    let stream = stream::unfold((At::Start(watching), api), |(at, api)| async move {
        match at {
            // So that whoever watches knows from when on nothing is missed.
            At::Start(watching) => Some((event("hello", None), (At::Watching(watching), api))),
            At::Watching(watching) => next(watching, api).await,
            At::Over => None,
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

async fn next(mut watching: Receiver<News>, api: Api) -> Option<(Result<Event, axum::Error>, (At, Api))> {
    loop {
        if api.is_stopping() {
            return None;
        }
        let Ok(news) = tokio::time::timeout(LOOK, watching.recv()).await else { continue };
        return match news {
            Ok(news) => Some((event(news.kind(), Some(&news)), (At::Watching(watching), api))),
            Err(RecvError::Lagged(_)) => Some((event("lagged", None), (At::Over, api))),
            Err(RecvError::Closed) => None,
        };
    }
}

fn event(kind: &'static str, news: Option<&News>) -> Result<Event, axum::Error> {
    let view = news.map_or(NewsView { kind, id: None, revision: None, state: None }, NewsView::new);
    Event::default().event(kind).json_data(view)
}
