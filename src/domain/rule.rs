//! Rules: a query with thresholds, and what a breach of them means. Owns the loaded rule set; knows no file format.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::backup::BackupConfiguration;
use super::capacity::ResourceRequirements;
use super::inhibition::InhibitRule;
use super::labels::Labels;
use super::name::{IncidentTypeName, QueryId, RuleId};
use super::quantity::Unit;
use super::response::ResponsePlan;
use super::scaling::Policy;
use super::severity::Severity;
use super::time_interval::TimeInterval;

/// Which side of a threshold is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Values above the threshold breach it.
    Above,
    /// Values below the threshold breach it.
    Below,
}

impl Direction {
    /// Whether `value` lies strictly beyond `threshold` on the bad side.
    pub fn is_beyond(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
        }
    }
}

/// A threshold of one severity, and how long it must be breached before the alert fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// In the base of the rule's unit.
    pub value: f64,
    /// The runbook's `for`; zero fires at once.
    pub hold: Duration,
}

/// The thresholds that apply to one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Which side is bad.
    pub direction: Direction,
    /// Where a warning begins.
    pub warning: Option<Threshold>,
    /// Where it becomes critical.
    pub critical: Option<Threshold>,
    /// A firing alert clears at or on the good side of this value.
    pub clear: f64,
}

impl Thresholds {
    /// The threshold of `severity`, where there is one.
    pub fn of(&self, severity: Severity) -> Option<Threshold> {
        match severity {
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }
}

/// What makes a series breach.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Its value is compared here.
    Threshold(Thresholds),
    /// The comparison is inside the expression, as in a Prometheus rule file: whatever the query returns breaches.
    Presence {
        /// The severity of the alert.
        severity: Severity,
        /// How long the series must be returned before the alert fires.
        hold: Duration,
    },
}

/// Other thresholds for the series whose labels match.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The labels a series must have, all of them.
    pub matching: Labels,
    /// What applies to it.
    pub thresholds: Thresholds,
}

/// What to do when a series vanishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNoData {
    /// Hold the state.
    Keep,
    /// Resolve after `no_data_after`.
    Resolve,
    /// Fire after `no_data_after`.
    Fire,
}

/// What to do when the query fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Hold the state.
    Keep,
    /// Fire after `no_data_after`.
    Fire,
}

/// Which labels of a series name the subject of its incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// The first of the labels in [`SUBJECT_LABELS`] that the series has, with its namespace.
    Subject,
    /// Exactly these labels.
    Labels(Vec<Arc<str>>),
}

/// The labels that name a subject, the most telling first.
pub const SUBJECT_LABELS: [&str; 6] = ["service", "tenant", "instance", "node", "job", "alertname"];

impl GroupBy {
    /// The subject of a series: the labels that one incident's alerts have in common.
    pub fn subject(&self, labels: &Labels) -> Labels {
        match self {
            Self::Labels(names) => labels.project(names),
            Self::Subject => {
                let first =
                    SUBJECT_LABELS.into_iter().find_map(|name| labels.get(name).map(|value| (name, value)));
                let namespace = labels.get("namespace").map(|value| ("namespace", value));
                Labels::new(first.into_iter().chain(namespace))
            }
        }
    }
}

/// A metric (or PromQL expression) with thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Identifies the rule over reloads.
    pub id: RuleId,
    /// The metric's name in the runbook's format, the alert's own in Prometheus files: the `alertname` towards clients.
    pub name: Arc<str>,
    /// Which query it reads.
    pub query: QueryId,
    /// The unit of its values.
    pub unit: Unit,
    /// What breaches.
    pub condition: Condition,
    /// The first override that matches a series replaces the condition's thresholds.
    pub overrides: Vec<Override>,
    /// How long an alert goes on firing after its series came back below `clear`.
    pub keep_firing_for: Duration,
    /// What a vanished series means.
    pub on_no_data: OnNoData,
    /// How long a series must be gone before `on_no_data` applies.
    pub no_data_after: Duration,
    /// What a failed query means.
    pub on_error: OnError,
    /// The type of the incident it opens.
    pub incident_type: IncidentTypeName,
    /// The alert response that guides people, by name.
    pub response: Option<Arc<str>>,
    /// What makes one incident.
    pub group_by: GroupBy,
    /// Labels laid over the series' own.
    pub labels: Labels,
    /// One sentence about a breach; see [`SummaryTemplate`] for its forms.
    pub summary: Option<SummaryTemplate>,
    /// What a breach means for customers.
    pub impact: Option<SummaryTemplate>,
    /// A page people should read.
    pub runbook_url: Option<Arc<str>>,
    /// The time intervals in which nobody is told of its alerts, by name.
    pub mute_time_intervals: Vec<Arc<str>>,
    /// The time intervals outside of which nobody is told of its alerts, by name; none restricts nothing.
    pub active_time_intervals: Vec<Arc<str>>,
    /// Where the rule stands, for people: `monitoring.yaml:9`.
    pub source: Arc<str>,
}

impl Rule {
    /// Whether a series that falls silent, or a query that fails, makes an alert.
    pub fn pages_on_silence(&self) -> bool {
        self.on_no_data == OnNoData::Fire || self.on_error == OnError::Fire
    }

    /// The thresholds that apply to a series, where the rule compares values itself.
    pub fn thresholds_for(&self, labels: &Labels) -> Option<Thresholds> {
        let Condition::Threshold(own) = &self.condition else { return None };
        let overridden = self.overrides.iter().find(|other| labels.contains_all(&other.matching));
        Some(overridden.map_or(*own, |other| other.thresholds))
    }
}

/// A sentence with placeholders, cut into pieces when the rule was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryTemplate(pub Vec<Piece>);

/// A piece of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Text(Arc<str>),
    /// The value, printed in the rule's unit: `{value}`.
    Value,
    /// The value as Prometheus prints it: `{{ $value }}`.
    PlainValue,
    /// The value as Prometheus' `humanizePercentage` prints it.
    PercentValue,
    /// The threshold that was breached: `{threshold}`.
    Threshold,
    /// A label of the series: `{service}` or `{{ $labels.service }}`.
    Label(Arc<str>),
    /// Every label of the series: `{{ $labels }}`.
    Labels,
}

impl SummaryTemplate {
    /// Fills the placeholders; an absent label reads as nothing, as in Prometheus.
    pub fn fill(&self, labels: &Labels, unit: Unit, value: f64, threshold: Option<f64>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value => out.push_str(&unit.show(value)),
                Piece::PlainValue => out.push_str(&value.to_string()),
                Piece::PercentValue => out.push_str(&format!("{}%", trimmed(value * 100.0))),
                Piece::Threshold => {
                    out.push_str(&threshold.map_or_else(String::new, |limit| unit.show(limit)));
                }
                Piece::Labels => out.push_str(&labels.to_string()),
                Piece::Label(name) => out.push_str(labels.get(name).unwrap_or_default()),
            }
        }
        out
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A query to ask once per round, however many rules read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Its identity: the expression and the interval.
    pub id: QueryId,
    /// The PromQL expression.
    pub expr: Arc<str>,
    /// How often it is asked.
    pub interval: Duration,
}

/// Everything the folder of rules says, validated as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleSet {
    /// One entry per distinct expression and interval.
    pub queries: BTreeMap<QueryId, Query>,
    /// The rules, by id.
    pub rules: BTreeMap<RuleId, Arc<Rule>>,
    /// The alert responses of the runbook's 4.2, by name.
    pub responses: BTreeMap<Arc<str>, ResponsePlan>,
    /// Which alerts hold which others back.
    pub inhibit_rules: Vec<InhibitRule>,
    /// The stretches of the calendar that rules speak of, by name.
    pub time_intervals: BTreeMap<Arc<str>, TimeInterval>,
    /// The scale-out strategy of the runbook's 6.3.
    pub policy: Option<Policy>,
    /// The resource requirements of the runbook's 6.1.
    pub resource_requirements: Option<ResourceRequirements>,
    /// The backup configuration of the runbook's 3.1.
    pub backup_configuration: Option<BackupConfiguration>,
}
