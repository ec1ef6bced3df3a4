//! Settings: what the folder `config/` says, validated. Owns every knob of a platform operator; rules live elsewhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::communication::Communication;
use crate::domain::diagnosis::Link;
use crate::domain::incident::IncidentType;
use crate::domain::name::{ChannelName, IncidentTypeName};
use crate::domain::scaling::ScalingMode;

use super::secret::SecretSource;

/// Everything the folder `config/` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where metrics come from.
    pub prometheus: PrometheusSettings,
    /// How rules are evaluated.
    pub evaluation: EvaluationSettings,
    /// How often files are compared beside file events.
    pub reload_poll: Duration,
    /// Where state is kept.
    pub store: StoreSettings,
    /// Where the daemon listens.
    pub listen: SocketAddr,
    /// The file of API tokens, where changes need one.
    pub api_tokens_file: Option<PathBuf>,
    /// How long an alert that is handed in without an end fires.
    pub resolve_timeout: Duration,
    /// The base of the links in notices, such as `https://runbookd.example.org`.
    pub public_url: Option<Arc<str>>,
    /// The hosts that `http:` steps and links of rule files may reach: `grafana.example.org`, `host:port`, `*.shop.svc`.
    pub allowed_hosts: Vec<Arc<str>>,
    /// What reaches the cluster.
    pub kubernetes_mode: ScalingMode,
    /// The configured ways to reach people.
    pub channels: BTreeMap<ChannelName, ChannelSettings>,
    /// The outside watchdog that hears that everything works.
    pub heartbeat: Option<HeartbeatSettings>,
    /// Who is told what, how often.
    pub communication: Communication,
    /// The incident types, by name; `service_outage` is always there.
    pub incident_types: BTreeMap<IncidentTypeName, IncidentType>,
    /// The emergency contacts, in the order written.
    pub contacts: Vec<Contact>,
    /// The tools of the runbook's 5.2, by group.
    pub diagnostic_tools: Vec<DiagnosticTool>,
}

impl Settings {
    /// The diagnostic tools that have a link.
    pub fn links(&self) -> Vec<Link> {
        let tools = self.diagnostic_tools.iter();
        tools.filter_map(|tool| Some(Link { name: tool.name.clone(), url: tool.link.clone()? })).collect()
    }

    /// The contact behind a role or a contact's key, whatever the case of its letters.
    pub fn contact(&self, role: &str) -> Option<&Contact> {
        contact(&self.contacts, role)
    }
}

/// The contact behind a role or a contact's key among `contacts`, whatever the case of its letters.
pub fn contact<'c>(contacts: &'c [Contact], role: &str) -> Option<&'c Contact> {
    let role = role.trim();
    contacts
        .iter()
        .find(|one| one.role.eq_ignore_ascii_case(role))
        .or_else(|| contacts.iter().find(|one| one.key.eq_ignore_ascii_case(role)))
}

/// Where metrics come from: anything that speaks Prometheus' HTTP API.
#[derive(Debug, Clone, PartialEq)]
pub struct PrometheusSettings {
    /// The base URL, without a trailing slash.
    pub url: Arc<str>,
    /// How long one query may take.
    pub timeout: Duration,
    /// The largest answer read, in bytes.
    pub max_answer_bytes: usize,
    /// A token for the Authorization header.
    pub bearer_token: Option<SecretSource>,
    /// Further headers, such as a tenant's.
    pub headers: BTreeMap<String, String>,
    /// A CA bundle to trust beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// How rules are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvaluationSettings {
    /// How often, where a rule does not say.
    pub interval: Duration,
    /// How many queries may run at once.
    pub concurrency: usize,
    /// How long nothing could be evaluated before the daemon calls itself blind.
    pub blind_after: Duration,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// A file of the embedded database.
    Sqlite(PathBuf),
    /// In memory only: tests and short trials.
    Memory,
}

/// An outside watchdog (a "dead man's switch"): it raises the alarm when it is not called.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatSettings {
    /// Where to. The URL is a secret.
    pub url: SecretSource,
    /// How often.
    pub every: Duration,
}

/// One configured way to reach people.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelSettings {
    /// A Slack incoming webhook.
    Slack(SlackSettings),
    /// A Slack app that posts by bot token.
    SlackBot(SlackBotSettings),
    /// A mail server.
    Email(EmailSettings),
    /// `PagerDuty`'s Events API v2.
    PagerDuty(PagerDutySettings),
    /// A generic webhook.
    Webhook(WebhookSettings),
}

impl ChannelSettings {
    /// The word used in files and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack(_) | Self::SlackBot(_) => "slack",
            Self::Email(_) => "email",
            Self::PagerDuty(_) => "pagerduty",
            Self::Webhook(_) => "webhook",
        }
    }
}

/// A Slack incoming webhook. Its URL is the secret.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackSettings {
    /// The webhook's URL.
    pub webhook_url: SecretSource,
}

/// A Slack app: posts by bot token, edits what it posted, and is clicked.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackBotSettings {
    /// The bot's token.
    pub bot_token: SecretSource,
    /// Where to: a channel's id (`C0123456789`) or its name.
    pub channel: Arc<str>,
    /// The base of the Web API, without a trailing slash: `https://slack.com` unless a proxy stands between.
    pub api_url: Arc<str>,
    /// What clicks are signed with, the newest first; without one there are no buttons that act.
    pub signing_secrets: Vec<SecretSource>,
    /// Whose clicks count.
    pub allow: SlackAllow,
    /// Who a Slack user is, by user id.
    pub users: BTreeMap<Arc<str>, Arc<str>>,
}

/// Whose clicks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlackAllow {
    /// Everybody who can see the channel.
    Channel,
    /// Only people whom `users` names.
    Mapped,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq)]
pub struct EmailSettings {
    /// The server's name.
    pub host: Arc<str>,
    /// The server's port.
    pub port: u16,
    /// The user to authenticate as, taken from the URL.
    pub user: Option<Arc<str>>,
    /// The user's password.
    pub password: Option<SecretSource>,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// A CA bundle to trust beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The sender.
    pub from: Arc<str>,
    /// The receivers: addresses, after roles were resolved to contacts.
    pub to: Vec<Arc<str>>,
}

/// How an SMTP connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte (`smtps://`).
    Implicit,
    /// STARTTLS, required (`smtp://`).
    StartTls,
    /// None: only to loopback.
    None,
}

/// `PagerDuty`'s Events API v2.
#[derive(Debug, Clone, PartialEq)]
pub struct PagerDutySettings {
    /// The integration's routing key; earlier ones may stand below it, one a line, so that what they opened can be
    /// closed.
    pub routing_key: SecretSource,
    /// What its webhooks are signed with, the newest first; without one none is taken.
    pub webhook_secrets: Vec<SecretSource>,
    /// The endpoint: `https://events.pagerduty.com` unless a proxy stands between.
    pub url: Arc<str>,
}

/// A generic webhook: POST of a documented JSON body, or of what a template makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookSettings {
    /// Where to. The URL may carry a secret.
    pub url: SecretSource,
    /// The template of the body, where it is not the documented JSON.
    pub body: Option<Arc<str>>,
    /// The media type of the template's body.
    pub content_type: Arc<str>,
    /// Further headers; their values may be secrets.
    pub headers: Vec<(Arc<str>, SecretSource)>,
    /// What requests are signed with.
    pub secret: Option<SecretSource>,
}

impl WebhookSettings {
    /// The media type of the documented body.
    pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

    /// The documented body to this URL, unsigned.
    pub fn new(url: SecretSource) -> Self {
        let content_type = Self::CONTENT_TYPE.into();
        Self { url, body: None, content_type, headers: Vec::new(), secret: None }
    }

    /// Whether a media type is JSON's or one made of it.
    pub fn is_json(content_type: &str) -> bool {
        let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    }
}

/// A contact of appendix C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The key: `primary`, `secondary`, `escalation`.
    pub key: Arc<str>,
    /// The role: `DevOps Lead`.
    pub role: Arc<str>,
    /// The mail address.
    pub contact: Option<Arc<str>>,
    /// The phone number.
    pub phone: Option<Arc<str>>,
}

/// A tool of the runbook's 5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosticTool {
    /// The group: `logging`, `monitoring`, `debugging`.
    pub group: Arc<str>,
    /// The tool's name.
    pub name: Arc<str>,
    /// A link with `$label` placeholders.
    pub link: Option<Arc<str>>,
}
