//! The scenarios: `*.scenario` files that say in order what happens and what runbookd does about it. They are the
//! tests of the engine's behaviour and its documentation at once; `README.md` beside them explains the format.
//!
//! `UPDATE=1` writes what happens into the files instead of comparing; read the difference before keeping it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod cluster;
mod picture;
mod script;
mod stage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use script::Script;
use stage::Stage;

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(folder).expect("the folder of scenarios");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "scenario"));
    paths.sort();
    paths
}

/// What differs between a script and what happens, and the script with what happens in it.
fn play(name: &str, text: &str) -> Result<(Vec<String>, String), String> {
    let script = Script::parse(text).map_err(|mistake| format!("{name}:{mistake}"))?;
    let mut stage = Stage::new(&script.rules, &script.config).map_err(|why| format!("{name}: {why}"))?;
    let mut got: Vec<Vec<String>> = vec![Vec::new(); script.count()];
    for step in &script.steps {
        for at in step.times() {
            stage.go_to(at);
            for command in &step.commands {
                let lines =
                    stage.perform(&command.what).map_err(|why| format!("{name}:{}: {why}", command.line))?;
                let lines = lines.into_iter().map(|line| step.stamp(at) + &line);
                got[command.number].extend(lines);
            }
        }
    }
    Ok((script.differences(name, &got), script.rewritten(&got)))
}

#[test]
fn every_scenario_goes_as_it_is_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let paths = scenarios();
    assert!(paths.len() >= 25, "only {} scenarios were found", paths.len());
    for path in paths {
        let name = format!("tests/scenarios/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let text = std::fs::read_to_string(&path).expect("a readable scenario");
        match play(&name, &text) {
            Ok((_, rewritten)) if update => {
                if rewritten != text {
                    std::fs::write(&path, rewritten).expect("a writable scenario");
                }
            }
            Ok((differences, _)) => wrong.extend(differences),
            Err(mistake) => wrong.push(mistake),
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_page_about_decisions_shows_every_scenario_and_no_other() {
    let page = include_str!("../../docs/how-it-decides.md");
    let linked = page.split("](../tests/scenarios/").skip(1).filter_map(|rest| rest.split_once(')'));
    let linked: BTreeSet<String> = linked.map(|(name, _)| name.to_owned()).collect();
    let there = scenarios().into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    assert_eq!(linked, there.collect());
}

// === the runner itself ===

const SMALL: &str = "\
rules
  monitoring:
    metrics:
      system:
        - cpu_usage: {warning: 70%, for: 1m}

at 0m    cpu_usage{service=\"checkout\"} 95%
         -> cpu_usage{service=\"checkout\"} pending warning: hold_not_over
";

#[test]
fn the_runner_notices_a_line_that_is_missing_one_that_is_too_much_and_one_that_differs() {
    assert_eq!(play("small", SMALL).map(|(differences, _)| differences), Ok(Vec::new()));
    let arrow = SMALL.lines().last().unwrap_or_default();
    let spoilt = [
        SMALL.replace(&format!("{arrow}\n"), ""),
        format!("{SMALL}         -> blind\n"),
        SMALL.replace("pending", "firing"),
    ];
    for text in spoilt {
        let (differences, rewritten) = play("small", &text).expect("a script that can be played");
        assert!(
            differences
                .iter()
                .any(|line| ["small:7", "small:8", "small:9"].iter().any(|place| line.starts_with(place))),
            "{differences:?}"
        );
        assert_eq!(rewritten, SMALL);
    }
}

#[test]
fn a_script_that_cannot_be_played_says_where_it_is_wrong() {
    for (from, to, place) in [
        ("95%", "much", "small:7: "),
        ("cpu_usage{", "gpu_usage{", "small:7: "),
        ("at 0m", "on 0m", "small:7: "),
        ("warning: 70%", "warning: 70s", "small: "),
    ] {
        let mistake = play("small", &SMALL.replace(from, to)).expect_err("a mistake");
        assert!(mistake.starts_with(place), "{mistake}");
    }
}
