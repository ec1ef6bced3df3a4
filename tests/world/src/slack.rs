//! Slack: an incoming webhook and the part of the Web API that a bot needs to post, edit, thread and share files.
//! It owns what is said over HTTP; what a workspace holds is in [`workspace`].
//!
//! The Web API answers 200 to almost everything and says `"ok": false` with an error's name; an incoming webhook
//! answers in plain text with a fitting status.

pub mod block_kit;
pub mod click;
pub mod workspace;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Path, Query, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
    routing::{any, post},
};
use serde_json::{Map, Value, json};

use self::workspace::{Message, Refusal, Upload, Workspace};
use crate::{
    fault::{Faults, whole_seconds},
    journal::Journal,
    loopback::{ANY_PORT, Connection, Loopback},
};

/// The one bot token that is accepted.
pub const BOT_TOKEN: &str = "xoxb-world-0000000000";
/// The name of the channel that the incoming webhook posts to.
pub const CHANNEL: &str = "#incidents";

const WEBHOOK_PATH: &str = "T000/B000/XXXX";
const APP_ID: &str = "A0000000001";
const BOT_ID: &str = "B0000000001";
const BOT_USER: &str = "U0000000001";

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The Web API's method, `webhook` for an incoming webhook, `upload` for a file's content, `response` for an
    /// answer to a click.
    pub method: String,
    /// What came with it: JSON, or a form's fields with those that hold JSON decoded. A string if it was neither.
    pub body: Value,
}

impl Call {
    /// The text that notifications show.
    pub fn text(&self) -> &str {
        self.body.get("text").and_then(Value::as_str).unwrap_or_default()
    }
}

/// A running Slack with one workspace, one bot and one incoming webhook.
#[derive(Debug)]
pub struct Slack {
    /// What goes wrong.
    pub faults: Faults,
    /// Every request, refused ones too.
    pub journal: Journal<Call>,
    /// The port it listens on.
    pub door: Loopback,
    server: Server,
}

impl Slack {
    /// Starts on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_at(ANY_PORT).await
    }

    /// Starts at this address.
    ///
    /// # Errors
    /// If it cannot be bound.
    pub async fn start_at(address: SocketAddr) -> anyhow::Result<Self> {
        let server = Server::default();
        server.workspace().channel(CHANNEL);
        let router = Router::new()
            .route("/services/{*path}", post(webhook))
            .route("/api/{method}", any(call))
            .route("/upload/{id}", post(upload))
            .route("/actions/{*path}", post(respond))
            .with_state(server.clone());
        Ok(Self {
            faults: server.faults.clone(),
            journal: server.journal.clone(),
            door: Loopback::start(address, router).await?,
            server,
        })
    }

    /// The incoming webhook.
    pub fn webhook_url(&self) -> String {
        format!("{}/services/{WEBHOOK_PATH}", self.door.url())
    }

    /// What a method's name is appended to, with a slash between.
    pub fn api_url(&self) -> String {
        format!("{}/api", self.door.url())
    }

    /// The id of the channel of this name, which is made if it is not there.
    pub fn channel(&self, name: &str) -> String {
        self.server.workspace().channel(name)
    }

    /// The messages of a channel, by name or id, replies included, oldest first, each as last edited.
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        self.server.workspace().messages(channel)
    }

    /// Deletes a message, as a person with the right to does.
    pub fn delete(&self, channel: &str, ts: &str) {
        self.server.workspace().delete(channel, ts);
    }

    /// All files.
    pub fn uploads(&self) -> Vec<Upload> {
        self.server.workspace().uploads()
    }

    /// Sets the least time between two messages in one channel; Slack promises one second. Sooner ones get 429.
    pub fn limit_messages(&self, apart: Option<Duration>) {
        self.server.workspace().set_pace(apart);
    }
}

#[derive(Debug, Clone, Default)]
struct Server {
    faults: Faults,
    journal: Journal<Call>,
    workspace: Arc<Mutex<Workspace>>,
}

impl Server {
    fn workspace(&self) -> MutexGuard<'_, Workspace> {
        self.workspace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === incoming webhook ===

async fn webhook(
    State(server): State<Server>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(path): Path<String>,
    raw: Bytes,
) -> Response {
    let body: Option<Value> = serde_json::from_slice(&raw).ok().filter(Value::is_object);
    let receipt = server
        .journal
        .receive(Call { method: "webhook".to_owned(), body: body.clone().unwrap_or_else(|| lossy(&raw)) });
    let fault = server.faults.draw();
    let limited = || too_many(Duration::from_secs(1), "rate_limited".into_response());
    let response = fault.refusal(limited).unwrap_or_else(|| {
        if path != WEBHOOK_PATH {
            return (StatusCode::NOT_FOUND, "no_service").into_response();
        }
        let Some(body) = body else { return (StatusCode::BAD_REQUEST, "invalid_payload").into_response() };
        let mut workspace = server.workspace();
        let channel = workspace.channel(CHANNEL);
        match workspace.post(&channel, &body) {
            Ok(_) => "ok".into_response(),
            Err(Refusal::Error(error, _)) => (StatusCode::BAD_REQUEST, error).into_response(),
            Err(Refusal::TooSoon(after)) => too_many(after, "rate_limited".into_response()),
        }
    });
    connection.deliver(fault, receipt, response).await
}

// === Web API ===

async fn call(
    State(server): State<Server>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(method): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    raw: Bytes,
) -> Response {
    let arguments = arguments(&method, query, &headers, &raw);
    let body = arguments.clone().unwrap_or_else(|_| lossy(&raw));
    let receipt = server.journal.receive(Call { method: method.clone(), body });
    let fault = server.faults.draw();
    let limited = || too_many(Duration::from_secs(1), Json(failure("ratelimited", &[])).into_response());
    let response = fault.refusal(limited).unwrap_or_else(|| {
        let done = authorize(&headers, arguments.as_ref().ok())
            .and_then(|()| perform(&server, &method, &arguments?, &connection_url(&headers)));
        match done {
            Ok(mut answer) => {
                answer["ok"] = true.into();
                Json(answer).into_response()
            }
            Err(Refusal::Error(error, places)) => Json(failure(error, &places)).into_response(),
            Err(Refusal::TooSoon(after)) => {
                too_many(after, Json(failure("ratelimited", &[])).into_response())
            }
        }
    });
    connection.deliver(fault, receipt, response).await
}

fn perform(server: &Server, method: &str, arguments: &Value, base: &str) -> Result<Value, Refusal> {
    let mut workspace = server.workspace();
    let named = arguments.get("channel").and_then(Value::as_str);
    match method {
        "auth.test" => Ok(json!({
            "url": format!("{base}/"), "team": "world", "user": "runbook", "team_id": "T0000000001",
            "user_id": BOT_USER, "bot_id": BOT_ID,
        })),
        "chat.postMessage" => {
            let channel = named.and_then(|name| workspace.find(name)).ok_or("channel_not_found")?;
            let message = workspace.post(&channel, arguments)?;
            Ok(json!({"channel": channel, "ts": message.ts, "message": message.body}))
        }
        // Unlike posting, these two know a channel by its id alone.
        "chat.update" => {
            let channel = named.unwrap_or_default();
            let message = workspace.update(channel, arguments)?;
            Ok(json!({"channel": channel, "ts": message.ts, "text": message.text(), "message": message.body}))
        }
        "conversations.history" => workspace.history(named.unwrap_or_default(), arguments),
        "conversations.replies" => workspace.replies(named.unwrap_or_default(), arguments),
        "users.conversations" => Ok(workspace.joined()),
        "files.getUploadURLExternal" => {
            let argument = |name| arguments.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            let filename = argument("filename").ok_or("invalid_arguments")?;
            let length = argument("length").and_then(|length| length.parse().ok());
            let length = length.filter(|length| *length > 0).ok_or("invalid_arguments")?;
            let id = workspace.expect_upload(filename, length);
            Ok(json!({"upload_url": format!("{base}/upload/{id}"), "file_id": id}))
        }
        "files.completeUploadExternal" => workspace.share(arguments),
        _ => Err("unknown_method".into()),
    }
}

/// Methods that write take JSON or a form. Those that read, and the one that asks for an upload URL, take a form or
/// a query only: their documentation may say otherwise, the service does not.
fn arguments(
    method: &str,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
    raw: &[u8],
) -> Result<Value, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut fields: Map<String, Value> =
        query.into_iter().map(|(name, text)| (name, Value::from(text))).collect();
    if kind.starts_with("application/json") {
        let reads = ["conversations.history", "conversations.replies", "users.conversations"];
        if reads.contains(&method) || method == "files.getUploadURLExternal" {
            return Err("invalid_arguments".into());
        }
        let body: Value = serde_json::from_slice(raw).map_err(|_| "invalid_json")?;
        let Value::Object(body) = body else { return Err("json_not_object".into()) };
        fields.extend(body);
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        let form = form_fields(raw).ok_or("invalid_form_data")?;
        for (name, text) in form {
            let decoded = matches!(name.as_str(), "blocks" | "attachments" | "metadata" | "files")
                .then(|| serde_json::from_str(&text).ok())
                .flatten();
            fields.insert(name, decoded.unwrap_or(Value::String(text)));
        }
    } else if !raw.is_empty() {
        return Err("invalid_post_type".into());
    }
    Ok(Value::Object(fields))
}

/// A form's fields in order; a form is written like a query, so that is what reads it.
fn form_fields(raw: &[u8]) -> Option<Vec<(String, String)>> {
    let mut url = reqwest::Url::parse("http://form/").ok()?;
    url.set_query(Some(std::str::from_utf8(raw).ok()?));
    Some(url.query_pairs().into_owned().collect())
}

fn authorize(headers: &HeaderMap, arguments: Option<&Value>) -> Result<(), Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.strip_prefix("Bearer "))
        .or_else(|| arguments.and_then(|arguments| arguments.get("token")?.as_str()));
    match token {
        Some(BOT_TOKEN) => Ok(()),
        Some(_) => Err("invalid_auth".into()),
        None => Err("not_authed".into()),
    }
}

/// The URL as the caller wrote it, for the links in an answer.
fn connection_url(headers: &HeaderMap) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("http://{host}")
}

// === answers to clicks ===

/// What an app says to whoever clicked; nobody else sees it, so it is only written down.
async fn respond(
    State(server): State<Server>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    raw: Bytes,
) -> Response {
    let body = serde_json::from_slice(&raw).unwrap_or_else(|_| lossy(&raw));
    let receipt = server.journal.receive(Call { method: "response".to_owned(), body });
    let fault = server.faults.draw();
    let limited = || too_many(Duration::from_secs(1), "rate_limited".into_response());
    let response = fault.refusal(limited).unwrap_or_else(|| "ok".into_response());
    connection.deliver(fault, receipt, response).await
}

// === file content ===

async fn upload(
    State(server): State<Server>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(id): Path<String>,
    raw: Bytes,
) -> Response {
    let body = json!({"id": id, "length": raw.len()});
    let receipt = server.journal.receive(Call { method: "upload".to_owned(), body });
    let fault = server.faults.draw();
    let limited = || too_many(Duration::from_secs(1), "rate_limited".into_response());
    let response = fault.refusal(limited).unwrap_or_else(|| {
        if server.workspace().take_upload(&id, raw.to_vec()) {
            format!("OK - {}", raw.len()).into_response()
        } else {
            (StatusCode::BAD_REQUEST, "no such upload, or not of this length").into_response()
        }
    });
    connection.deliver(fault, receipt, response).await
}

fn failure(error: &str, places: &[String]) -> Value {
    let mut answer = json!({"ok": false, "error": error});
    if !places.is_empty() {
        let messages: Vec<String> = places.iter().map(|place| format!("[ERROR] {place}")).collect();
        answer["response_metadata"] = json!({"messages": messages});
    }
    answer
}

fn too_many(after: Duration, body: Response) -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, whole_seconds(after).max(1).to_string())], body)
        .into_response()
}

fn lossy(raw: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(raw).into_owned())
}
