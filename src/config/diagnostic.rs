//! Diagnostics: what is wrong with the files, where, and what would be right. Owns the closed list of codes and their
//! order; finds nothing itself and prints nothing (see `render`).

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The files are refused.
    Error,
    /// The files load; somebody should look.
    Warning,
}

impl Level {
    /// The word shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $word:literal,)+) => {
        /// What kind of mistake it is: a closed list, each word an anchor in the documentation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word shown in brackets.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

codes! {
    /// A file or folder cannot be read.
    UnreadableFile => "unreadable-file",
    /// The file is no YAML.
    YamlSyntax => "yaml-syntax",
    /// A key stands twice in one map.
    DuplicateKey => "duplicate-key",
    /// A name is defined twice, in one file or in two.
    DuplicateName => "duplicate-name",
    /// A key that nothing reads.
    UnknownKey => "unknown-key",
    /// A key of the other folder.
    MisplacedKey => "misplaced-key",
    /// A list where a text belongs, or the like.
    WrongType => "wrong-type",
    /// Something that must be there is not.
    MissingKey => "missing-key",
    /// A word that is none of those offered.
    UnknownWord => "unknown-word",
    /// A text that is not of the form its place asks for.
    BadValue => "bad-value",
    /// A text that is no quantity.
    BadQuantity => "bad-quantity",
    /// A quantity of another unit.
    UnitMismatch => "unit-mismatch",
    /// Thresholds that contradict each other.
    ImpossibleThreshold => "impossible-threshold",
    /// Bounds that contradict each other.
    ImpossibleBounds => "impossible-bounds",
    /// A scaling step that cannot be read, or on the wrong axis.
    BadStep => "bad-step",
    /// An override without a match, or without anything to override.
    BadOverride => "bad-override",
    /// A metric that is not in the catalogue.
    UnknownMetric => "unknown-metric",
    /// An incident type that is not configured.
    UnknownIncidentType => "unknown-incident-type",
    /// An alert response that does not exist.
    UnknownResponse => "unknown-response",
    /// A time interval that does not exist.
    UnknownInterval => "unknown-time-interval",
    /// A channel that is not configured.
    UnknownChannel => "unknown-channel",
    /// A role without a contact.
    UnknownRole => "unknown-role",
    /// A placeholder that no template knows.
    UnknownPlaceholder => "unknown-placeholder",
    /// A template that cannot be read.
    BadTemplate => "bad-template",
    /// Not a matcher, or not one that can be used.
    BadMatcher => "bad-matcher",
    /// A time, a day or a place that cannot be read.
    BadTime => "bad-time",
    /// Not `PromQL`.
    BadPromql => "bad-promql",
    /// `PromQL` that only the server can check.
    UncheckedPromql => "unchecked-promql",
    /// Not a URL, or not one that may stand here.
    BadUrl => "bad-url",
    /// A host that config/ does not allow.
    HostNotAllowed => "host-not-allowed",
    /// Mail would travel unprotected.
    UnprotectedMail => "unprotected-mail",
    /// A secret that is given in two ways.
    AmbiguousSecret => "ambiguous-secret",
    /// A file named in the configuration cannot be read now.
    MissingFile => "missing-file",
    /// Something this program does not do.
    NotSupported => "not-supported",
    /// A recording rule.
    RecordingRule => "recording-rule",
    /// An alert without a severity that is known here.
    NoSeverity => "no-severity",
    /// A default stands in for something that most installations say.
    DefaultUsed => "default-used",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A place in a file with the line that stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's path as people gave it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, at least 1; never beyond the line's end but for one.
    pub width: usize,
    /// The whole line.
    #[serde(skip)]
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    #[serde(rename = "severity")]
    pub level: Level,
    /// What kind of mistake it is.
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; nothing when it is about a whole folder.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What was expected there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Where the other half of a contradiction stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Place>,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// One line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", place.file, place.line, place.column)?;
        }
        write!(f, "{} [{}]", self.message, self.code.as_str())
    }
}

/// All findings of one load, sorted by file and line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    files: usize,
}

impl Diagnostics {
    /// Sorts findings; `files` is how many files were looked at. The same finding at the same place counts once.
    pub fn new(mut list: Vec<Diagnostic>, files: usize) -> Self {
        fn key(one: &Diagnostic) -> (&str, usize, usize, Level, Code) {
            match &one.place {
                Some(place) => (place.file.as_str(), place.line, place.column, one.level, one.code),
                None => ("", 0, 0, one.level, one.code),
            }
        }
        list.sort_by(|one, two| key(one).cmp(&key(two)).then_with(|| one.message.cmp(&two.message)));
        list.dedup();
        Self { list, files }
    }

    /// The findings in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many findings there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many of them refuse the files.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|one| one.level == Level::Error).count()
    }

    /// How many of them do not.
    pub fn warnings(&self) -> usize {
        self.list.len() - self.errors()
    }

    /// How many files were looked at.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Adds findings that were made after the files were read.
    pub(crate) fn add(&mut self, more: Vec<Diagnostic>) {
        let mut list = std::mem::take(&mut self.list);
        list.extend(more);
        *self = Self::new(list, self.files);
    }
}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(super::render::Colour::Never))
    }
}

impl std::error::Error for Diagnostics {}
