//! Who imports whom. Owns the table of allowed edges between the folders of `src/`, and the homes of the outside
//! libraries.

use regex::Regex;

use crate::tree::{none, rust_files};

/// What each folder may name beside itself. A longer path allows only what is below it.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("engine", &["domain"]),
    ("chart", &["domain"]),
    ("config", &["domain"]),
    ("store", &["domain", "config::settings"]),
    ("prometheus", &["domain", "config::settings", "config::secret"]),
    ("notify", &["domain", "config::settings", "config::secret"]),
    ("kubernetes", &["domain"]),
    ("probe", &[]),
    ("rehearsal", &["domain", "engine"]),
    ("replay", &["domain", "engine", "prometheus", "rehearsal"]),
    ("rule_test", &["domain", "engine", "config", "daemon::running", "rehearsal"]),
    ("telemetry", &["domain", "engine::report"]),
    ("core", &["domain", "engine", "store", "telemetry"]),
    ("api", &["domain", "engine", "core", "telemetry", "chart", "config::status"]),
    (
        "daemon",
        &[
            "domain",
            "engine",
            "config",
            "store",
            "prometheus",
            "notify",
            "kubernetes",
            "probe",
            "telemetry",
            "core",
            "api",
            "chart",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "engine",
            "config",
            "store",
            "prometheus",
            "notify",
            "kubernetes",
            "telemetry",
            "core",
            "api",
            "daemon",
            "chart",
            "probe",
            "rehearsal",
            "replay",
            "rule_test",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// Outside libraries that belong to one concern, and the folders of that concern.
const HOMES: &[(&str, &[&str])] = &[
    ("annotate_snippets", &["config"]),
    ("anyhow", &["daemon", "cli"]),
    ("axum", &["api", "daemon"]),
    ("clap", &["cli", "telemetry"]),
    ("k8s_openapi", &["kubernetes"]),
    ("indicatif", &["cli"]),
    ("kube", &["kubernetes"]),
    ("lettre", &["notify"]),
    ("minijinja", &["domain", "api"]),
    ("png", &["chart"]),
    ("prometheus_client", &["telemetry"]),
    ("prometheus_http_query", &["prometheus"]),
    ("promql_parser", &["config"]),
    ("reqwest", &["cli", "config", "kubernetes", "notify", "probe", "prometheus"]),
    ("ring", &["api", "notify"]),
    ("rusqlite", &["store"]),
    ("serde_yaml", &["config"]),
    ("tiny_skia", &["chart"]),
    ("tower_http", &["api"]),
    ("ttf_parser", &["chart"]),
];

fn allowed(module: &str) -> Option<&'static [&'static str]> {
    MAY_NAME.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed)
}

fn is_within(path: &str, allowed: &str) -> bool {
    path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn each_folder_imports_only_what_it_may() {
    let named = Regex::new(r"\bcrate::([a-z_]+(?:::[a-z_]+)*)").unwrap();
    let mut findings = Vec::new();
    for file in rust_files("src") {
        let module = file.module();
        let Some(allowed) = allowed(module) else {
            findings.push(format!("{}: the folder `{module}` is not in the table of this test", file.path));
            continue;
        };
        for line in file.code() {
            for path in named.captures_iter(line.text).map(|found| found.get(1).unwrap().as_str()) {
                let own = is_within(path, module);
                if !own && !allowed.iter().any(|allowed| is_within(path, allowed)) {
                    findings.push(format!("{}: `{module}` names `crate::{path}`", line.place));
                }
            }
        }
    }
    none(
        &findings,
        "Only `daemon` and `cli` see everything. Move what both sides need into `domain`, or let `daemon` hand it \
         over. An edge that should exist is added to MAY_NAME in tests/architecture/imports.rs and drawn in \
         ARCHITECTURE.md, with the reason in the commit.",
    );
}

#[test]
fn nothing_climbs_to_the_crate_by_super() {
    let climbs = Regex::new(r"\b((?:super::)+)").unwrap();
    let mut findings = Vec::new();
    for file in rust_files("src") {
        // How deep the file's module lies: `src/engine/mod.rs` is `crate::engine`, one below the crate.
        let depth = file.path.trim_end_matches("mod.rs").trim_end_matches('/').matches('/').count();
        for line in file.code_outside_tests() {
            let deepest =
                climbs.captures_iter(line.text).map(|found| found[1].matches("super").count()).max();
            if deepest.is_some_and(|climbed| climbed >= depth.max(1)) {
                findings.push(format!("{}: {}", line.place, line.text));
            }
        }
    }
    none(&findings, "Name another folder as `crate::…`, so that the table of imports sees it.");
}

#[test]
fn each_outside_library_stays_at_home() {
    let mut findings = Vec::new();
    for (library, homes) in HOMES {
        let named = Regex::new(&format!(r"(?:^|[^:\w]){library}::")).unwrap();
        let mut used = false;
        for file in rust_files("src") {
            for line in file.code().filter(|line| named.is_match(line.text)) {
                used = true;
                if !homes.contains(&file.module()) {
                    findings.push(format!("{}: `{}` names {library}", line.place, file.module()));
                }
            }
        }
        assert!(
            used,
            "nothing names {library} any more: take it out of HOMES in tests/architecture/imports.rs"
        );
    }
    none(
        &findings,
        "A library that speaks to one kind of outside stays in the folder that owns it, so that it can be replaced \
         there. Use what that folder offers, or add the new home to HOMES in tests/architecture/imports.rs.",
    );
}
