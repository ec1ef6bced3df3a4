//! A request, understood: its verb, its target and its options.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{Method, header};
use jiff::Timestamp;
use serde_json::Value;

use super::fields::Writer;
use super::journal::Exchange;
use super::kind::Kind;
use super::status::Refusal;

/// What a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub kind: Kind,
    /// Empty: cluster-wide, or all namespaces.
    pub namespace: String,
    /// Empty: the collection.
    pub name: String,
    pub subresource: Option<String>,
}

impl Target {
    /// The plural with the subresource, as rights and faults name it.
    pub(crate) fn resource(&self) -> String {
        self.subresource
            .as_ref()
            .map_or(self.kind.plural.to_owned(), |sub| format!("{}/{sub}", self.kind.plural))
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    pub method: Method,
    pub path: String,
    pub verb: &'static str,
    pub target: Option<Target>,
    pub accept: String,
    pub content_type: String,
    raw_query: String,
    query: BTreeMap<String, String>,
    agent: String,
    body: Bytes,
}

impl Call {
    /// Reads a request; `kinds` is what is served.
    pub(crate) fn read(parts: &Parts, body: Bytes, kinds: &[Kind]) -> Self {
        let header =
            |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let query: BTreeMap<String, String> = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map(|query| query.0.into_iter().collect())
            .unwrap_or_default();
        let path = parts.uri.path().trim_end_matches('/').to_owned();
        let target = target(&path, kinds);
        let whole = target.as_ref().is_none_or(|target| target.name.is_empty());
        let watches = query.get("watch").is_some_and(|watch| matches!(watch.as_str(), "true" | "1"));
        let verb = match parts.method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if whole => "deletecollection",
            Method::DELETE => "delete",
            _ if watches => "watch",
            _ if whole && target.is_some() => "list",
            _ => "get",
        };
        Self {
            method: parts.method.clone(),
            path,
            verb,
            target,
            accept: header(header::ACCEPT),
            content_type: header(header::CONTENT_TYPE),
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            query,
            agent: header(header::USER_AGENT),
            body,
        }
    }

    /// A query parameter, empty if there is none.
    pub(crate) fn option(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Whether nothing is to be stored.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.option("dryRun") == "All" || self.json().is_some_and(|body| body["dryRun"][0] == "All")
    }

    /// Whether the request changes objects.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// The body as JSON, or the refusal of what is none.
    pub(crate) fn document(&self) -> Result<Value, Refusal> {
        if self.content_type.contains("protobuf")
            || (self.content_type.contains("yaml") && self.json().is_none())
        {
            return Err(Refusal::unsupported_media_type(&self.content_type));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Refusal::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
        })
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Who writes.
    pub(crate) fn writer(&self, apply: bool) -> Result<Writer, Refusal> {
        let named = self.option("fieldManager");
        if apply && named.is_empty() {
            let cause = ("fieldManager".to_owned(), "Required value: is required for apply patch".to_owned());
            return Err(Refusal::invalid("PatchOptions.meta.k8s.io", "", &[cause]));
        }
        let agent = self.agent.split('/').next().filter(|agent| !agent.is_empty()).unwrap_or("unknown");
        Ok(Writer {
            manager: if named.is_empty() { agent.to_owned() } else { named.to_owned() },
            apply,
            force: self.option("force") == "true",
            subresource: self.target.as_ref().and_then(|target| target.subresource.clone()),
        })
    }

    /// The journal's entry of a call that arrived then, still without an answer.
    pub(crate) fn exchange(&self, at: Timestamp) -> Exchange {
        let target = self.target.as_ref();
        let of = |part: fn(&Target) -> String| target.map(part).unwrap_or_default();
        Exchange {
            at,
            method: self.method.to_string(),
            path: self.path.clone(),
            query: self.raw_query.clone(),
            user_agent: self.agent.clone(),
            content_type: self.content_type.clone(),
            body: self.json(),
            verb: self.verb.to_owned(),
            resource: of(Target::resource),
            namespace: of(|target| target.namespace.clone()),
            name: of(|target| target.name.clone()),
            code: None,
            write: None,
        }
    }
}

fn target(path: &str, kinds: &[Kind]) -> Option<Target> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            (*namespace, [&[*plural], rest].concat())
        }
        rest => ("", rest.to_vec()),
    };
    let kind = *kinds.iter().find(|kind| {
        kind.group == group
            && kind.version == version
            && rest.first().is_some_and(|plural| *plural == kind.plural)
    })?;
    if rest.len() > 3 || (!kind.namespaced && !namespace.is_empty()) {
        return None;
    }
    let name = rest.get(1).copied().unwrap_or_default();
    if kind.namespaced && namespace.is_empty() && !name.is_empty() {
        return None;
    }
    let subresource = rest.get(2).map(|sub| (*sub).to_owned());
    Some(Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), subresource })
}

#[cfg(test)]
mod tests {
    use super::super::kind::BUILT_IN;
    use super::*;

    #[test]
    fn paths_lead_to_targets() {
        let read = |path| {
            target(path, BUILT_IN)
                .map(|target| format!("{} {} {}", target.resource(), target.namespace, target.name))
        };
        assert_eq!(read("/api/v1/namespaces").as_deref(), Some("namespaces  "));
        assert_eq!(read("/api/v1/namespaces/shop/status").as_deref(), Some("namespaces/status  shop"));
        assert_eq!(read("/api/v1/namespaces/shop/pods/a/resize").as_deref(), Some("pods/resize shop a"));
        assert_eq!(read("/apis/apps/v1/deployments").as_deref(), Some("deployments  "));
        assert_eq!(
            read("/apis/apps/v1/namespaces/shop/deployments/a/scale").as_deref(),
            Some("deployments/scale shop a")
        );
        assert_eq!(read("/apis/apps/v1beta1/deployments"), None);
        assert_eq!(read("/apis/apps/v1"), None);
    }
}
