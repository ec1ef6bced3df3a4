//! One call of Slack's Web API and what its answer means. Owns the classes of its errors: it answers 200 to almost
//! everything and says `"ok": false` with a name. Never lets the token into what it says.

use reqwest::header::AUTHORIZATION;
use serde_json::Value;

use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::notify::status::{Answer, exchange};

/// The most of an answer that is read, in bytes: a page of a channel's history is the largest.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The Web API of one workspace.
#[derive(Clone, Copy)]
pub(super) struct Api<'a> {
    pub(super) client: &'a reqwest::Client,
    /// Without a trailing slash, with or without `/api`.
    pub(super) base: &'a str,
    pub(super) token: &'a str,
}

/// Why a call had no effect, or may have had none.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is what an attempt is.
    Attempt(Attempt),
    /// The message or thread is not there, or may not be edited.
    Gone(Attempt),
    /// The message is too long, or its layout is not taken.
    TooLong(Attempt),
}

impl Refusal {
    /// The attempt it is where nothing better is known.
    pub(super) fn into_attempt(self) -> Attempt {
        match self {
            Self::Attempt(attempt) | Self::Gone(attempt) | Self::TooLong(attempt) => attempt,
        }
    }
}

impl Api<'_> {
    /// A method that takes JSON.
    pub(super) async fn post(&self, method: &str, body: &Value) -> Result<Value, Refusal> {
        self.send(self.client.post(self.url(method)).json(body)).await
    }

    /// A method that takes a form only: those that read.
    pub(super) async fn form(&self, method: &str, fields: &[(&str, &str)]) -> Result<Value, Refusal> {
        self.send(self.client.post(self.url(method)).form(fields)).await
    }

    fn url(&self, method: &str) -> String {
        let base = self.base.trim_end_matches('/');
        let base = base.strip_suffix("/api").unwrap_or(base);
        format!("{base}/api/{method}")
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Refusal> {
        let Ok(mut bearer) = reqwest::header::HeaderValue::from_str(&format!("Bearer {}", self.token)) else {
            // The file holds something that is no token; it may be mended.
            let detail = "the bot token is not one line of plain characters".into();
            let reason = DeliveryReason::NotRendered;
            return Err(Refusal::Attempt(Attempt::Failed { reason, detail, retry_after: None }));
        };
        bearer.set_sensitive(true);
        let request = request.header(AUTHORIZATION, bearer);
        let answer = exchange(request, &[self.token], LARGEST_ANSWER).await.map_err(Refusal::Attempt)?;
        judge(&answer)
    }
}

/// What an answer means.
fn judge(answer: &Answer) -> Result<Value, Refusal> {
    if !answer.status.is_success() {
        let said = serde_json::from_str::<Value>(&answer.body).ok();
        let limited = said.is_some_and(|said| said["error"] == "ratelimited");
        let reason = DeliveryReason::RateLimited;
        return Err(Refusal::Attempt(if limited {
            answer.failed(reason)
        } else {
            refused_by_status(answer)
        }));
    }
    let Ok(said) = serde_json::from_str::<Value>(&answer.body) else {
        // Something that is not Slack answers: a proxy, a portal. It may go away.
        return Err(Refusal::Attempt(answer.failed(DeliveryReason::ServerError)));
    };
    if said["ok"] == true {
        return Ok(said);
    }
    let error = said["error"].as_str().unwrap_or("no reason given").to_owned();
    let places = said["response_metadata"]["messages"].as_array();
    let places = places.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
    let body = if places.is_empty() { error.clone() } else { format!("{error}: {places}") };
    Err(class(&error, &Answer { body, ..answer.clone() }))
}

/// The class of an error by its name.
fn class(error: &str, answer: &Answer) -> Refusal {
    use DeliveryReason::{NotFound, RateLimited, Rejected, ServerError, Unauthorized};
    match error {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            Refusal::Attempt(answer.failed(RateLimited))
        }
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => Refusal::Attempt(answer.failed(ServerError)),
        "message_not_found" | "cant_update_message" | "edit_window_closed" | "thread_not_found" => {
            Refusal::Gone(answer.refused(NotFound))
        }
        "msg_too_long"
        | "msg_blocks_too_long"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments" => Refusal::TooLong(answer.refused(Rejected)),
        "channel_not_found" | "not_in_channel" | "is_archived" | "channel_is_archived" => {
            Refusal::Attempt(answer.refused(NotFound))
        }
        "invalid_auth"
        | "not_authed"
        | "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "missing_scope"
        | "no_permission"
        | "not_allowed_token_type"
        | "access_denied"
        | "ekm_access_denied"
        | "restricted_action"
        | "enterprise_is_restricted"
        | "team_access_not_granted" => Refusal::Attempt(answer.refused(Unauthorized)),
        _ => Refusal::Attempt(answer.refused(Rejected)),
    }
}

fn refused_by_status(answer: &Answer) -> Attempt {
    match answer.attempt() {
        // Neither happens: the status is no success.
        Attempt::Accepted { .. } | Attempt::NothingToSend => answer.failed(DeliveryReason::ServerError),
        attempt => attempt,
    }
}
