//! The clock: the one place that reads the wall clock.

use crate::domain::Timestamp;

/// Now, by the wall clock.
pub fn now() -> Timestamp {
    Timestamp::now()
}
