//! The engine: wires the domain's state machines into `Engine::on(event, now)`. Pure and synchronous.

pub mod effect;
pub mod event;
pub mod plan;
