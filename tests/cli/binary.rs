//! The binary under test: runs it, and compares what it wrote with a golden file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How one run ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the binary in the project's folder.
pub(crate) fn run(args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbookd"));
    command.args(args).current_dir(root());
    for name in ["RUNBOOKD_URL", "RUNBOOKD_CONFIG", "RUNBOOKD_RULES", "UPDATE"] {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// Compares a text with a golden file of `tests/cli`.
pub(crate) fn golden(name: &str, found: &str) {
    let path = root().join("tests/cli").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).expect("the golden file is written");
    }
    let wanted = read(&path);
    assert!(
        wanted == found,
        "{name} differs; UPDATE=1 writes it anew\n--- wanted\n{wanted}\n--- found\n{found}"
    );
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
