//! The closed loop: one service under six shapes of load, scaled by runbookd's engine and by the algorithm of the
//! Horizontal Pod Autoscaler, under a virtual clock. `make compare` writes docs/scaling-compared.md and its picture
//! anew; without it the tests fail where the page no longer says what the code does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod behavior;
mod claims;
mod hpa;
mod hpa_tables;
mod load;
mod page;
mod pipeline;
mod plot;
mod race;
mod runbook;
mod shop;
