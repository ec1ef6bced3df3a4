//! An operational runbook that runs itself.
//!
//! A pure core that decides (`domain`, `engine`) and a shell that observes, commits and performs (everything else).
//! ARCHITECTURE.md draws the picture and names the invariants.

pub mod config;
pub mod domain;
pub mod engine;
pub mod notify;
