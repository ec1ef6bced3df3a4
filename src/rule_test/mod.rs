//! Rule tests: series of values in, expected alerts, notices and scaling out, judged by the live engine on a virtual
//! clock. Owns the files' form and the comparison; prints nothing.
//!
//! ```text
//! x.test.yaml ─▶ file: cases with their places ─▶ play: rehearsal::Player, value by value ─▶ differences
//! Prometheus' own test files ─▶ promtool: the same cases, as far as they need no PromQL
//! ```

mod case;
mod file;
pub mod notation;
mod play;
mod promtool;

pub use case::{Case, Difference, Skipped};
pub use file::{Opened, open};
pub use play::play;
