//! The command line as people and scripts meet it: the real binary, its exit codes and what it writes. One golden file
//! a case; `UPDATE=1` writes them anew.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod asking;
mod binary;
mod replayed;
mod rule_tests;
