//! The rules that watch backups: `backup_configuration` becomes ordinary rules over the catalogue's metrics. Owns their
//! ids, thresholds and severities; they are evaluated, silenced and told like any other.
//!
//! | id | fires when | severity |
//! |---|---|---|
//! | `backup/KIND/age` | the newest copy in a storage is older than frequency + grace; than two of it | warning; critical |
//! | `backup/KIND/copies` | a storage reports no copy at all while others report | critical |
//! | `backup/KIND/retention` | the oldest copy is too young although backups have been made for longer | warning; critical below half |
//! | `backup/KIND/expired` | the oldest copy should have been removed | warning |
//! | `backup/verification/NAME` | the last verification failed | critical |
//! | `backup/verification/NAME/age` | the last verification is older than the slowest schedule allows | warning; critical |
//! | `backup/verification/missing` | a verification is not reported at all | critical |
//! | `backup/unseen` | nothing is reported about any backup | warning |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::metrics::Catalogue;
use super::monitoring::{DEFAULT_INCIDENT_TYPE, NO_DATA_AFTER};
use super::{Reader, ask, promql_text, put};
use crate::config::tree::Span;
use crate::domain::backup::{BackupConfiguration, BackupSchedule};
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentTypeName, RuleId};
use crate::domain::quantity::Unit;
use crate::domain::rule::{
    Condition, Direction, GroupBy, OnError, OnNoData, Piece, Rule, RuleSet, SummaryTemplate, Threshold,
    Thresholds,
};
use crate::domain::severity::Severity;

/// How often backups are looked at; they change slowly.
const EVERY: Duration = Duration::from_secs(60);

/// How long something must be wrong: an exporter that restarts reports nothing for a moment.
const HOLD: Duration = Duration::from_secs(10 * 60);

/// How long nothing at all may be reported.
const UNSEEN: Duration = Duration::from_secs(30 * 60);

/// What is watched, and where it stands.
pub(super) struct Watched<'c> {
    pub(super) configuration: &'c BackupConfiguration,
    /// Where each schedule stands, by name.
    pub(super) places: BTreeMap<Arc<str>, Span>,
    /// Where the block stands.
    pub(super) block: Span,
}

/// Adds the rules; a metric that neither the catalogue nor the program has is not watched.
pub(super) fn add(
    reader: &Reader<'_>,
    watched: &Watched<'_>,
    incident_type: Option<IncidentTypeName>,
    catalogue: &Catalogue,
    set: &mut RuleSet,
) {
    let configuration = watched.configuration;
    let source = |place: Option<&Span>| reader.walk.source_of(*place.unwrap_or(&watched.block));
    let metric = |name: &str| catalogue.find_or_built_in(name).map(|metric| metric.query.clone());
    let Some(age) = metric("backup_age") else { return };
    let mut rules = Rules {
        interval: reader.settings.evaluation.interval.max(EVERY),
        source: source(None),
        incident_type: incident_type.unwrap_or_else(|| IncidentTypeName::from(DEFAULT_INCIDENT_TYPE)),
        set,
    };
    let oldest = metric("backup_oldest_age").zip(metric("backup_history"));
    for schedule in &configuration.schedules {
        let copies = Copies::of(configuration, schedule);
        rules.source = source(watched.places.get(&schedule.name));
        rules.age(schedule, &copies.only(&age));
        rules.copies(schedule, &copies.missing(&age));
        if let Some((oldest, history)) = &oldest {
            rules.retention(schedule, &copies.only(oldest), &copies.kept(oldest, history, schedule));
        }
    }
    rules.source = source(None);
    if let (Some(success), Some(verified)) = (metric("backup_verified"), metric("backup_verified_age")) {
        for name in &configuration.verification {
            rules.verification(name, configuration.slowest(), &success, &verified);
        }
        rules.verifications(&configuration.verification, &success, &age);
    }
    if !configuration.schedules.is_empty() {
        rules.unseen(&age);
    }
}

/// The copies that a schedule makes, as a table of label sets.
struct Copies {
    table: String,
    labels: &'static str,
}

impl Copies {
    fn of(configuration: &BackupConfiguration, schedule: &BackupSchedule) -> Self {
        let kind = labelled("vector(1)", "kind", &schedule.name);
        if configuration.storage.is_empty() {
            return Self { table: kind, labels: "kind" };
        }
        let storages = configuration.storage.iter().map(|(name, _)| labelled(&kind, "storage", name));
        Self { table: storages.collect::<Vec<_>>().join(" or "), labels: "kind, storage" }
    }

    /// The series of an expression that are about these copies.
    fn only(&self, expr: &str) -> String {
        format!("(\n{expr}\n) and on ({}) ({})", self.labels, self.table)
    }

    /// The copies that an expression does not know, once it knows any.
    fn missing(&self, expr: &str) -> String {
        format!(
            "(({}) unless on ({}) (\n{expr}\n)) and on () (count(\n{expr}\n) > 0)",
            self.table, self.labels
        )
    }

    /// The age of the oldest copy, where backups have been made for as long as copies are kept.
    fn kept(&self, oldest: &str, history: &str, schedule: &BackupSchedule) -> String {
        let (labels, least) = (self.labels, schedule.retention.as_secs());
        format!("({}) and on ({labels}) ((\n{history}\n) >= {least})", self.only(oldest))
    }
}

fn labelled(expr: &str, label: &str, value: &str) -> String {
    format!("label_replace({expr}, \"{label}\", {}, \"\", \"\")", promql_text(value))
}

struct Rules<'s> {
    interval: Duration,
    source: Arc<str>,
    incident_type: IncidentTypeName,
    set: &'s mut RuleSet,
}

/// What one rule differs in from the others.
struct Watch<'w> {
    id: String,
    name: Arc<str>,
    expr: &'w str,
    unit: Unit,
    condition: Condition,
    group_by: &'static str,
    summary: Vec<Piece>,
    labels: Labels,
}

impl Rules<'_> {
    fn age(&mut self, schedule: &BackupSchedule, expr: &str) {
        let kind = &schedule.name;
        self.put(Watch {
            id: format!("backup/{kind}/age"),
            name: "backup_age".into(),
            expr,
            unit: Unit::Seconds,
            condition: beyond(Direction::Above, schedule.late_after(), Some(schedule.missed_after())),
            group_by: "kind",
            summary: vec![
                text("the newest "),
                label("kind"),
                text(" in "),
                label("storage"),
                text(" is "),
                Piece::Value,
                text(" old"),
            ],
            labels: Labels::empty(),
        });
    }

    fn copies(&mut self, schedule: &BackupSchedule, expr: &str) {
        let kind = &schedule.name;
        self.put(Watch {
            id: format!("backup/{kind}/copies"),
            name: "backup_copies_missing".into(),
            expr,
            unit: Unit::Count,
            condition: present(Severity::Critical, HOLD),
            group_by: "kind",
            summary: vec![text("no "), label("kind"), text(" is reported in "), label("storage")],
            labels: Labels::empty(),
        });
    }

    fn retention(&mut self, schedule: &BackupSchedule, oldest: &str, kept: &str) {
        let kind = &schedule.name;
        let oldest_is = |words: &str| {
            let head = [text("the oldest "), label("kind"), text(" in "), label("storage")];
            head.into_iter().chain([text(" is "), Piece::Value, text(words)]).collect()
        };
        let least = schedule.kept_at_least();
        let critical = (schedule.retention / 2).min(least);
        self.put(Watch {
            id: format!("backup/{kind}/retention"),
            name: "oldest_backup_age".into(),
            expr: kept,
            unit: Unit::Seconds,
            condition: beyond(Direction::Below, least, Some(critical).filter(|it| *it < least)),
            group_by: "kind",
            summary: oldest_is(" old, older ones are gone"),
            labels: Labels::empty(),
        });
        self.put(Watch {
            id: format!("backup/{kind}/expired"),
            name: "expired_backup_age".into(),
            expr: oldest,
            unit: Unit::Seconds,
            condition: beyond(Direction::Above, schedule.gone_after(), None),
            group_by: "kind",
            summary: oldest_is(" old and should be gone"),
            labels: Labels::empty(),
        });
    }

    fn verification(
        &mut self,
        name: &Arc<str>,
        slowest: Option<&BackupSchedule>,
        success: &str,
        verified: &str,
    ) {
        let only = |expr: &str| {
            let table = labelled("vector(1)", "verification", name);
            format!("(\n{expr}\n) and on (verification) ({table})")
        };
        self.put(Watch {
            id: format!("backup/verification/{name}"),
            name: "verification_failed".into(),
            expr: &format!("(1 - ({})) > 0", only(success)),
            unit: Unit::Count,
            condition: present(Severity::Critical, Duration::ZERO),
            group_by: "verification",
            summary: vec![text("the last "), label("verification"), text(" failed")],
            labels: Labels::empty(),
        });
        let Some(slowest) = slowest else { return };
        self.put(Watch {
            id: format!("backup/verification/{name}/age"),
            name: "verification_age".into(),
            expr: &only(verified),
            unit: Unit::Seconds,
            condition: beyond(Direction::Above, slowest.late_after(), Some(slowest.missed_after())),
            group_by: "verification",
            summary: vec![
                text("the last "),
                label("verification"),
                text(" was "),
                Piece::Value,
                text(" ago"),
            ],
            labels: Labels::empty(),
        });
    }

    fn verifications(&mut self, names: &[Arc<str>], success: &str, age: &str) {
        if names.is_empty() {
            return;
        }
        let table: Vec<String> =
            names.iter().map(|name| labelled("vector(1)", "verification", name)).collect();
        let table = table.join(" or ");
        self.put(Watch {
            id: "backup/verification/missing".into(),
            name: "verification_missing".into(),
            expr: &format!(
                "(({table}) unless on (verification) (\n{success}\n)) and on () (count(\n{age}\n) > 0)"
            ),
            unit: Unit::Count,
            condition: present(Severity::Critical, HOLD),
            group_by: "verification",
            summary: vec![text("no "), label("verification"), text(" is reported")],
            labels: Labels::empty(),
        });
    }

    fn unseen(&mut self, age: &str) {
        self.put(Watch {
            id: "backup/unseen".into(),
            name: "backups_unseen".into(),
            expr: &format!("absent(\n{age}\n)"),
            unit: Unit::Count,
            condition: present(Severity::Warning, UNSEEN),
            group_by: "kind",
            summary: vec![text("nothing is reported about any backup: see docs/backups.md")],
            labels: Labels::new([("kind", "backups")]),
        });
    }

    fn put(&mut self, watch: Watch<'_>) {
        let id = RuleId::from(watch.id);
        let rule = Rule {
            id: id.clone(),
            name: watch.name,
            query: ask(&mut self.set.queries, &watch.expr.into(), self.interval),
            unit: watch.unit,
            condition: watch.condition,
            overrides: Vec::new(),
            keep_firing_for: Duration::ZERO,
            on_no_data: OnNoData::Keep,
            no_data_after: NO_DATA_AFTER,
            on_error: OnError::Keep,
            incident_type: self.incident_type.clone(),
            response: None,
            group_by: GroupBy::Labels(vec![watch.group_by.into()]),
            labels: watch.labels,
            summary: Some(SummaryTemplate(watch.summary)),
            impact: None,
            runbook_url: None,
            mute_time_intervals: Vec::new(),
            active_time_intervals: Vec::new(),
            source: self.source.clone(),
        };
        put(self.set, id, rule);
    }
}

fn beyond(direction: Direction, warning: Duration, critical: Option<Duration>) -> Condition {
    let threshold = |limit: Duration| Threshold { value: limit.as_secs_f64(), hold: Duration::ZERO };
    Condition::Threshold(Thresholds {
        direction,
        warning: Some(threshold(warning)),
        critical: critical.map(threshold),
        clear: warning.as_secs_f64(),
    })
}

fn present(severity: Severity, hold: Duration) -> Condition {
    Condition::Presence { severity, hold }
}

fn text(text: &str) -> Piece {
    Piece::Text(text.into())
}

fn label(name: &str) -> Piece {
    Piece::Label(name.into())
}
