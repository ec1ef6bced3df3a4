//! Refusals: the `Status` objects that the API answers instead of what was asked.
//!
//! Owns codes, reasons and wording; decides nothing.

use serde_json::{Value, json};

use super::kind::Kind;

/// A refused request.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// HTTP status code.
    pub code: u16,
    reason: &'static str,
    message: String,
    details: Value,
    /// Seconds after which a client may ask again.
    pub retry_after: Option<u64>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null, retry_after: None }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({"name": name, "group": kind.group, "kind": kind.plural});
        self
    }

    /// 404 for an object.
    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified())).about(kind, name)
    }

    /// 404 for a path or a resource that is not served.
    pub(crate) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 409 for a name that is taken.
    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.qualified());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    /// 409 for a stale resourceVersion.
    pub(crate) fn conflict(kind: &Kind, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes \
             to the latest version and try again",
            kind.qualified()
        );
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// 409 for an apply that touches fields of other managers.
    pub(crate) fn owned_by_others(kind: &Kind, name: &str, conflicts: &[(String, String)]) -> Self {
        let list: Vec<_> = conflicts
            .iter()
            .map(|(manager, field)| format!("conflict with \"{manager}\": {field}"))
            .collect();
        let message = format!("Apply failed with {} conflict(s): {}", conflicts.len(), list.join(", "));
        let mut refusal = Self::new(409, "Conflict", message).about(kind, name);
        refusal.details["causes"] = conflicts
            .iter()
            .map(|(manager, field)| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\""), "field": field})
            })
            .collect();
        refusal
    }

    /// 422 with one cause per (field, message).
    pub(crate) fn invalid(kind: &str, name: &str, causes: &[(String, String)]) -> Self {
        let list: Vec<_> = causes.iter().map(|(field, message)| format!("{field}: {message}")).collect();
        let joined = if list.len() == 1 { list.concat() } else { format!("[{}]", list.join(", ")) };
        let mut refusal = Self::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {joined}"));
        let (short, group) = kind.split_once('.').unwrap_or((kind, ""));
        refusal.details = json!({"name": name, "group": group, "kind": short, "causes": causes.iter()
            .map(|(field, message)| {
                let reason = if message.starts_with("Forbidden") {
                    "FieldValueForbidden"
                } else if message.starts_with("Required") {
                    "FieldValueRequired"
                } else {
                    "FieldValueInvalid"
                };
                json!({"reason": reason, "message": message, "field": field})
            })
            .collect::<Vec<_>>()});
        refusal
    }

    /// 403 for a verb that is not allowed to the caller.
    pub(crate) fn not_allowed(kind: &Kind, subresource: Option<&str>, verb: &str, at: (&str, &str)) -> Self {
        let (namespace, name) = at;
        let resource = subresource.map_or(kind.plural.to_owned(), |sub| format!("{}/{sub}", kind.plural));
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let subject =
            if name.is_empty() { kind.qualified() } else { format!("{} \"{name}\"", kind.qualified()) };
        let message = format!(
            "{subject} is forbidden: User \"runbookd\" cannot {verb} resource \"{resource}\" in API group \"{}\" {place}",
            kind.group
        );
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    /// 403 by an admission check such as a quota.
    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", kind.qualified()))
            .about(kind, name)
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 406.
    pub(crate) fn not_acceptable() -> Self {
        Self::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
    }

    /// 410 for a resourceVersion that the history no longer reaches.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 415.
    pub(crate) fn unsupported_media_type(content_type: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format ({content_type}) - accepted media types include: \
             application/json, application/json-patch+json, application/merge-patch+json, \
             application/strategic-merge-patch+json, application/apply-patch+yaml"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A refusal by code alone, for injected faults.
    pub(crate) fn by_code(code: u16, retry_after: Option<u64>) -> Self {
        let (reason, message) = match code {
            400 => ("BadRequest", "the server rejected our request for an unknown reason"),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => {
                ("Conflict", "the object has been modified; please apply your changes to the latest version")
            }
            410 => ("Expired", "too old resource version"),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the request did not complete within the allotted timeout"),
            _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
        };
        let mut refusal = Self::new(code, reason, message);
        if let Some(seconds) = retry_after {
            refusal.retry_after = Some(seconds);
            refusal.details = json!({"retryAfterSeconds": seconds});
        }
        refusal
    }

    /// The `Status` object.
    pub(crate) fn to_json(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body
    }

    /// What went wrong, for conditions.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}
