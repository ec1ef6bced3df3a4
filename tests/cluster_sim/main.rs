//! The simulation of clusters: one daemon's engine, the core's order and two workloads of a cluster under a virtual clock,
//! with faults and other writers drawn from a seed. `README.md` beside this file says how to play a seed again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod accepted;
mod bugs;
#[path = "../sim/chance.rs"]
mod chance;
#[path = "../sim/clock.rs"]
mod clock;
mod cluster;
#[path = "../sim/cores.rs"]
mod cores;
mod evidence;
mod faults;
mod judge;
mod marks;
mod node;
mod people;
mod plans;
#[path = "../sim/replay.rs"]
mod replay;
#[path = "../sim/seeds.rs"]
mod seeds;
mod source;
#[path = "../sim/step.rs"]
mod step;
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
