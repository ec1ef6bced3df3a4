//! Grievances: what people must hear about scaling itself, as an incident of its own: a step that failed and was taken
//! back, steps that do not help, a step that somebody undid. Owns their keys and when they end.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::AlertKey;
use crate::domain::incident::{Incident, Member};
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentTypeName, TargetId};
use crate::domain::quantity::Unit;
use crate::domain::scaling::{Axis, Target};
use crate::domain::severity::Severity;

use super::Engine;
use super::incidents::Opening;

/// Something about scaling that people must hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grievance {
    /// The pods of a step did not come up.
    Failed,
    /// Several steps did not help.
    DoesNotHelp,
    /// Somebody took a step back.
    Undone,
}

impl Grievance {
    const ALL: [Self; 3] = [Self::Failed, Self::DoesNotHelp, Self::Undone];

    /// The name of the incident's type and, after `runbookd/`, of its rule.
    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "scaling_failed",
            Self::DoesNotHelp => "scaling_does_not_help",
            Self::Undone => "scaling_undone",
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::Failed | Self::DoesNotHelp => Severity::Critical,
            Self::Undone => Severity::Warning,
        }
    }

    fn is_rule(self, key: &AlertKey) -> bool {
        key.rule.as_str().strip_prefix("runbookd/") == Some(self.as_str())
    }

    fn key(self, target: &Target, axis: Axis) -> AlertKey {
        let series = subject(target).with([("workload", &*target.id.name), ("axis", axis.as_str())]);
        AlertKey { rule: format!("runbookd/{}", self.as_str()).into(), series }
    }
}

/// Whether an incident is about scaling itself.
pub(super) fn is_about_scaling(incident: &Incident) -> bool {
    Grievance::ALL.iter().any(|it| incident.incident_type.as_str() == it.as_str())
}

fn subject(target: &Target) -> Labels {
    Labels::new([("namespace", &*target.id.namespace), ("service", &*target.service)])
}

impl Engine {
    /// Tells people, once until it is over.
    pub(super) fn complain(
        &mut self,
        target: &Target,
        axis: Axis,
        grievance: Grievance,
        text: &str,
        now: Timestamp,
    ) {
        let key = grievance.key(target, axis);
        if self.is_firing(&key) {
            return;
        }
        let name = grievance.as_str();
        let summary: Arc<str> = text.into();
        let member = Member {
            name: name.into(),
            labels: key.series.with([("alertname", name)]),
            severity: grievance.severity(),
            firing: true,
            value: None,
            unit: Unit::Count,
            threshold: None,
            since: now,
            summary: Some(summary.clone()),
            impact: Some(summary),
            runbook_url: None,
        };
        let opening = Opening {
            incident_type: IncidentTypeName::from(name),
            subject: subject(target),
            key,
            member,
            checklist: Vec::new(),
            remark: None,
        };
        self.alert_fired(opening, now);
    }

    /// Ends what is no longer so: an axis that is free again, or gone.
    pub(super) fn reconcile(&mut self, target: &Target, axis: Axis, reason: &str, now: Timestamp) {
        let frozen = self.frozen(&target.id, axis).is_some();
        for grievance in Grievance::ALL {
            let key = grievance.key(target, axis);
            let lasts = frozen && grievance != Grievance::Failed;
            if !lasts && self.is_firing(&key) {
                self.alert_ended(&key, reason, now);
            }
        }
    }

    /// Ends what is about targets that a new plan no longer has, and forgets how their steps fared.
    pub(super) fn forget_gone_targets(&mut self, now: Timestamp) {
        let gone: Vec<TargetId> =
            self.state.targets.keys().filter(|id| self.target(id).is_none()).cloned().collect();
        for id in gone {
            // A pause is a person's word: it holds if the target comes back.
            self.with_record(&id, |record| {
                record.standings.clear();
                record.kept = None;
            });
        }
        let ended: Vec<AlertKey> = self
            .state
            .holders
            .keys()
            .filter(|key| Grievance::ALL.iter().any(|it| it.is_rule(key)))
            .filter(|key| self.is_firing(key) && !self.has_target(&key.series))
            .cloned()
            .collect();
        for key in ended {
            self.alert_ended(&key, "rule_removed", now);
        }
    }

    fn has_target(&self, series: &Labels) -> bool {
        let mut targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        targets.any(|target| {
            series.get("workload") == Some(&target.id.name)
                && series.get("namespace") == Some(&target.id.namespace)
        })
    }

    fn is_firing(&self, key: &AlertKey) -> bool {
        let holder = self.state.holders.get(key).and_then(|id| self.state.incidents.get(id));
        holder.is_some_and(|incident| incident.alerts.get(key).is_some_and(|member| member.firing))
    }
}
