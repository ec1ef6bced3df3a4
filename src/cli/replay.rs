//! `runbookd replay`: what would have happened under these rules. Owns the span, the progress bar and how the outcome is
//! written; asks Prometheus for history and nobody else.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;

use crate::config::{Loaded, load};
use crate::core::clock;
use crate::daemon::running::plan as plan_of;
use crate::domain::Timestamp;
use crate::domain::name::QueryId;
use crate::domain::quantity::parse_duration;
use crate::domain::rule::Query;
use crate::prometheus::Prometheus;
use crate::replay::{Chunk, History, Stage, Tally};

use super::FolderArgs;
use super::check::Output;
use super::replay_report as report;

/// A range query may take longer than a round may.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first stretch that is asked for, in seconds, and the longest.
const FIRST_STRETCH: i64 = 6 * 3_600;
const LONGEST_STRETCH: i64 = 24 * 3_600;

/// A stretch with more values is followed by a shorter one, one with far fewer by a longer one.
const MANY_VALUES: usize = 4_000_000;

/// What `runbookd replay` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd replay --from -7d                          what these rules would have paged in the last week
  runbookd replay --from -7d --against rules.new      the same, beside another folder of rules
  runbookd replay --from 2026-11-16T00:00:00Z --to 2026-11-17T00:00:00Z --output json
  runbookd replay --from -1d --plot cpu.png --rule cpu_usage

The engine is the daemon's own. It knows nothing of what was before --from, nobody acknowledges anything, and steps are
decided and not taken: history went on without them.

Exit codes: 0 fine, 1 the rules are refused, 2 usage, 3 Prometheus could not be asked")]
pub struct ReplayArgs {
    /// The first instant, or how far back: `-7d`.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub from: String,
    /// The last instant, or how far back.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, default_value = "now")]
    pub to: String,
    /// Another folder of rules to compare with.
    #[arg(long, value_name = "DIR")]
    pub against: Option<PathBuf>,
    /// Draws the values, thresholds and pages of a rule as a PNG.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// The rule to draw; by default the one with the most pages.
    #[arg(long, value_name = "NAME", requires = "plot")]
    pub rule: Option<String>,
    /// Writes the whole outcome as JSON to this file as well.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where the files lie.
    #[command(flatten)]
    pub folders: FolderArgs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Shows no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Why there is no outcome: the exit code, and the words.
struct Stop(u8, String);

/// Replays and prints. The answer is the exit code: 0 fine, 1 where rules are refused, 2 usage, 3 where history could not
/// be had or nothing could be written.
pub fn run(args: &ReplayArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let outcome = outcome(args).and_then(|tallies| write(args, &tallies, out).map_err(|why| Stop(3, why)));
    match outcome {
        Ok(()) => 0,
        Err(Stop(code, words)) => {
            // Nobody reads where nothing can be written.
            let _ = writeln!(err, "{}", words.trim_end());
            code
        }
    }
}

fn write(args: &ReplayArgs, tallies: &[Tally], out: &mut dyn Write) -> Result<(), String> {
    let whole = report::machine(tallies);
    if let Some(path) = &args.report {
        let text = format!("{whole:#}\n");
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    if let Some(path) = &args.plot {
        report::plot(&tallies[0], args.rule.as_deref(), path)?;
    }
    let written = match args.output {
        Output::Human => report::human(tallies, out),
        Output::Json => writeln!(out, "{whole:#}"),
    };
    written.map_err(|error: io::Error| error.to_string())
}

fn outcome(args: &ReplayArgs) -> Result<Vec<Tally>, Stop> {
    let now = clock::now();
    let from = instant(&args.from, now).map_err(|why| Stop(2, format!("--from {why}")))?;
    let to = instant(&args.to, now).map_err(|why| Stop(2, format!("--to {why}")))?;
    if from >= to {
        return Err(Stop(2, format!("--from {from} is not before --to {to}")));
    }
    let mut loaded = vec![read(&args.folders.config, &args.folders.rules)?];
    if let Some(other) = &args.against {
        loaded.push(read(&args.folders.config, other)?);
    }
    let mut settings = loaded[0].settings.prometheus.clone();
    settings.timeout = settings.timeout.max(PATIENCE);
    let concurrency = loaded[0].settings.evaluation.concurrency;
    let prometheus = Prometheus::new(&settings).map_err(|error| Stop(3, error.to_string()))?;
    let stage = |loaded: Loaded| Stage::new(plan_of(&loaded.settings, loaded.rules), from, to);
    let stages: Vec<Stage> = loaded.into_iter().map(stage).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Stop(3, error.to_string()))?;
    let bar = bar(args.quiet, from, to);
    let history = History::new(prometheus, concurrency);
    let played = runtime.block_on(play(stages, history, from, to, &bar));
    bar.finish_and_clear();
    let url = &settings.url;
    played.map_err(|why| Stop(3, format!("could not ask Prometheus: tried {url}: {why}")))
}

fn read(config: &Path, rules: &Path) -> Result<Loaded, Stop> {
    load(config, rules).map_err(|diagnostics| Stop(1, diagnostics.to_string()))
}

/// `now`, `-7d` or an instant.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let whole = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
    if text == "now" {
        return Ok(whole(now));
    }
    let wrong =
        || format!("`{text}` is neither an instant such as 2026-11-23T03:00:00Z nor a time ago such as -7d");
    if let Some(back) = text.strip_prefix('-') {
        let back =
            parse_duration(back).and_then(|back| SignedDuration::try_from(back).ok()).ok_or_else(wrong)?;
        return now.checked_sub(back).map(whole).map_err(|_| wrong());
    }
    text.parse().map(whole).map_err(|_| wrong())
}

/// A bar on the terminal, and nowhere else.
fn bar(quiet: bool, from: Timestamp, to: Timestamp) -> ProgressBar {
    let whole = u64::try_from(to.as_second() - from.as_second()).unwrap_or(0);
    let bar = ProgressBar::with_draw_target(Some(whole), ProgressDrawTarget::stderr());
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {percent} % · {msg} · {eta} left") {
        bar.set_style(style.progress_chars("█░░"));
    }
    bar
}

/// Asks for one stretch while the one before is played.
async fn play(
    mut stages: Vec<Stage>,
    history: History,
    from: Timestamp,
    to: Timestamp,
    bar: &ProgressBar,
) -> Result<Vec<Tally>, String> {
    let queries: BTreeMap<QueryId, Query> =
        stages.iter().flat_map(Stage::queries).map(|query| (query.id.clone(), query.clone())).collect();
    let queries: Vec<Query> = queries.into_values().collect();
    bar.set_message(format!("{} queries", queries.len()));
    let end = to.as_second() + 1;
    let (mut at, mut stretch) = (from.as_second(), FIRST_STRETCH);
    let ask = |at: i64, stretch: i64| history.chunk(&queries, at, (at + stretch).min(end));
    let mut next = Some(ask(at, stretch).await.map_err(|error| error.to_string())?);
    while let Some(chunk) = next.take() {
        bar.set_position(u64::try_from(at - from.as_second()).unwrap_or(0));
        stretch = match values(&chunk) {
            many if many > MANY_VALUES => (stretch / 2).max(60),
            few if few < MANY_VALUES / 4 => (stretch * 2).min(LONGEST_STRETCH),
            _ => stretch,
        };
        at = chunk.until;
        let playing = tokio::task::spawn_blocking(move || {
            for stage in &mut stages {
                stage.play(&chunk);
            }
            stages
        });
        let asking = async { if at < end { Some(ask(at, stretch).await) } else { None } };
        let (played, asked) = tokio::join!(playing, asking);
        stages = played.map_err(|error| error.to_string())?;
        next = asked.transpose().map_err(|error| error.to_string())?;
    }
    Ok(stages.into_iter().map(Stage::finish).collect())
}

fn values(chunk: &Chunk) -> usize {
    chunk.answers.values().flatten().flatten().map(|series| series.values.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_as_instants_or_as_times_ago() {
        let now: Timestamp = "2026-11-24T18:47:31.7Z".parse().unwrap();
        let read = |text: &str| instant(text, now).map(|at| at.to_string());
        assert_eq!(read("now").unwrap(), "2026-11-24T18:47:31Z");
        assert_eq!(read("-7d").unwrap(), "2026-11-17T18:47:31Z");
        assert_eq!(read("2026-11-01T00:00:00Z").unwrap(), "2026-11-01T00:00:00Z");
        for wrong in ["", "7d", "-", "-soon", "yesterday"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
