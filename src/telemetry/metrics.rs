//! The daemon's own metrics. Owns their names, labels and encoding (OpenMetrics text); every label is a closed set or
//! a configured name.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The content type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How something ended.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// The outcome's code.
    pub outcome: &'static str,
}

/// What the store noticed about itself.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct FindingLabels {
    /// The finding's code.
    pub finding: &'static str,
}

/// How a notice's attempt ended.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct NoticeLabels {
    /// The configured channel.
    pub channel: String,
    /// `accepted`, `nothing_to_send`, `failed`, `refused`.
    pub outcome: &'static str,
    /// The reason's code, empty where it was accepted.
    pub reason: &'static str,
}

/// A channel.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ChannelLabels {
    /// The configured channel.
    pub channel: String,
}

/// Alerts by state and severity.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct AlertLabels {
    /// The state.
    pub state: &'static str,
    /// The severity.
    pub severity: &'static str,
}

/// Incidents by state.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StateLabels {
    /// The state.
    pub state: &'static str,
}

/// What became of a callback.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CallbackLabels {
    /// `slack`, `pagerduty`.
    pub source: &'static str,
    /// The outcome's code.
    pub outcome: &'static str,
}

/// How a scaling action moved.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ScalingLabels {
    /// The axis.
    pub axis: &'static str,
    /// The action's new state.
    pub outcome: &'static str,
    /// The reason's code, empty where there is none.
    pub reason: &'static str,
}

/// How a step of a diagnosis ended.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DiagnosisLabels {
    /// The step's kind.
    pub kind: &'static str,
    /// `found`, or the failure's code.
    pub outcome: &'static str,
}

/// A capacity model.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ModelLabels {
    /// The model's name.
    pub model: String,
}

/// A resource of a capacity model.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ResourceLabels {
    /// The model's name.
    pub model: String,
    /// The resource's name.
    pub resource: String,
}

/// Why something did not happen.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReasonLabels {
    /// The reason's code.
    pub reason: &'static str,
}

/// Every metric the daemon exports.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Rules evaluated, by outcome of their query.
    pub rule_evaluations: Family<OutcomeLabels, Counter>,
    /// Queries asked, by outcome.
    pub queries: Family<OutcomeLabels, Counter>,
    /// From a query's due time to its evaluation.
    pub evaluation_round: Histogram,
    /// Rounds that were due and not begun because an earlier one still ran.
    pub missed_rounds: Counter,
    /// Alerts, by state and severity.
    pub alerts: Family<AlertLabels, Gauge>,
    /// Incidents, by state.
    pub incidents: Family<StateLabels, Gauge>,
    /// Attempts to deliver notices.
    pub notices: Family<NoticeLabels, Counter>,
    /// What Slack and PagerDuty sent.
    pub callbacks: Family<CallbackLabels, Counter>,
    /// From the decision to the acceptance of a notice.
    pub notice_delay: Family<ChannelLabels, Histogram>,
    /// Notices decided and not delivered.
    pub outbox_messages: Gauge,
    /// Moves of scaling actions.
    pub scaling_actions: Family<ScalingLabels, Counter>,
    /// Wanted steps held, by reason; counted when a reason begins.
    pub scaling_held: Family<ReasonLabels, Counter>,
    /// Steps of diagnoses that ended.
    pub diagnosis_steps: Family<DiagnosisLabels, Counter>,
    /// Incidents that nobody is told of, by reason; counted when a reason begins.
    pub incidents_held: Family<ReasonLabels, Counter>,
    /// Reloads, by outcome.
    pub reloads: Family<OutcomeLabels, Counter>,
    /// Whether the last reload was taken.
    pub last_reload_successful: Gauge,
    /// When the running configuration was taken, in seconds since the epoch.
    pub last_reload_timestamp: Gauge<f64, AtomicU64>,
    /// Commits of the store, by outcome.
    pub store_commits: Family<OutcomeLabels, Counter>,
    /// How long a commit took, synced to disk.
    pub store_commit: Histogram,
    /// Whether the store takes no commits.
    pub store_failing: Gauge,
    /// What the store noticed about itself.
    pub store_findings: Family<FindingLabels, Counter>,
    /// Whether nothing can be evaluated.
    pub blind: Gauge,
    /// How many tenants a model has, where they are counted.
    pub capacity_tenants: Family<ModelLabels, Gauge<f64, AtomicU64>>,
    /// How many tenants more fit a resource, where that is known.
    pub capacity_headroom: Family<ResourceLabels, Gauge<f64, AtomicU64>>,
    /// When a resource is expected to run out, in seconds since the epoch, where that is within the horizon.
    pub capacity_runs_out: Family<ResourceLabels, Gauge<f64, AtomicU64>>,
    /// The error of a model's forecast on its held-out tail, as a share.
    pub capacity_forecast_error: Family<ModelLabels, Gauge<f64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("runbookd");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running version", build);
        let metrics = Self {
            rule_evaluations: Family::default(),
            queries: Family::default(),
            evaluation_round: Histogram::new(DELAYS),
            missed_rounds: Counter::default(),
            alerts: Family::default(),
            incidents: Family::default(),
            notices: Family::default(),
            callbacks: Family::default(),
            notice_delay: Family::new_with_constructor(|| Histogram::new(DELAYS)),
            outbox_messages: Gauge::default(),
            scaling_actions: Family::default(),
            scaling_held: Family::default(),
            diagnosis_steps: Family::default(),
            incidents_held: Family::default(),
            reloads: Family::default(),
            last_reload_successful: Gauge::default(),
            last_reload_timestamp: Gauge::default(),
            store_commits: Family::default(),
            store_commit: Histogram::new(DELAYS),
            store_failing: Gauge::default(),
            store_findings: Family::default(),
            blind: Gauge::default(),
            capacity_tenants: Family::default(),
            capacity_headroom: Family::default(),
            capacity_runs_out: Family::default(),
            capacity_forecast_error: Family::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        let r = &mut registry;
        r.register(
            "rule_evaluations",
            "Rules evaluated, by outcome of their query",
            m.rule_evaluations.clone(),
        );
        r.register("queries", "Queries asked, by outcome", m.queries.clone());
        let help = "From a query's due time to the end of its evaluation";
        r.register_with_unit("evaluation_round", help, Unit::Seconds, m.evaluation_round.clone());
        r.register(
            "missed_rounds",
            "Rounds not begun because an earlier one still ran",
            m.missed_rounds.clone(),
        );
        r.register("alerts", "Alerts, by state and severity", m.alerts.clone());
        r.register("incidents", "Incidents, by state", m.incidents.clone());
        r.register("notices", "Attempts to deliver notices", m.notices.clone());
        r.register("callbacks", "Callbacks of Slack and PagerDuty, by outcome", m.callbacks.clone());
        let help = "From the decision to the acceptance of a notice";
        r.register_with_unit("notice_delay", help, Unit::Seconds, m.notice_delay.clone());
        r.register("outbox_messages", "Notices decided and not yet delivered", m.outbox_messages.clone());
        r.register("scaling_actions", "Moves of scaling actions", m.scaling_actions.clone());
        r.register(
            "scaling_held",
            "Wanted scaling steps held, counted when a reason begins",
            m.scaling_held.clone(),
        );
        r.register("diagnosis_steps", "Steps of diagnoses that ended", m.diagnosis_steps.clone());
        let help = "Incidents that nobody is told of, counted when a reason begins";
        r.register("incidents_held", help, m.incidents_held.clone());
        r.register("config_reloads", "Reloads, by outcome", m.reloads.clone());
        let help = "Whether the last reload was taken";
        r.register("config_last_reload_successful", help, m.last_reload_successful.clone());
        let help = "When the running configuration was taken";
        let gauge = m.last_reload_timestamp.clone();
        r.register_with_unit("config_last_reload_timestamp", help, Unit::Seconds, gauge);
        r.register("store_commits", "Commits of the store, by outcome", m.store_commits.clone());
        let help = "How long a commit took, synced to disk";
        r.register_with_unit("store_commit", help, Unit::Seconds, m.store_commit.clone());
        r.register("store_failing", "Whether the store takes no commits", m.store_failing.clone());
        let help = "What the store noticed about itself";
        r.register("store_findings", help, m.store_findings.clone());
        r.register("blind", "Whether nothing can be evaluated", m.blind.clone());
        r.register("capacity_tenants", "Tenants of a model", m.capacity_tenants.clone());
        r.register(
            "capacity_headroom_tenants",
            "Tenants that fit a resource beside those there are",
            m.capacity_headroom.clone(),
        );
        let help = "When a resource is expected to run out";
        let gauge = m.capacity_runs_out.clone();
        r.register_with_unit("capacity_runs_out_timestamp", help, Unit::Seconds, gauge);
        let help = "Mean error of a forecast of tenants on what it had not seen";
        r.register("capacity_forecast_error_ratio", help, m.capacity_forecast_error.clone());
        Self { registry, ..metrics }
    }
}

/// Bucket bounds for delays, in seconds: fine below a second, where promises are made.
const DELAYS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

impl Metrics {
    /// All metrics as OpenMetrics text, see [`CONTENT_TYPE`].
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
