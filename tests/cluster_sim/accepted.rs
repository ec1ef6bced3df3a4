//! Accepted: what is let pass although an invariant, read strictly, forbids it. Owns the list, each with its story: a
//! shorter list is a better engine. `STRICT=unknown_outcome` (or another name, or `all`) in the environment lets that
//! pass no more, and shows which seeds it is about.

use std::sync::OnceLock;

use runbookd::domain::scaling::{
    ActionState, ClusterFailure, ContainerSize, Purpose, RefusedReason, ScalingAction, Size, Target,
};

fn is_let_pass(name: &str) -> bool {
    static STRICT: OnceLock<String> = OnceLock::new();
    let strict = STRICT.get_or_init(|| std::env::var("STRICT").unwrap_or_default());
    strict != "all" && strict != name
}

/// Once the outcome of a write is unknown, a later refusal of the same write does not say that the first one did not
/// happen: it was carried out late, reached some pods, or somebody else changed the workload after it. The engine takes
/// such a step for refused and begins no rest, so that the next one may come within it.
/// So it is where the outcome of the only write is unknown at the deadline.
pub(crate) fn refused_after_an_unknown_outcome(action: &ScalingAction, writes: u32) -> bool {
    use ClusterFailure::{Unavailable, Unreachable};
    let is_unknown = matches!(
        action.state,
        ActionState::Refused { reason: RefusedReason::Cluster(Unreachable | Unavailable), .. }
    );
    (writes > 1 || is_unknown) && is_let_pass("unknown_outcome")
}

/// A step that was carried out and that the daemon never saw, because a reload or its deadline ended it, begins a rest and
/// is not counted by the budget.
pub(crate) fn unseen_by_the_budget() -> bool {
    is_let_pass("budget")
}

/// The same where the write is not sent again, because somebody else changed the workload before the daemon looked.
pub(crate) fn hidden_by_somebody_else() -> bool {
    is_let_pass("hidden")
}

/// A step whose pods do not come up is given back while the daemon is blind too: that they do not come up is seen in the
/// cluster, not in the metrics.
pub(crate) fn while_blind(action: &ScalingAction) -> bool {
    action.course.purpose == Purpose::Revert && is_let_pass("blind")
}

/// A refusal of one axis, such as a right that is missing, holds up the other axis too for ten minutes, and says no
/// reason there.
pub(crate) fn a_refusal_holds_both_axes() -> bool {
    is_let_pass("both_axes")
}

/// After the clock was set back, what was seen before lies in the future: a trigger has to last for so much longer, and
/// meanwhile there is no reason why no step comes.
pub(crate) fn evidence_lies_in_the_future() -> bool {
    is_let_pass("future")
}

/// Sizes beyond the bounds that are no harm or were somebody else's idea.
pub(crate) fn beyond_the_bounds(action: &ScalingAction, target: &Target) -> bool {
    match (action.course.purpose, &action.from, &action.to) {
        // New pods get the size that the others have, also after a reload with a lower bound.
        (Purpose::KeepSize, _, _) => is_let_pass("kept_size"),
        // Down to what the bounds allow it goes a step at a time, however far above them somebody or a reload went.
        (Purpose::Cleared | Purpose::Revert, Size::Replicas(from), Size::Replicas(to)) => {
            *to >= target.min_replicas && to < from
        }
        // What is beyond a bound already stays as it is while the rest grows.
        (_, Size::Resources(from), Size::Resources(to)) => {
            let grows = |(from, to): (&ContainerSize, &ContainerSize)| to.memory_limit > from.memory_limit;
            !from.iter().zip(to).any(grows)
        }
        _ => false,
    }
}
