//! The pages: what they name is there, and what is there they name. Owns the comparison of the reference pages with
//! the program; the YAML in them is loaded by `tests/docs.rs`.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use runbookd::telemetry::metrics::{
    AlertLabels, CallbackLabels, ChannelLabels, DiagnosisLabels, FindingLabels, Metrics, ModelLabels,
    NoticeLabels, OutcomeLabels, ReasonLabels, ResourceLabels, ScalingLabels, StateLabels,
};

use crate::tree::{files, none, root, rust_files, text};

/// Metrics by name, with their labels.
type Names = BTreeMap<String, BTreeSet<String>>;

/// Every metric with one series each: a family without series is not exported.
fn exported() -> Names {
    let metrics = Metrics::default();
    let outcome = OutcomeLabels { outcome: "answered" };
    let channel = || "email".to_owned();
    metrics.rule_evaluations.get_or_create(&outcome).inc();
    metrics.queries.get_or_create(&outcome).inc();
    metrics.alerts.get_or_create(&AlertLabels { state: "firing", severity: "critical" }).set(1);
    metrics.incidents.get_or_create(&StateLabels { state: "open" }).set(1);
    metrics
        .notices
        .get_or_create(&NoticeLabels { channel: channel(), outcome: "accepted", reason: "" })
        .inc();
    metrics.callbacks.get_or_create(&CallbackLabels { source: "slack", outcome: "taken" }).inc();
    metrics.notice_delay.get_or_create(&ChannelLabels { channel: channel() }).observe(0.1);
    let scaling = ScalingLabels { axis: "horizontal", outcome: "planned", reason: "" };
    metrics.scaling_actions.get_or_create(&scaling).inc();
    metrics.incidents_held.get_or_create(&ReasonLabels { reason: "silenced" }).inc();
    metrics.scaling_held.get_or_create(&ReasonLabels { reason: "cooldown" }).inc();
    metrics.diagnosis_steps.get_or_create(&DiagnosisLabels { kind: "query", outcome: "found" }).inc();
    metrics.reloads.get_or_create(&OutcomeLabels { outcome: "taken" }).inc();
    metrics.store_commits.get_or_create(&OutcomeLabels { outcome: "committed" }).inc();
    metrics.store_findings.get_or_create(&FindingLabels { finding: "lost_tail" }).inc();
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    let (model, resource) = (|| "platform".to_owned(), "cpu".to_owned());
    metrics.capacity_tenants.get_or_create(&ModelLabels { model: model() }).set(1.0);
    metrics.capacity_forecast_error.get_or_create(&ModelLabels { model: model() }).set(0.1);
    let of_resource = ResourceLabels { model: model(), resource };
    metrics.capacity_headroom.get_or_create(&of_resource).set(1.0);
    metrics.capacity_runs_out.get_or_create(&of_resource).set(1.0);
    let mut names = Names::new();
    let encoded = metrics.encode().expect("metrics encode");
    for line in encoded.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).expect("a sample has a value");
        let (name, rest) = line.split_at(end);
        let name =
            ["_bucket", "_sum", "_count"].iter().find_map(|tail| name.strip_suffix(tail)).unwrap_or(name);
        let labels = label.captures_iter(rest).map(|found| found[1].to_owned()).filter(|label| label != "le");
        names.entry(name.to_owned()).or_default().extend(labels);
    }
    names
}

/// The metrics that docs/metrics.md lists, one a row.
fn documented() -> Names {
    let row = Regex::new(r"(?m)^\| `(runbookd_[a-z_]+)(?:\{([a-z_, ]+)\})?`").unwrap();
    let page = text("docs/metrics.md");
    let labels = |list: &str| list.split(',').map(|label| label.trim().to_owned()).collect();
    row.captures_iter(&page)
        .map(|found| {
            (found[1].to_owned(), found.get(2).map(|list| labels(list.as_str())).unwrap_or_default())
        })
        .collect()
}

/// How many keys each reference page has at least to name.
const FEWEST_KEYS: usize = 25;

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_exported() {
    let (exported, documented) = (exported(), documented());
    let registered = Regex::new(r#"\bregister(?:_with_unit)?\(\s*"([a-z_]+)""#).unwrap();
    let source = text("src/telemetry/metrics.rs");
    for found in registered.captures_iter(&source) {
        let name = format!("runbookd_{}", &found[1]);
        let is_there = exported.keys().any(|known| known.starts_with(&name));
        assert!(is_there, "{name} is registered and has no series: touch it in tests/architecture/pages.rs");
    }
    let mut findings = Vec::new();
    for (name, labels) in &exported {
        match documented.get(name) {
            None => findings.push(format!("{name} is exported and not documented")),
            Some(known) if known != labels => {
                findings.push(format!("{name} has the labels {labels:?}, documented are {known:?}"));
            }
            Some(_) => {}
        }
    }
    let gone = documented.keys().filter(|name| !exported.contains_key(*name));
    findings.extend(gone.map(|name| format!("{name} is documented and not exported")));
    none(&findings, "Bring docs/metrics.md in line: one row a metric, `name{labels}` in the first cell.");
}

#[test]
fn every_key_of_the_files_is_documented() {
    let block = Regex::new(r#"block\("([a-z_]+)", Folder::(Config|Rules)"#).unwrap();
    let list = Regex::new(r#"&\[\s*((?:"[a-z_]+"\s*,?\s*)+)\]"#).unwrap();
    let word = Regex::new(r#""([a-z_]+)""#).unwrap();
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for found in block.captures_iter(&text("src/config/merge.rs")) {
        let page = if &found[2] == "Config" { "docs/configuration.md" } else { "docs/rules.md" };
        wanted.entry(page).or_default().insert(found[1].to_owned());
    }
    for file in rust_files("src/config") {
        let page = match file.path.split('/').nth(2) {
            Some("operator") => "docs/configuration.md",
            Some("rules") => "docs/rules.md",
            _ => continue,
        };
        for found in list.captures_iter(&file.text) {
            let words = word.captures_iter(&found[1]).map(|word| word[1].to_owned());
            wanted.entry(page).or_default().extend(words.collect::<Vec<_>>());
        }
    }
    let mut findings = Vec::new();
    for (page, keys) in wanted {
        assert!(
            keys.len() > FEWEST_KEYS,
            "only {} keys found for {page}: the test no longer reads the loader",
            keys.len()
        );
        let text = text(page);
        // A key is documented where it stands in code: `key`, `a.key`, or as a key of an example.
        let is_named = |key: &str| {
            let written =
                Regex::new(&format!(r"(?m)`(?:\w+\.)*{key}(?::[^`]*)?`|(?:^[ -]*|[{{,] ?){key}:")).unwrap();
            written.is_match(&text)
        };
        findings.extend(keys.iter().filter(|key| !is_named(key)).map(|key| format!("{page}: `{key}`")));
    }
    none(&findings, "The loader reads these keys: add each with its unit, default and an example.");
}

#[test]
fn what_the_pages_link_to_is_there() {
    let link = Regex::new(r"\]\(([^)#\s]+)(?:#[^)]*)?\)").unwrap();
    let pages =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"].map(str::to_owned).into_iter();
    let mut findings = Vec::new();
    for page in pages.chain(files("docs", "md")) {
        let folder = root().join(&page).parent().expect("a folder").to_owned();
        for found in link.captures_iter(&text(&page)) {
            let target = &found[1];
            if !target.contains("://") && !target.starts_with("mailto:") && !folder.join(target).exists() {
                findings.push(format!("{page}: {target}"));
            }
        }
    }
    none(&findings, "Mend the link, or write the page.");
}

#[test]
fn what_the_architecture_names_is_there() {
    let page = text("ARCHITECTURE.md");
    let quoted = Regex::new(r"`([^`\s]+)`").unwrap();
    let test = Regex::new(r"^[a-z0-9]+(?:_[a-z0-9]+){3,}$").unwrap();
    let code: String = ["src", "tests"].into_iter().flat_map(rust_files).map(|file| file.text).collect();
    let mut named = 0;
    let mut findings = Vec::new();
    for word in quoted.captures_iter(&page).map(|found| found[1].to_owned()) {
        let is_path = ["src/", "tests/", "docs/", "config/", "rules/", "deploy/", "benches/"]
            .iter()
            .any(|head| word.starts_with(head));
        if is_path {
            named += 1;
            if !word.contains('*')
                && !root().join(&word).exists()
                && !root().join(format!("{word}.rs")).exists()
            {
                findings.push(format!("no such path: {word}"));
            }
        } else if test.is_match(&word) {
            named += 1;
            if !code.contains(&format!("fn {word}(")) {
                findings.push(format!("no such test: {word}"));
            }
        }
    }
    assert!(named > 40, "only {named} paths and tests found: the test no longer reads the page");
    none(&findings, "ARCHITECTURE.md is true of today's tree: rename it there, or bring back what it names.");
}
