//! Test files: YAML into cases, or every mistake at once with its place. Owns the keys; plays nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostics};
use crate::config::source::{Folder, SourceFile};
use crate::config::tree::{self, Mistake, Node, Value};
use crate::config::walk::{Fields, Walk};
use crate::config::{Loaded, Sources, parse};
use crate::daemon::running::plan as plan_of;
use crate::domain::Timestamp;
use crate::domain::labels::Labels;
use crate::domain::name::{ChannelName, QueryId};
use crate::domain::quantity::Unit;
use crate::domain::rule::RuleSet;
use crate::domain::scaling::ScalingMode;
use crate::domain::severity::Severity;
use crate::engine::plan::Plan;
use crate::rehearsal::{Workload, rehearsed};

use super::case::{Case, Expect, Feed, Series, Skipped, WantedAlert, WantedNotice, WantedStep};
use super::notation::{self, Slot};
use super::promtool;

const FILE_KEYS: &[&str] = &["rules", "config", "tests"];
const TEST_KEYS: &[&str] = &["name", "start", "interval", "workloads", "series", "expect"];
const SERIES_KEYS: &[&str] = &["metric", "labels", "values"];
const WORKLOAD_KEYS: &[&str] = &["target", "replicas", "cpu", "memory"];
const EXPECT_KEYS: &[&str] = &["at", "alerts", "notices", "scaling"];
const ALERT_KEYS: &[&str] = &["rule", "labels", "state", "severity"];
const NOTICE_KEYS: &[&str] = &["channel", "event", "says"];
const STEP_KEYS: &[&str] = &["target", "to"];

/// What a notice can tell.
const EVENTS: &[&str] = &[
    "opened",
    "worsened",
    "eased",
    "joined",
    "scaled",
    "not_scaled",
    "acknowledged",
    "escalated",
    "status_update",
    "resolved",
    "reopened",
];

/// When a case begins where it does not say: a Monday, so that nobody's weekend mutes it by chance.
const START: &str = "2026-11-23T03:00:00Z";

/// The distance of two values where nothing is said.
pub(super) const INTERVAL: Duration = Duration::from_secs(60);

/// What a file holds.
#[derive(Debug)]
pub struct Opened {
    /// The tests that can be played.
    pub cases: Vec<Case>,
    /// What is not played.
    pub skipped: Vec<Skipped>,
}

/// Reads a test file, and the rules and settings it is about: those it names, relative to itself, or those of the
/// folders given.
pub fn open(path: &Path, config: &Path, rules: &Path) -> Result<Opened, Diagnostics> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let nothing = Sources::default();
            let walk = Walk::new(&nothing);
            let words = format!("cannot read {}: {error}", path.display());
            drop(walk.about_all(crate::config::diagnostic::Level::Error, Code::UnreadableFile, words));
            return Err(Diagnostics::new(walk.finish(), 1));
        }
    };
    let shown = path.display().to_string();
    let short = path.file_name().unwrap_or_default().to_string_lossy();
    let file = SourceFile::new(Folder::Rules, &shown, &short, text);
    let (root, mistakes) = tree::read(&file, 0);
    let sources = Sources { files: vec![file], unread: Vec::new() };
    let walk = Walk::new(&sources);
    note(&walk, mistakes);
    let Some(root) = root else { return Err(Diagnostics::new(walk.finish(), 1)) };
    let beside = path.parent().unwrap_or(Path::new(""));
    let opened = if promtool::is_theirs(&root) {
        promtool::read(&walk, &root, beside)
    } else {
        own(&walk, &root, beside, config, rules)
    };
    let found = Diagnostics::new(walk.finish(), 1);
    if found.errors() > 0 { Err(found) } else { opened }
}

fn note(walk: &Walk<'_>, mistakes: Vec<Mistake>) {
    for mistake in mistakes {
        match mistake {
            Mistake::Syntax { message, span } => drop(walk.error(Code::YamlSyntax, span, message)),
            Mistake::Repeated { key, first, second } => drop(
                walk.error(Code::DuplicateKey, second, format!("the key `{key}` stands twice")).other(first),
            ),
            Mistake::OddKey { span } => {
                drop(walk.error(Code::WrongType, span, "a key must be a text").expected("expected a text"));
            }
        }
    }
}

fn own(
    walk: &Walk<'_>,
    root: &Node,
    beside: &Path,
    config: &Path,
    rules: &Path,
) -> Result<Opened, Diagnostics> {
    let fields = walk.fields(root, FILE_KEYS);
    let named = |key: &str| -> Option<Vec<PathBuf>> {
        let node = fields.get(key)?;
        let texts = match &node.value {
            Value::List(_) => walk.texts(node),
            _ => walk.text(node).cloned().into_iter().collect(),
        };
        Some(texts.iter().map(|text| beside.join(&**text)).collect())
    };
    let rules = named("rules").unwrap_or_else(|| vec![rules.to_owned()]);
    let configs = named("config").unwrap_or_else(|| {
        // Rules can be tested where no daemon is configured.
        if config.exists() { vec![config.to_owned()] } else { Vec::new() }
    });
    let loaded = load(&configs, &rules)?;
    let reading =
        Reading { walk, plan: plan_of(&loaded.settings, loaded.rules.clone()), rules: &loaded.rules };
    let tests = walk.required(&fields, "tests", root.span, "tests: [{name: …, series: …, expect: …}]");
    let tests = tests.map_or(&[][..], |node| walk.list(node));
    let cases = tests.iter().filter_map(|node| reading.case(node)).collect();
    Ok(Opened { cases, skipped: Vec::new() })
}

/// Reads the files that a test is about.
pub(super) fn load(configs: &[PathBuf], rules: &[PathBuf]) -> Result<Loaded, Diagnostics> {
    let mut sources = Sources::default();
    for path in configs {
        sources.add(Folder::Config, path);
    }
    for path in rules {
        sources.add(Folder::Rules, path);
    }
    parse(&sources)
}

struct Reading<'r, 'a> {
    walk: &'r Walk<'a>,
    plan: Plan,
    rules: &'r RuleSet,
}

impl Reading<'_, '_> {
    fn case(&self, node: &Node) -> Option<Case> {
        let walk = self.walk;
        let fields = walk.fields(node, TEST_KEYS);
        let name = walk.required(&fields, "name", node.span, "name: cpu above 90 % pages once");
        let name = name.and_then(|node| walk.text(node).cloned());
        let start = match fields.get("start") {
            None => START.parse::<Timestamp>().ok(),
            Some(node) => self.instant(node),
        };
        let interval = fields.get("interval").and_then(|node| walk.duration_from(node, SECOND));
        let interval = interval.unwrap_or(INTERVAL);
        let workloads: Vec<Workload> = fields
            .get("workloads")
            .map_or(&[][..], |node| walk.list(node))
            .iter()
            .filter_map(|node| self.workload(node))
            .collect();
        let mut feeds: Vec<Feed> = Vec::new();
        for node in fields.get("series").map_or(&[][..], |node| walk.list(node)) {
            self.series(node, interval, &mut feeds);
        }
        let expects = walk.required(&fields, "expect", node.span, "expect: [{at: 5m, alerts: []}]");
        let expects = expects.map_or(&[][..], |node| walk.list(node));
        let mut expects: Vec<Expect> = expects.iter().filter_map(|node| self.expect(node)).collect();
        expects.sort_by_key(|expect| expect.at);
        let failing = feeds.iter().any(|feed| feed.series.iter().any(|it| it.slots.contains(&Slot::Failed)));
        let mode = if workloads.is_empty() { ScalingMode::Off } else { ScalingMode::Apply };
        let mut plan = rehearsed(self.plan.clone(), mode);
        // Queries that the test says nothing about are not asked, which is no blindness.
        if !failing {
            plan.blind_after = Duration::MAX;
        }
        Some(Case {
            name: name?,
            place: walk.source_of(node.span),
            plan: Arc::new(plan),
            start: start?,
            feeds,
            workloads,
            expects,
        })
    }

    fn instant(&self, node: &Node) -> Option<Timestamp> {
        let text = self.walk.text(node)?;
        let read = text.parse::<Timestamp>();
        if read.is_err() {
            self.walk
                .error(Code::BadTime, node.span, format!("`{text}` is no instant"))
                .expected("expected an instant such as 2026-11-23T03:00:00Z");
        }
        read.ok()
    }

    fn labels(&self, fields: &Fields<'_>) -> Labels {
        let entries = fields.get("labels").map_or(&[][..], |node| self.walk.entries(node));
        let pair = |entry: &tree::Entry| Some((entry.key.clone(), self.walk.text(&entry.value)?.clone()));
        Labels::new(entries.iter().filter_map(pair))
    }

    /// One series of values, given to every query behind its metric.
    fn series(&self, node: &Node, interval: Duration, feeds: &mut Vec<Feed>) {
        let walk = self.walk;
        let fields = walk.fields(node, SERIES_KEYS);
        let metric = walk.required(&fields, "metric", node.span, "metric: cpu_usage");
        let values = walk.required(&fields, "values", node.span, "values: 50%x4 95%x10");
        let labels = self.labels(&fields);
        let (Some(metric), Some(values)) = (metric, values) else { return };
        let Some(name) = walk.text(metric) else { return };
        let queries = self.queries(name);
        if queries.is_empty() {
            let known: Vec<&str> = self.rules.rules.values().map(|rule| &*rule.name).collect();
            walk.error(Code::UnknownMetric, metric.span, format!("no rule and no trigger reads `{name}`"))
                .expected("expected the name of a metric or an alert")
                .maybe_help(nearest(name, &known));
            return;
        }
        for (query, unit) in queries {
            let Some(slots) = self.slots(values, unit) else { return };
            let series = Series { labels: labels.clone(), interval, slots };
            if let Some(feed) = feeds.iter_mut().find(|feed| feed.query == query) {
                feed.series.push(series);
                continue;
            }
            let every = self.rules.queries.get(&query).map_or(INTERVAL, |query| query.interval);
            feeds.push(Feed { query, every, series: vec![series], look_back: Duration::ZERO });
        }
    }

    fn slots(&self, node: &Node, unit: Unit) -> Option<Vec<Slot>> {
        let walk = self.walk;
        let texts: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().collect(),
            Value::Scalar(_) => vec![node],
            Value::Null | Value::Map(_) => {
                walk.wrong_type(node, &node.value, "a text or a list of values");
                return None;
            }
        };
        let mut all = Vec::new();
        for node in texts {
            let text = if node.is_null() { "_" } else { walk.text(node)? };
            match notation::slots(text, unit) {
                Ok(slots) => all.extend(slots),
                Err(bad) => {
                    walk.error(Code::BadQuantity, walk.part(node, bad.start, bad.end), bad.why)
                        .expected(format!("expected {}", unit.example()));
                    return None;
                }
            }
        }
        Some(all)
    }

    /// The queries behind a metric, an alert's name, a rule's id or `health/SERVICE`.
    fn queries(&self, name: &str) -> Vec<(QueryId, Unit)> {
        let mut found: Vec<(QueryId, Unit)> = Vec::new();
        let mut add = |query: &QueryId, unit: Unit| {
            if !found.iter().any(|(known, _)| known == query) {
                found.push((query.clone(), unit));
            }
        };
        for rule in self.rules.rules.values().filter(|rule| *rule.name == *name || rule.id.as_str() == name) {
            add(&rule.query, rule.unit);
        }
        if let Some(policy) = &self.rules.policy {
            for trigger in policy.triggers.iter().filter(|trigger| *trigger.metric == *name) {
                add(&trigger.query, trigger.unit);
            }
            for target in policy.targets.iter().filter(|it| name == format!("health/{}", it.service)) {
                if let Some(query) = &target.health {
                    add(query, Unit::Count);
                }
            }
        }
        found
    }

    fn workload(&self, node: &Node) -> Option<Workload> {
        let walk = self.walk;
        let fields = walk.fields(node, WORKLOAD_KEYS);
        let target = walk.required(&fields, "target", node.span, "target: shop/checkout")?;
        let name = walk.text(target)?;
        let targets = || self.rules.policy.iter().flat_map(|policy| &policy.targets);
        let Some(found) = targets().find(|it| it.id.to_string() == **name) else {
            let known: Vec<String> = targets().map(|it| it.id.to_string()).collect();
            walk.error(Code::BadValue, target.span, format!("there is no target `{name}`"))
                .expected("expected a target of scale_out_strategy, as namespace/name")
                .maybe_help(nearest(name, &known.iter().map(String::as_str).collect::<Vec<_>>()));
            return None;
        };
        let replicas = match fields.get("replicas") {
            Some(node) => walk.whole(node, 0, 100_000)?,
            None => found.min_replicas,
        };
        let mut workload = Workload::new(found.id.clone(), replicas);
        let pair = |key: &str, unit: Unit| self.pair(fields.get(key)?, unit);
        if let Some((request, limit)) = pair("cpu", Unit::Cores) {
            (workload.container.cpu_request, workload.container.cpu_limit) = (Some(request), Some(limit));
        }
        if let Some((request, limit)) = pair("memory", Unit::Bytes) {
            (workload.container.memory_request, workload.container.memory_limit) =
                (Some(request), Some(limit));
        }
        Some(workload)
    }

    /// `500m/1`: request and limit; one amount stands for both.
    fn pair(&self, node: &Node, unit: Unit) -> Option<(f64, f64)> {
        let text = self.walk.text(node)?;
        let (request, limit) = text.split_once('/').unwrap_or((text, text));
        let read = |text: &str| crate::domain::quantity::parse(text.trim(), unit);
        match (read(request), read(limit)) {
            (Ok(request), Ok(limit)) => Some((request, limit)),
            (Err(error), _) | (_, Err(error)) => {
                self.walk
                    .error(Code::BadQuantity, node.span, error.to_string())
                    .expected(format!("expected request/limit, each such as {}", unit.example()));
                None
            }
        }
    }

    fn expect(&self, node: &Node) -> Option<Expect> {
        let walk = self.walk;
        let fields = walk.fields(node, EXPECT_KEYS);
        let at = walk.required(&fields, "at", node.span, "at: 5m").and_then(|node| walk.duration(node));
        // `alerts: []` says that there is none; no `alerts` says nothing.
        let list = |key: &str| fields.get(key).map(|node| walk.list(node));
        let alerts = list("alerts").map(|list| list.iter().filter_map(|it| self.alert(it)).collect());
        let notices = list("notices").map(|list| list.iter().filter_map(|it| self.notice(it)).collect());
        let scaling = list("scaling").map(|list| list.iter().filter_map(|it| self.step(it)).collect());
        if fields.get("alerts").or(fields.get("notices")).or(fields.get("scaling")).is_none() {
            walk.missing(node.span, "alerts", "alerts: []");
        }
        let place = walk.source_of(node.span);
        Some(Expect { at: at?, place, alerts, only: None, notices, scaling })
    }

    fn alert(&self, node: &Node) -> Option<WantedAlert> {
        let walk = self.walk;
        let fields = walk.fields(node, ALERT_KEYS);
        let rule = walk.required(&fields, "rule", node.span, "rule: cpu_usage")?;
        let name = walk.text(rule)?.clone();
        let known = self.rules.rules.values().any(|it| it.name == name || it.id.as_str() == &*name);
        if !known {
            let names: Vec<&str> = self.rules.rules.values().map(|rule| &*rule.name).collect();
            walk.error(Code::UnknownMetric, rule.span, format!("there is no rule `{name}`"))
                .expected("expected a rule's name")
                .maybe_help(nearest(&name, &names));
        }
        let states = [("firing", "firing"), ("pending", "pending")];
        let state = match fields.get("state") {
            Some(node) => walk.word(node, &states)?,
            None => "firing",
        };
        let severities = [("warning", Severity::Warning), ("critical", Severity::Critical)];
        let severity = match fields.get("severity") {
            Some(node) => Some(walk.word(node, &severities)?),
            None => None,
        };
        Some(WantedAlert { rule: name, labels: self.labels(&fields), state, severity, exact: false })
    }

    fn notice(&self, node: &Node) -> Option<WantedNotice> {
        let walk = self.walk;
        let fields = walk.fields(node, NOTICE_KEYS);
        let channel = walk.required(&fields, "channel", node.span, "channel: primary")?;
        let event = walk.required(&fields, "event", node.span, "event: opened")?;
        let words: Vec<(&str, &str)> = EVENTS.iter().map(|word| (*word, *word)).collect();
        let (channel, event) = (self.channel(channel), walk.word(event, &words));
        let says = fields.get("says").and_then(|node| walk.text(node).cloned());
        Some(WantedNotice { channel: channel?, event: event?.into(), says })
    }

    fn channel(&self, node: &Node) -> Option<ChannelName> {
        let name = self.walk.text(node)?;
        let plan = &self.plan.communication;
        let rung = match name.as_ref() {
            "primary" => Some(&plan.primary),
            "secondary" => Some(&plan.secondary),
            "emergency" => Some(&plan.emergency),
            _ => None,
        };
        if let Some(rung) = rung {
            return Some(rung.clone());
        }
        let channel = ChannelName::from(name.clone());
        let is_known = self.plan.channels.contains_key(&channel)
            || [&plan.primary, &plan.secondary, &plan.emergency].contains(&&channel);
        if !is_known {
            let names: Vec<&str> = self.plan.channels.keys().map(ChannelName::as_str).collect();
            self.walk
                .error(Code::UnknownChannel, node.span, format!("there is no channel `{name}`"))
                .expected("expected primary, secondary, emergency or a name of `channels`")
                .maybe_help(nearest(name, &names));
            return None;
        }
        Some(channel)
    }

    fn step(&self, node: &Node) -> Option<WantedStep> {
        let walk = self.walk;
        let fields = walk.fields(node, STEP_KEYS);
        let target = walk.required(&fields, "target", node.span, "target: shop/checkout");
        let to = walk.required(&fields, "to", node.span, "to: 6");
        let (target, to) = (walk.text(target?)?.clone(), walk.text(to?)?.clone());
        Some(WantedStep { target, to })
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn nearest(name: &str, known: &[&str]) -> Option<String> {
    crate::config::suggestion(name, known.iter().copied())
}
