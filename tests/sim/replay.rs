//! Replay: a seed that failed is played again with a journal, made smaller, and told. Owns shrinking (halves of the faults
//! are left out while the same invariant still breaks) and what a failure prints.

use std::collections::BTreeSet;

use crate::faults::{Class, Fault};
use crate::world::{Order, Outcome, Violation, run};

/// How many lines of the journal are shown.
const LINES: usize = 40;

/// How often a failing seed is played to make it smaller.
const TRIES: usize = 60;

/// Plays a seed and tells all of it.
pub(crate) fn play(seed: u64) {
    let outcome = run(Order { seed, journal: true, ..Order::default() });
    eprintln!("{}", outcome.journal.join("\n"));
    eprintln!("hash {:016x}, {}", outcome.hash, outcome.summary());
    if let Some(violation) = outcome.violation {
        explain(seed, &violation);
    }
}

/// Fails with everything there is to know about a broken invariant.
pub(crate) fn explain(seed: u64, violation: &Violation) -> ! {
    let left_out = shrink(seed, violation.invariant);
    let outcome = run(Order { seed, left_out: left_out.clone(), journal: true, ..Order::default() });
    let Outcome { violation: again, classes, faults, journal, .. } = outcome;
    let told = again.as_ref().unwrap_or(violation);
    let shown = excerpt(&journal, &told.message);
    panic!(
        "seed {seed} breaks I{}: {}\nclasses: {classes:?}\n{} faults needed of {}: {faults:?}\nlast events:\n{}\n\
         play it again: SEED={seed} cargo test --test {} every_invariant -- --nocapture",
        told.invariant,
        told.message,
        faults.len(),
        faults.len() + left_out.len(),
        shown.join("\n"),
        env!("CARGO_CRATE_NAME"),
    );
}

/// The last events, those of the incident concerned where the message names one.
fn excerpt<'j>(journal: &'j [String], message: &str) -> Vec<&'j str> {
    let words = message.split(|c: char| !c.is_alphanumeric() && c != '-');
    let names: Vec<&str> = words.filter(|it| it.starts_with("INC-")).collect();
    let concerns = |line: &&str| {
        names.is_empty() || !line.contains("INC-") || names.iter().any(|name| line.contains(name))
    };
    let mut lines: Vec<&str> = journal.iter().map(String::as_str).filter(concerns).collect();
    lines.split_off(lines.len().saturating_sub(LINES))
}

/// Which faults are not needed for the invariant to break.
fn shrink(seed: u64, invariant: u8) -> BTreeSet<Fault> {
    let breaks = |left_out: &BTreeSet<Fault>| {
        let outcome = run(Order { seed, left_out: left_out.clone(), ..Order::default() });
        outcome.violation.filter(|it| it.invariant == invariant).map(|_| outcome.faults)
    };
    let mut left_out = BTreeSet::new();
    let Some(mut faults) = breaks(&left_out) else { return left_out };
    let mut tries = 0;
    // Whole classes first, then halves, then quarters.
    for class in Class::ALL {
        let more: BTreeSet<Fault> =
            left_out.iter().copied().chain(faults.iter().copied().filter(|fault| fault.0 == class)).collect();
        if let Some(fewer) = breaks(&more) {
            (left_out, faults) = (more, fewer);
        }
    }
    let mut size = faults.len().div_ceil(2);
    while size > 0 && tries < TRIES {
        let all: Vec<Fault> = faults.iter().copied().collect();
        let mut shrunk = false;
        for part in all.chunks(size) {
            tries += 1;
            let more: BTreeSet<Fault> = left_out.iter().chain(part).copied().collect();
            if let Some(fewer) = breaks(&more) {
                (left_out, faults) = (more, fewer);
                shrunk = true;
                break;
            }
        }
        if !shrunk {
            size /= 2;
        }
        size = size.min(faults.len().div_ceil(2).max(usize::from(size > 0)));
    }
    left_out
}
