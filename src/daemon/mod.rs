//! The daemon: wires observation, engine, store, delivery, scaling, reload and API together, starts them and stops
//! them. Owns the composition and nothing else.

pub mod app;
mod callbacks;
mod capacity;
pub mod charts;
pub mod deliver;
pub mod diagnose;
pub mod observe;
pub mod reload;
pub mod running;
pub mod scale;
