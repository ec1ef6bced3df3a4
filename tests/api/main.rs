//! The HTTP surface as other tools see it: the real routes over the real core on a loopback port.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking, and its modules are its own"
)]

mod alertmanager;
mod amtool;
mod document;
mod own;
mod prometheus;
mod real;
mod room;
