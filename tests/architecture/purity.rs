//! The pure core: `domain` and `engine` decide and do nothing else. Owns the list of what they may not know, and the
//! one place that reads the clock.

use regex::Regex;

use crate::tree::{none, rust_files};

/// What the pure core may name of the outside.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "domain",
        &["std", "crate", "super", "humantime", "jiff", "minijinja", "regex", "serde", "strsim", "thiserror"],
    ),
    ("engine", &["std", "crate", "super", "jiff"]),
];

/// What no decision may reach, and why.
const MAY_NOT_KNOW: &[(&str, &str)] = &[
    (r"::now\(|\bSystemTime\b|\bInstant\b", "a clock: time comes in as `now`"),
    (r"\bstd::(fs|net|env|process|thread|io)\b", "the outside: it comes in as an event"),
    (r"\basync\b|\.await\b|\btokio\b|\bfutures\b", "waiting: the shell waits"),
    (r"\btracing\b|\bprintln!|\beprintln!", "logs: a decision is told as a report"),
    (
        r"\breqwest\b|\bkube\b|\bk8s_openapi\b|\blettre\b|\baxum\b|\brusqlite\b|\bserde_json\b",
        "a wire format",
    ),
    (r"\brand\b|\bfastrand\b|\bRandomState\b", "chance: the same events give the same effects"),
    (r"\bMutex\b|\bRwLock\b|\bstatic mut\b", "shared state: one owner holds the engine"),
];

fn pure() -> impl Iterator<Item = crate::tree::RustFile> {
    rust_files("src").into_iter().filter(|file| matches!(file.module(), "domain" | "engine"))
}

#[test]
fn the_core_knows_no_clock_no_io_no_waiting_and_no_chance() {
    let banned: Vec<_> = MAY_NOT_KNOW.iter().map(|(what, why)| (Regex::new(what).unwrap(), why)).collect();
    let mut findings = Vec::new();
    for file in pure() {
        for line in file.code_outside_tests() {
            for (_, why) in banned.iter().filter(|(what, _)| what.is_match(line.text)) {
                findings.push(format!("{}: {}\n    {why}", line.place, line.text));
            }
        }
    }
    none(
        &findings,
        "Take it in as an argument or as an event, or give it out as an effect (src/engine/effect.rs).",
    );
}

#[test]
fn the_core_uses_only_libraries_that_compute() {
    let used = Regex::new(r"^(?:pub(?:\([a-z]+\))? )?use ([a-z_0-9]+)(?:::|;)").unwrap();
    let mut findings = Vec::new();
    for file in pure() {
        let allowed =
            MAY_USE.iter().find(|(module, _)| *module == file.module()).map(|(_, allowed)| *allowed);
        let children: Vec<String> = file
            .code()
            .filter_map(|line| line.text.trim_start_matches("pub ").strip_prefix("mod ").map(str::to_owned))
            .map(|name| name.trim_end_matches(';').to_owned())
            .collect();
        for line in file.code_outside_tests() {
            let Some(first) = used.captures(line.text).map(|found| found[1].to_owned()) else { continue };
            if !allowed.unwrap_or_default().contains(&first.as_str()) && !children.contains(&first) {
                findings.push(format!("{}: {}", line.place, line.text));
            }
        }
    }
    none(
        &findings,
        "A library of the core computes and nothing else. If this one does, add it to MAY_USE in \
         tests/architecture/purity.rs with the reason in the commit; else it belongs to the shell.",
    );
}

#[test]
fn the_engines_order_never_depends_on_a_hash() {
    let mut findings = Vec::new();
    for file in rust_files("src").into_iter().filter(|file| file.module() == "engine") {
        for line in file.code().filter(|line| line.text.contains("HashMap") || line.text.contains("HashSet"))
        {
            findings.push(format!("{}: {}", line.place, line.text));
        }
    }
    none(&findings, "Use a BTreeMap or BTreeSet: a replay has to give the same effects in the same order.");
}

#[test]
fn only_the_clock_reads_the_wall_clock() {
    let wall = Regex::new(r"\b(Timestamp|Zoned|SystemTime|Utc|Local)::now\(").unwrap();
    let mut findings = Vec::new();
    for file in rust_files("src").into_iter().filter(|file| file.path != "src/core/clock.rs") {
        for line in file.code().filter(|line| wall.is_match(line.text)) {
            findings.push(format!("{}: {}", line.place, line.text));
        }
    }
    none(&findings, "Ask `crate::core::clock::now()`, or better take `now` as an argument.");
    let clock = rust_files("src").into_iter().find(|file| file.path == "src/core/clock.rs");
    assert!(
        clock.is_some_and(|file| wall.is_match(&file.text)),
        "src/core/clock.rs no longer reads the clock"
    );
}
