//! How files look: each opens with what it owns, none has a name that owns everything, and no test is left out or
//! waits for luck.

use regex::Regex;

use crate::tree::{RustFile, none, rust_files};

/// Names under which everything and nothing can be found.
const NAMES_OF_NOTHING: [&str; 8] =
    ["util", "utils", "helper", "helpers", "manager", "common", "misc", "service"];

/// Sleeps that are not waiting for something to happen: the file, how many, and why.
const SLEEPS: &[(&str, usize, &str)] = &[
    ("tests/prometheus.rs", 1, "a server that sends its answer drop by drop: the pause is what is tested"),
    (
        "tests/chaos/patience.rs",
        2,
        "how long a life lasts is what is tested, and another process tells nothing by itself",
    ),
    (
        "tests/kubernetes/ground.rs",
        1,
        "a real cluster keeps no journal: it is looked at again until it is so",
    ),
];

fn all() -> Vec<RustFile> {
    ["src", "tests", "benches"].into_iter().flat_map(rust_files).collect()
}

#[test]
fn every_file_opens_with_what_it_owns() {
    let bare: Vec<String> =
        all().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    none(&bare, "Open the file with `//!`: what it is, what it owns and what it must not do.");
}

#[test]
fn no_file_is_named_after_nothing() {
    let mut findings = Vec::new();
    for file in all() {
        let parts = file.path.split('/').map(|part| part.trim_end_matches(".rs"));
        for part in parts.flat_map(|part| part.split('_')).filter(|part| NAMES_OF_NOTHING.contains(part)) {
            findings.push(format!("{}: `{part}`", file.path));
        }
    }
    none(&findings, "Name the file after the noun it holds.");
}

#[test]
fn nothing_is_left_out_or_left_to_do() {
    let unfinished = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
    ];
    let mut findings = Vec::new();
    for file in all() {
        for (at, line) in file.text.lines().enumerate() {
            if unfinished.iter().any(|word| line.contains(word)) {
                findings.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    none(
        &findings,
        "Finish it, or take it out: a test that does not run and code that panics are no promises.",
    );
}

#[test]
fn no_test_sleeps_where_it_could_wait_for_an_event() {
    let sleeps = Regex::new(r"\b(thread|time)::sleep\b").unwrap();
    let mut findings = Vec::new();
    let tests = rust_files("tests").into_iter();
    for file in tests.filter(|file| !file.path.starts_with("tests/world/")) {
        let found: Vec<String> = file
            .code()
            .filter(|line| sleeps.is_match(line.text))
            .map(|line| format!("{}: {}", line.place, line.text))
            .collect();
        let allowed = SLEEPS.iter().find(|(path, _, _)| *path == file.path).map_or(0, |(_, count, _)| *count);
        if found.len() != allowed {
            findings.extend(found);
            findings.push(format!("{}: {allowed} allowed", file.path));
        }
    }
    none(
        &findings,
        "Wait for what the test is about: a journal of `tests/world`, a channel, a changed answer. A pause that is \
         itself the subject is entered in SLEEPS in tests/architecture/files.rs with its reason.",
    );
}
