//! The HTML part of a mail: one column that reads the same with images off, with inverted colours, on a phone and in
//! mail programs that draw with a word processor. Owns its markup and its size; says nothing that the text part does
//! not say.

use std::fmt::Write as _;

use crate::domain::caption::caption;
use crate::domain::headline::{shortened, what_and_limit};
use crate::domain::severity::Severity;
use crate::domain::template::Escape;

use super::render::{Message, is_over, tamed};

/// The largest page in bytes: some mail programs clip what is longer.
pub const LARGEST: usize = 20_000;
/// The most bytes that the template's text may take.
const LARGEST_TEXT: usize = 9_000;
/// How many lines a list has, the fuller tried first.
const LINES: [usize; 3] = [10, 4, 0];
/// The longest line of a list, in characters.
const LONGEST_LINE: usize = 200;

const FONT: &str = "font-family:-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif;color:#1b1f24";

/// The page of a message made with [`Escape::Html`], with the picture of this content id where there is one.
pub fn page(message: &Message<'_>, chart: Option<&str>) -> String {
    let mut page = String::new();
    for lines in LINES {
        page = with_lists(message, chart, lines);
        if page.len() < LARGEST {
            break;
        }
    }
    page
}

fn with_lists(message: &Message<'_>, chart: Option<&str>, lines: usize) -> String {
    let notice = message.notice;
    let facts = &notice.facts;
    let headline = Escape::Html.escape(&message.headline);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{headline}</title></head>\n\
         <body bgcolor=\"#ffffff\" style=\"padding:0;background-color:#ffffff\">\n\
         <div style=\"display:none;max-height:0;overflow:hidden\">{preheader}</div>\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         bgcolor=\"#ffffff\"><tr><td align=\"center\" style=\"padding:16px\">\n\
         <table role=\"presentation\" width=\"600\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         style=\"width:100%;max-width:600px\">\n",
        preheader = Escape::Html.escape(&preheader(message)),
    );
    let (word, colour) = severity(message);
    // Said once: most headlines begin with it.
    let word = if message.headline.starts_with(word) {
        String::new()
    } else {
        format!("<strong style=\"color:{colour}\">{word}</strong><br>\n")
    };
    row(
        &mut page,
        &format!("border-left:6px solid {colour};padding:8px 16px;font-size:18px;line-height:26px"),
        &format!("{word}<strong>{headline}</strong>"),
    );
    if let Some(url) = message.incident_url.as_deref() {
        row(&mut page, "padding:16px 16px 0 16px", &button(url));
    }
    let mut text = String::new();
    if notice.digest.is_none() && !message.names_incident() {
        text = format!("{}<br>\n", Escape::Html.escape(facts.incident_id.as_str()));
    }
    text.push_str(&whole_lines(&message.text));
    row(&mut page, "padding:16px;font-size:15px;line-height:22px", &text);
    if let Some(id) = chart {
        row(&mut page, "padding:0 16px 16px 16px", &picture(message, id));
    }
    if !is_over(notice) {
        list(&mut page, "What runbookd did", "&bull;", &message.did(lines), lines);
        list(&mut page, "What runbookd found", "&bull;", &message.found(lines), lines);
        list(&mut page, "Do next", "&#9744;", &message.next_steps(lines), lines);
    }
    let footer = match &notice.digest {
        Some(digest) => digest.name.to_string(),
        None => format!("{} · rev {}", facts.incident_id, notice.revision),
    };
    let footer = Escape::Html.escape(&footer);
    let linked: Vec<String> = message.links().iter().map(|(name, url)| link(url, name)).collect();
    let footer = linked.into_iter().chain([footer]).collect::<Vec<_>>().join(" · ");
    row(&mut page, "padding:16px;font-size:13px;line-height:20px", &footer);
    page.push_str("</table></td></tr></table></body></html>\n");
    page
}

/// What lists and lock screens show after the subject.
fn preheader(message: &Message<'_>) -> String {
    let facts = &message.notice.facts;
    let did = facts.did.as_deref().map(tamed);
    let parts = [Some(what_and_limit(facts)), did, Some(tamed(&message.status()))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    shortened(&parts.join(" · "), LONGEST_LINE)
}

/// The word and its colour; each has at least 5.5:1 on white.
fn severity(message: &Message<'_>) -> (&'static str, &'static str) {
    match message.notice.facts.severity {
        _ if is_over(message.notice) => ("RESOLVED", "#1f6b2f"),
        Severity::Critical => ("CRITICAL", "#a1001a"),
        Severity::Warning => ("WARNING", "#856400"),
    }
}

fn row(page: &mut String, style: &str, content: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "<tr><td style=\"{FONT};{style}\">{content}</td></tr>");
}

fn list(page: &mut String, title: &str, mark: &str, lines: &[String], most: usize) {
    if lines.is_empty() || most == 0 {
        return;
    }
    let mut content = format!("<strong>{title}</strong>");
    for line in lines {
        let _ = write!(content, "<br>\n{mark} {}", Escape::Html.escape(&shortened(line, LONGEST_LINE)));
    }
    row(page, "padding:0 16px 16px 16px;font-size:15px;line-height:22px", &content);
}

/// Twice as many pixels as it takes, sharp on a phone; the sentence stands in where pictures are off.
fn picture(message: &Message<'_>, id: &str) -> String {
    let notice = message.notice;
    format!(
        "<img src=\"cid:{}\" width=\"560\" height=\"240\" border=\"0\" alt=\"{}\" \
         style=\"display:block;width:100%;max-width:560px;height:auto\">",
        Escape::Html.escape(id),
        Escape::Html.escape(&caption(&notice.facts, notice.created_at))
    )
}

fn button(url: &str) -> String {
    format!(
        "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>\
         <td bgcolor=\"#0b57d0\" style=\"padding:10px 20px;font-size:16px\">\
         <a href=\"{}\" style=\"color:#ffffff;text-decoration:none\"><strong>Open incident</strong></a>\
         </td></tr></table>",
        Escape::Html.escape(url)
    )
}

fn link(url: &str, name: &str) -> String {
    let (url, name) = (Escape::Html.escape(url), Escape::Html.escape(name));
    format!("<a href=\"{url}\" style=\"color:#0b57d0\">{name}</a>")
}

/// As many whole lines as there is room for; the rest is counted, and stands in the text part.
fn whole_lines(text: &str) -> String {
    let mut out = String::new();
    let total = text.lines().count();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if out.len() + line.len() > LARGEST_TEXT {
            let _ = write!(out, "&hellip; and {} more lines on the incident's page", total - at);
            break;
        }
        out.push_str(&line.replace('\n', "<br>\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_room_are_counted() {
        assert_eq!(whole_lines("a\nb\n"), "a<br>\nb<br>\n");
        let long = whole_lines(&format!("first\n{}\nlast\n", "x".repeat(LARGEST_TEXT)));
        assert_eq!(long, "first<br>\n&hellip; and 2 more lines on the incident's page");
    }
}
