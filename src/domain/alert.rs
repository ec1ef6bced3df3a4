//! Alerts: the state of one (rule, series). Owns the state machine; does not know incidents, notices or storage.
//!
//! ```text
//!            breach                 lasted `for`
//! inactive ─────────▶ pending ───────────────────▶ firing ──▶ resolved ──▶ (forgotten after 15 min)
//!     ▲                  │ stops breaching           │  ▲         │ breach: pending again
//!     └──────────────────┘                           └──┘ severity moves inside the same alert
//! ```

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::labels::Labels;
use super::name::RuleId;
use super::observation::Observation;
use super::rule::{Condition, OnError, OnNoData, Rule, Thresholds};
use super::severity::Severity;

/// How long a resolved alert stays visible, as in Prometheus.
pub const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// Identifies an alert: its rule and its series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    /// The rule.
    pub rule: RuleId,
    /// The series, without the rule's own labels.
    pub series: Labels,
}

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertState {
    /// Nothing is wrong.
    Inactive,
    /// Breaching, but not for long enough.
    Pending {
        /// The worst level breached now.
        severity: Severity,
        /// The first breach.
        since: Timestamp,
    },
    /// Breaching for long enough: people are told.
    Firing {
        /// The severity now.
        severity: Severity,
        /// When it began to fire.
        since: Timestamp,
    },
    /// Over, and still shown.
    Resolved {
        /// The last severity.
        severity: Severity,
        /// When it ended.
        at: Timestamp,
    },
}

impl AlertState {
    /// The word used in APIs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending { .. } => "pending",
            Self::Firing { .. } => "firing",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// The severity, in every state that has one.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Inactive => None,
            Self::Pending { severity, .. }
            | Self::Firing { severity, .. }
            | Self::Resolved { severity, .. } => Some(severity),
        }
    }

    /// Whether people are being told about it.
    pub fn is_firing(self) -> bool {
        matches!(self, Self::Firing { .. })
    }
}

/// Since when a series has been beyond each level, or back on the good side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Clocks {
    warning: Option<Timestamp>,
    critical: Option<Timestamp>,
    eased: Option<Timestamp>,
    cleared: Option<Timestamp>,
    missing: Option<Timestamp>,
    failing: Option<Timestamp>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Where it is in its life.
    pub state: AlertState,
    /// The last number seen.
    pub value: Option<f64>,
    /// When the series was last in an answer.
    pub seen_at: Timestamp,
    /// Why it is where it is.
    pub reason: AlertReason,
    clocks: Clocks,
}

/// Why an alert is in its state. The codes are the same in logs, metrics, API and UI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertReason {
    /// On the good side of every threshold.
    WithinThresholds,
    /// Beyond a threshold, and `for` has not passed.
    HoldNotOver,
    /// Beyond a threshold for as long as `for` asks.
    BeyondThreshold,
    /// Back on the good side of the threshold, but not of `clear`.
    NotYetClear,
    /// Clear, but `keep_firing_for` has not passed.
    KeptFiring,
    /// Clear for as long as `keep_firing_for` asks.
    Cleared,
    /// The series is not in the answer: the state is held.
    NoDataHeld,
    /// The value is NaN: the state is held.
    NotANumberHeld,
    /// The sample is too old: the state is held.
    StaleHeld,
    /// The series was gone for `no_data_after` and the rule says resolve.
    NoDataResolved,
    /// The series was gone for `no_data_after` and the rule says fire.
    NoDataFired,
    /// The query failed: the state is held.
    QueryFailedHeld,
    /// The query failed for `no_data_after` and the rule says fire.
    QueryFailedFired,
    /// The rule went away.
    RuleRemoved,
}

impl AlertReason {
    /// Whether it fires because nothing is known, in the words that people are told.
    pub fn silence(self) -> Option<&'static str> {
        match self {
            Self::NoDataFired => Some("no data"),
            Self::QueryFailedFired => Some("its query fails"),
            Self::WithinThresholds
            | Self::HoldNotOver
            | Self::BeyondThreshold
            | Self::NotYetClear
            | Self::KeptFiring
            | Self::Cleared
            | Self::NoDataHeld
            | Self::NotANumberHeld
            | Self::StaleHeld
            | Self::NoDataResolved
            | Self::QueryFailedHeld
            | Self::RuleRemoved => None,
        }
    }

    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WithinThresholds => "within_thresholds",
            Self::HoldNotOver => "hold_not_over",
            Self::BeyondThreshold => "beyond_threshold",
            Self::NotYetClear => "not_yet_clear",
            Self::KeptFiring => "kept_firing",
            Self::Cleared => "cleared",
            Self::NoDataHeld => "no_data_held",
            Self::NotANumberHeld => "not_a_number_held",
            Self::StaleHeld => "stale_held",
            Self::NoDataResolved => "no_data_resolved",
            Self::NoDataFired => "no_data_fired",
            Self::QueryFailedHeld => "query_failed_held",
            Self::QueryFailedFired => "query_failed_fired",
            Self::RuleRemoved => "rule_removed",
        }
    }
}

impl fmt::Display for AlertReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one observation changed about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertChange {
    /// Still the same.
    Same,
    /// It began to breach.
    Pending,
    /// It stopped before it fired.
    Withdrawn,
    /// It fires.
    Fired(Severity),
    /// It fires with a higher severity than before.
    Worsened(Severity),
    /// It fires with a lower severity than before.
    Eased(Severity),
    /// It is over.
    Resolved,
}

impl Alert {
    /// An alert of a series that was not known before.
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: AlertState::Inactive,
            value: None,
            seen_at: now,
            reason: AlertReason::WithinThresholds,
            clocks: Clocks::default(),
        }
    }

    /// Takes one observation of the alert's series at `now`.
    ///
    /// `labels` are the series' own, which choose the override. O(1), allocates nothing.
    pub fn observe(
        &mut self,
        seen: Observation,
        rule: &Rule,
        labels: &Labels,
        now: Timestamp,
    ) -> AlertChange {
        match (seen, &rule.condition) {
            (Observation::Value(value), Condition::Threshold(own)) => {
                let thresholds = if rule.overrides.is_empty() {
                    *own
                } else {
                    rule.thresholds_for(labels).unwrap_or(*own)
                };
                self.note_seen(value, now);
                self.compare(value, &thresholds, rule.keep_firing_for, now)
            }
            (Observation::Value(value), Condition::Presence { severity, hold }) => {
                self.note_seen(value, now);
                self.clocks.cleared = None;
                self.breach(*severity, *hold, now)
            }
            // NaN compares false to everything, so PromQL never returns it from a comparison; from another expression
            // a returned series is a breach whatever its value.
            (Observation::NotANumber, Condition::Presence { severity, hold }) => {
                self.note_seen(f64::NAN, now);
                self.clocks.cleared = None;
                self.breach(*severity, *hold, now)
            }
            // The comparison is inside the expression: not being returned is being well, as in Prometheus.
            (Observation::Missing, Condition::Presence { .. }) => {
                self.clocks.failing = None;
                let change = self.recover(rule.keep_firing_for, now);
                started(&mut self.clocks.missing, now);
                change
            }
            (Observation::Missing, Condition::Threshold(own)) => {
                self.no_data(AlertReason::NoDataHeld, rule, own, now)
            }
            (Observation::NotANumber, Condition::Threshold(own)) => {
                self.no_data(AlertReason::NotANumberHeld, rule, own, now)
            }
            (Observation::Stale, Condition::Threshold(own)) => {
                self.no_data(AlertReason::StaleHeld, rule, own, now)
            }
            (Observation::Stale, Condition::Presence { .. }) => {
                self.reason = AlertReason::StaleHeld;
                AlertChange::Same
            }
            (Observation::Failed(_), condition) => self.failed(rule, condition, now),
        }
    }

    /// Ends the alert because its rule is gone.
    pub fn withdraw(&mut self, now: Timestamp) -> AlertChange {
        let change = match self.state {
            AlertState::Firing { severity, .. } => {
                self.state = AlertState::Resolved { severity, at: now };
                AlertChange::Resolved
            }
            AlertState::Pending { .. } => {
                self.state = AlertState::Inactive;
                AlertChange::Withdrawn
            }
            AlertState::Inactive | AlertState::Resolved { .. } => AlertChange::Same,
        };
        self.reason = AlertReason::RuleRemoved;
        change
    }

    /// Whether nothing would be lost by forgetting the alert: it is not active, no longer shown, its series is gone,
    /// and that is nothing to page about.
    pub fn is_forgettable(&self, rule: &Rule, now: Timestamp) -> bool {
        let shown = match self.state {
            AlertState::Inactive => false,
            AlertState::Pending { .. } | AlertState::Firing { .. } => true,
            AlertState::Resolved { at, .. } => !has_passed(at, RESOLVED_RETENTION, now),
        };
        let missed = rule.on_no_data == OnNoData::Fire;
        // By the clock of its absence, which survives a restart; when it was last there does not.
        let gone = self.clocks.missing.is_some_and(|since| has_passed(since, RESOLVED_RETENTION, now));
        !shown && !missed && gone
    }

    /// The first breach of the severity that now counts, for showing how long it has lasted.
    pub fn breaching_since(&self) -> Option<Timestamp> {
        match self.state {
            AlertState::Inactive | AlertState::Resolved { .. } => None,
            AlertState::Pending { since, .. } => Some(since),
            AlertState::Firing { since, .. } => {
                let first = [self.clocks.warning, self.clocks.critical].into_iter().flatten().min();
                Some(first.map_or(since, |first| first.min(since)))
            }
        }
    }

    /// The part that must survive a restart, for noticing that it changed. An inactive alert has none, unless its
    /// silence would page: what is not remembered is not missed.
    pub fn durable(&self, rule: &Rule) -> impl PartialEq + Copy + use<> {
        self.is_durable(rule).then_some((self.state, self.clocks))
    }

    /// Whether any part of it must survive a restart.
    pub fn is_durable(&self, rule: &Rule) -> bool {
        !matches!(self.state, AlertState::Inactive) || rule.pages_on_silence()
    }

    fn note_seen(&mut self, value: f64, now: Timestamp) {
        self.value = Some(value);
        self.seen_at = now;
        self.clocks.missing = None;
        self.clocks.failing = None;
    }

    fn compare(&mut self, value: f64, limits: &Thresholds, keep: Duration, now: Timestamp) -> AlertChange {
        let mut level = None;
        let mut matured = None;
        for (severity, limit) in [(Severity::Warning, limits.warning), (Severity::Critical, limits.critical)]
        {
            let clock = match severity {
                Severity::Warning => &mut self.clocks.warning,
                Severity::Critical => &mut self.clocks.critical,
            };
            let Some(limit) = limit.filter(|limit| limits.direction.is_beyond(value, limit.value)) else {
                *clock = None;
                continue;
            };
            level = Some(severity);
            if has_passed(started(clock, now), limit.hold, now) {
                matured = Some(severity);
            }
        }
        if !self.state.is_firing() {
            return self.rise(level, matured, now);
        }
        if limits.direction.is_beyond(value, limits.clear) {
            self.clocks.cleared = None;
            self.reason =
                if level.is_some() { AlertReason::BeyondThreshold } else { AlertReason::NotYetClear };
            return self.move_severity(level, matured, limits, keep, now);
        }
        self.recover(keep, now)
    }

    /// From inactive, pending or resolved towards firing.
    fn rise(&mut self, level: Option<Severity>, matured: Option<Severity>, now: Timestamp) -> AlertChange {
        if let Some(severity) = matured {
            self.state = AlertState::Firing { severity, since: now };
            self.reason = AlertReason::BeyondThreshold;
            self.clocks.eased = None;
            self.clocks.cleared = None;
            return AlertChange::Fired(severity);
        }
        let Some(severity) = level else {
            self.reason = AlertReason::WithinThresholds;
            if matches!(self.state, AlertState::Pending { .. }) {
                self.state = AlertState::Inactive;
                return AlertChange::Withdrawn;
            }
            return AlertChange::Same;
        };
        let first = [self.clocks.warning, self.clocks.critical].into_iter().flatten().min();
        let was_pending = matches!(self.state, AlertState::Pending { .. });
        self.state = AlertState::Pending { severity, since: first.unwrap_or(now) };
        self.reason = AlertReason::HoldNotOver;
        if was_pending { AlertChange::Same } else { AlertChange::Pending }
    }

    /// A firing alert goes up as soon as the higher level has lasted, and down once it has stayed below the higher
    /// level for as long as the rule keeps firing.
    fn move_severity(
        &mut self,
        level: Option<Severity>,
        matured: Option<Severity>,
        limits: &Thresholds,
        keep: Duration,
        now: Timestamp,
    ) -> AlertChange {
        let AlertState::Firing { severity, since } = self.state else { return AlertChange::Same };
        if matured > Some(severity) {
            self.clocks.eased = None;
            self.state = AlertState::Firing { severity: Severity::Critical, since };
            return AlertChange::Worsened(Severity::Critical);
        }
        if severity == Severity::Warning || level == Some(Severity::Critical) || limits.warning.is_none() {
            self.clocks.eased = None;
            return AlertChange::Same;
        }
        if has_passed(started(&mut self.clocks.eased, now), keep, now) {
            self.clocks.eased = None;
            self.state = AlertState::Firing { severity: Severity::Warning, since };
            return AlertChange::Eased(Severity::Warning);
        }
        AlertChange::Same
    }

    /// A series that a query with its own comparison returned.
    fn breach(&mut self, severity: Severity, hold: Duration, now: Timestamp) -> AlertChange {
        let clock = match severity {
            Severity::Warning => &mut self.clocks.warning,
            Severity::Critical => &mut self.clocks.critical,
        };
        let matured = has_passed(started(clock, now), hold, now).then_some(severity);
        match self.state {
            // Raising `for` by a reload does not take back what people were told.
            AlertState::Firing { .. } => {
                self.reason = AlertReason::BeyondThreshold;
                AlertChange::Same
            }
            AlertState::Inactive | AlertState::Pending { .. } | AlertState::Resolved { .. } => {
                self.rise(Some(severity), matured, now)
            }
        }
    }

    /// The series is well again: end what can be ended.
    fn recover(&mut self, keep: Duration, now: Timestamp) -> AlertChange {
        self.clocks.warning = None;
        self.clocks.critical = None;
        match self.state {
            AlertState::Inactive | AlertState::Resolved { .. } => {
                self.reason = AlertReason::WithinThresholds;
                AlertChange::Same
            }
            AlertState::Pending { .. } => {
                self.state = AlertState::Inactive;
                self.reason = AlertReason::WithinThresholds;
                AlertChange::Withdrawn
            }
            AlertState::Firing { severity, .. } => {
                if !has_passed(started(&mut self.clocks.cleared, now), keep, now) {
                    self.reason = AlertReason::KeptFiring;
                    return AlertChange::Same;
                }
                self.clocks = Clocks::default();
                self.state = AlertState::Resolved { severity, at: now };
                self.reason = AlertReason::Cleared;
                AlertChange::Resolved
            }
        }
    }

    fn no_data(&mut self, held: AlertReason, rule: &Rule, own: &Thresholds, now: Timestamp) -> AlertChange {
        self.clocks.failing = None;
        let since = started(&mut self.clocks.missing, now);
        self.reason = held;
        if !has_passed(since, rule.no_data_after, now) {
            return AlertChange::Same;
        }
        match rule.on_no_data {
            OnNoData::Keep => AlertChange::Same,
            OnNoData::Fire => self.fire_blindly(own, AlertReason::NoDataFired, now),
            OnNoData::Resolve => {
                let change = self.withdraw(now);
                self.clocks = Clocks { missing: Some(since), ..Clocks::default() };
                self.reason = AlertReason::NoDataResolved;
                change
            }
        }
    }

    fn failed(&mut self, rule: &Rule, condition: &Condition, now: Timestamp) -> AlertChange {
        let since = started(&mut self.clocks.failing, now);
        self.reason = AlertReason::QueryFailedHeld;
        match (rule.on_error, condition) {
            (OnError::Fire, Condition::Threshold(own)) if has_passed(since, rule.no_data_after, now) => {
                self.fire_blindly(own, AlertReason::QueryFailedFired, now)
            }
            (OnError::Fire | OnError::Keep, _) => AlertChange::Same,
        }
    }

    /// Fires with the worst severity the rule has: what cannot be seen may be anything.
    fn fire_blindly(&mut self, own: &Thresholds, reason: AlertReason, now: Timestamp) -> AlertChange {
        self.reason = reason;
        if self.state.is_firing() {
            return AlertChange::Same;
        }
        let severity = if own.critical.is_some() { Severity::Critical } else { Severity::Warning };
        self.state = AlertState::Firing { severity, since: now };
        // The last number seen is not why it fires.
        self.value = None;
        AlertChange::Fired(severity)
    }
}

/// When a clock began, which it does now if it does not run. One that began after `now` was read from a wall clock that
/// has been set back since: it begins anew, so that nobody waits longer than the rule says once more.
fn started(clock: &mut Option<Timestamp>, now: Timestamp) -> Timestamp {
    let since = clock.map_or(now, |since| since.min(now));
    *clock = Some(since);
    since
}

/// Whether `span` has passed since `since`. A clock that stepped back reads as "not yet".
pub fn has_passed(since: Timestamp, span: Duration, now: Timestamp) -> bool {
    span.is_zero()
        || now.duration_since(since) >= SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}
