//! The page: the table in docs/scaling-compared.md and the picture beside it, held against what the code produces.
//! `UPDATE=1` writes both anew.

use std::path::PathBuf;

use crate::plot;
use crate::race;

const BEGIN: &str = "<!-- begin: written by `make compare` -->\n";
const END: &str = "<!-- end -->\n";

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The table, one row a shape and controller.
fn table() -> String {
    let mut text = String::from(
        "| load | scaled by | minutes over 300 ms | minutes over 70 % CPU | replica-hours | changes | most replicas |\n\
         |---|---|--:|--:|--:|--:|--:|\n",
    );
    for (shape, scores) in race::all() {
        for (at, score) in scores.iter().enumerate() {
            let name = if at == 0 { format!("**{}**", shape.name) } else { String::new() };
            text.push_str(&format!(
                "| {name} | {} | {:.1} | {:.1} | {:.1} | {} | {} |\n",
                score.who.name(),
                score.slow_minutes,
                score.hot_minutes,
                score.replica_hours,
                score.changes,
                score.most,
            ));
        }
    }
    text
}

/// The shapes, one line each.
fn shapes() -> String {
    let mut text = String::new();
    for (shape, _) in race::all() {
        text.push_str(&format!("- **{}**: {}.\n", shape.name, shape.story));
    }
    text
}

#[test]
fn the_page_shows_what_the_code_does() {
    let path = docs().join("scaling-compared.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (head, rest) = page.split_once(BEGIN).expect("the page says where the table begins");
    let (_, tail) = rest.split_once(END).expect("the page says where the table ends");
    let made = format!("{}\n{}", shapes(), table());
    let should = format!("{head}{BEGIN}{made}{END}{tail}");
    let picture = docs().join("scaling-compared.svg");
    let drawn = plot::draw(race::all());
    eprintln!("{made}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, should).expect("a file of this repository");
        std::fs::write(&picture, drawn).expect("a file of this repository");
        return;
    }
    assert_eq!(page, should, "docs/scaling-compared.md shows other numbers: `make compare` writes it anew");
    let is = std::fs::read_to_string(&picture).unwrap_or_default();
    assert!(is == drawn, "docs/scaling-compared.svg shows another run: `make compare` draws it anew");
}
