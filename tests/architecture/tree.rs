//! The tree: the text of every Rust file, read once for each test. Owns reading; judges nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file of this repository.
pub(crate) struct RustFile {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// A line of code that is worth a word: where it stands and what it says.
pub(crate) struct Line<'f> {
    /// `src/engine/mod.rs:12`.
    pub(crate) place: String,
    /// Without the white space around it.
    pub(crate) text: &'f str,
}

impl RustFile {
    /// The lines that are not comments.
    pub(crate) fn code(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        lines
            .filter(|(_, line)| !line.starts_with("//"))
            .map(|(number, text)| Line { place: format!("{}:{number}", self.path), text })
    }

    /// The same up to the unit tests at the end of the file.
    pub(crate) fn code_outside_tests(&self) -> impl Iterator<Item = Line<'_>> {
        // A file of that name is declared behind `#[cfg(test)]` by the one it tests.
        let is_test = self.path.ends_with("/tests.rs");
        self.code().take_while(move |line| !is_test && line.text != "#[cfg(test)]")
    }

    /// The module of the crate that a file below `src/` belongs to: `engine`, or `main` for `src/main.rs`.
    pub(crate) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().map_or("", |first| first.trim_end_matches(".rs"))
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, in the order of the paths.
pub(crate) fn rust_files(folder: &str) -> Vec<RustFile> {
    let read = |path: String| RustFile { text: text(&path), path };
    files(folder, "rs").into_iter().map(read).collect()
}

/// The text of a file that has to be there.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// The paths of every file of one kind below a folder, in order.
pub(crate) fn files(folder: &str, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of this repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == kind) {
                let inside = path.strip_prefix(root()).expect("below the root");
                found.push(inside.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} holds no {kind} file: the test looks in the wrong place");
    found
}

/// Fails with every finding at once, and with what to do about them.
#[track_caller]
pub(crate) fn none(findings: &[String], advice: &str) {
    assert!(findings.is_empty(), "\n{}\n\n{advice}\n", findings.join("\n"));
}
