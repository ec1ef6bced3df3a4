//! The YAML in the documentation: every block loads, and the blocks that show defaults show the defaults.
//!
//! A fence says whose file its block is: ```` ```yaml rules ````, ```` ```yaml config ````, or
//! ```` ```yaml kubernetes ```` for what this program does not read.
#![expect(clippy::expect_used, clippy::panic, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use runbookd::config::{Loaded, Sources, parse};
use runbookd::domain::rule::Rule;

/// What the examples' links lead to: a rule may only reach hosts that config/ allows.
const HOSTS: &str = "allowed_hosts: [\"*.example.org\"]\n";

struct Block {
    /// `docs/rules.md:12`.
    place: String,
    /// The words after `yaml`: `rules defaults`.
    kind: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("the folder docs");
    let mut pages: Vec<_> = docs.map(|entry| entry.expect("an entry").path()).collect();
    pages.extend(["README.md", "ARCHITECTURE.md"].map(|page| root.join(page)));
    pages.retain(|page| page.extension().is_some_and(|kind| kind == "md"));
    pages.sort();
    let mut found = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        let name = page.strip_prefix(root).expect("below the root").display().to_string();
        let mut open: Option<Block> = None;
        for (at, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(fence)) => {
                    let kind = fence.strip_prefix("yaml").unwrap_or("-").trim().to_owned();
                    open = Some(Block { place: format!("{name}:{}", at + 1), kind, text: String::new() });
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
    }
    found.retain(|block| block.kind != "-");
    found
}

fn load(block: &Block) -> Loaded {
    let sources = if block.kind.starts_with("rules") {
        Sources::from_texts(&[("hosts.yaml", HOSTS)], &[("example.yaml", &block.text)])
    } else {
        Sources::from_texts(&[("example.yaml", &block.text)], &[])
    };
    parse(&sources).unwrap_or_else(|diagnostics| {
        panic!("{}: the loader refuses this example, mend it\n\n{diagnostics}", block.place)
    })
}

fn only(kind: &str) -> Block {
    let mut found: Vec<_> = blocks().into_iter().filter(|block| block.kind == kind).collect();
    assert_eq!(found.len(), 1, "one block of the pages is to be marked `yaml {kind}`");
    found.remove(0)
}

#[test]
fn every_yaml_block_loads() {
    let mut loaded = BTreeMap::new();
    for block in blocks() {
        let folder = block.kind.split(' ').next().unwrap_or("");
        match folder {
            "rules" | "config" => drop(load(&block)),
            "kubernetes" => {}
            _ => panic!("{}: mark the block `yaml rules`, `yaml config` or `yaml kubernetes`", block.place),
        }
        *loaded.entry(folder.to_owned()).or_insert(0) += 1;
    }
    assert!(loaded.get("rules") > Some(&5) && loaded.get("config") > Some(&5), "too few blocks: {loaded:?}");
}

#[test]
fn the_defaults_of_the_configuration_are_the_ones_shown() {
    let shown = load(&only("config defaults")).settings;
    let silent = parse(&Sources::from_texts(&[], &[])).expect("nothing is a fine configuration").settings;
    assert_eq!(shown, silent, "docs/configuration.md shows other defaults than the loader takes");
}

#[test]
fn the_defaults_of_a_rule_are_the_ones_shown() {
    let (shown, short) = (load(&only("rules defaults")).rules, load(&only("rules short")).rules);
    // Where a rule stands in its file is not part of what it means.
    let rules = |set: &runbookd::domain::rule::RuleSet| -> Vec<Rule> {
        set.rules.values().map(|rule| Rule { source: "".into(), ..Rule::clone(rule) }).collect()
    };
    assert!(!short.rules.is_empty() && short.policy.is_some(), "the short block has a rule and a strategy");
    assert_eq!(rules(&shown), rules(&short), "docs/rules.md shows other defaults than the loader takes");
    assert_eq!(shown.policy, short.policy, "docs/rules.md shows other defaults than the loader takes");
}
