//! Reload: a new plan takes over and everything that still exists goes on. Owns what happens to alerts whose rule is
//! gone; timers, acknowledgements and cooldowns are left alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertChange, AlertKey};

use super::Engine;
use super::evidence::TargetIndex;
use super::plan::Plan;
use super::report::Report;
use super::rounds::Index;

impl Engine {
    pub(super) fn reload(&mut self, plan: Arc<Plan>, now: Timestamp) {
        self.index = Index::new(&plan);
        self.target_index = TargetIndex::new(&plan);
        // What is well is durable only where its silence would page: that may have changed.
        for (id, rule) in &plan.rules.rules {
            let was = self.plan.rules.rules.get(id).is_some_and(|rule| rule.pages_on_silence());
            if was != rule.pages_on_silence() {
                let series = self.state.alerts.get(id).into_iter().flat_map(BTreeMap::keys);
                let keys = series.map(|series| AlertKey { rule: id.clone(), series: series.clone() });
                self.dirty.alerts.extend(keys);
            }
        }
        let triggers = |plan: &Plan| plan.rules.policy.as_ref().map(|policy| policy.triggers.clone());
        if triggers(&self.plan) != triggers(&plan) {
            // What was said against another threshold is no evidence.
            self.targets.values_mut().for_each(|target| target.votes.clear());
        }
        self.plan = plan;
        self.lanes.configure(&self.plan.channels, &self.state.outbox);
        self.unpark();
        self.adopt(now);
        self.rebuild_inhibitors();
        self.settle_suppressions(now);
        self.keep_capacity();
    }

    /// Brings the state in line with the plan: used at reload and at restore.
    pub(super) fn adopt(&mut self, now: Timestamp) {
        let plan = self.plan.clone();
        let removed: Vec<_> =
            self.state.alerts.keys().filter(|rule| !plan.rules.rules.contains_key(*rule)).cloned().collect();
        for rule in removed {
            let Some(mut series) = self.state.alerts.remove(&rule) else { continue };
            for (labels, tracked) in &mut series {
                let key = AlertKey { rule: rule.clone(), series: labels.clone() };
                self.dirty.alerts.insert(key.clone());
                let change = tracked.alert.withdraw(now);
                if change == AlertChange::Same {
                    continue;
                }
                self.reports.push(Report::Alert {
                    rule: key.rule.clone(),
                    series: key.series.clone(),
                    change,
                    reason: tracked.alert.reason,
                    value: tracked.alert.value,
                });
                if change == AlertChange::Resolved {
                    self.alert_ended(&key, tracked.alert.reason.as_str(), now);
                }
            }
        }
        let targets = plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        let mut kept = std::mem::take(&mut self.targets);
        self.targets =
            targets.map(|target| (target.id.clone(), kept.remove(&target.id).unwrap_or_default())).collect();
        self.abandon_unwatched(now);
        self.forget_gone_targets(now);
        self.close_eyes(now);
    }
}
