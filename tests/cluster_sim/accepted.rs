//! Accepted: what is let pass although an invariant, read strictly, forbids it. Owns the list, each with its story: a
//! shorter list is a better engine.

use runbookd::domain::scaling::{ContainerSize, Purpose, ScalingAction, Size, Target};

/// Once the outcome of a write is unknown, a later refusal of the same write does not say that the first one did not
/// happen: it was carried out late, reached some pods, or somebody else changed the workload after it. The engine takes
/// such a step for refused and begins no rest, so that the next one may come within it.
pub(crate) fn refused_after_an_unknown_outcome(writes: u32) -> bool {
    writes > 1
}

/// A step whose pods do not come up is given back while the daemon is blind too: that they do not come up is seen in the
/// cluster, not in the metrics.
pub(crate) fn while_blind(action: &ScalingAction) -> bool {
    action.course.purpose == Purpose::Revert
}

/// A refusal of one axis, such as a right that is missing, holds up the other axis too for ten minutes, and says no
/// reason there.
pub(crate) const A_REFUSAL_HOLDS_BOTH_AXES: bool = true;

/// After the clock was set back, what was seen before lies in the future: a trigger has to last for so much longer, and
/// meanwhile there is no reason why no step comes.
pub(crate) const EVIDENCE_MAY_LIE_IN_THE_FUTURE: bool = true;

/// Sizes beyond the bounds that are no harm or were somebody else's idea.
pub(crate) fn beyond_the_bounds(action: &ScalingAction, target: &Target) -> bool {
    match (action.course.purpose, &action.from, &action.to) {
        // New pods get the size that the others have, also after a reload with a lower bound.
        (Purpose::KeepSize, _, _) => true,
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
