//! Rehearsals: the live engine played on a virtual clock, with channels that accept everything and workloads that do as
//! they are told. Owns the clock and the answers; decides nothing, and asks nobody outside.
//!
//! `runbookd test` and `runbookd replay` stand on it: what they show is what [`Engine::on`](crate::engine::Engine::on)
//! does, not a second reading of the rules.

mod player;
mod workloads;

pub use player::{Entry, Happened, Player, Step, rehearsed};
pub use workloads::{Workload, Workloads};
