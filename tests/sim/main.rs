//! The deterministic simulation: the engine, the core's order and the store's promises under a virtual clock, with faults
//! drawn from a seed. `README.md` beside this file says how to read it and how to play a seed again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bugs;
mod chance;
mod channels;
mod clock;
mod cores;
mod disk;
mod faults;
mod invariants;
mod marks;
mod node;
mod people;
mod plans;
mod replay;
mod seeds;
mod source;
mod step;
mod truth;
mod wire;
mod world;

#[test]
fn every_invariant_holds_in_every_seed() {
    seeds::hold();
}

#[test]
fn every_planted_bug_is_caught() {
    seeds::catch_bugs();
}

#[test]
fn what_once_failed_stays_mended() {
    seeds::stay_mended(include_str!("cases/seeds.txt"));
}
