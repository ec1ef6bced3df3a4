//! Rubbish in, diagnostics out: whatever a file holds, loading answers, and every place it names lies in the file.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use runbookd::config::source::{Folder, SourceFile};
use runbookd::config::{Sources, load, parse};

/// The texts that are mutilated: the shipped files and the collected mistakes.
static TEXTS: LazyLock<Vec<(Folder, String)>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = Sources::read(&root.join("config"), &root.join("rules"));
    let mut texts: Vec<(Folder, String)> =
        shipped.files.into_iter().map(|file| (file.folder, file.text)).collect();
    let mistakes = Sources::read(&root.join("tests/invalid"), &root.join("tests/invalid"));
    texts.extend(mistakes.files.into_iter().map(|file| (file.folder, file.text)));
    texts
});

/// One mutilation; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Cut {
    Flip(usize, u8),
    DeleteLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
    Splice(usize, usize),
    Insert(usize, &'static str),
    Truncate(usize),
}

const SCRAPS: [&str; 20] = [
    "{", "}", "[", "]", ":", "- ", "\n", "\t", "&a ", "*a", "<<: ", "? ", "|\n", "\"", "%", "-1", "é", "{{",
    "!!int ", "~",
];

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Cut::Flip(at, byte)),
        any::<usize>().prop_map(Cut::DeleteLine),
        any::<usize>().prop_map(Cut::RepeatLine),
        (any::<usize>(), any::<usize>()).prop_map(|(one, two)| Cut::SwapLines(one, two)),
        (any::<usize>(), any::<usize>()).prop_map(|(other, at)| Cut::Splice(other, at)),
        (any::<usize>(), 0..SCRAPS.len()).prop_map(|(at, scrap)| Cut::Insert(at, SCRAPS[scrap])),
        any::<usize>().prop_map(Cut::Truncate),
    ]
}

fn apply(text: &str, cut: &Cut) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.is_empty() {
        return SCRAPS[0].to_owned();
    }
    let boundary = |at: usize| {
        let mut at = at % (text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    match cut {
        Cut::Flip(at, byte) => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= byte;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Cut::DeleteLine(at) => drop(lines.remove(at % lines.len())),
        Cut::RepeatLine(at) => {
            let at = at % lines.len();
            lines.insert(at, lines[at]);
        }
        Cut::SwapLines(one, two) => {
            let count = lines.len();
            lines.swap(one % count, two % count);
        }
        Cut::Splice(other, at) => {
            let (_, other) = &TEXTS[other % TEXTS.len()];
            let at = at % lines.len();
            lines.splice(at..at, other.split_inclusive('\n').skip(at % 7).take(12));
        }
        Cut::Insert(at, scrap) => {
            let (head, tail) = text.split_at(boundary(*at));
            return format!("{head}{scrap}{tail}");
        }
        Cut::Truncate(at) => return text[..boundary(*at)].to_owned(),
    }
    lines.concat()
}

fn check(folder: Folder, text: String) {
    let file = SourceFile::new(folder, "some/file.yaml", "file.yaml", text);
    let sources = Sources { files: vec![file.clone()], unread: Vec::new() };
    let diagnostics = match parse(&sources) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    for one in diagnostics.iter() {
        for place in one.place.iter().chain(&one.other) {
            assert!((1..=file.line_count()).contains(&place.line), "{one:?}");
            let columns = file.line(place.line).chars().count();
            assert!(place.column >= 1 && place.width >= 1, "{one:?}");
            assert!(place.column + place.width <= columns + 2, "{one:?} in {columns} columns");
        }
    }
    assert!(diagnostics.to_string().ends_with(" in 1 file\n"));
}

/// `PROPTEST_CASES` asks for a longer search.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutilated_files_never_panic_and_places_lie_inside(
        which in any::<usize>(),
        cuts in prop::collection::vec(cut(), 1..5),
    ) {
        let (folder, text) = &TEXTS[which % TEXTS.len()];
        let text = cuts.iter().fold(text.clone(), |text, cut| apply(&text, cut));
        check(*folder, text);
    }
}

#[test]
fn odd_files_are_answered() {
    let deep = "[".repeat(100_000);
    let nested =
        format!("metrics:\n  a: {{query: '{}1{}', unit: count}}\n", "(".repeat(30_000), ")".repeat(30_000));
    let chain = format!("metrics:\n  a: {{query: '1{}', unit: count}}\n", "+1".repeat(30_000));
    let signs = format!("metrics:\n  a: {{query: '{}1', unit: count}}\n", "-".repeat(60_000));
    let odd = [
        "",
        "\n",
        "~",
        "---\n",
        "# only a comment\n",
        "\u{feff}",
        "a",
        "[]",
        "{}",
        "\0",
        "%YAML 9.9\n---\n",
        "? \n",
        ": \n",
    ];
    for text in odd.into_iter().map(str::to_owned).chain([deep, nested, chain, signs]) {
        check(Folder::Rules, text.clone());
        check(Folder::Config, text);
    }
}

#[test]
fn ten_thousand_rules_in_one_file_load() {
    let mut text = String::from("groups:\n  - name: many\n    rules:\n");
    for number in 0..10_000 {
        let rule = r#"      - alert: RuleNUMBER
        expr: load{shard="NUMBER"} > 0.9
        for: 5m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.instance }} is at {{ $value }}"}
"#;
        text.push_str(&rule.replace("NUMBER", &number.to_string()));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("many.yaml");
    fs::write(&rules, text).expect("a file");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let loaded = load(&config, &rules).unwrap_or_else(|diagnostics| panic!("{}", diagnostics.counts()));
    assert_eq!(loaded.rules.rules.len(), 10_000);
    assert_eq!(loaded.rules.queries.len(), 10_000);
}
