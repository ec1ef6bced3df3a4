//! What runs under one configuration: everything made from settings and rules, built whole before it takes over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::config::Loaded;
use crate::config::settings::{ChannelSettings, Settings};
use crate::domain::communication::LanePolicy;
use crate::domain::escalation::EscalationStep;
use crate::domain::name::{ChannelName, QueryId};
use crate::domain::notice::Recipients;
use crate::domain::rule::RuleSet;
use crate::engine::heartbeat::HEARTBEAT;
use crate::engine::plan::Plan;
use crate::notify::channels::Channels;
use crate::probe::{AllowedHosts, Probe};
use crate::prometheus::{Prometheus, Schedule};

/// Everything made from one configuration.
pub struct Running {
    /// The settings.
    pub settings: Settings,
    /// What the engine decides by.
    pub plan: Arc<Plan>,
    /// The metrics' source.
    pub prometheus: Arc<Prometheus>,
    /// When each query is due.
    pub schedule: Schedule,
    /// How many rules read each query.
    pub readers: BTreeMap<QueryId, u64>,
    /// The way to the hosts that rule files may reach.
    pub probe: Probe,
    /// The ways to people.
    pub channels: Arc<Channels>,
}

impl Running {
    /// Builds everything; what cannot be built is an error and changes nothing.
    pub fn build(loaded: Loaded) -> anyhow::Result<Self> {
        let Loaded { settings, rules, warnings: _ } = loaded;
        let prometheus =
            Prometheus::new(&settings.prometheus).context("cannot set up the Prometheus client")?;
        let channels =
            Channels::new(&settings.channels, &settings.communication, settings.public_url.as_deref())
                .context("cannot set up the channels")?;
        let channels = match &settings.heartbeat {
            Some(heartbeat) => channels.with_heartbeat(HEARTBEAT.into(), heartbeat.clone()),
            None => channels,
        };
        let probe = Probe::new(AllowedHosts::new(&settings.allowed_hosts))
            .context("cannot set up the client of diagnosis steps")?;
        let schedule = Schedule::new(rules.queries.values().map(|query| (&query.id, query.interval)), 0);
        let mut readers = BTreeMap::new();
        for rule in rules.rules.values() {
            *readers.entry(rule.query.clone()).or_insert(0) += 1;
        }
        let plan = Arc::new(plan(&settings, rules));
        Ok(Self {
            settings,
            plan,
            prometheus: Arc::new(prometheus),
            schedule,
            readers,
            probe,
            channels: Arc::new(channels),
        })
    }
}

/// The part that the engine decides by.
pub fn plan(settings: &Settings, rules: RuleSet) -> Plan {
    let policy = |channel: &ChannelSettings| match channel {
        // One message a second and channel: https://docs.slack.dev/apis/web-api/rate-limits
        ChannelSettings::Slack(_) | ChannelSettings::SlackBot(_) => {
            LanePolicy { lanes: 1, pace: Duration::from_secs(1), digests: true }
        }
        ChannelSettings::Email(_) => LanePolicy { lanes: 2, pace: Duration::ZERO, digests: true },
        ChannelSettings::PagerDuty(_) => LanePolicy { lanes: 4, pace: Duration::ZERO, digests: false },
        ChannelSettings::Webhook(_) => LanePolicy { lanes: 16, pace: Duration::ZERO, digests: false },
    };
    let channels = settings.channels.iter().map(|(name, channel)| (name.clone(), policy(channel)));
    let escalations = settings.incident_types.iter().map(|(name, kind)| {
        let steps = kind.escalation.iter().map(|role| escalation_step(settings, role));
        (name.clone(), steps.collect())
    });
    Plan {
        rules,
        incident_types: settings.incident_types.clone(),
        communication: settings.communication.clone(),
        channels: channels.collect(),
        escalations: escalations.collect(),
        heartbeat: settings.heartbeat.as_ref().map(|heartbeat| heartbeat.every),
        blind_after: settings.evaluation.blind_after,
        resolve_timeout: settings.resolve_timeout,
        tools: settings.links(),
        scaling: settings.kubernetes_mode,
    }
}

/// A role with an address is reached by the first mail channel of the ladder, or any; every other role by the
/// emergency channel, which then names it.
fn escalation_step(settings: &Settings, role: &Arc<str>) -> EscalationStep {
    let communication = &settings.communication;
    let is_mail =
        |name: &&ChannelName| matches!(settings.channels.get(*name), Some(ChannelSettings::Email(_)));
    let ladder = [&communication.primary, &communication.secondary, &communication.emergency];
    let mail = ladder.into_iter().find(is_mail).or_else(|| settings.channels.keys().find(is_mail));
    let address = settings.contact(role).and_then(|contact| contact.contact.clone());
    match (mail, address) {
        (Some(channel), Some(address)) => EscalationStep {
            role: role.clone(),
            channel: channel.clone(),
            recipients: Recipients::Only(vec![address]),
        },
        _ => EscalationStep {
            role: role.clone(),
            channel: communication.emergency.clone(),
            recipients: Recipients::Own,
        },
    }
}
