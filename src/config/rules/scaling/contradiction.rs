//! Contradictions: what two keys of the strategy say cannot both be meant. Owns finding them; each is told with both
//! places.

use std::collections::BTreeMap;

use super::target::Written;
use crate::config::diagnostic::Code;
use crate::config::tree::Span;
use crate::config::walk::Walk;
use crate::domain::quantity::Step;
use crate::domain::scaling::{AxisPolicy, Budget, Connections, ScaleIn};

/// Notes every contradiction.
pub(super) fn find(
    walk: &Walk<'_>,
    targets: &[Written],
    horizontal: Option<&(AxisPolicy, Span)>,
    budget: Option<&(Budget, Span)>,
    scale_in: Option<&(ScaleIn, Span)>,
) {
    for written in targets {
        let room = written.target.max_replicas.saturating_sub(written.target.min_replicas);
        if let Some((policy, step)) = horizontal
            && let Step::Replicas(count) = policy.step
            && room > 0
            && count > room
        {
            walk.error(
                Code::ImpossibleBounds,
                *step,
                format!("a step of {count} replicas never fits into the bounds of {}", written.target.id),
            )
            .expected(format!("expected at most {room}, from `min_replicas` to `max_replicas`"))
            .other(written.max);
        }
        if let Some((policy, step)) = scale_in
            && room > 0
            && policy.step > room
        {
            walk.error(
                Code::ImpossibleBounds,
                *step,
                format!(
                    "a step back of {} replicas never fits into the bounds of {}",
                    policy.step, written.target.id
                ),
            )
            .expected(format!("expected at most {room}, from `min_replicas` to `max_replicas`"))
            .other(written.max);
        }
        if let (Some(shared), Some(span)) = (&written.target.connections, written.shared)
            && shared.max < shared.per_replica.saturating_mul(written.target.min_replicas)
        {
            walk.error(
                Code::ImpossibleBounds,
                span,
                format!("the least replicas of {} take more connections than there are", written.target.id),
            )
            .expected("expected at least `min_replicas` times `per_replica`")
            .other(written.min);
        }
    }
    budget_below_step(walk, targets, budget);
    shared_differently(walk, targets);
}

/// A budget of cores so small that no vertical bound can ever be reached by a step is hard to know; none at all is not.
fn budget_below_step(walk: &Walk<'_>, targets: &[Written], budget: Option<&(Budget, Span)>) {
    let Some((budget, span)) = budget else { return };
    if budget.cores.is_some_and(|cores| cores <= 0.0)
        && let Some(first) = targets.first()
    {
        walk.error(Code::ImpossibleBounds, *span, "a budget without cores allows no step")
            .expected("expected more than 0 cores")
            .other(first.span);
    }
}

/// Targets that share something must agree on how much there is, and their least replicas must fit into it together.
fn shared_differently(walk: &Walk<'_>, targets: &[Written]) {
    let mut known: BTreeMap<&str, (&Connections, Span, u64)> = BTreeMap::new();
    for written in targets {
        let (Some(shared), Some(span)) = (&written.target.connections, written.shared) else { continue };
        let Some(name) = &shared.name else { continue };
        let least = u64::from(shared.per_replica) * u64::from(written.target.min_replicas);
        match known.get_mut(&**name) {
            None => drop(known.insert(name, (shared, span, least))),
            Some((first, place, _)) if first.max != shared.max => {
                walk.error(
                    Code::ImpossibleBounds,
                    span,
                    format!("`{name}` has {} connections here and {} there", shared.max, first.max),
                )
                .expected("expected the same number")
                .other(*place);
            }
            Some((first, place, sum)) => {
                let fitted = *sum <= u64::from(first.max);
                *sum += least;
                if fitted && *sum > u64::from(first.max) {
                    walk.error(
                        Code::ImpossibleBounds,
                        span,
                        format!("the least replicas of all who share `{name}` take more than there is"),
                    )
                    .expected(format!("expected {sum} or more"))
                    .other(*place);
                }
            }
        }
    }
}
