//! `runbookd test`: each file of `tests/cli/tests` with what is said about it.

use std::fmt::Write as _;

use regex::Regex;

use crate::binary::{golden, root, run};

/// What a run wrote, without how long it took.
fn said(args: &[&str]) -> String {
    let ran = run(args);
    let took = Regex::new(r"· [0-9.]+ s").unwrap();
    let mut text = took.replace_all(&ran.out, "· 0.0 s").into_owned();
    if !ran.err.is_empty() {
        write!(text, "stderr: {}", ran.err).unwrap();
    }
    writeln!(text, "exit {}", ran.code).unwrap();
    text
}

#[test]
fn every_file_is_answered_word_for_word() {
    let mut files: Vec<String> = std::fs::read_dir(root().join("tests/cli/tests"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".test.yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let found = said(&["test", &format!("tests/cli/tests/{file}")]);
        golden(&format!("tests/{}", file.replace(".test.yaml", ".golden")), &found);
    }
}

#[test]
fn programs_get_json_and_ci_gets_junit() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.xml");
    let args = ["test", "tests/cli/tests/fails.test.yaml", "--output", "json", "--junit"];
    let ran = run(&[&args[..], &[report.to_str().unwrap()]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    golden("tests/fails.json", &ran.out);
    golden("tests/fails.xml", &std::fs::read_to_string(report).unwrap());
}

#[test]
fn without_a_test_the_usage_was_wrong() {
    let ran = run(&["test", "deploy"]);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.err, "there is no test: no file below deploy ends in .test.yaml\n");
    assert_eq!(run(&["test", "--no-such-flag"]).code, 2);
}
