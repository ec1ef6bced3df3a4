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
mod source;
mod step;
mod truth;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;

use bugs::Bug;
use cores::{asked, first};
use marks::Marks;
use world::{Order, run};

/// So many seeds are run where nobody asks for more.
const SEEDS: u64 = 200;

#[test]
fn every_invariant_holds_in_every_seed() {
    if let Some(seed) = asked("SEED") {
        return replay::play(seed);
    }
    let seeds = asked("SEEDS").unwrap_or(SEEDS);
    let marks = Mutex::new(Marks::default());
    let broken = Mutex::new(BTreeMap::new());
    first(0..seeds, |seed| {
        let order = Order { seed, ..Order::default() };
        let outcome = run(order.clone());
        marks.lock().unwrap().add(&outcome.marks);
        if outcome.violation.is_none() && seed % 20 == 3 {
            assert_eq!(run(order).hash, outcome.hash, "seed {seed} does not play the same twice");
        }
        broken.lock().unwrap().extend(outcome.violation.map(|violation| (seed, violation)));
        None::<()>
    });
    let marks = marks.into_inner().unwrap();
    eprintln!("{seeds} seeds; reached:\n{marks}");
    let broken = broken.into_inner().unwrap();
    for (seed, violation) in &broken {
        eprintln!("seed {seed} breaks I{}: {}", violation.invariant, violation.message);
    }
    if let Some((seed, violation)) = broken.first_key_value() {
        replay::explain(*seed, violation);
    }
    if seeds >= SEEDS {
        assert_eq!(marks.missed(), [""; 0], "reached too rarely:\n{marks}");
    }
}

#[test]
fn every_planted_bug_is_caught() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let caught =
            first(0..SEEDS, |seed| run(Order { seed, bug: Some(bug), ..Order::default() }).violation);
        match caught {
            Some((seed, violation)) => {
                eprintln!("{bug:?}: seed {seed}, I{} {}", violation.invariant, violation.message);
            }
            None => missed.push(bug),
        }
    }
    assert_eq!(missed, [], "no invariant noticed");
}

#[test]
fn what_once_failed_stays_mended() {
    for line in include_str!("cases/seeds.txt").lines() {
        let text = line.split('#').next().unwrap_or("").trim();
        let Ok(seed) = text.parse() else { continue };
        if let Some(violation) = run(Order { seed, ..Order::default() }).violation {
            replay::explain(seed, &violation);
        }
    }
}
