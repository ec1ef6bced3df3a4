//! Merging: the files of both folders become one tree for each top-level key. Owns which key belongs to which folder
//! and what may stand in several files; reads no value.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnostic::{Code, Level};
use super::source::{Folder, Sources};
use super::suggest::nearest;
use super::tree::{self, Entry, Mistake, Node, Span, Value};
use super::walk::Walk;

/// How deep two files may add to the same key, and whether their lists are joined.
struct Block {
    key: &'static str,
    folder: Folder,
    /// 1: the maps under the key are joined; 2: the maps in those, too.
    depth: u8,
    /// Whether lists found on the way are joined.
    lists: bool,
}

const fn block(key: &'static str, folder: Folder, depth: u8, lists: bool) -> Block {
    Block { key, folder, depth, lists }
}

/// Every top-level key there is.
const BLOCKS: [Block; 25] = [
    block("prometheus", Folder::Config, 1, false),
    block("evaluation", Folder::Config, 1, false),
    block("reload", Folder::Config, 1, false),
    block("store", Folder::Config, 1, false),
    block("listen", Folder::Config, 0, false),
    block("public_url", Folder::Config, 0, false),
    block("allowed_hosts", Folder::Config, 0, true),
    block("api", Folder::Config, 1, false),
    block("kubernetes", Folder::Config, 1, false),
    block("channels", Folder::Config, 1, false),
    block("heartbeat", Folder::Config, 1, false),
    block("communication", Folder::Config, 2, false),
    block("incident_types", Folder::Config, 1, false),
    block("emergency_contacts", Folder::Config, 1, false),
    block("diagnostic_tools", Folder::Config, 1, true),
    block("metrics", Folder::Rules, 1, false),
    block("monitoring", Folder::Rules, 2, true),
    block("alert_responses", Folder::Rules, 1, false),
    block("scale_out_strategy", Folder::Rules, 2, true),
    block("resource_requirements", Folder::Rules, 2, false),
    block("backup_configuration", Folder::Rules, 2, false),
    block("groups", Folder::Rules, 0, true),
    block("inhibit_rules", Folder::Rules, 0, true),
    block("time_intervals", Folder::Rules, 0, true),
    block("mute_time_intervals", Folder::Rules, 0, true),
];

/// What all files say together, by top-level key.
#[derive(Default)]
pub(crate) struct Blocks {
    nodes: BTreeMap<&'static str, (Span, Node)>,
}

impl Blocks {
    /// The value of a top-level key; a key without a value counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.nodes.get(key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// Where the key first stands.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.nodes.get(key).map(|(span, _)| *span)
    }
}

/// Reads and joins all files.
pub(crate) fn merge(sources: &Sources, walk: &Walk<'_>) -> Blocks {
    for unread in &sources.unread {
        let message = format!("cannot read {}: {}", unread.path, unread.reason);
        walk.about_all(Level::Error, Code::UnreadableFile, message);
    }
    let mut blocks = Blocks::default();
    for (index, file) in sources.files.iter().enumerate() {
        let (root, mistakes) = tree::read(file, index);
        for mistake in mistakes {
            note(walk, mistake);
        }
        let Some(root) = root else { continue };
        match root.value {
            Value::Null => {}
            Value::Map(entries) => {
                for entry in entries {
                    add(&mut blocks, walk, file.folder, entry);
                }
            }
            Value::Scalar(_) | Value::List(_) => walk.wrong_type(&root, &root.value, "a map"),
        }
    }
    blocks
}

fn note(walk: &Walk<'_>, mistake: Mistake) {
    match mistake {
        Mistake::Syntax { message, span } => {
            walk.error(Code::YamlSyntax, span, message).expected("the rest of this file was not read");
        }
        Mistake::Repeated { key, first, second } => {
            walk.error(Code::DuplicateKey, second, format!("the key `{key}` stands here a second time"))
                .expected("expected each key once")
                .other(first);
        }
        Mistake::OddKey { span } => {
            walk.error(Code::WrongType, span, "a key must be a text").expected("expected a text");
        }
    }
}

fn add(blocks: &mut Blocks, walk: &Walk<'_>, folder: Folder, entry: Entry) {
    let Some(block) = BLOCKS.iter().find(|block| block.key == entry.key.as_ref()) else {
        unknown(walk, folder, &entry);
        return;
    };
    if block.folder != folder {
        let (here, there) = (folder.as_str(), block.folder.as_str());
        walk.error(
            Code::MisplacedKey,
            entry.key_span,
            format!("`{}` does not belong into {here}/", block.key),
        )
        .expected(format!("nothing in {here}/ reads this key"))
        .help(format!("move it to a file in {there}/"));
        return;
    }
    match blocks.nodes.get_mut(block.key) {
        None => {
            blocks.nodes.insert(block.key, (entry.key_span, entry.value));
        }
        Some((first, node)) => {
            let place = Join { key: entry.key, first: *first, second: entry.key_span };
            join(walk, node, entry.value, block.depth, block.lists, &place);
        }
    }
}

fn unknown(walk: &Walk<'_>, folder: Folder, entry: &Entry) {
    // A place for anchors that other keys refer to, as in Compose files.
    if entry.key.starts_with("x-") {
        return;
    }
    let known: Vec<&str> =
        BLOCKS.iter().filter(|block| block.folder == folder).map(|block| block.key).collect();
    let near = nearest(&entry.key, BLOCKS.iter().map(|block| block.key));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    walk.error(Code::UnknownKey, entry.key_span, format!("nothing reads the key `{}`", entry.key))
        .expected("unknown key")
        .help(help);
}

/// Where the two halves stand.
struct Join {
    key: Arc<str>,
    first: Span,
    second: Span,
}

fn join(walk: &Walk<'_>, into: &mut Node, from: Node, depth: u8, lists: bool, place: &Join) {
    match (&mut into.value, from.value) {
        (_, Value::Null) => {}
        (value @ Value::Null, other) => {
            *value = other;
            into.span = from.span;
        }
        (Value::Map(entries), Value::Map(more)) if depth > 0 => {
            for entry in more {
                match entries.iter_mut().find(|known| known.key == entry.key) {
                    None => entries.push(entry),
                    Some(known) => {
                        let place = Join { key: entry.key, first: known.key_span, second: entry.key_span };
                        join(walk, &mut known.value, entry.value, depth - 1, lists, &place);
                    }
                }
            }
        }
        (Value::List(items), Value::List(more)) if lists => items.extend(more),
        _ => {
            walk.error(Code::DuplicateName, place.second, format!("`{}` is defined twice", place.key))
                .expected("the second definition")
                .other(place.first);
        }
    }
}
