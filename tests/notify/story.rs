//! One incident from opening to reopening, and the runbook's communication plan: what all tests here tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runbookd::config::secret::SecretSource;
use runbookd::config::settings::{
    ChannelSettings, EmailSettings, PagerDutySettings, SlackSettings, SmtpTls, WebhookSettings,
};
use runbookd::domain::communication::{Communication, Storm};
use runbookd::domain::delivery::Attempt;
use runbookd::domain::diagnosis::Link;
use runbookd::domain::incident::{ActionTaken, IncidentState};
use runbookd::domain::labels::Labels;
use runbookd::domain::name::ChannelName;
use runbookd::domain::notice::{Facts, Notice, NoticeEvent};
use runbookd::domain::quantity::Unit;
use runbookd::domain::severity::Severity;
use runbookd::notify::channels::Channels;
use runbookd::notify::email::Addresses;

/// The runbook's templates, word for word.
pub(crate) const INITIAL_ALERT: &str =
    "Incident: {incident_id}\nType: {type}\nSeverity: {severity}\nImpact: {impact}\nResponse team: {team}\n";
pub(crate) const STATUS_UPDATE: &str =
    "Status: {status}\nActions taken: {actions}\nNext steps: {next_steps}\nETA: {eta}\n";

pub(crate) const UID: &str = "3f2a9c1e77d04b5a8c6e1f0b2d4a6c88";
pub(crate) const PUBLIC_URL: &str = "https://runbookd.example.org";
pub(crate) const ROUTING_KEY: &str = "R0123456789abcdef0123456789abcde";
pub(crate) const PASSWORD: &str = "correct-horse-battery";

pub(crate) fn at(time: &str) -> jiff::Timestamp {
    format!("2026-11-23T{time}Z").parse().unwrap()
}

pub(crate) fn communication() -> Communication {
    Communication {
        primary: "slack-#incidents".into(),
        secondary: "email".into(),
        emergency: "pagerduty".into(),
        initial_alert: INITIAL_ALERT.into(),
        status_update: STATUS_UPDATE.into(),
        warning: vec!["slack-#incidents".into()],
        critical: vec!["slack-#incidents".into(), "email".into(), "pagerduty".into()],
        status_every: Duration::from_secs(1_800),
        failover_after: Duration::from_secs(60),
        storm: Storm::default(),
    }
}

/// The events about one incident, in the order in which the story tells them.
pub(crate) fn events() -> Vec<NoticeEvent> {
    vec![
        NoticeEvent::Opened,
        NoticeEvent::Worsened { was: Severity::Warning },
        NoticeEvent::Scaled,
        NoticeEvent::Acknowledged { by: "Ana".into() },
        NoticeEvent::Joined,
        NoticeEvent::NotScaled,
        NoticeEvent::StatusUpdate,
        NoticeEvent::Eased { was: Severity::Critical },
        NoticeEvent::Resolved,
        NoticeEvent::Reopened,
        NoticeEvent::Escalated { role: "CTO".into() },
    ]
}

/// What changes from one event to the next.
struct Chapter {
    time: &'static str,
    value: f64,
    state: IncidentState,
    did: Option<&'static str>,
    actions: usize,
    eta: Option<&'static str>,
    pages: u32,
}

fn chapter(event: &NoticeEvent) -> Chapter {
    use IncidentState::{Acknowledged, Mitigating, Open, Resolved};
    let told = |time, value, state, did, actions, eta, pages| Chapter {
        time,
        value,
        state,
        did,
        actions,
        eta,
        pages,
    };
    match event {
        NoticeEvent::Escalated { .. } => {
            told("03:55:00", 0.93, Open, Some("woke CTO"), 5, Some("04:10:00"), 4)
        }
        NoticeEvent::Digest | NoticeEvent::Heartbeat => unreachable!("about no incident"),
        NoticeEvent::Opened => told("03:11:00", 0.95, Open, Some("scaling 4 → 6"), 0, Some("03:17:00"), 1),
        NoticeEvent::Worsened { .. } => {
            told("03:12:00", 0.95, Mitigating, Some("scaling 4 → 6"), 1, Some("03:17:00"), 2)
        }
        NoticeEvent::Scaled => {
            told("03:12:30", 0.95, Mitigating, Some("scaled 4 → 6"), 1, Some("03:17:00"), 2)
        }
        NoticeEvent::Acknowledged { .. } => told("03:14:00", 0.91, Mitigating, None, 2, Some("03:22:00"), 2),
        NoticeEvent::Joined => told("03:16:00", 0.91, Mitigating, None, 3, Some("03:22:00"), 2),
        NoticeEvent::NotScaled => {
            let held = Some("cooldown until 03:22 UTC");
            told("03:21:00", 0.91, Acknowledged, held, 4, Some("03:22:00"), 2)
        }
        NoticeEvent::StatusUpdate => told("03:25:00", 0.91, Acknowledged, None, 5, Some("03:55:00"), 2),
        NoticeEvent::Eased { .. } => told("03:28:00", 0.75, Acknowledged, None, 5, Some("03:55:00"), 2),
        NoticeEvent::Resolved => told("03:33:00", 0.58, Resolved, Some("scaled 4 → 6 → 8"), 5, None, 2),
        NoticeEvent::Reopened => told("03:40:00", 0.93, Open, None, 5, None, 3),
    }
}

/// The notice of an event to a channel.
pub(crate) fn notice(event: &NoticeEvent, channel: &str) -> Notice {
    let chapter = chapter(event);
    let revision = u32::try_from(events().iter().position(|other| other == event).unwrap_or(0) + 1).unwrap();
    let action = |time, text: &str| ActionTaken { at: at(time), text: text.into() };
    let all = [
        action("03:12:00", "scaled 4 → 6"),
        action("03:13:00", "6 of 6 pods ready"),
        action("03:14:00", "acknowledged by Ana"),
        action("03:17:00", "scaled 4 → 6, verified"),
        action("03:22:00", "scaled 6 → 8"),
    ];
    let actions: Vec<ActionTaken> = all.into_iter().take(chapter.actions).rev().collect();
    let steps =
        ["Review active processes", "Roll back if needed", "Optimize workloads", "Review resource limits"];
    let eased = matches!(event, NoticeEvent::Eased { .. });
    let acknowledged = chapter.actions >= 3 || matches!(event, NoticeEvent::Acknowledged { .. });
    let channel = ChannelName::from(channel);
    Notice {
        id: Notice::id(UID, &channel, revision),
        channel,
        revision,
        event: event.clone(),
        facts: Facts {
            incident_id: "INC-20261123-0007".into(),
            uid: UID.into(),
            incident_type: "service_outage".into(),
            severity: if eased { Severity::Warning } else { Severity::Critical },
            state: chapter.state,
            acknowledged_by: acknowledged.then(|| Arc::from("Ana")),
            acknowledged_in: None,
            subject: Labels::new([("service", "checkout"), ("namespace", "shop")]),
            subject_name: "checkout".into(),
            opened_by: "cpu_usage".into(),
            metric: "cpu_usage".into(),
            value: Some(chapter.value),
            unit: Unit::Ratio,
            threshold: Some(if eased { 0.7 } else { 0.9 }),
            impact: "CPU of checkout at 95 %; 1 service, 14 tenants".into(),
            team: "operations".into(),
            actions,
            next_steps: steps.into_iter().map(Arc::from).collect(),
            eta: chapter.eta.map(at),
            since: at("03:09:00"),
            opened_at: at("03:11:00"),
            resolved_at: matches!(event, NoticeEvent::Resolved).then(|| at("03:33:00")),
            did: chapter.did.map(Arc::from),
            labels: Labels::new([("service", "checkout"), ("namespace", "shop"), ("cluster", "eu1")]),
            runbook_url: Some("https://wiki.example.org/high-cpu".into()),
            diagnosis: if matches!(event, NoticeEvent::Opened) { Vec::new() } else { found() },
            links: vec![Link {
                name: "Look at the dashboard".into(),
                url: "https://grafana.example.org/d/shop?var-service=checkout&x=1".into(),
            }],
            pages: chapter.pages,
            opened_revision: 1,
            lead: Some(runbookd::domain::alert::AlertKey {
                rule: "cpu_usage".into(),
                series: Labels::new([("service", "checkout"), ("namespace", "shop"), ("cluster", "eu1")]),
            }),
        },
        created_at: at(chapter.time),
        attempts: 0,
        rest: None,
        parked: false,
        possibly_sent: false,
        receipt: None,
        recipients: runbookd::domain::notice::Recipients::Own,
        digest: None,
    }
}

/// What a diagnosis found.
fn found() -> Vec<Arc<str>> {
    let lines = [
        "Review active processes: 0.94 checkout-7f9c-x2, the largest of 3",
        "Check error logs: checkout-7f9c-x2, 3 of 4 ready: panic: out of <memory> & time",
        "Ask the service: nothing found, timed_out: no answer in time",
    ];
    lines.map(Arc::from).into()
}

pub(crate) fn addresses() -> Addresses {
    Addresses::read("runbookd@example.org", &["oncall@example.org", "ops@example.org"]).unwrap()
}

pub(crate) fn secret(text: impl Into<String>) -> SecretSource {
    SecretSource::Inline(text.into().into())
}

pub(crate) fn slack(url: String) -> ChannelSettings {
    ChannelSettings::Slack(SlackSettings { webhook_url: secret(url) })
}

pub(crate) fn pagerduty(url: String) -> ChannelSettings {
    ChannelSettings::PagerDuty(PagerDutySettings {
        routing_key: secret(ROUTING_KEY),
        webhook_secrets: Vec::new(),
        url: url.into(),
    })
}

pub(crate) fn webhook(url: String) -> ChannelSettings {
    ChannelSettings::Webhook(WebhookSettings::new(secret(url)))
}

/// A mail server on loopback that nobody has to log in to and that protects nothing.
pub(crate) fn mail_server(address: std::net::SocketAddr) -> EmailSettings {
    EmailSettings {
        host: address.ip().to_string().into(),
        port: address.port(),
        user: None,
        password: None,
        tls: SmtpTls::None,
        ca_file: None,
        from: "runbookd@example.org".into(),
        to: vec!["oncall@example.org".into(), "ops@example.org".into()],
    }
}

/// Channels with the one of this name and settings.
pub(crate) fn channels(name: &str, settings: ChannelSettings) -> Channels {
    world::install_crypto();
    let settings = BTreeMap::from([(ChannelName::from(name), settings)]);
    Channels::new(&settings, &communication(), Some(PUBLIC_URL)).unwrap()
}

/// An attempt in a few words: `failed rate_limited after 30 s`.
pub(crate) fn shown(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Accepted { .. } => "accepted".into(),
        Attempt::NothingToSend => "nothing to send".into(),
        Attempt::Failed { reason, retry_after: None, .. } => format!("failed {reason}"),
        Attempt::Failed { reason, retry_after: Some(after), .. } => {
            format!("failed {reason} after {} s", after.as_secs())
        }
        Attempt::Refused { reason, .. } => format!("refused {reason}"),
    }
}

/// What the other side is said to have said.
pub(crate) fn detail(attempt: &Attempt) -> &str {
    match attempt {
        Attempt::Accepted { .. } | Attempt::NothingToSend => "",
        Attempt::Failed { detail, .. } | Attempt::Refused { detail, .. } => detail,
    }
}
