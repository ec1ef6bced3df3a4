//! The pages: as HTML through the real routes, and in a real browser, on a desktop and on a phone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it measured"
)]

mod browser;
mod forms;
mod house;
mod html;
mod night;
mod weight;
