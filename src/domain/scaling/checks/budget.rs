//! Disruption budgets: whether a scale-in leaves as many pods as a budget asks for.

use super::super::Surroundings;
use super::Finding;

/// Holds `fewer` pods against every budget that covers them.
pub(super) fn check(around: &Surroundings, fewer: u32) -> Vec<Finding> {
    let budgets = match around.budgets.get() {
        Ok(budgets) => budgets,
        Err(why) => return vec![Finding::Unknown(format!("disruption budgets: {}", why.words()))],
    };
    let short = budgets.iter().filter(|budget| budget.allowed < fewer);
    let words = short.map(|budget| {
        format!(
            "PodDisruptionBudget {} lets {} of its pods go now, {fewer} would ({} are healthy, {} must be)",
            budget.name, budget.allowed, budget.healthy, budget.desired_healthy
        )
    });
    words.map(Finding::Refused).collect()
}
