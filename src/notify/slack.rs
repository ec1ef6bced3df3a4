//! Slack by incoming webhook: a message in Block Kit that is complete without a click. Owns its looks and limits and
//! the reading of the webhook's answers; cannot edit, thread or be clicked, which takes a bot (`slack_bot`).

use serde_json::{Value, json};

use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::headline::shortened;
use crate::domain::notice::NoticeEvent;
use crate::domain::severity::Severity;
use crate::domain::template::Escape;

use super::render::{Message, is_over, tamed};
use super::status::Answer;

/// The longest text of one section; Slack refuses 3000 (Block Kit reference).
const LONGEST_SECTION: usize = 2_800;
/// The most sections the template may fill: with the other blocks all stay below the total that Slack refuses
/// without documenting it, about 13,200 characters.
const MOST_SECTIONS: usize = 2;
/// How many steps and actions a first message shows.
const MOST_LINES: usize = 8;
/// How many findings a message shows.
const MOST_FOUND: usize = 5;
/// The longest line among them, before it is escaped.
const LONGEST_LINE: usize = 120;
/// The longest link in the footer, in bytes; Slack refuses 3000 characters of text there.
const LONGEST_FOOTER_LINK: usize = 1_000;

/// The body of an incoming webhook. The message is made with [`Escape::Mrkdwn`].
pub fn body(message: &Message<'_>) -> Value {
    let escaped = |text: &str| Escape::Mrkdwn.escape(text);
    let facts = &message.notice.facts;
    let number = escaped(facts.incident_id.as_str());
    let mut head = format!("{} *{}*", sign(message), escaped(&message.headline));
    if !message.names_incident() {
        head = format!("{head}\n{number}");
    }
    let mut blocks = vec![section(&head)];
    blocks.extend(sections(&message.text, MOST_SECTIONS).iter().map(|text| section(text)));
    if message.notice.event.is_initial() {
        blocks.extend(sections(&opening(message), MOST_SECTIONS).first().map(|text| section(text)));
    }
    if !is_over(message.notice) {
        blocks.extend(sections(&found(message), MOST_SECTIONS).first().map(|text| section(text)));
    }
    if let Some(url) = message.incident_url.as_deref() {
        blocks.push(json!({
            "type": "actions",
            "elements": [{
                "type": "button",
                "action_id": "open_incident",
                "text": {"type": "plain_text", "text": "Open incident"},
                "url": url,
            }],
        }));
    }
    json!({
        "text": escaped(&message.headline),
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
        "attachments": attachments(message),
    })
}

/// What a webhook's answer means. It speaks in plain text: `ok`, or the name of an error.
pub fn judge(answer: &Answer) -> Attempt {
    let said = answer.body.trim();
    let limited = said.contains("rate_limited") || said.contains("ratelimited");
    match answer.status.as_u16() {
        _ if limited => answer.failed(DeliveryReason::RateLimited),
        200 if said == "ok" => Attempt::ACCEPTED,
        200..=299 => answer.refused(DeliveryReason::Rejected),
        400 | 403 if matches!(said, "no_service" | "no_team" | "team_disabled" | "channel_not_found") => {
            answer.refused(DeliveryReason::NotFound)
        }
        _ => answer.attempt(),
    }
}

/// What the first message says beside the template: later ones have it in the template.
fn opening(message: &Message<'_>) -> String {
    let line =
        |mark: &str, text: &str| format!("{mark} {}", Escape::Mrkdwn.escape(&shortened(text, LONGEST_LINE)));
    let mut lines = vec![format!("*Status:* {}", Escape::Mrkdwn.escape(&tamed(&message.status())))];
    let did = message.did(MOST_LINES);
    if !did.is_empty() {
        lines.push("*What runbookd did*".to_owned());
        lines.extend(did.iter().map(|text| line("•", text)));
    }
    let next = message.next_steps(MOST_LINES);
    if !next.is_empty() {
        lines.push("*Do next*".to_owned());
        lines.extend(next.iter().map(|text| line("☐", text)));
    }
    lines.join("\n")
}

/// What the diagnosis found, in every message until it is over: whoever opens the channel late reads the last one.
fn found(message: &Message<'_>) -> String {
    let found = message.found(MOST_FOUND);
    let lines =
        found.iter().map(|text| format!("\n• {}", Escape::Mrkdwn.escape(&shortened(text, LONGEST_LINE))));
    if found.is_empty() {
        String::new()
    } else {
        format!("*What runbookd found*{}", lines.collect::<String>())
    }
}

/// The colour and the footer. Slack may fold attachments away, so this one holds nothing that anybody has to read.
pub(super) fn attachments(message: &Message<'_>) -> Value {
    let number = Escape::Mrkdwn.escape(message.notice.facts.incident_id.as_str());
    json!([{
        "color": colour(message),
        "blocks": [{
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": footer(message, &number)}],
        }],
    }])
}

/// The shape that goes with the word; people who see no colours see it too.
pub(super) fn sign(message: &Message<'_>) -> &'static str {
    match (&message.notice.event, message.notice.facts.severity) {
        _ if is_over(message.notice) => "✅",
        (NoticeEvent::NotScaled, _) => "⏸",
        (_, Severity::Critical) => "🛑",
        (_, Severity::Warning) => "⚠️",
    }
}

fn colour(message: &Message<'_>) -> &'static str {
    match message.notice.facts.severity {
        _ if is_over(message.notice) => "#2b7a3d",
        Severity::Critical => "#a1001a",
        Severity::Warning => "#ffc233",
    }
}

fn footer(message: &Message<'_>, number: &str) -> String {
    let facts = &message.notice.facts;
    let labels = facts.subject.iter().take(4).map(|(_, value)| value);
    let mut parts = vec![number.to_owned()];
    parts.extend(labels.map(|value| Escape::Mrkdwn.escape(&shortened(&tamed(value), 60))));
    parts.push(format!("rev {}", message.notice.revision));
    if let Some(url) = message.runbook_url().filter(|url| url.len() <= LONGEST_FOOTER_LINK) {
        parts.push(format!("<{}|runbook>", Escape::Mrkdwn.escape(url).replace('|', "%7C")));
    }
    parts.join(" · ")
}

pub(super) fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

/// The filled template in at most `most` sections that Slack takes and one line that counts what is left, parted between lines; what is beyond them is counted, not cut
/// off in silence.
pub(super) fn sections(text: &str, most: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut lines = text.split_inclusive('\n').flat_map(pieces).peekable();
    while let Some(line) = lines.peek() {
        let full = parts.last().is_none_or(|part| length(part) + length(line) > LONGEST_SECTION);
        if full && parts.len() == most {
            let left = lines.count();
            parts.push(format!("… and {left} more lines on the incident's page"));
            break;
        }
        if full {
            parts.push(String::new());
        }
        if let (Some(part), Some(line)) = (parts.last_mut(), lines.next()) {
            part.push_str(line);
        }
    }
    // Slack refuses a section without text.
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// A line in pieces that fit a section: never parted within an escaped character or a `<…>` token.
fn pieces(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while length(rest) > LONGEST_SECTION {
        let end = rest.char_indices().nth(LONGEST_SECTION).map_or(rest.len(), |(at, _)| at);
        let safe = ['&', '<'].into_iter().fold(end, |end, opens| {
            let closes = if opens == '&' { ';' } else { '>' };
            match rest[..end].rfind(opens) {
                Some(open) if open > 0 && !rest[open..end].contains(closes) => open,
                _ => end,
            }
        });
        let (piece, after) = rest.split_at(safe);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_parted_between_lines_and_never_within_a_token() {
        let line = format!("{}\n", "x".repeat(999));
        let parts = sections(&line.repeat(7), 2);
        assert_eq!(parts.iter().map(|part| length(part)).collect::<Vec<_>>(), [2_000, 2_000, 41]);
        assert!(parts[2].contains("3 more lines"));

        let token = format!("{}&amp;<!date^1^{{time}}|03:22 UTC>", "y".repeat(LONGEST_SECTION - 2));
        let parts = pieces(&token);
        assert_eq!(parts.concat(), token);
        assert_eq!(parts[1], "&amp;<!date^1^{time}|03:22 UTC>");
        assert!(parts.iter().all(|part| length(part) <= LONGEST_SECTION));
        assert_eq!(sections("\n\n", 2), Vec::<String>::new());
    }
}
