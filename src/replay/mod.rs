//! Replay: stored history played through the live engine. Owns the grid of instants, the walk over them and the counting
//! of what came; prints nothing and judges nothing.
//!
//! ```text
//! history: chunks of query_range ─▶ stage: the same rounds and ticks as live ─▶ tally: by rule, day and target
//! ```

mod history;
mod stage;
mod tally;

pub use history::{Chunk, History, HistoryError};
pub use stage::{Stage, assumed};
pub use tally::{Paged, RuleTally, Tally, Worst};
