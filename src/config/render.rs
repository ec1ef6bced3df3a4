//! Rendering: diagnostics as people read them, in the manner of the Rust compiler. Owns the look; changes no content.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Style, Renderer, Snippet};

use super::diagnostic::{Code, Diagnostic, Diagnostics, Level, Place};

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text: files, pipes, tests.
    Never,
    /// A terminal.
    Always,
}

/// Columns beyond this are left out around the place: a query of one line may be long.
const WIDTH: usize = 120;

impl Diagnostics {
    /// All findings and a last line with the counts.
    pub fn render(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Never => Renderer::plain(),
            Colour::Always => Renderer::styled(),
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
        let mut out = String::new();
        for one in self.iter() {
            out.push_str(&renderer.render(&report(one)));
            out.push_str("\n\n");
        }
        out.push_str(&self.counts());
        out.push('\n');
        out
    }

    /// `1 error, 2 warnings in 7 files`.
    pub fn counts(&self) -> String {
        let count = |number: usize, word: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{number} {word}{plural}")
        };
        let found = match (self.errors(), self.warnings()) {
            (0, 0) => "no mistakes".to_owned(),
            (errors, 0) => count(errors, "error"),
            (0, warnings) => count(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        format!("{found} in {}", count(self.files(), "file"))
    }
}

fn report(one: &Diagnostic) -> Vec<Group<'_>> {
    let style = match one.level {
        Level::Error => Style::ERROR,
        Level::Warning => Style::WARNING,
    };
    let title = style.primary_title(one.message.as_str()).id(one.code.as_str());
    let mut group = match &one.place {
        Some(place) => title.element(snippet(place, AnnotationKind::Primary, one.expected.as_deref())),
        None => Group::with_title(title),
    };
    if let Some(other) = &one.other {
        let label = match one.code {
            Code::DuplicateKey | Code::DuplicateName => "first here",
            _ => "does not fit this",
        };
        group = group.element(snippet(other, AnnotationKind::Context, Some(label)));
    }
    if let Some(help) = &one.help {
        group = group.element(Style::HELP.message(help.as_str()));
    }
    vec![group]
}

fn snippet<'a>(
    place: &'a Place,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    // A tab counts as one column in the place and would count as four on the screen.
    let line = place.text.replace('\t', " ");
    let byte = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let start = byte(place.column - 1);
    let end = byte(place.column - 1 + place.width).max(start);
    // The line's end stands for what is missing there.
    let end = if start == end { end + 1 } else { end };
    Snippet::source(line + "\n")
        .path(place.file.as_str())
        .line_start(place.line)
        .annotation(kind.span(start..end).label(label))
}
