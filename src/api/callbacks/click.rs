//! The form of a click as Slack sends it, and of what our buttons carry. Owns the wire types and their reading.

use std::sync::Arc;

use axum::Form;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;

/// What of a click is read.
#[derive(Debug, Deserialize)]
pub(super) struct Click {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) user: User,
    #[serde(default)]
    pub(super) actions: Vec<Action>,
    pub(super) response_url: Option<String>,
    pub(super) container: Option<Container>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) username: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Action {
    pub(super) action_id: String,
    #[serde(default)]
    pub(super) value: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Container {
    #[serde(default)]
    pub(super) channel_id: String,
    #[serde(default)]
    pub(super) message_ts: String,
}

/// What our buttons carry.
#[derive(Debug, Deserialize)]
pub(super) struct Value {
    pub(super) incident: String,
    pub(super) uid: String,
    pub(super) revision: u32,
    pub(super) channel: String,
}

/// The buttons that act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Button {
    Acknowledge,
    Unacknowledge,
    Resolve,
    Silence,
}

impl Button {
    pub(super) fn of(action_id: &str) -> Option<Self> {
        match action_id {
            "acknowledge" => Some(Self::Acknowledge),
            "unacknowledge" => Some(Self::Unacknowledge),
            "resolve" => Some(Self::Resolve),
            "silence_1h" => Some(Self::Silence),
            _ => None,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Unacknowledge => "unacknowledge",
            Self::Resolve => "resolve",
            Self::Silence => "silence",
        }
    }
}

impl Click {
    /// Where the message stands, in the form of a receipt.
    pub(super) fn place(&self) -> Option<Arc<str>> {
        let container = self.container.as_ref()?;
        Some(format!("{}:{}", container.channel_id, container.message_ts).into())
    }
}

/// Reads the form and what is in it.
pub(super) async fn read(body: Bytes) -> Result<Click, String> {
    #[derive(Deserialize)]
    struct Payload {
        payload: String,
    }
    let form = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let form = form.body(Body::from(body)).map_err(|error| error.to_string())?;
    let Form(form) = Form::<Payload>::from_request(form, &()).await.map_err(|error| error.to_string())?;
    serde_json::from_str(&form.payload).map_err(|error| error.to_string())
}
