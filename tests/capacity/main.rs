//! Capacity, backups and tenants: the laws of forecasts, how often their interval is right, the warning as an ordinary
//! alert, and all of it against a real Prometheus with a month of past.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod backups;
mod commands;
mod coverage;
mod laws;
mod made;
mod models;
mod real;
mod warning;
