//! The world.
pub mod kubernetes;
