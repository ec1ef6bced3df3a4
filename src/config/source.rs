//! Sources: the text of every file of the two folders, and where a byte of it stands. Owns all reading from disk, so
//! that the rest of loading is a pure function of text; understands no YAML.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// The largest file read, in bytes: a rule file of 10,000 rules has 3 MB.
pub const LARGEST_FILE: u64 = 8 * 1024 * 1024;

/// How deep folders are followed.
const DEEPEST_FOLDER: usize = 8;

/// Which of the two folders a file belongs to: it decides which keys the file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Folder {
    /// `config/`, edited by platform operators.
    Config,
    /// `rules/`, edited by service owners.
    Rules,
}

impl Folder {
    /// The word for it in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Rules => "rules",
        }
    }
}

/// One file's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// Its folder.
    pub folder: Folder,
    /// Its path as people gave it: `rules/monitoring.yaml`.
    pub path: String,
    /// Its path inside the folder: `monitoring.yaml`.
    pub short: String,
    /// What it says.
    pub text: String,
    lines: Vec<usize>,
}

/// A line and a column, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl SourceFile {
    /// A file from memory; `path` begins with its folder.
    pub fn new(folder: Folder, path: &str, short: &str, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { folder, path: path.to_owned(), short: short.to_owned(), text, lines }
    }

    /// Where the byte `at` stands; a byte beyond the end or inside a character stands at the nearest one before.
    pub fn position(&self, at: usize) -> LineColumn {
        let at = floor(&self.text, at);
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        LineColumn { line, column: self.text.get(start..at).map_or(0, |text| text.chars().count()) + 1 }
    }

    /// The text of a line counted from 1, without its end.
    pub fn line(&self, line: usize) -> &str {
        let start = line.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or(self.text.len());
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }

    /// The byte at which a line counted from 1 begins.
    pub fn line_start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or(self.text.len())
    }

    /// How many lines there are; an empty file has one.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }
}

/// The nearest character boundary at or before `at`.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A file or folder that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unread {
    /// Its path as people gave it.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// The text of both folders at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sources {
    /// What could be read, in the order of the paths, config before rules.
    pub files: Vec<SourceFile>,
    /// What could not.
    pub unread: Vec<Unread>,
}

impl Sources {
    /// Reads both folders; either may be a single file. Never fails: what cannot be read is listed in `unread`.
    pub fn read(config: &Path, rules: &Path) -> Self {
        let mut sources = Self::default();
        sources.read_one(Folder::Config, config);
        sources.read_one(Folder::Rules, rules);
        sources
    }

    /// Adds what a path holds, a folder or a file, as part of `folder`.
    pub fn add(&mut self, folder: Folder, path: &Path) {
        self.read_one(folder, path);
    }

    /// Sources from memory, as (name, text): for tests and for rules that arrive without a file.
    pub fn from_texts(config: &[(&str, &str)], rules: &[(&str, &str)]) -> Self {
        let file = |folder: Folder, (name, text): &(&str, &str)| {
            SourceFile::new(folder, &format!("{}/{name}", folder.as_str()), name, (*text).to_owned())
        };
        let config = config.iter().map(|entry| file(Folder::Config, entry));
        let rules = rules.iter().map(|entry| file(Folder::Rules, entry));
        Self { files: config.chain(rules).collect(), unread: Vec::new() }
    }

    /// A fingerprint of everything read: the same within one run of the program exactly when nothing changed.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn read_one(&mut self, folder: Folder, path: &Path) {
        let root = match fs::canonicalize(path) {
            Ok(root) => root,
            Err(error) => {
                self.refuse(path, &error.to_string());
                return;
            }
        };
        if root.is_dir() {
            let mut found = Vec::new();
            self.list(path, &root, 0, &mut found);
            found.sort();
            for file in found {
                let short = file.strip_prefix(path).unwrap_or(&file).display().to_string();
                self.read_file(folder, &file, &short);
            }
        } else {
            let short = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.read_file(folder, path, &short);
        }
    }

    /// Collects the YAML files below `folder`. A mounted `ConfigMap` keeps its files in a hidden folder and links to
    /// them, so a link is followed to a file as long as it does not leave `root`; links to folders are not followed.
    fn list(&mut self, folder: &Path, root: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.refuse(folder, &error.to_string());
                return;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.refuse(folder, &error.to_string());
                    continue;
                }
            };
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEEPEST_FOLDER {
                    self.list(&path, root, depth + 1, found);
                }
            } else if is_ours(&name) {
                match fs::canonicalize(&path) {
                    Ok(target) if target.starts_with(root) => found.push(path),
                    Ok(_) => self.refuse(&path, "the link leads out of its folder"),
                    Err(error) => self.refuse(&path, &error.to_string()),
                }
            }
        }
    }

    fn read_file(&mut self, folder: Folder, path: &Path, short: &str) {
        match read_text(path) {
            Ok(text) => {
                self.files.push(SourceFile::new(folder, &path.display().to_string(), short, text));
            }
            Err(reason) => self.refuse(path, &reason),
        }
    }

    fn refuse(&mut self, path: &Path, reason: &str) {
        self.unread.push(Unread { path: path.display().to_string(), reason: reason.to_owned() });
    }
}

fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    // `x.test.yaml` holds tests of rules, not rules.
    stem.is_some_and(|stem| {
        stem != "kustomization" && stem.rsplit_once('.').is_none_or(|(_, end)| end != "test")
    })
}

fn read_text(path: &Path) -> Result<String, String> {
    let data = fs::metadata(path).map_err(|error| error.to_string())?;
    if !data.is_file() {
        return Err("it is not a regular file".into());
    }
    if data.len() > LARGEST_FILE {
        return Err(format!("it has {} bytes, more than {LARGEST_FILE} are not read", data.len()));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8, first at byte {}", error.utf8_error().valid_up_to()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
