//! How the daemon itself runs: `evaluation`, `reload`, `store`, `listen`, `api`, `public_url`, `allowed_hosts`,
//! `kubernetes`. Owns their defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use crate::config::diagnostic::Code;
use crate::config::settings::{EvaluationSettings, StoreSettings};
use crate::domain::external_alert::RESOLVE_TIMEOUT;
use crate::domain::scaling::ScalingMode;

/// The keys of `api`.
const API: &[&str] = &["tokens_file", "resolve_timeout"];

const SECOND: Duration = Duration::from_secs(1);

/// `evaluation`.
pub(super) fn evaluation(reader: &Reader<'_>) -> EvaluationSettings {
    let mut settings = EvaluationSettings {
        interval: Duration::from_secs(15),
        concurrency: 8,
        blind_after: Duration::from_secs(120),
    };
    let Some(node) = reader.blocks.get("evaluation") else { return settings };
    let fields = reader.walk.fields(node, &["interval", "concurrency", "blind_after"]);
    let duration = |key: &str| fields.get(key).and_then(|node| reader.walk.duration_from(node, SECOND));
    if let Some(interval) = duration("interval") {
        settings.interval = interval;
    }
    if let Some(blind_after) = duration("blind_after") {
        settings.blind_after = blind_after;
    }
    if let Some(number) = fields.get("concurrency").and_then(|node| reader.walk.whole(node, 1, 1_000)) {
        settings.concurrency = usize::try_from(number).unwrap_or(settings.concurrency);
    }
    if settings.blind_after <= settings.interval {
        reader
            .walk
            .error(
                Code::ImpossibleBounds,
                fields.key_span("blind_after"),
                "the daemon would call itself blind between two rounds",
            )
            .expected("expected more than the interval");
    }
    settings
}

/// `reload.poll`.
pub(super) fn reload_poll(reader: &Reader<'_>) -> Duration {
    let fields = reader.blocks.get("reload").map(|node| reader.walk.fields(node, &["poll"]));
    let poll = fields.as_ref().and_then(|fields| fields.get("poll"));
    poll.and_then(|node| reader.walk.duration_from(node, SECOND)).unwrap_or(Duration::from_secs(30))
}

/// `store.url`.
pub(super) fn store(reader: &Reader<'_>) -> StoreSettings {
    let default = || StoreSettings::Sqlite(PathBuf::from("data/runbookd.db"));
    let fields = reader.blocks.get("store").map(|node| reader.walk.fields(node, &["url"]));
    let Some(node) = fields.as_ref().and_then(|fields| fields.get("url")) else { return default() };
    let Some(text) = reader.walk.text(node) else { return default() };
    let path = text.strip_prefix("sqlite:").map(|path| path.trim_start_matches("//"));
    match path {
        Some(":memory:") => StoreSettings::Memory,
        Some(_) if text.starts_with("sqlite:///") => {
            StoreSettings::Sqlite(PathBuf::from(format!("/{}", text.trim_start_matches("sqlite:///"))))
        }
        Some(path) if !path.is_empty() => {
            let path = text.strip_prefix("sqlite:").filter(|path| !path.starts_with("//")).unwrap_or(path);
            StoreSettings::Sqlite(PathBuf::from(path))
        }
        _ => {
            let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
            let (code, message) = if postgres {
                (Code::NotSupported, "this version has no PostgreSQL store".to_owned())
            } else {
                (Code::BadUrl, "this is no store".to_owned())
            };
            reader
                .walk
                .error(code, node.span, message)
                .expected("expected a URL such as sqlite:data/runbookd.db");
            default()
        }
    }
}

/// `listen`.
pub(super) fn listen(reader: &Reader<'_>) -> SocketAddr {
    let default = SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), 9095));
    let Some(node) = reader.blocks.get("listen") else { return default };
    let Some(text) = reader.walk.text(node) else { return default };
    if let Ok(address) = text.trim().parse() {
        return address;
    }
    let help = match text.trim().rsplit_once(':') {
        Some(("" | "*", port)) => Some(format!("all addresses are 0.0.0.0:{port}")),
        Some(("localhost", port)) => Some(format!("localhost is 127.0.0.1:{port}")),
        None if text.trim().parse::<u16>().is_ok() => {
            Some(format!("did you mean 127.0.0.1:{}?", text.trim()))
        }
        _ => None,
    };
    reader
        .walk
        .error(Code::BadValue, node.span, format!("`{text}` is no address to listen at"))
        .expected("expected an IP address and a port, such as 127.0.0.1:9095")
        .maybe_help(help);
    default
}

/// `api`: the file of tokens, and how long an alert fires that is handed in without an end.
pub(super) fn api(reader: &Reader<'_>) -> (Option<PathBuf>, Duration) {
    let Some(node) = reader.blocks.get("api") else { return (None, RESOLVE_TIMEOUT) };
    let fields = reader.walk.fields(node, API);
    let timeout = fields.get("resolve_timeout").and_then(|node| reader.walk.duration_from(node, SECOND));
    let tokens = fields.get("tokens_file").and_then(|node| reader.file(node));
    (tokens, timeout.unwrap_or(RESOLVE_TIMEOUT))
}

/// `public_url`.
pub(super) fn public_url(reader: &Reader<'_>) -> Option<Arc<str>> {
    reader.blocks.get("public_url").and_then(|node| reader.url(node))
}

/// `allowed_hosts`: names, `host:port`, or `*.suffix`.
pub(super) fn allowed_hosts(reader: &Reader<'_>) -> Vec<Arc<str>> {
    let Some(node) = reader.blocks.get("allowed_hosts") else { return Vec::new() };
    let mut hosts = Vec::new();
    for item in reader.walk.list(node) {
        let Some(text) = reader.walk.text(item) else { continue };
        let name = text.strip_prefix("*.").unwrap_or(text);
        let fine = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c));
        if fine {
            hosts.push(text.clone());
        } else {
            reader
                .walk
                .error(Code::BadValue, item.span, format!("`{text}` is no host"))
                .expected("expected a host such as grafana.example.org or *.shop.svc");
        }
    }
    hosts
}

/// `kubernetes.mode`.
pub(super) fn kubernetes_mode(reader: &Reader<'_>) -> ScalingMode {
    let modes = [ScalingMode::Off, ScalingMode::DryRun, ScalingMode::Apply].map(|mode| (mode.as_str(), mode));
    let fields = reader.blocks.get("kubernetes").map(|node| reader.walk.fields(node, &["mode"]));
    let mode = fields.as_ref().and_then(|fields| fields.get("mode"));
    mode.and_then(|node| reader.walk.word(node, &modes)).unwrap_or(ScalingMode::DryRun)
}
