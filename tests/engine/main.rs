//! Tables and properties of the domain and the engine; what happens in which order stands in `tests/scenarios`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod alert_oracle;
mod alert_table;
mod delivery;
mod diagnosis;
mod explained;
mod life_cycle;
mod made;
mod moves;
mod scaling_property;
mod sizes;
mod story_property;
