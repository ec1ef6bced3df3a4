//! From a request to its answer: journal, faults, rights, verbs.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::{Call, Target};
use super::cluster::{self, Cluster};
use super::connection::Scissors;
use super::faults::Fault;
use super::journal::Write;
use super::status::Refusal;
use super::store::text;
use super::{discovery, table, verbs, watch};

/// As much of a body as the real server takes.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

enum Answer {
    Json(u16, Value),
    Text(String),
    Lines(Body),
}

/// All paths lead to one handler: the API's paths are made of data.
pub(crate) fn router(cluster: Arc<Cluster>) -> Router {
    Router::new().fallback(serve).with_state(cluster)
}

async fn serve(
    State(cluster): State<Arc<Cluster>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return respond(Err(Refusal::by_code(413, None)));
    };
    let latency = cluster.with(|state| state.settings.latency);
    if !latency.is_zero() {
        wait(&cluster, latency).await;
    }
    let arrived = Timestamp::now();
    let call = cluster.with(|state| Call::read(&parts, body, &state.kinds));
    let number = cluster.note(|journal| journal.open(call.exchange(arrived)));
    let target = call.target.as_ref();
    let (resource, name) =
        target.map_or((String::new(), ""), |target| (target.resource(), target.name.as_str()));
    let response = match cluster.with(|state| state.faults.meet(call.verb, &resource, name)) {
        Fault::None => respond(answer(&cluster, &call, number)),
        Fault::Status { code, retry_after } => respond(Err(Refusal::by_code(code, retry_after))),
        Fault::NotAStatus { code } => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
            (code, "<html><body>upstream connect error</body></html>").into_response()
        }
        Fault::Delay(duration) => {
            let response = respond(answer(&cluster, &call, number));
            wait(&cluster, duration).await;
            response
        }
        Fault::Hang => {
            cluster.stop.cancelled().await;
            scissors.cut();
            return Response::default();
        }
        Fault::Cut => {
            scissors.cut();
            return Response::default();
        }
        Fault::CutAfter => {
            drop(respond(answer(&cluster, &call, number)));
            scissors.cut();
            return Response::default();
        }
    };
    let code = response.status().as_u16();
    cluster.note(|journal| journal.close(number, code));
    response
}

async fn wait(cluster: &Cluster, duration: Duration) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = cluster.stop.cancelled() => {}
    }
}

fn respond(answer: Result<Answer, Refusal>) -> Response {
    let (code, content_type, body, retry_after) = match answer {
        Ok(Answer::Json(code, value)) => (code, "application/json", Body::from(value.to_string()), None),
        Ok(Answer::Text(text)) => (200, "text/plain", Body::from(text), None),
        Ok(Answer::Lines(body)) => (200, "application/json", body, None),
        Err(refusal) => {
            (refusal.code, "application/json", Body::from(refusal.to_json().to_string()), refusal.retry_after)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn answer(cluster: &Arc<Cluster>, call: &Call, number: usize) -> Result<Answer, Refusal> {
    let Some(target) = &call.target else { return cluster.with(|state| outside(state, call)) };
    cluster.with(|state| {
        verbs::check_subresource(state, target)?;
        if state.rights.has(call.verb, &target.resource()) {
            return Ok(());
        }
        let at = (target.namespace.as_str(), target.name.as_str());
        Err(Refusal::not_allowed(&target.kind, target.subresource.as_deref(), call.verb, at))
    })?;
    if call.verb == "watch" {
        return watch::start(cluster, call, target.clone()).map(Answer::Lines);
    }
    if !call.writes() {
        return cluster.with(|state| read(state, call, target));
    }
    let (outcome, write) = cluster.with(|state| {
        let key = target.kind.key(&target.namespace, &target.name);
        let before = version(state.store.get(&key).map(|object| &**object));
        let outcome = verbs::write(state, call, target);
        let created = outcome.as_ref().ok().filter(|_| call.verb == "create" && !call.is_dry_run());
        let after = match created {
            Some((_, object)) => version(Some(object)),
            None => version(state.store.get(&key).map(|object| &**object)),
        };
        let write = Write { accepted: outcome.is_ok(), dry_run: call.is_dry_run(), before, after };
        (outcome, write)
    });
    cluster.note(|journal| journal.wrote(number, write));
    let (code, object) = outcome?;
    let shown = if object["kind"] == target.kind.kind {
        table::present(&target.kind, object, &call.accept)
    } else {
        object
    };
    Ok(Answer::Json(code, shown))
}

fn version(object: Option<&Value>) -> Option<u64> {
    text(object?, "/metadata/resourceVersion").parse().ok()
}

fn read(state: &cluster::State, call: &Call, target: &Target) -> Result<Answer, Refusal> {
    if target.subresource.as_deref() == Some("log") {
        return log(state, call, target);
    }
    let scales = target.subresource.as_deref() == Some("scale");
    let (code, object) =
        if call.verb == "list" { verbs::list(state, call, target)? } else { verbs::get(state, target)? };
    let shown = if scales { object } else { table::present(&target.kind, object, &call.accept) };
    Ok(Answer::Json(code, shown))
}

fn log(state: &cluster::State, call: &Call, target: &Target) -> Result<Answer, Refusal> {
    verbs::get(state, target)?;
    let named = state.logs.iter().filter(|((namespace, prefix), _)| {
        *namespace == target.namespace && target.name.starts_with(prefix.as_str())
    });
    let log = named.max_by_key(|((_, prefix), _)| prefix.len()).map_or("", |(_, log)| log.as_str());
    let lines: Vec<&str> = log.lines().collect();
    let tail = call.option("tailLines").parse().unwrap_or(lines.len()).min(lines.len());
    let mut shown = lines[lines.len() - tail..].join("\n");
    if !shown.is_empty() {
        shown.push('\n');
    }
    Ok(Answer::Text(shown))
}

/// What lies outside of resources: discovery, health, reviews of rights.
fn outside(state: &cluster::State, call: &Call) -> Result<Answer, Refusal> {
    if matches!(call.path.as_str(), "/healthz" | "/livez" | "/readyz") {
        return Ok(Answer::Text("ok".to_owned()));
    }
    if call.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" && call.verb == "create" {
        let mut review = call.document()?;
        let attributes = &review["spec"]["resourceAttributes"];
        let (verb, resource) = (text(attributes, "/verb"), text(attributes, "/resource"));
        let subresource = text(attributes, "/subresource");
        let resource =
            if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        let allowed = state.rights.has(verb, &resource);
        review["status"] = json!({"allowed": allowed});
        return Ok(Answer::Json(201, review));
    }
    if call.writes() {
        return Err(Refusal::no_such_resource());
    }
    let resizable = state.settings.resize != super::Resize::Unsupported;
    let document =
        discovery::document(&call.path, &state.kinds, resizable).ok_or_else(Refusal::no_such_resource)?;
    // Discovery in one piece is not served; clients that name nothing else are told so.
    let plain = call.accept.is_empty()
        || call.accept.split(',').any(|accepted| {
            !accepted.contains("as=") && (accepted.contains("json") || accepted.contains("*/*"))
        });
    if plain { Ok(Answer::Json(200, document)) } else { Err(Refusal::not_acceptable()) }
}
