//! Loading: sources in, settings and rules out, or every mistake at once. Owns that it is all or nothing.

use std::path::Path;

use super::diagnostic::{Code, Diagnostics};
use super::merge::merge;
use super::operator::{self, NamedFile};
use super::rules;
use super::settings::Settings;
use super::source::Sources;
use super::walk::Walk;
use crate::domain::rule::RuleSet;

/// What the two folders say, valid as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What `config/` says.
    pub settings: Settings,
    /// What `rules/` says.
    pub rules: RuleSet,
    /// What somebody should look at all the same.
    pub warnings: Diagnostics,
}

/// Reads and checks both folders (either may be a single file); all mistakes are in the error, with the warnings.
pub fn load(config_dir: &Path, rules_dir: &Path) -> Result<Loaded, Diagnostics> {
    let sources = Sources::read(config_dir, rules_dir);
    let (result, named) = check(&sources);
    let walk = Walk::new(&sources);
    for file in named {
        look_for(&walk, &file);
    }
    let missing = walk.finish();
    match result {
        Ok(mut loaded) => {
            loaded.warnings.add(missing);
            Ok(loaded)
        }
        Err(mut diagnostics) => {
            diagnostics.add(missing);
            Err(diagnostics)
        }
    }
}

/// Checks sources that were read before: a pure function of their text, but for a `url_file` or `url_env` in it.
pub fn parse(sources: &Sources) -> Result<Loaded, Diagnostics> {
    check(sources).0
}

fn check(sources: &Sources) -> (Result<Loaded, Diagnostics>, Vec<NamedFile>) {
    let walk = Walk::new(sources);
    let blocks = merge(sources, &walk);
    let (settings, named) = operator::read(&walk, &blocks);
    let rules = rules::read(&walk, &blocks, &settings);
    let diagnostics = Diagnostics::new(walk.finish(), sources.files.len());
    let result = if diagnostics.errors() == 0 {
        Ok(Loaded { settings, rules, warnings: diagnostics })
    } else {
        Err(diagnostics)
    };
    (result, named)
}

/// A secret may be mounted later, so a file that is not there now is a warning.
fn look_for(walk: &Walk<'_>, file: &NamedFile) {
    if let Err(error) = std::fs::File::open(&file.path) {
        walk.warning(Code::MissingFile, file.span, format!("cannot read {}: {error}", file.path.display()))
            .expected("looked for again when it is used");
    }
}
