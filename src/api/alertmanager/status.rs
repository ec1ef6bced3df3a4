//! Status and receivers in Alertmanager's form.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::domain::severity::Severity;
use crate::engine::Engine;

use super::alerts::{ReceiverView, time};
use super::{Api, Refused};

/// What runs here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusView {
    cluster: ClusterView,
    config: ConfigView,
    uptime: String,
    version_info: VersionView,
}

#[derive(Debug, Serialize)]
struct ClusterView {
    status: &'static str,
    peers: [(); 0],
}

#[derive(Debug, Serialize)]
struct ConfigView {
    original: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionView {
    branch: &'static str,
    build_date: &'static str,
    build_user: &'static str,
    go_version: &'static str,
    revision: &'static str,
    version: &'static str,
}

pub(super) async fn status(State(api): State<Api>) -> Result<Json<StatusView>, Refused> {
    let original = api.core.peek(configuration).await?;
    Ok(Json(StatusView {
        cluster: ClusterView { status: "disabled", peers: [] },
        config: ConfigView { original },
        uptime: time(api.core.started_at()),
        version_info: VersionView {
            branch: "",
            build_date: "",
            build_user: "",
            go_version: "",
            revision: "",
            version: env!("CARGO_PKG_VERSION"),
        },
    }))
}

pub(super) async fn receivers(State(api): State<Api>) -> Result<Json<Vec<ReceiverView>>, Refused> {
    let names = api.core.peek(|engine| {
        engine.plan().channels.keys().map(|name| ReceiverView { name: name.to_string() }).collect()
    });
    Ok(Json(names.await?))
}

/// What stands in for Alertmanager's configuration file, for clients that read its receivers and routes. It holds names
/// only: nothing of how a channel is reached.
fn configuration(engine: &Engine) -> String {
    let plan = engine.plan();
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "global:\n  resolve_timeout: {}s\nroute:\n  receiver: {}\n  routes:\n",
        plan.resolve_timeout.as_secs(),
        quoted(plan.communication.primary.as_str()),
    );
    for severity in [Severity::Critical, Severity::Warning] {
        for name in engine.hearing(severity) {
            let (name, fits) = (quoted(name.as_str()), quoted(&format!("severity=\"{severity}\"")));
            text.push_str(&format!("  - receiver: {name}\n    matchers: [{fits}]\n    continue: true\n"));
        }
    }
    text.push_str("receivers:\n");
    for name in plan.channels.keys() {
        text.push_str(&format!("- name: {}\n", quoted(name.as_str())));
    }
    text
}
