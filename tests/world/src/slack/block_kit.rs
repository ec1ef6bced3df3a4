//! The limits of Slack's Block Kit. It finds what is beyond them and says where, by JSON pointer.
//!
//! Limits as Slack's reference of blocks and block elements states them; the total over all blocks is not
//! documented and was found by users.

use serde_json::Value;

const MOST_BLOCKS: usize = 50;
const LONGEST_BLOCKS: usize = 13_200;
const LONGEST_ID: usize = 255;

/// What is wrong with the blocks of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Nothing.
    Fine,
    /// Each place and what is wrong there.
    Invalid(Vec<String>),
    /// Every block is fine and all together are too long.
    TooLong,
}

/// Checks the blocks of a message: those on top and those in attachments.
pub fn check(message: &Value) -> Fit {
    let mut errors = Vec::new();
    let mut length = 0;
    if let Some(blocks) = message.get("blocks").filter(|blocks| !blocks.is_null()) {
        length += check_list(blocks, "/blocks", &mut errors);
    }
    let attachments = message.get("attachments").and_then(Value::as_array);
    for (index, attachment) in attachments.into_iter().flatten().enumerate() {
        if let Some(blocks) = attachment.get("blocks") {
            length += check_list(blocks, &format!("/attachments/{index}/blocks"), &mut errors);
        }
    }
    match (errors.is_empty(), length > LONGEST_BLOCKS) {
        (true, false) => Fit::Fine,
        (true, true) => Fit::TooLong,
        (false, _) => Fit::Invalid(errors),
    }
}

fn check_list(blocks: &Value, place: &str, errors: &mut Vec<String>) -> usize {
    let Some(blocks) = blocks.as_array() else {
        errors.push(format!("{place}: must be a list"));
        return 0;
    };
    if blocks.len() > MOST_BLOCKS {
        errors.push(format!("{place}: no more than {MOST_BLOCKS} items allowed"));
    }
    for (index, block) in blocks.iter().enumerate() {
        At { value: block, place: format!("{place}/{index}"), errors }.block();
    }
    blocks.iter().map(letters).sum()
}

/// How much text there is to read below a value.
fn letters(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) if name == "text" => text.chars().count(),
                Value::String(_) => 0,
                _ => letters(value),
            })
            .sum(),
        Value::Array(items) => items.iter().map(letters).sum(),
        _ => 0,
    }
}

/// A value, where it stands, and where to complain.
struct At<'a, 'e> {
    value: &'a Value,
    place: String,
    errors: &'e mut Vec<String>,
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "a method's path fits one lifetime, not all")]
impl<'a> At<'a, '_> {
    fn block(&mut self) {
        self.length("block_id", 1, LONGEST_ID, false);
        match self.kind() {
            "header" => self.below("text").text_object(&["plain_text"], 150),
            "section" => self.section(),
            "context" => self.each("elements", 1, 10, |at| match at.kind() {
                "image" => at.image(),
                _ => at.text_object(&["plain_text", "mrkdwn"], 3000),
            }),
            "actions" => {
                self.each("elements", 1, 25, |at| at.element());
                self.distinct_action_ids();
            }
            "image" => self.image(),
            "markdown" => self.length("text", 1, 12_000, true),
            "divider" | "rich_text" | "file" | "input" | "video" | "table" => {}
            other => self.complain(&format!("unsupported type: {other}")),
        }
    }

    fn section(&mut self) {
        let has = |name: &str| self.value.get(name).is_some_and(|value| !value.is_null());
        let (text, fields, accessory) = (has("text"), has("fields"), has("accessory"));
        if !text && !fields {
            self.complain("text or fields is required");
        }
        if text {
            self.below("text").text_object(&["plain_text", "mrkdwn"], 3000);
        }
        if fields {
            self.each("fields", 1, 10, |at| at.text_object(&["plain_text", "mrkdwn"], 2000));
        }
        if accessory {
            self.below("accessory").element();
        }
    }

    fn element(&mut self) {
        self.length("action_id", 1, LONGEST_ID, false);
        match self.kind() {
            "button" => {
                self.below("text").text_object(&["plain_text"], 75);
                self.length("value", 0, 2000, false);
                self.length("url", 1, 3000, false);
                if let Some(style) = self.value.get("style")
                    && !matches!(style.as_str(), Some("primary" | "danger"))
                {
                    self.complain("style must be primary or danger");
                }
            }
            "overflow" => self.each("options", 1, 5, |at| at.option()),
            "static_select" => {
                if self.value.get("placeholder").is_some() {
                    self.below("placeholder").text_object(&["plain_text"], 150);
                }
                if self.value.get("option_groups").is_none() {
                    self.each("options", 1, 100, |at| at.option());
                }
            }
            "image" => return self.image(),
            "datepicker"
            | "datetimepicker"
            | "timepicker"
            | "users_select"
            | "channels_select"
            | "conversations_select"
            | "external_select"
            | "radio_buttons"
            | "checkboxes" => {}
            other => self.complain(&format!("unsupported type: {other}")),
        }
        if self.value.get("confirm").is_some() {
            let mut confirm = self.below("confirm");
            confirm.below("title").text_object(&["plain_text"], 100);
            confirm.below("text").text_object(&["plain_text", "mrkdwn"], 300);
            confirm.below("confirm").text_object(&["plain_text"], 30);
            confirm.below("deny").text_object(&["plain_text"], 30);
        }
    }

    fn option(&mut self) {
        self.below("text").text_object(&["plain_text", "mrkdwn"], 75);
        self.length("value", 1, 150, true);
    }

    fn image(&mut self) {
        if self.value.get("slack_file").is_none() {
            self.length("image_url", 1, 3000, true);
        }
        self.length("alt_text", 1, 2000, true);
    }

    fn text_object(&mut self, kinds: &[&str], longest: usize) {
        let kind = self.kind();
        if !kinds.contains(&kind) {
            self.complain(&format!("must be a text object of type {}", kinds.join(" or ")));
        }
        self.length("text", 1, longest, true);
    }

    fn distinct_action_ids(&mut self) {
        let elements = self.value.get("elements").and_then(Value::as_array);
        let ids = elements.into_iter().flatten().filter_map(|element| element.get("action_id")?.as_str());
        let mut seen = std::collections::BTreeSet::new();
        let repeated: Vec<&str> = ids.filter(|id| !seen.insert(*id)).collect();
        for id in repeated {
            self.complain(&format!("`action_id` \"{id}\" already exists"));
        }
    }

    fn each(&mut self, name: &str, fewest: usize, most: usize, mut check: impl FnMut(&mut At<'_, '_>)) {
        let Some(items) = self.value.get(name).and_then(Value::as_array) else {
            return self.complain(&format!("missing required field: {name}"));
        };
        if items.len() < fewest || items.len() > most {
            self.complain(&format!("{name}: {fewest} to {most} items allowed"));
        }
        for (index, value) in items.iter().enumerate() {
            let place = format!("{}/{name}/{index}", self.place);
            check(&mut At { value, place, errors: self.errors });
        }
    }

    fn length(&mut self, name: &str, shortest: usize, longest: usize, required: bool) {
        match self.value.get(name) {
            None | Some(Value::Null) if required => self.complain(&format!("missing required field: {name}")),
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                let length = text.chars().count();
                if length < shortest || length > longest {
                    self.complain(&format!(
                        "{name}: {shortest} to {longest} characters allowed, not {length}"
                    ));
                }
            }
            Some(_) => self.complain(&format!("{name}: must be a string")),
        }
    }

    fn kind(&self) -> &'a str {
        self.value.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    fn below(&mut self, name: &str) -> At<'a, '_> {
        let value = self.value.get(name).unwrap_or(&Value::Null);
        At { value, place: format!("{}/{name}", self.place), errors: self.errors }
    }

    fn complain(&mut self, what: &str) {
        self.errors.push(format!("{}: {what}", self.place));
    }
}
