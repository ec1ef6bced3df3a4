//! The templates: parsed once, part of the binary, every value escaped. Owns the filters that write times, quantities and
//! labels for people; a page's words stand in its template.

use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{Environment, Error, Value};
use serde::Serialize;

use crate::domain::Timestamp;
use crate::domain::headline::between;
use crate::domain::quantity::Unit;

/// Each template's name and text.
const TEXTS: [(&str, &str); 15] = [
    ("base.html", include_str!("html/base.html")),
    ("parts.html", include_str!("html/parts.html")),
    ("overview.html", include_str!("html/overview.html")),
    ("incidents.html", include_str!("html/incidents.html")),
    ("incident.html", include_str!("html/incident.html")),
    ("alerts.html", include_str!("html/alerts.html")),
    ("explain.html", include_str!("html/explain.html")),
    ("rules.html", include_str!("html/rules.html")),
    ("scaling.html", include_str!("html/scaling.html")),
    ("capacity.html", include_str!("html/capacity.html")),
    ("tenants.html", include_str!("html/tenants.html")),
    ("tenant.html", include_str!("html/tenant.html")),
    ("silences.html", include_str!("html/silences.html")),
    ("sign_in.html", include_str!("html/sign_in.html")),
    ("sorry.html", include_str!("html/sorry.html")),
];

static TEMPLATES: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.add_filter("when", |text: &str| time(text, "%-d %b %H:%M UTC"));
    templates.add_filter("day", |text: &str| time(text, "%-d %b %Y"));
    templates.add_filter("moment", |text: &str| time(text, "%-d %b %H:%M:%S UTC"));
    templates.add_filter("ago", |text: &str, now: &str| ticking(text, now, "ago"));
    templates.add_filter("left", |text: &str, now: &str| ticking(text, now, "left"));
    templates.add_filter("quantity", quantity);
    templates.add_filter("words", |code: &str| code.replace('_', " "));
    for (name, text) in TEXTS {
        templates.add_template(name, text)?;
    }
    Ok(templates)
});

/// Writes a page.
pub(super) fn render(name: &str, page: &impl Serialize) -> Result<String, Error> {
    let templates = TEMPLATES.as_ref().map_err(|error| Error::new(error.kind(), error.to_string()))?;
    templates.get_template(name)?.render(Serde(page))
}

/// An instant as people read it, with its zone; the whole of it stays in the attribute.
fn time(text: &str, format: &str) -> Value {
    let Ok(at) = text.parse::<Timestamp>() else { return Value::from(text) };
    // Nothing of it comes from outside: it is printed from a timestamp.
    Value::from_safe_string(format!("<time datetime=\"{at}\">{}</time>", at.strftime(format)))
}

/// How long ago, or how long from now. The script lets it go on from the instant in the attribute.
fn ticking(text: &str, now: &str, way: &str) -> Value {
    let (Ok(at), Ok(now)) = (text.parse::<Timestamp>(), now.parse::<Timestamp>()) else {
        return Value::from(text);
    };
    let span = if way == "ago" { between(at.min(now), now) } else { between(now, at.max(now)) };
    let seconds = at.as_second();
    let attributes = format!("datetime=\"{at}\" data-{way}=\"{seconds}\"");
    Value::from_safe_string(format!("<time {attributes}>{span}</time>"))
}

fn quantity(value: &Value, unit: &str) -> String {
    let number = if value.is_none() { None } else { f64::try_from(value.clone()).ok() };
    match (number, Unit::parse(unit)) {
        (Some(number), Some(unit)) => unit.show(number),
        (Some(number), None) => number.to_string(),
        (None, _) => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_read() {
        let templates = TEMPLATES.as_ref().expect("templates");
        assert_eq!(templates.templates().count(), TEXTS.len());
    }

    #[test]
    fn times_name_their_zone_and_quantities_their_unit() {
        let at = time("2026-11-23T03:14:05Z", "%-d %b %H:%M UTC").to_string();
        assert_eq!(at, "<time datetime=\"2026-11-23T03:14:05Z\">23 Nov 03:14 UTC</time>");
        assert_eq!(time("<b>", "%H:%M").to_string(), "<b>");
        assert!(!time("<b>", "%H:%M").is_safe(), "what is no time is escaped");
        assert_eq!(quantity(&Value::from(0.91), "ratio"), "91 %");
        assert_eq!(quantity(&Value::from(()), "ratio"), "–");
    }
}
