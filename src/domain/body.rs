//! Bodies: what a webhook sends instead of the documented JSON, written as a template over it. Owns the names that
//! exist, the check at load and the bound on what a rendering costs; knows no incident and sends nothing.
//!
//! ```text
//! { {"summary": headline, "id": incident.id, "labels": incident.labels}|tojson }
//! incident={incident.id|urlencode}&text={headline|urlencode}
//! ```

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::template::{LONGEST, TemplateError, bare_environment, line_of, render_error, syntax_error};

/// The names of a body, in the order of the documentation.
pub const FIELDS: [&str; 9] =
    ["version", "notice", "channel", "event", "revision", "created_at", "headline", "text", "incident"];

/// The names within `incident`, in the order of the documentation.
pub const INCIDENT_FIELDS: [&str; 28] = [
    "id",
    "uid",
    "url",
    "type",
    "severity",
    "was",
    "state",
    "acknowledged_by",
    "subject",
    "subject_labels",
    "labels",
    "metric",
    "value",
    "threshold",
    "unit",
    "impact",
    "team",
    "actions",
    "diagnosis",
    "next_steps",
    "eta",
    "since",
    "opened_at",
    "resolved_at",
    "runbook_url",
    "links",
    "chart_url",
    "pages",
];

const NAME: &str = "body";

/// A checked template of a body.
#[derive(Clone)]
pub struct BodyTemplate {
    text: Arc<str>,
    environment: Arc<Environment<'static>>,
}

impl BodyTemplate {
    /// Reads a template. A name that no body has, an unknown filter and a template that fails with ordinary values are
    /// refused here.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError { line: 1, message: format!("longer than {LONGEST} bytes") });
        }
        let environment = environment(text).map_err(|error| syntax_error(text, &error))?;
        let template = Self { text: text.into(), environment: Arc::new(environment) };
        template.check_names()?;
        template.samples()?;
        Ok(template)
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Fills the template with a body. A label that is absent is empty.
    pub fn render(&self, body: &impl Serialize) -> Result<String, TemplateError> {
        self.fill(Value::from(Serde(body)))
    }

    /// What the template makes of two invented bodies, a full one and one in which all is absent that may be. The
    /// words in them have quotes and line breaks: a template that forgets to escape them shows it here.
    pub fn samples(&self) -> Result<[String; 2], TemplateError> {
        Ok([self.fill(sample(true))?, self.fill(sample(false))?])
    }

    fn fill(&self, body: Value) -> Result<String, TemplateError> {
        let failed = |error: minijinja::Error| render_error(&self.text, &error);
        let template = self.environment.get_template(NAME).map_err(failed)?;
        template.render(body).map_err(failed)
    }

    fn check_names(&self) -> Result<(), TemplateError> {
        let Ok(template) = self.environment.get_template(NAME) else { return Ok(()) };
        let is_function = |name: &str| self.environment.globals().any(|(known, _)| known == name);
        let mut unknown: Vec<(usize, String)> = template
            .undeclared_variables(true)
            .into_iter()
            .filter_map(|path| {
                let mut parts = path.split('.');
                let (first, second) = (parts.next().unwrap_or_default(), parts.next());
                let (named, message) = match second {
                    _ if !FIELDS.contains(&first) && !is_function(first) => {
                        (first.to_owned(), unknown_name("", first, &FIELDS))
                    }
                    Some(name) if first == "incident" && !INCIDENT_FIELDS.contains(&name) => {
                        (format!("incident.{name}"), unknown_name("incident.", name, &INCIDENT_FIELDS))
                    }
                    Some(_) | None => return None,
                };
                Some((line_of(&self.text, &named), message))
            })
            .collect();
        unknown.sort();
        unknown.into_iter().next().map_or(Ok(()), |(line, message)| Err(TemplateError { line, message }))
    }
}

fn environment(text: &str) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = bare_environment()?;
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, _, value| {
        if value.is_none() || value.is_undefined() {
            return Ok(());
        }
        out.write_str(&value.to_string()).map_err(minijinja::Error::from)
    });
    environment.add_template_owned(NAME, text.to_owned())?;
    Ok(environment)
}

fn unknown_name(before: &str, name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    match near {
        Some((_, known)) => {
            format!("unknown placeholder `{{{before}{name}}}`, did you mean `{{{before}{known}}}`?")
        }
        None => format!("unknown placeholder `{{{before}{name}}}`, expected one of {}", known.join(", ")),
    }
}

/// An invented body of the documented form.
fn sample(full: bool) -> Value {
    let words = "say \"hi\" \\ twice,\nover <two> lines & more";
    let time = "2026-11-23T03:11:00Z";
    let maybe = |value: &str| if full { Value::from(value) } else { Value::from(()) };
    let number = |value: f64| if full { Value::from(value) } else { Value::from(()) };
    let labels = if full {
        context! { service => words }
    } else {
        context! {}
    };
    let list = |item: Value| Value::from(if full { vec![item] } else { Vec::new() });
    context! {
        version => 1,
        notice => "000001-0123456789abcdef",
        channel => "audit",
        event => "opened",
        revision => 1,
        created_at => time,
        headline => words,
        text => words,
        incident => context! {
            id => "INC-20261123-0007",
            uid => "3f2a9c1e77d04b5a8c6e1f0b2d4a6c88",
            url => maybe("https://runbookd.example.org/incidents/INC-20261123-0007"),
            type => "service_outage",
            severity => "critical",
            was => maybe("warning"),
            state => "open",
            acknowledged_by => maybe(words),
            subject => words,
            subject_labels => labels.clone(),
            labels => labels,
            metric => "cpu_usage",
            value => number(0.95),
            threshold => number(0.9),
            unit => "ratio",
            impact => words,
            team => words,
            actions => list(context! { at => time, text => words }),
            diagnosis => list(Value::from(words)),
            next_steps => list(Value::from(words)),
            eta => maybe(time),
            since => time,
            opened_at => time,
            resolved_at => maybe(time),
            runbook_url => maybe("https://wiki.example.org/high-cpu"),
            links => list(context! { name => words, url => "https://grafana.example.org/d/shop" }),
            chart_url => maybe("https://runbookd.example.org/incidents/INC-20261123-0007/chart.png"),
            pages => 1,
        },
    }
}

// === impl BodyTemplate ===

impl fmt::Debug for BodyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyTemplate").field(&self.text).finish()
    }
}

impl PartialEq for BodyTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> String {
        BodyTemplate::parse(text).unwrap().samples().unwrap()[0].clone()
    }

    fn refused(text: &str) -> String {
        BodyTemplate::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_map_becomes_json_whatever_is_in_it() {
        let template = BodyTemplate::parse("{ {\"t\": headline, \"i\": incident}|tojson }").unwrap();
        for made in template.samples().unwrap() {
            let read: serde_json::Value = serde_json::from_str(&made).unwrap();
            assert!(read["t"].as_str().unwrap().contains("say \"hi\""));
            let names: Vec<&str> = read["i"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut known = INCIDENT_FIELDS.to_vec();
            known.sort_unstable();
            assert_eq!(names, known);
        }
    }

    #[test]
    fn words_are_inserted_as_they_are_and_what_is_absent_is_empty() {
        assert_eq!(
            first("{incident.id} {incident.labels.region}|{event|upper}"),
            "INC-20261123-0007 |OPENED"
        );
        assert_eq!(first("{% for step in incident.next_steps %}{loop.index}{% endfor %}"), "1");
        assert_eq!(first("a={incident.subject|urlencode}").matches('"').count(), 0);
        let sparse = BodyTemplate::parse("<{incident.eta}{incident.value}>").unwrap().samples().unwrap();
        assert_eq!(sparse[1], "<>");
    }

    #[test]
    fn what_no_body_has_is_refused_with_its_line() {
        assert_eq!(
            refused("x\n{headlin}"),
            "line 2 of the template: unknown placeholder `{headlin}`, did you mean `{headline}`?"
        );
        let two = refused("{incident.id}\n{incident.severty}");
        assert!(two.starts_with("line 2") && two.contains("did you mean `{incident.severity}`?"), "{two}");
        assert!(refused("{% if event == 'x' %}{secret}{% endif %}").contains("expected one of version"));
        assert!(refused("{headline|nope}").contains("nope"));
        assert!(refused("{ {\"a\": 1 }").contains("line 1"));
        assert!(
            refused("{% for a in range(1000000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}").len()
                > 5
        );
        assert!(refused(&"x".repeat(LONGEST + 1)).contains("longer than"));
    }
}
