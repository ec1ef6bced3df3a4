//! Templates: the runbook's own words with `{placeholders}`. Owns the syntax, the names that exist and the refusal of
//! every other name at load; knows nothing of incidents and sends nothing.
//!
//! ```text
//! Status: {status}
//! {% if tenant %}Tenant: {tenant}{% endif %}     {# labels that are absent are empty #}
//! Region: {labels.region|upper}
//! ```

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

/// The placeholders of the runbook's 2.2, in its order.
pub const PLACEHOLDERS: [&str; 9] =
    ["incident_id", "type", "severity", "impact", "team", "status", "actions", "next_steps", "eta"];

/// The labels that may stand in a template by their bare name; any other label is `{labels.NAME}`.
pub const LABELS: [&str; 13] = [
    "service",
    "tenant",
    "namespace",
    "instance",
    "node",
    "job",
    "alertname",
    "environment",
    "cluster",
    "region",
    "pod",
    "container",
    "deployment",
];

/// The map of all labels.
const LABEL_MAP: &str = "labels";

/// The longest template, in bytes.
pub(super) const LONGEST: usize = 32 * 1024;

/// What one rendering may cost, in the library's fuel: about 3 MB of text or 50,000 steps.
const FUEL: u64 = 50_000;

/// How deep blocks may nest: the library's 500 assume a main thread's stack, an executor's is smaller.
const DEPTH: usize = 60;

/// How inserted values are made harmless for their place. What the template itself says is never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Escape {
    /// Plain text: as it is.
    Text,
    /// Slack's mrkdwn: `&`, `<` and `>`, which its links and mentions are made of.
    Mrkdwn,
    /// HTML text and attribute values.
    Html,
}

impl Escape {
    /// Every place, in no particular order.
    pub const ALL: [Self; 3] = [Self::Text, Self::Mrkdwn, Self::Html];

    /// Makes a text harmless for this place.
    pub fn escape(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match (self, c) {
                (Self::Mrkdwn | Self::Html, '&') => out.push_str("&amp;"),
                (Self::Mrkdwn | Self::Html, '<') => out.push_str("&lt;"),
                (Self::Mrkdwn | Self::Html, '>') => out.push_str("&gt;"),
                (Self::Html, '"') => out.push_str("&quot;"),
                (Self::Html, '\'') => out.push_str("&#39;"),
                (_, c) => out.push(c),
            }
        }
        out
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Mrkdwn => "mrkdwn",
            Self::Html => "html",
        }
    }

    fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|escape| escape.name() == name).unwrap_or(Self::Html)
    }
}

/// What stands for a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insert {
    /// Text from anywhere; it is escaped for its place.
    Plain(String),
    /// Text already made for its place, such as a Slack date token; it is inserted as it is.
    Ready(String),
}

/// Why a template is refused, or could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the template: {message}")]
pub struct TemplateError {
    /// The line within the template, from 1.
    pub line: usize,
    /// What is wrong and, where it is clear, what was meant.
    pub message: String,
}

/// A checked template.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    environment: Arc<Environment<'static>>,
}

impl Template {
    /// Reads a template: placeholders `{name}`, blocks `{% … %}`, comments `{# … #}`. A name that no incident has, an
    /// unknown filter and a template that fails with ordinary values are refused here, not at 3 a.m.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError { line: 1, message: format!("longer than {LONGEST} bytes") });
        }
        let environment = environment(text).map_err(|error| syntax_error(text, &error))?;
        let template = Self { text: text.into(), environment: Arc::new(environment) };
        template.check_names()?;
        for sample in ["some text", ""] {
            let names = PLACEHOLDERS.into_iter().chain(LABELS);
            template.render(&names.map(|name| (name.to_owned(), sample.to_owned())).collect())?;
        }
        Ok(template)
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Fills the template with plain text; a key `labels.NAME` fills the map of labels. A label without a value is
    /// empty, a placeholder without one is an error.
    pub fn render(&self, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
        let inserts = values.iter().map(|(name, value)| (name.clone(), Insert::Plain(value.clone())));
        self.render_for(Escape::Text, &inserts.collect())
    }

    /// Fills the template for a place: inserted values are escaped, after all filters; the template's own text is not.
    pub fn render_for(
        &self,
        escape: Escape,
        values: &BTreeMap<String, Insert>,
    ) -> Result<String, TemplateError> {
        let mut context: BTreeMap<&str, Value> =
            LABELS.into_iter().map(|name| (name, Value::from(""))).collect();
        let mut labels = BTreeMap::new();
        for (name, insert) in values {
            let value = match insert {
                Insert::Plain(text) => Value::from(text.as_str()),
                Insert::Ready(text) => Value::from_safe_string(text.clone()),
            };
            match name.split_once('.') {
                Some((LABEL_MAP, label)) => drop(labels.insert(label.to_owned(), value)),
                Some(_) | None => drop(context.insert(name, value)),
            }
        }
        context.insert(LABEL_MAP, Value::from_object(LabelMap(labels)));
        let failed = |error: minijinja::Error| render_error(&self.text, &error);
        let template = self.environment.get_template(escape.name()).map_err(failed)?;
        template.render(context).map_err(failed)
    }

    fn check_names(&self) -> Result<(), TemplateError> {
        let Ok(template) = self.environment.get_template(Escape::Text.name()) else { return Ok(()) };
        let functions: HashSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let mut unknown: Vec<(usize, String)> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !is_known(name) && !functions.contains(name.as_str()))
            .map(|name| (line_of(&self.text, &name), name))
            .collect();
        unknown.sort();
        match unknown.into_iter().next() {
            None => Ok(()),
            Some((line, name)) => Err(TemplateError { line, message: unknown_name(&name) }),
        }
    }
}

/// The runbook's delimiters and the bounds on what a rendering costs, without any template.
pub(super) fn bare_environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .variable_delimiters("{", "}")
            .block_delimiters("{%", "%}")
            .comment_delimiters("{#", "#}")
            .keep_trailing_newline(true)
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    Ok(environment)
}

fn environment(text: &str) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = bare_environment()?;
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| AutoEscape::Custom(Escape::of(name).name().into()));
    environment.set_formatter(|out, state, value| {
        if value.is_undefined() {
            return Err(minijinja::Error::new(ErrorKind::UndefinedError, "a value that is not there"));
        }
        let escape = match state.auto_escape() {
            AutoEscape::Custom(name) => Escape::of(name),
            _ => Escape::Text,
        };
        let written = match value.to_string() {
            text if value.is_safe() => out.write_str(&text),
            text => out.write_str(&escape.escape(&text)),
        };
        written.map_err(minijinja::Error::from)
    });
    for escape in Escape::ALL {
        environment.add_template_owned(escape.name(), text.to_owned())?;
    }
    Ok(environment)
}

fn is_known(name: &str) -> bool {
    PLACEHOLDERS.contains(&name) || LABELS.contains(&name) || name == LABEL_MAP
}

fn unknown_name(name: &str) -> String {
    let near = PLACEHOLDERS
        .into_iter()
        .chain(LABELS)
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    match near {
        Some((_, known)) => format!("unknown placeholder `{{{name}}}`, did you mean `{{{known}}}`?"),
        None => format!(
            "unknown placeholder `{{{name}}}`, expected one of {}, or a label as `{{labels.{name}}}`",
            PLACEHOLDERS.join(", ")
        ),
    }
}

/// The first line on which `name` stands inside braces.
pub(super) fn line_of(text: &str, name: &str) -> usize {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let at = text.match_indices(name).map(|(at, _)| at).find(|at| {
        let (before, after) = (&text[..*at], &text[*at + name.len()..]);
        !before.ends_with(|c| is_word(c) || c == '.')
            && !after.starts_with(is_word)
            && before.rfind('{').is_some_and(|open| before.rfind('}').is_none_or(|close| close < open))
    });
    text[..at.unwrap_or(0)].matches('\n').count() + 1
}

pub(super) fn syntax_error(text: &str, error: &minijinja::Error) -> TemplateError {
    let mut told = render_error(text, error);
    if text.contains("{{") {
        told.message.push_str("; a placeholder has single braces, as in `{severity}`");
    } else {
        told.message.push_str("; a brace that is not a placeholder's is written `{'{'}`");
    }
    told
}

pub(super) fn render_error(text: &str, error: &minijinja::Error) -> TemplateError {
    let lines = text.matches('\n').count() + 1;
    let message = match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    TemplateError { line: error.line().unwrap_or(1).clamp(1, lines), message }
}

/// The labels of a subject; one that is absent is empty, because a template must not fail over it.
#[derive(Debug)]
struct LabelMap(BTreeMap<String, Value>);

impl Object for LabelMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = key.as_str().and_then(|name| self.0.get(name)).cloned();
        Some(found.unwrap_or_else(|| Value::from("")))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|name| Value::from(name.as_str())).collect())
    }
}

// === impl Template ===

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Template {}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(text: &str) -> (usize, String) {
        match Template::parse(text) {
            Ok(_) => panic!("accepted {text:?}"),
            Err(error) => (error.line, error.message),
        }
    }

    #[test]
    fn a_template_is_filled_word_for_word_with_its_trailing_newlines() {
        let template = Template::parse("Status: {status}\nActions taken: {actions}\n\n").unwrap();
        let filled = template.render(&values(&[("status", "open"), ("actions", "{eta} & <b>")])).unwrap();
        assert_eq!(filled, "Status: open\nActions taken: {eta} & <b>\n\n");
    }

    #[test]
    fn blocks_comments_filters_and_labels_work() {
        let text = "{# who #}{% if tenant %}\n{tenant|upper}\n{% else %}\nall\n{% endif %}\n{labels.shard}-{labels.none}.";
        let template = Template::parse(text).unwrap();
        assert_eq!(
            template.render(&values(&[("tenant", "acme"), ("labels.shard", "7")])).unwrap(),
            "ACME\n7-."
        );
        assert_eq!(template.render(&values(&[])).unwrap(), "all\n-.");
        let each = Template::parse("{% for name in labels %}{name}={labels[name]};{% endfor %}").unwrap();
        assert_eq!(each.render(&values(&[("labels.a", "1"), ("labels.b", "2")])).unwrap(), "a=1;b=2;");
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_line_and_a_suggestion() {
        assert_eq!(
            refused("serverity is fine in text\n{type}\n{serverity}"),
            (3, "unknown placeholder `{serverity}`, did you mean `{severity}`?".into())
        );
        let (line, message) = refused("{zzz}");
        assert_eq!(line, 1);
        assert!(message.contains("expected one of incident_id") && message.contains("{labels.zzz}"));
    }

    #[test]
    fn broken_templates_are_refused_at_load() {
        for (text, line, part) in [
            ("a\n{severity", 2, "written `{'{'}`"),
            ("{{ severity }}", 1, "single braces"),
            ("a\nb\n{% if severity %}", 3, "unexpected end"),
            ("a\n{severity|nonsense}", 2, "nonsense"),
            ("{% include 'other' %}", 1, "other"),
            ("{% for a in range(9000) %}{% for b in range(9000) %}{a}{b}{% endfor %}{% endfor %}", 1, "fuel"),
            ("{% macro f() %}{f()}{% endmacro %}{f()}", 1, ""),
        ] {
            let (at, message) = refused(text);
            assert_eq!(at, line, "{text}: {message}");
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(Template::parse(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn values_are_escaped_after_filters_and_ready_ones_are_left() {
        let template = Template::parse("<b> {impact|upper} {eta}").unwrap();
        let mut inserts = BTreeMap::new();
        inserts.insert("impact".to_owned(), Insert::Plain("a & <!channel> \"x\"".into()));
        inserts.insert("eta".to_owned(), Insert::Ready("<!date^1^{time}|03:22 UTC>".into()));
        assert_eq!(
            template.render_for(Escape::Mrkdwn, &inserts).unwrap(),
            "<b> A &amp; &lt;!CHANNEL&gt; \"X\" <!date^1^{time}|03:22 UTC>"
        );
        assert_eq!(
            template.render_for(Escape::Html, &inserts).unwrap(),
            "<b> A &amp; &lt;!CHANNEL&gt; &quot;X&quot; <!date^1^{time}|03:22 UTC>"
        );
    }

    #[test]
    fn a_missing_placeholder_is_an_error_when_filling() {
        let template = Template::parse("x\n{status}").unwrap();
        assert_eq!(template.render(&values(&[])).map_err(|error| error.line), Err(2));
    }
}
