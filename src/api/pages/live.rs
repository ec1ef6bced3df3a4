//! What keeps pages fresh: a stream that says when something changed, never what. Whoever hears it asks for the page
//! again, so a message that was missed does no harm. Owns what counts as a change.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures::Stream;
use futures::stream;

use crate::api::Api;
use crate::core::clock;
use crate::engine::Engine;

/// How often it is looked whether something changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After so many looks without a change values are shown anew, and the connection is seen to live.
const BEAT: u32 = 10;

// An event without data is none to a browser, so each says that there is something to look at.
pub(super) async fn stream(State(api): State<Api>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = mark(&api).await;
    let looks = stream::unfold((api, first, 0_u32), |(api, mut known, mut quiet)| async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if api.is_stopping() {
                return None;
            }
            let seen = Some(mark(&api).await?);
            quiet += 1;
            if seen != known {
                known = seen;
                return Some((Ok(Event::default().event("changed").data("look")), (api, known, 0)));
            }
            if quiet >= BEAT {
                return Some((Ok(Event::default().event("beat").data("look")), (api, known, 0)));
            }
        }
    });
    Sse::new(looks)
}

/// A number that differs when a page would.
async fn mark(api: &Api) -> Option<u64> {
    let reload = api.reload.lock().ok().map(|status| (status.at, status.taken));
    let mut hasher = DefaultHasher::new();
    reload.hash(&mut hasher);
    let seen = api.core.peek(of_engine).await.ok()?;
    seen.hash(&mut hasher);
    Some(hasher.finish())
}

fn of_engine(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    let pulse = super::frame::Pulse::of(engine, clock::now());
    (pulse.blind, pulse.firing, pulse.rules).hash(&mut hasher);
    for incident in engine.incidents() {
        (incident.id.as_str(), incident.state.as_str(), incident.severity).hash(&mut hasher);
        incident.timeline.last().map(|entry| (entry.at, incident.timeline.len())).hash(&mut hasher);
    }
    for action in engine.actions() {
        (action.id.as_str(), action.state.as_str()).hash(&mut hasher);
    }
    for silence in engine.silences() {
        (silence.id.as_str(), silence.ends_at).hash(&mut hasher);
    }
    hasher.finish()
}
