//! The world.

pub mod shop;
