//! `runbookd test`: rule tests, played by the live engine on a virtual clock. Owns which files are played, and how the
//! outcome is written; asks nobody.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::config::Diagnostics;
use crate::config::render::Colour;
use crate::domain::quantity::show_duration;
use crate::rule_test::{Case, Difference, Skipped, open, play};

use super::FolderArgs;
use super::check::Output;

/// What `runbookd test` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd test                           every *.test.yaml below the folder of rules
  runbookd test checkout.test.yaml        one file
  runbookd test alerts_test.yml           Prometheus' own test files, as far as they need no PromQL
  runbookd test --junit report.xml        a report that CI systems show

Exit codes: 0 all passed, 1 one failed or a file is refused, 2 usage")]
pub struct TestArgs {
    /// The test files, or folders of files that end in `.test.yaml`; by default the folder of rules.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the rules lie that a file does not name.
    #[command(flatten)]
    pub folders: FolderArgs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Writes a `JUnit` report to this file as well.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Whether the answer is coloured: the caller knows whether it goes to a terminal.
    #[arg(skip)]
    pub colour: bool,
}

/// How one file went.
struct Outcome {
    path: PathBuf,
    cases: Vec<(Case, Vec<Difference>)>,
    skipped: Vec<Skipped>,
    refused: Option<Diagnostics>,
}

/// Plays the tests and prints how they went. The answer is the exit code: 0 fine, 1 where a test failed or a file is
/// refused, 2 where there is no test, 3 where nothing could be written.
pub fn run(args: &TestArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let began = Instant::now();
    let given = if args.files.is_empty() { vec![args.folders.rules.clone()] } else { args.files.clone() };
    let mut files = Vec::new();
    for path in &given {
        if path.is_dir() { files.extend(tests_below(path)) } else { files.push(path.clone()) }
    }
    if files.is_empty() {
        let places: Vec<String> = given.iter().map(|path| path.display().to_string()).collect();
        let _ = writeln!(err, "there is no test: no file below {} ends in .test.yaml", places.join(", "));
        return 2;
    }
    let outcomes: Vec<Outcome> = files.into_iter().map(|path| outcome(path, &args.folders)).collect();
    let failed =
        outcomes.iter().any(|it| it.refused.is_some() || it.cases.iter().any(|(_, d)| !d.is_empty()));
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit(&outcomes))
    {
        let _ = writeln!(err, "cannot write {}: {error}", path.display());
        return 3;
    }
    let written = match args.output {
        Output::Human => human(&outcomes, args.colour, began.elapsed(), out),
        Output::Json => serde_json::to_writer_pretty(&mut *out, &machine(&outcomes, !failed))
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    if written.is_err() { 3 } else { u8::from(failed) }
}

/// The test files below a folder, in the order of their paths.
fn tests_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(tests_below(&path));
        } else if [".test.yaml", ".test.yml"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn outcome(path: PathBuf, folders: &FolderArgs) -> Outcome {
    match open(&path, &folders.config, &folders.rules) {
        Ok(opened) => {
            let cases = opened.cases.into_iter().map(|case| {
                let differences = play(&case);
                (case, differences)
            });
            Outcome { cases: cases.collect(), skipped: opened.skipped, path, refused: None }
        }
        Err(diagnostics) => {
            Outcome { path, cases: Vec::new(), skipped: Vec::new(), refused: Some(diagnostics) }
        }
    }
}

/// How many tests passed and failed, how many parts were skipped and files refused.
fn counts(outcomes: &[Outcome]) -> [usize; 4] {
    let cases = || outcomes.iter().flat_map(|outcome| &outcome.cases);
    let passed = cases().filter(|(_, differences)| differences.is_empty()).count();
    let skipped = outcomes.iter().map(|outcome| outcome.skipped.len()).sum();
    let refused = outcomes.iter().filter(|outcome| outcome.refused.is_some()).count();
    [passed, cases().count() - passed, skipped, refused]
}

fn human(outcomes: &[Outcome], colour: bool, took: Duration, out: &mut dyn Write) -> io::Result<()> {
    let (red, plain) = if colour { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
    for outcome in outcomes {
        if let Some(diagnostics) = &outcome.refused {
            let colour = if colour { Colour::Always } else { Colour::Never };
            writeln!(out, "{red}✗{plain} {} is refused", outcome.path.display())?;
            out.write_all(diagnostics.render(colour).as_bytes())?;
        }
        for (case, differences) in outcome.cases.iter().filter(|(_, differences)| !differences.is_empty()) {
            writeln!(out, "{red}✗{plain} {}  {}", case.place, case.name)?;
            for it in differences {
                writeln!(out, "    {}", line(it))?;
            }
        }
        for skipped in &outcome.skipped {
            writeln!(out, "- {}  skipped: {}", skipped.place, skipped.why)?;
        }
    }
    let [passed, failed, skipped, refused] = counts(outcomes);
    let mut words = vec![format!("{failed} failed"), format!("{passed} passed")];
    if skipped > 0 {
        words.push(format!("{skipped} skipped"));
    }
    if refused > 0 {
        words.push(format!("{refused} {} refused", if refused == 1 { "file" } else { "files" }));
    }
    writeln!(out, "{} · {:.1} s", words.join(", "), took.as_secs_f64())
}

/// `at 5m  notice  expected pagerduty opened  got -`.
fn line(it: &Difference) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let reason = it.reason.as_ref().map_or_else(String::new, |reason| format!("  reason: {reason}"));
    let at = if it.at.is_zero() { "0s".to_owned() } else { show_duration(it.at) };
    format!("at {at}  {}  expected {}  got {}{reason}", it.kind, or_none(&it.expected), or_none(&it.got))
}

fn machine(outcomes: &[Outcome], ok: bool) -> Value {
    let difference = |it: &Difference| {
        json!({
            "at_seconds": it.at.as_secs_f64(), "place": it.place, "kind": it.kind,
            "expected": it.expected, "got": it.got, "reason": it.reason,
        })
    };
    let files: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            let tests: Vec<Value> = outcome
                .cases
                .iter()
                .map(|(case, differences)| {
                    let all: Vec<Value> = differences.iter().map(difference).collect();
                    let passed = differences.is_empty();
                    json!({ "name": case.name, "place": case.place, "passed": passed, "differences": all })
                })
                .collect();
            let skipped: Vec<Value> =
                outcome.skipped.iter().map(|it| json!({ "place": it.place, "why": it.why })).collect();
            json!({
                "file": outcome.path.display().to_string(), "tests": tests, "skipped": skipped,
                "diagnostics": outcome.refused,
            })
        })
        .collect();
    let [passed, failed, skipped, refused] = counts(outcomes);
    json!({
        "ok": ok, "passed": passed, "failed": failed, "skipped": skipped, "refused": refused, "files": files,
    })
}

fn junit(outcomes: &[Outcome]) -> String {
    let [passed, failed, skipped, refused] = counts(outcomes);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!(
        "<testsuites tests=\"{}\" failures=\"{failed}\" errors=\"{refused}\" skipped=\"{skipped}\">\n",
        passed + failed + refused + skipped
    ));
    for outcome in outcomes {
        let file = escaped(&outcome.path.display().to_string());
        out.push_str(&format!("  <testsuite name=\"{file}\">\n"));
        for (case, differences) in &outcome.cases {
            out.push_str(&format!("    <testcase classname=\"{file}\" name=\"{}\">", escaped(&case.name)));
            if !differences.is_empty() {
                let lines: Vec<String> = differences.iter().map(line).collect();
                out.push_str(&format!(
                    "<failure message=\"{}\">{}</failure>",
                    escaped(&lines[0]),
                    escaped(&lines.join("\n"))
                ));
            }
            out.push_str("</testcase>\n");
        }
        for skipped in &outcome.skipped {
            let (place, why) = (escaped(&skipped.place), escaped(&skipped.why));
            out.push_str(&format!(
                "    <testcase classname=\"{file}\" name=\"{place}\"><skipped message=\"{why}\"/></testcase>\n"
            ));
        }
        if let Some(diagnostics) = &outcome.refused {
            let words = escaped(&diagnostics.to_string());
            out.push_str(&format!(
                "    <testcase classname=\"{file}\" name=\"the file\"><error>{words}</error></testcase>\n"
            ));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text as XML carries it; control characters, which it cannot carry, are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => {}
            c => out.push(c),
        }
    }
    out
}
