//! Slack's clicks: a button of a message was pressed. Owns what each button means, who may press it, and what the
//! person is told privately where a click changes nothing.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::api::Api;
use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::headline::clock_seen;
use crate::domain::incident::{Happening, Incident};
use crate::domain::name::IncidentId;
use crate::domain::notice::{NoticeEvent, Origin};
use crate::domain::template::Escape;
use crate::engine::event::Event;

use super::click::{Button, Click, User, Value, read};
use super::{
    Doors, Outcome, PrivateAnswer, SlackDoor, answer, ask, commit, done, hour, in_time, name_of, note, plain,
    signature, unsigned,
};

const SOURCE: &str = "slack";
/// When Slack signed, in seconds since the epoch.
const SIGNED_AT: &str = "x-slack-request-timestamp";
/// The signature.
const SIGNATURE: &str = "x-slack-signature";
/// How far the signature's time may be from ours, in seconds; Slack recommends five minutes.
const TOLERANCE: i64 = 300;

/// What became of a click, and what the person alone is told.
pub(super) struct Answered {
    pub(super) outcome: Outcome,
    pub(super) text: String,
}

/// Takes a click.
pub(super) async fn click(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Response {
    let doors = (api.callbacks.doors)();
    let (apps, memory) = match fresh(&api, &doors, &headers, &body) {
        Ok(fresh) => fresh,
        Err((outcome, detail)) => {
            note(&api, SOURCE, outcome, &detail);
            return plain(outcome);
        }
    };
    let click = match read(body).await {
        Ok(click) => click,
        Err(detail) => {
            note(&api, SOURCE, Outcome::Malformed, &detail);
            return plain(Outcome::Malformed);
        }
    };
    let (outcome, detail, private) = in_time(act(&api, &apps, &click))
        .await
        .unwrap_or_else(|| (Outcome::Unavailable, "the core does not answer in time".to_owned(), None));
    if outcome == Outcome::Unavailable {
        api.callbacks.seen(|seen| seen.forget(&memory));
    }
    note(&api, SOURCE, outcome, &detail);
    match private {
        Some(private) => {
            let body = json!({"response_type": "ephemeral", "replace_original": false, "text": private.text});
            if private.response_url.is_some() {
                // The click is decided; that its answer waits behind too many others costs the answer only.
                let _ = api.callbacks.answers.try_send(private);
            }
            answer(outcome.status(), body)
        }
        None if outcome.status() == StatusCode::OK => answer(StatusCode::OK, json!({})),
        None => plain(outcome),
    }
}

/// The apps that signed a click, not long ago and for the first time, and the name it is remembered by.
fn fresh<'d>(
    api: &Api,
    doors: &'d Doors,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Vec<&'d SlackDoor>, String), (Outcome, String)> {
    let apps = signed_by(doors, headers, body);
    if apps.is_empty() {
        return Err(unsigned(doors.slack.iter().map(|door| &door.secrets)));
    }
    let at = text(headers, SIGNED_AT).parse::<i64>().unwrap_or(0);
    let age = clock::now().as_second().saturating_sub(at);
    if age.abs() > TOLERANCE {
        return Err((Outcome::TooOld, format!("signed {age} seconds ago")));
    }
    let memory = format!("{SOURCE} {}", text(headers, SIGNATURE).to_ascii_lowercase());
    if !api.callbacks.seen(|seen| seen.add(&memory)) {
        return Err((Outcome::Replayed, format!("signed {age} seconds ago and taken before")));
    }
    Ok((apps, memory))
}

/// The apps whose secret signed the body.
fn signed_by<'d>(doors: &'d Doors, headers: &HeaderMap, body: &[u8]) -> Vec<&'d SlackDoor> {
    let shown = signature::read(text(headers, SIGNATURE), "v0");
    let parts: &[&[u8]] = &[b"v0:", text(headers, SIGNED_AT).as_bytes(), b":", body];
    doors.slack.iter().filter(|door| signature::is_signed(&door.secrets.read, &shown, parts)).collect()
}

/// What a click does, what is written down about it, and what the person alone is told.
async fn act(api: &Api, doors: &[&SlackDoor], click: &Click) -> (Outcome, String, Option<PrivateAnswer>) {
    let ours = click.actions.first().filter(|_| click.kind == "block_actions");
    let Some((button, value)) = ours.and_then(|action| Some((Button::of(&action.action_id)?, &action.value)))
    else {
        return (Outcome::Ignored, click.kind.clone(), None);
    };
    let Ok(value) = serde_json::from_str::<Value>(value) else {
        return (Outcome::Malformed, "the button's value is none of ours".to_owned(), None);
    };
    // An app may serve several channels; the button knows whose message it is on.
    let found = doors.iter().find(|door| door.channel.as_str() == value.channel);
    let Some(door) = found.or(doors.first()) else { return (Outcome::NotOurs, value.channel, None) };
    let private = |Answered { outcome, text }: Answered| {
        let detail = format!("{} {} by {}: {text}", button.as_str(), value.incident, click.user.id);
        let response_url = click.response_url.clone();
        // Names and labels are text in Slack, not mentions and links.
        let text = Escape::Mrkdwn.escape(&text);
        (outcome, detail, Some(PrivateAnswer { channel: door.channel.clone(), response_url, text }))
    };
    if found.is_none() {
        let text = format!("The channel `{}` is no longer configured; nothing was changed.", value.channel);
        return private(Answered { outcome: Outcome::NotOurs, text });
    }
    let by = match person(door, &click.user) {
        Ok(by) => by,
        Err(answered) => return private(answered),
    };
    let incident = IncidentId::from(value.incident.as_str());
    let detail = done(&incident, button.as_str(), &by);
    let origin = click.place().map(|place| Origin { channel: door.channel.clone(), place });
    let (uid, revision, now) = (value.uid.clone(), value.revision, clock::now());
    let judged = ask(api, move |engine| {
        let Some(found) = engine.incident(&incident).filter(|found| *found.uid == *uid) else {
            let text = format!("{incident} is not known here any more.");
            return Err(Answered { outcome: Outcome::NotOurs, text });
        };
        if let Some(answered) = stale(found, button, revision, &by, now) {
            return Err(answered);
        }
        Ok(match button {
            Button::Acknowledge => (Event::Acknowledge { incident, by, until: None, origin }, None),
            Button::Unacknowledge => (Event::Unacknowledge { incident, by }, None),
            Button::Resolve => (Event::Resolve { incident, by }, None),
            Button::Silence => {
                let silence = hour::silence(engine, found, &by, now)?;
                let text = hour::told(&silence, now);
                (Event::Silence(Box::new(silence)), Some(text))
            }
        })
    });
    let (event, text) = match judged.await {
        Ok(Ok(judged)) => judged,
        Ok(Err(answered)) => return private(answered),
        Err(outcome) => return (outcome, "the core does not answer".to_owned(), None),
    };
    match (commit(api, event).await, text) {
        (Outcome::Taken, Some(text)) => private(Answered { outcome: Outcome::Taken, text }),
        (outcome, _) => (outcome, detail, None),
    }
}

/// Whom a click is written down for.
fn person(door: &SlackDoor, user: &User) -> Result<Arc<str>, Answered> {
    if let Some(name) = door.users.get(user.id.as_str()) {
        return Ok(name.clone());
    }
    if door.mapped_only {
        let (id, channel) = (&user.id, &door.channel);
        let text = format!(
            "Nothing was changed: nobody here knows who you are. Ask for the line `{id}: your name` below \
             `channels.{channel}.slack.users`."
        );
        return Err(Answered { outcome: Outcome::NotAllowed, text });
    }
    let known = [user.username.as_deref(), user.name.as_deref(), Some(user.id.as_str())];
    Ok(known.into_iter().flatten().find_map(name_of).unwrap_or_else(|| "somebody in Slack".into()))
}

/// Why a click changes nothing: it was made on a state of the incident that is no longer the one there is.
fn stale(incident: &Incident, button: Button, seen: u32, by: &str, now: Timestamp) -> Option<Answered> {
    let says = |text: String| Some(Answered { outcome: Outcome::Stale, text });
    let id = &incident.id;
    if !incident.state.is_active() {
        let end = incident.timeline.iter().rev().find(|entry| entry.what == Happening::Resolved);
        return says(end.map_or_else(
            || format!("{id} is over already."),
            |end| format!("{id} was already resolved by {} {}.", end.by, clock_seen(end.at, now)),
        ));
    }
    let came_back = incident.timeline.iter().any(|entry| match &entry.what {
        Happening::Queued { event: NoticeEvent::Reopened, revision, .. } => *revision > seen,
        _ => false,
    });
    if came_back {
        return says(format!("{id} was resolved and is open again: please use the buttons it has now."));
    }
    let owner = incident.acknowledged.as_ref();
    match (button, owner) {
        (Button::Acknowledge, Some(owner)) if *owner.by != *by => {
            says(format!("{id} was already acknowledged by {} {}.", owner.by, clock_seen(owner.at, now)))
        }
        (Button::Unacknowledge, None) => says(format!("{id} is nobody's already.")),
        (Button::Acknowledge | Button::Unacknowledge | Button::Resolve | Button::Silence, _) => None,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
