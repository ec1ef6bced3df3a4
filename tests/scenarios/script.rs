//! Scripts: the text of a scenario as steps with commands and the lines expected after each. Owns the format; knows
//! nothing of the engine.

use std::time::Duration;

use runbookd::domain::quantity::{parse_duration, show_duration};

/// A scenario.
pub(crate) struct Script {
    lines: Vec<String>,
    /// The YAML of `rules`.
    pub(crate) rules: String,
    /// The YAML of `config`.
    pub(crate) config: String,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

/// One or several instants, and what happens at each of them.
pub(crate) struct Step {
    from: Duration,
    to: Duration,
    every: Option<Duration>,
    pub(crate) commands: Vec<Written>,
}

/// A command where it stands, with the lines expected after it.
pub(crate) struct Written {
    /// Counts the commands of the script.
    pub(crate) number: usize,
    /// The line it stands on, from 1.
    pub(crate) line: usize,
    pub(crate) what: Command,
    column: usize,
    /// The last line that belongs to it, before its arrows.
    last_line: usize,
    expected: Vec<(usize, String)>,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    TimePasses,
    Restart,
    Acknowledge {
        incident: String,
        by: String,
        lasts: Option<Duration>,
    },
    Unacknowledge {
        incident: String,
        by: String,
    },
    Resolve {
        incident: String,
        by: String,
    },
    /// `pause scaling of shop/checkout for 10m by Ana moving the database`.
    Pause {
        name: String,
        lasts: Option<Duration>,
        by: String,
        why: String,
    },
    Resume {
        name: String,
        by: String,
    },
    /// How the resizes of a workload's pods go: `deferred`, `infeasible`.
    Resizes {
        name: String,
        how: String,
    },
    /// `diagnosed INC-… "Review active processes" found "0.94 p1"`, `… fails timed_out`.
    Diagnosed {
        incident: String,
        step: String,
        outcome: Result<String, String>,
    },
    /// `silence 1 {service="checkout"} for 1h by Ana`; the same number again changes it.
    Silence {
        number: String,
        matchers: String,
        length: Duration,
        by: String,
    },
    /// `posted {alertname="Down"} for 10m`, `over`, or without an end.
    Posted {
        labels: String,
        lasts: Option<Duration>,
    },
    /// `end silence 1 by Ana`.
    EndSilence {
        number: String,
        by: String,
    },
    ReloadRules(String),
    ReloadConfig(String),
    /// `channel email refuses`.
    Channel {
        name: String,
        mood: String,
    },
    /// `workload shop/checkout replicas 4 ready 4`.
    Workload {
        name: String,
        properties: Vec<(String, String)>,
    },
    /// `pods of shop/checkout are ready`.
    PodsReady(String),
    /// `writes are lost`.
    Writes(String),
    /// `looks fail unreachable`, `looks work`.
    Looks(Option<String>),
    /// `cpu_usage fails timed_out`, `everything fails unreachable`.
    Fails {
        metric: Option<String>,
        failure: String,
    },
    /// `cpu_usage{service="checkout"} 95%`; no series for `cpu_usage empty`.
    Answers {
        metric: String,
        series: Vec<(Vec<(String, String)>, String)>,
    },
}

impl Step {
    /// The instants, from the start of the scenario.
    pub(crate) fn times(&self) -> impl Iterator<Item = Duration> + use<> {
        let (from, to, every) = (self.from, self.to, self.every);
        std::iter::successors(Some(from), move |at| Some(*at + every?)).take_while(move |at| *at <= to)
    }

    /// What stands before an expected line: the instant, where the step has several.
    pub(crate) fn stamp(&self, at: Duration) -> String {
        if self.every.is_some() { format!("{:<6} ", show_duration(at)) } else { String::new() }
    }
}

impl Script {
    /// Reads a script; a mistake says its line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut script =
            Self { lines: lines.clone(), rules: String::new(), config: String::new(), steps: Vec::new() };
        let mut number = 0;
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            let trimmed = line.trim();
            let here = at + 1;
            let told = |why: &str| format!("{here}: {why}: {line}");
            at += 1;
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let indented = line.starts_with(' ');
            if trimmed == "rules" || trimmed == "config" {
                let block = block(&lines, &mut at);
                if trimmed == "rules" {
                    script.rules = block;
                } else {
                    script.config = block;
                }
                continue;
            }
            if let Some(arrow) = trimmed.strip_prefix("->").filter(|_| indented) {
                let last = script.steps.last_mut().and_then(|step| step.commands.last_mut());
                let command = last.ok_or_else(|| told("nothing happened yet"))?;
                command.expected.push((here, arrow.trim().to_owned()));
                continue;
            }
            let (rest, column) = if indented {
                if script.steps.is_empty() {
                    return Err(told("a command without an instant"));
                }
                (trimmed, line.len() - trimmed.len())
            } else {
                let (step, rest) = instant(trimmed).ok_or_else(|| told("expected `at 5m …`"))?;
                script.steps.push(step);
                (rest, line.find(rest).unwrap_or(0))
            };
            let what = command(rest, &lines, &mut at).map_err(|why| told(&why))?;
            let written = Written { number, line: here, what, column, last_line: at, expected: Vec::new() };
            number += 1;
            if let Some(step) = script.steps.last_mut() {
                step.commands.push(written);
            }
        }
        Ok(script)
    }

    /// How many commands there are.
    pub(crate) fn count(&self) -> usize {
        self.commands().count()
    }

    fn commands(&self) -> impl Iterator<Item = &Written> {
        self.steps.iter().flat_map(|step| &step.commands)
    }

    /// Where what happened (by command) is not what is expected.
    pub(crate) fn differences(&self, name: &str, got: &[Vec<String>]) -> Vec<String> {
        let mut out = Vec::new();
        for (command, got) in self.commands().zip(got) {
            let same = |(expected, got): (&(usize, String), &String)| squeezed(&expected.1) == squeezed(got);
            let first = command.expected.iter().zip(got).take_while(|pair| same(*pair)).count();
            if first == command.expected.len() && first == got.len() {
                continue;
            }
            let line = command.expected.get(first).map_or(command.line, |(line, _)| *line);
            let said = self.lines.get(command.line - 1).map_or("", |line| line.trim());
            out.push(format!("{name}:{line}: after `{said}`"));
            let expected = command.expected.iter().map(|(_, text)| text).skip(first);
            out.extend(expected.map(|text| format!("    expected -> {text}")));
            out.extend(got.iter().skip(first).map(|text| format!("    got      -> {text}")));
        }
        out
    }

    /// The script with what happened (by command) in place of what is expected.
    pub(crate) fn rewritten(&self, got: &[Vec<String>]) -> String {
        let mut out = String::new();
        let expected: Vec<usize> =
            self.commands().flat_map(|command| command.expected.iter().map(|(line, _)| *line)).collect();
        for (at, line) in self.lines.iter().enumerate() {
            if !expected.contains(&(at + 1)) {
                out.push_str(line);
                out.push('\n');
            }
            for command in self.commands().filter(|command| command.last_line == at + 1) {
                for text in got.get(command.number).into_iter().flatten() {
                    out.extend([" ".repeat(command.column).as_str(), "-> ", text, "\n"]);
                }
            }
        }
        out
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The indented lines after `at`, without their common indentation.
fn block(lines: &[String], at: &mut usize) -> String {
    let indent = |line: &String| line.len() - line.trim_start().len();
    let depth = lines.get(*at).map_or(0, indent);
    let mut out = String::new();
    while let Some(line) = lines.get(*at) {
        let arrow = line.trim_start().starts_with("->");
        if depth == 0 || arrow || (indent(line) < depth && !line.trim().is_empty()) {
            break;
        }
        // An empty line ends the block where nothing of it follows.
        let goes_on = lines.get(*at + 1).is_some_and(|next| indent(next) >= depth && !next.trim().is_empty());
        if line.trim().is_empty() && !goes_on {
            break;
        }
        out.push_str(line.get(depth..).unwrap_or(""));
        out.push('\n');
        *at += 1;
    }
    out
}

/// `at 5m`, or `from 0m to 9m every 15s`.
fn instant(line: &str) -> Option<(Step, &str)> {
    let (word, rest) = line.split_once(' ')?;
    let next = |text| -> Option<(Duration, &str)> {
        let (time, rest) = str::trim_start(text).split_once(' ')?;
        Some((parse_duration(time)?, rest.trim_start()))
    };
    let (from, rest) = next(rest)?;
    let step = |to, every| Step { from, to, every, commands: Vec::new() };
    if word == "at" {
        return Some((step(from, None), rest));
    }
    let (to, rest) = next(rest.strip_prefix("to ").filter(|_| word == "from")?)?;
    let (every, rest) = next(rest.strip_prefix("every ")?)?;
    (!every.is_zero()).then(|| (step(to, Some(every)), rest))
}

fn command(text: &str, lines: &[String], at: &mut usize) -> Result<Command, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let owned = |text: &str| text.to_owned();
    Ok(match words.as_slice() {
        ["time", "passes"] => Command::TimePasses,
        ["restart"] => Command::Restart,
        ["acknowledge", incident, "by", by @ .., "for", lasts] => {
            let lasts = Some(parse_duration(lasts).ok_or("expected a duration such as 10m")?);
            Command::Acknowledge { incident: owned(incident), by: by.join(" "), lasts }
        }
        ["acknowledge", incident, "by", by @ ..] => {
            Command::Acknowledge { incident: owned(incident), by: by.join(" "), lasts: None }
        }
        ["unacknowledge", incident, "by", by @ ..] => {
            Command::Unacknowledge { incident: owned(incident), by: by.join(" ") }
        }
        ["resolve", incident, "by", by @ ..] => {
            Command::Resolve { incident: owned(incident), by: by.join(" ") }
        }
        ["diagnosed", incident, ..] => {
            let (step, outcome) =
                diagnosed(text).ok_or("expected `\"step\" found \"…\"` or `\"step\" fails …`")?;
            Command::Diagnosed { incident: owned(incident), step, outcome }
        }
        ["silence", number, ..] => {
            let rest = text.split_once(number).map_or("", |(_, rest)| rest);
            let (matchers, rest) = rest.rsplit_once(" for ").ok_or("expected `for 1h by Ana`")?;
            let (length, by) = rest.split_once(" by ").ok_or("expected `by Ana`")?;
            let length = parse_duration(length).ok_or("expected a duration after `for`")?;
            let matchers = owned(matchers.trim());
            Command::Silence { number: owned(number), matchers, length, by: owned(by) }
        }
        ["posted", ..] => {
            let rest = text.trim_start_matches("posted").trim();
            let (labels, lasts) = match (rest.strip_suffix(" over"), rest.rsplit_once(" for ")) {
                (Some(labels), _) => (labels, Some(Duration::ZERO)),
                (None, Some((labels, lasts))) => {
                    (labels, Some(parse_duration(lasts).ok_or("expected a duration after `for`")?))
                }
                (None, None) => (rest, None),
            };
            Command::Posted { labels: owned(labels), lasts }
        }
        ["end", "silence", number, "by", by @ ..] => {
            Command::EndSilence { number: owned(number), by: by.join(" ") }
        }
        ["reload", "rules"] => Command::ReloadRules(block(lines, at)),
        ["reload", "config"] => Command::ReloadConfig(block(lines, at)),
        ["channel", name, mood @ ..] => Command::Channel { name: owned(name), mood: mood.join(" ") },
        ["workload", name, properties @ ..] => {
            let pairs = properties.chunks(2).map(|pair| match pair {
                [key, value] => Ok((owned(key), owned(value))),
                _ => Err(owned("expected pairs such as `replicas 4`")),
            });
            Command::Workload { name: owned(name), properties: pairs.collect::<Result<_, _>>()? }
        }
        ["pause", "scaling", "of", name, "for", lasts, "by", by, why @ ..] => {
            let lasts = Some(parse_duration(lasts).ok_or("expected a duration such as 10m")?);
            Command::Pause { name: owned(name), lasts, by: owned(by), why: why.join(" ") }
        }
        ["pause", "scaling", "of", name, "by", by, why @ ..] => {
            Command::Pause { name: owned(name), lasts: None, by: owned(by), why: why.join(" ") }
        }
        ["resume", "scaling", "of", name, "by", by @ ..] => {
            Command::Resume { name: owned(name), by: by.join(" ") }
        }
        ["pods", "of", name, "are", how @ ("deferred" | "infeasible")] => {
            Command::Resizes { name: owned(name), how: owned(how) }
        }
        ["pods", "of", name, "are", "ready"] => Command::PodsReady(owned(name)),
        ["writes", "are", how @ ..] => Command::Writes(how.join(" ")),
        ["looks", "work"] => Command::Looks(None),
        ["looks", "fail", how] => Command::Looks(Some(owned(how))),
        ["everything", "fails", failure] => Command::Fails { metric: None, failure: owned(failure) },
        [metric, "fails", failure] => Command::Fails { metric: Some(owned(metric)), failure: owned(failure) },
        [metric, "empty"] => Command::Answers { metric: owned(metric), series: Vec::new() },
        _ => answers(text).ok_or("this is no command")?,
    })
}

/// `diagnosed INC-… "step" found "what"`, or `… "step" fails why`: the step and how it ended.
fn diagnosed(text: &str) -> Option<(String, Result<String, String>)> {
    let (_, rest) = text.split_once('"')?;
    let (step, how) = rest.split_once('"')?;
    let outcome = match how.trim().split_once(' ')? {
        ("found", what) => Ok(what.strip_prefix('"')?.strip_suffix('"')?.to_owned()),
        ("fails", why) => Err(why.to_owned()),
        _ => return None,
    };
    Some((step.to_owned(), outcome))
}

/// `cpu_usage{service="checkout"} 95%, {service="cart"} 20%`.
fn answers(text: &str) -> Option<Command> {
    let end = text.find(|c: char| c == '{' || c.is_whitespace())?;
    let (metric, mut rest) = text.split_at(end);
    let mut series = Vec::new();
    loop {
        let mut labels = Vec::new();
        rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('{') {
            let (pairs, after) = inner.split_once('}')?;
            rest = after;
            for pair in pairs.split(',').filter(|pair| !pair.trim().is_empty()) {
                let (name, value) = pair.split_once('=')?;
                let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
                labels.push((name.trim().to_owned(), value.to_owned()));
            }
        }
        let (value, after) = rest.split_once(',').map_or((rest, None), |(value, after)| (value, Some(after)));
        if value.trim().is_empty() {
            return None;
        }
        series.push((labels, value.trim().to_owned()));
        match after {
            Some(after) => rest = after,
            None => return Some(Command::Answers { metric: metric.to_owned(), series }),
        }
    }
}
