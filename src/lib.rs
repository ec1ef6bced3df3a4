//! An operational runbook that runs itself.
//!
//! A pure core that decides (`domain`, `engine`) and a shell that observes, commits and performs (everything else).
//! ARCHITECTURE.md draws the picture and names the invariants.

pub mod api;
pub mod chart;
pub mod cli;
pub mod config;
pub mod core;
pub mod daemon;
pub mod domain;
pub mod engine;
pub mod kubernetes;
pub mod notify;
pub mod probe;
pub mod prometheus;
pub mod rehearsal;
pub mod replay;
pub mod rule_test;
pub mod store;
pub mod telemetry;
