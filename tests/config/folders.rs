//! Folders as they are mounted, and `runbookd check` over them.

use std::fs;
use std::path::Path;

use runbookd::cli::FolderArgs;
use runbookd::cli::check::{CheckArgs, Output, run};
use runbookd::config::{Sources, load};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn names(sources: &Sources) -> Vec<&str> {
    sources.files.iter().map(|file| file.short.as_str()).collect()
}

#[test]
fn only_rule_files_are_read_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path();
    for name in [
        "b.yml",
        "a.yaml",
        "team/c.yaml",
        "kustomization.yaml",
        "a.test.yaml",
        "notes.md",
        ".git/d.yaml",
        ".e.yaml",
    ] {
        write(rules, name, "metrics: {}\n");
    }
    let sources = Sources::read(Path::new("/dev/null/none"), rules);
    assert_eq!(names(&sources), ["a.yaml", "b.yml", "team/c.yaml"]);
    assert_eq!(sources.unread.len(), 1);
    let before = sources.fingerprint();
    assert_eq!(Sources::read(Path::new("/dev/null/none"), rules).fingerprint(), before);
    write(rules, "b.yml", "metrics: {jobs: {query: up, unit: count}}\n");
    assert_ne!(Sources::read(Path::new("/dev/null/none"), rules).fingerprint(), before);
}

#[cfg(unix)]
#[test]
fn a_mounted_config_map_is_read_through_its_links_and_no_link_leads_out() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().expect("a folder");
    let (outside, rules) = (folder.path().join("outside.yaml"), folder.path().join("rules"));
    write(folder.path(), "outside.yaml", "root:x:0:0\n");
    write(&rules, "..2026_11_23/jobs.yaml", "metrics: {jobs: {query: up, unit: count}}\n");
    symlink("..2026_11_23", rules.join("..data")).expect("a link");
    symlink("..data/jobs.yaml", rules.join("jobs.yaml")).expect("a link");
    symlink(&outside, rules.join("passwd.yaml")).expect("a link");
    symlink("nowhere.yaml", rules.join("gone.yaml")).expect("a link");
    let sources = Sources::read(&rules, &rules);
    assert_eq!(names(&sources), ["jobs.yaml", "jobs.yaml"]);
    assert!(sources.unread[0].reason.contains("leads out") || sources.unread[1].reason.contains("leads out"));
    let config = folder.path().join("config");
    fs::create_dir(&config).expect("a folder");
    let refused = load(&config, &rules).expect_err("links that lead out").to_string();
    assert!(refused.contains("passwd.yaml") && !refused.contains("root:x"), "{refused}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules");
    write(&rules, "huge.yaml", &"#".repeat(9 * 1024 * 1024));
    fs::create_dir_all(rules.join("folder.yaml")).expect("a folder");
    fs::write(rules.join("latin.yaml"), b"a: \xe9\n").expect("a file");
    let refused = load(&folder.path().join("none"), &rules).expect_err("nothing readable").to_string();
    for part in [
        "none: No such file",
        "huge.yaml: it has 9437184 bytes",
        "latin.yaml: it is not UTF-8, first at byte 3",
    ] {
        assert!(refused.contains(part), "{part} is not in\n{refused}");
    }
}

fn check(config: &Path, rules: &Path, output: Output) -> (u8, String) {
    let folders = FolderArgs { config: config.into(), rules: rules.into() };
    let args = CheckArgs { folders, output, colour: false };
    let mut out = Vec::new();
    let code = run(&args, &mut out);
    (code, String::from_utf8(out).expect("UTF-8"))
}

#[test]
fn check_prints_what_is_loaded_or_what_is_wrong() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (config, rules) = (root.join("config"), root.join("rules"));
    let (code, text) = check(&config, &rules, Output::Human);
    assert_eq!(code, 0, "{text}");
    let cells = |rule: &str| {
        let row = text.lines().find(|line| line.starts_with(rule)).unwrap_or_default();
        row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let cpu = cells("monitoring/system/cpu_usage");
    assert_eq!(cpu[1..5], ["> 70 %", "> 90 %", "0s", "service_outage"]);
    assert!(cpu[5].starts_with("monitoring.yaml:"), "{cpu:?}");
    assert_eq!(cells("capacity/platform")[1..4], ["< 30 days", "< 7 days", "10m"]);
    assert_eq!(cells("backup/full_backup/age")[1..3], ["> 30 h", "> 2.25 days"]);
    assert!(text.contains("25 rules, 30 queries") && text.contains("email (email)"), "{text}");
    let (code, text) = check(&config, &root.join("tests/invalid/equal_thresholds.yaml"), Output::Human);
    assert_eq!(code, 1);
    assert!(text.contains("error[impossible-threshold]"), "{text}");
}

#[test]
fn check_answers_programs_in_json() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (config, rules) = (root.join("config"), root.join("rules"));
    let answer = |rules: &Path| -> (u8, serde_json::Value) {
        let (code, text) = check(&config, rules, Output::Json);
        (code, serde_json::from_str(&text).expect("JSON"))
    };
    let (code, fine) = answer(&rules);
    assert_eq!(
        (code, fine["ok"].as_bool(), fine["rules"].as_array().map(Vec::len)),
        (0, Some(true), Some(25))
    );
    let (code, refused) = answer(&root.join("tests/invalid/unknown_key.yaml"));
    assert_eq!((code, refused["ok"].as_bool()), (1, Some(false)));
    let list = refused["diagnostics"].as_array().expect("a list");
    let one = list.iter().find(|one| one["code"] == "unknown-key").expect("the mistake");
    assert_eq!(
        (one["severity"].as_str(), one["line"].as_u64(), one["column"].as_u64()),
        (Some("error"), Some(6), Some(11))
    );
    assert_eq!(one["help"].as_str(), Some("did you mean `critical`?"));
    assert!(one["file"].as_str().is_some_and(|file| file.ends_with("unknown_key.yaml")));
}
