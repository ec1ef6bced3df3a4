//! What a rule file may make the daemon look at: labels that stay within their place, and URLs that lead nowhere else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod placeholders;
mod probe;
