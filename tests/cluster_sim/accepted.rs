//! Accepted: what is let pass although an invariant, read strictly, forbids it. Owns the list, each with its story: a
//! shorter list is a better engine.

use runbookd::domain::scaling::{ContainerSize, Purpose, ScalingAction, Size, Target};

/// Sizes beyond the bounds that are no harm or were somebody else's idea.
pub(crate) fn beyond_the_bounds(action: &ScalingAction, target: &Target) -> bool {
    match (action.course.purpose, &action.from, &action.to) {
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
