//! One small file for each mistake in `tests/invalid`, named after it, and beside it the exact answer.
//!
//! A first line `# config` puts a file into config/ instead of rules/, `# warning` says that it loads all the same; a
//! mistake that needs several files is a folder with `config/` and `rules/`. `UPDATE=1` writes the answers anew.

use std::fs;
use std::path::{Path, PathBuf};

use runbookd::config::source::{Folder, SourceFile};
use runbookd::config::{Diagnostics, Sources, parse};

const CHANNELS: &str = r#"channels:
  "slack-#incidents": {slack: {webhook_url_env: SLACK_WEBHOOK_URL}}
  email: {email: {smtp_url: "smtps://mail.example.org", from: runbookd@example.org, to: [oncall@example.org]}}
  pagerduty: {pagerduty: {routing_key_env: PAGERDUTY_KEY}}
"#;

struct Case {
    sources: Sources,
    is_warning: bool,
}

fn add(sources: &mut Sources, folder: Folder, name: &str, text: &str) {
    let path = format!("{}/{name}", folder.as_str());
    sources.files.push(SourceFile::new(folder, &path, name, text.to_owned()));
}

/// A single file beside a catalogue and channels, so that its answer speaks of its own mistake only.
fn one_file(path: &Path) -> Case {
    let text = fs::read_to_string(path).expect("a readable case");
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let head = text.lines().next().filter(|line| line.starts_with('#')).unwrap_or("").to_owned();
    let in_config = head.contains("config");
    let mut sources = Sources::default();
    if !in_config || !text.contains("\nchannels:") {
        add(&mut sources, Folder::Config, "channels.yaml", CHANNELS);
    }
    add(&mut sources, if in_config { Folder::Config } else { Folder::Rules }, &name, &text);
    if !in_config && !text.contains("metrics:\n  jobs") && !text.contains("metrics:\n  errors") {
        add(&mut sources, Folder::Rules, "catalogue.yaml", include_str!("../../rules/catalogue.yaml"));
    }
    Case { sources, is_warning: head.contains("warning") }
}

fn several_files(path: &Path) -> Case {
    let mut sources = Sources::default();
    let mut is_warning = false;
    for folder in [Folder::Config, Folder::Rules] {
        let Ok(entries) = fs::read_dir(path.join(folder.as_str())) else {
            if folder == Folder::Config {
                add(&mut sources, folder, "channels.yaml", CHANNELS);
            }
            continue;
        };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).expect("a readable case");
            is_warning |= text.starts_with("# warning");
            add(&mut sources, folder, &file.file_name().expect("a name").to_string_lossy(), &text);
        }
    }
    Case { sources, is_warning }
}

fn answer(sources: &Sources) -> (bool, Diagnostics) {
    match parse(sources) {
        Ok(loaded) => (true, loaded.warnings),
        Err(diagnostics) => (false, diagnostics),
    }
}

#[test]
fn every_mistake_is_answered_word_for_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&root).expect("the cases").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() >= 40, "only {} cases", paths.len());
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let case = if path.is_dir() { several_files(&path) } else { one_file(&path) };
        let (loads, diagnostics) = answer(&case.sources);
        assert!(!diagnostics.is_empty(), "{} is no mistake", path.display());
        assert_eq!(loads, case.is_warning, "{}\n{diagnostics}", path.display());
        let golden = path.with_extension("golden");
        let rendered = diagnostics.to_string();
        if update {
            fs::write(&golden, &rendered).expect("a golden file written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != rendered {
            wrong.push(format!("{}:\n{rendered}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 rewrites what differs:\n{}", wrong.join("\n"));
}

#[test]
fn one_run_finds_everything() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid");
    let (_, diagnostics) = answer(&one_file(&root.join("five_at_once.yaml")).sources);
    let found: Vec<_> =
        diagnostics.iter().filter_map(|one| Some((one.place.as_ref()?.line, one.code.as_str()))).collect();
    assert_eq!(
        found,
        [
            (4, "unknown-metric"),
            (5, "unit-mismatch"),
            (6, "impossible-threshold"),
            (8, "unknown-key"),
            (9, "bad-quantity"),
        ]
    );
}
