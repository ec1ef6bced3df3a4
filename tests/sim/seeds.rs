//! What a simulation is asked: many seeds, planted bugs, and the seeds that once failed. Serves the simulation of the
//! daemon and that of clusters, each with the `world`, `bugs`, `marks` and `replay` of its own crate.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::bugs::Bug;
use crate::cores::{asked, first};
use crate::marks::Marks;
use crate::replay;
use crate::world::{Order, run};

/// So many seeds are run where nobody asks for more.
const SEEDS: u64 = 200;

/// Plays the seeds that are asked for and fails where one breaks an invariant or hard states are reached too rarely.
pub(crate) fn hold() {
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

/// Plants every bug, and fails where no seed notices.
pub(crate) fn catch_bugs() {
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

/// Plays the seeds of a list, one a line with a word about what was wrong.
pub(crate) fn stay_mended(cases: &str) {
    for line in cases.lines() {
        let text = line.split('#').next().unwrap_or("").trim();
        let Ok(seed) = text.parse() else { continue };
        if let Some(violation) = run(Order { seed, ..Order::default() }).violation {
            replay::explain(seed, &violation);
        }
    }
}
