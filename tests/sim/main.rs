//! The deterministic simulation: the engine, the core's order and the store's promises under a virtual clock, with faults
//! drawn from a seed. `README.md` beside this file says how to read it and how to play a seed again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bugs;
mod chance;
mod channels;
mod clock;
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
use std::sync::atomic::{AtomicU64, Ordering};

use bugs::Bug;
use marks::Marks;
use world::{Order, run};

/// So many seeds are run where nobody asks for more.
const SEEDS: u64 = 200;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs what `work` says for each seed, on all cores; the first answer in the order of seeds.
fn first<T: Send>(seeds: std::ops::Range<u64>, work: impl Fn(u64) -> Option<T> + Sync) -> Option<(u64, T)> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<(u64, T)>> = Mutex::new(None);
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = found.lock().unwrap().as_ref().is_some_and(|(best, _)| seed > *best);
                    if over || seed >= seeds.end {
                        return;
                    }
                    if let Some(answer) = work(seed) {
                        let mut found = found.lock().unwrap();
                        if found.as_ref().is_none_or(|(best, _)| seed < *best) {
                            *found = Some((seed, answer));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

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
