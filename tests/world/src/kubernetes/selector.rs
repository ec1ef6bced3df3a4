//! Label and field selectors of list and watch requests.
//!
//! Parses and matches; does not know where objects come from.

use serde_json::Value;

use super::status::Refusal;

#[derive(Debug, Clone)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// Which objects a request wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    /// Reads the two query parameters; either may be empty.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = split(labels).into_iter().map(requirement).collect::<Result<_, _>>()?;
        let fields =
            fields.split(',').filter(|term| !term.is_empty()).map(field).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Whether the object is wanted.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &String| labels.get(key).and_then(Value::as_str);
        self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(key, values) => {
                label(key).is_none_or(|value| values.iter().all(|v| v != value))
            }
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
        }) && self.fields.iter().all(|(path, equal, wanted)| {
            let found = path.split('.').try_fold(object, |value, name| value.get(name));
            let found = match found {
                Some(Value::String(found)) => found.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (found == *wanted) == *equal
        })
    }
}

/// Splits at the commas that are not within parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut terms, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(text[start..].trim());
    terms.retain(|term| !term.is_empty());
    terms
}

fn requirement(term: &str) -> Result<Requirement, Refusal> {
    let refuse = || Refusal::bad_request(format!("unable to parse requirement: {term}"));
    if let Some(key) = term.strip_prefix('!') {
        return Ok(Requirement::Missing(key.trim().to_owned()));
    }
    if let Some(list) = term.strip_suffix(')') {
        let (head, list) = list.split_once('(').ok_or_else(refuse)?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let key = words.next().ok_or_else(refuse)?.to_owned();
        return match words.next() {
            Some("in") => Ok(Requirement::In(key, values)),
            Some("notin") => Ok(Requirement::NotIn(key, values)),
            _ => Err(refuse()),
        };
    }
    let one = |text: &str| vec![text.trim().to_owned()];
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key.trim().to_owned(), one(value)));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Requirement::In(key.trim().to_owned(), one(value)));
    }
    if term.contains(char::is_whitespace) { Err(refuse()) } else { Ok(Requirement::Exists(term.to_owned())) }
}

fn field(term: &str) -> Result<(String, bool, String), Refusal> {
    if let Some((path, value)) = term.split_once("!=") {
        return Ok((path.to_owned(), false, value.to_owned()));
    }
    let (path, value) = term
        .split_once("==")
        .or_else(|| term.split_once('='))
        .ok_or_else(|| Refusal::bad_request(format!("invalid field selector: {term}")))?;
    Ok((path.to_owned(), true, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_fields_select_as_kubernetes_does() {
        let pod = json!({"metadata": {"name": "a", "labels": {"app": "checkout", "tier": "web"}},
                         "spec": {"nodeName": "node-1"}});
        let matches = |labels, fields| Selector::parse(labels, fields).unwrap().matches(&pod);
        for labels in [
            "app=checkout",
            "app==checkout,tier!=db",
            "app in (cart, checkout),tier",
            "app notin (cart)",
            "!zone",
            "zone!=a",
            "",
        ] {
            assert!(matches(labels, ""), "{labels}");
        }
        for labels in ["app=cart", "app in (cart)", "app notin (checkout)", "zone", "!app"] {
            assert!(!matches(labels, ""), "{labels}");
        }
        assert!(matches("", "metadata.name=a,spec.nodeName!=node-2"));
        assert!(!matches("", "spec.nodeName="));
        assert!(Selector::parse("a b", "").is_err());
    }
}
