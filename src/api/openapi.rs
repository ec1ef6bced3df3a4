//! The `OpenAPI` document: every operation below `/api` that people and programs may use. Owns the table of operations; the
//! routes themselves stand where they are served, and a test compares the two.

use std::collections::BTreeMap;

use axum::Json;
use serde_json::{Map, Value, json};

/// An operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// The status of the usual answer.
    status: u16,
    /// The parameters of its query, by name and type.
    query: &'static [(&'static str, Kind)],
    /// The fields of its body, by name and type, with whether they are required; nothing where it takes none.
    body: &'static [(&'static str, Kind, bool)],
    answer: Answer,
}

/// The type of a parameter or field.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// A span such as `30m`.
    Span,
    Time,
    Whole,
    Flag,
    Several,
    Matchers,
    Alerts,
    States(&'static [&'static str]),
}

/// The form of an answer.
#[derive(Clone, Copy)]
enum Answer {
    /// An object.
    One,
    /// A page of items.
    Page,
    /// A plain list.
    List,
    /// Data of Prometheus' API.
    Data,
    /// Server-sent events.
    Stream,
    /// Nothing.
    Empty,
}

use Answer::{Data, Empty, List, One, Stream};
use Kind::{Alerts, Flag, Matchers, Several, Span, States, Text, Time, Whole};

const LIMIT: (&str, Kind) = ("limit", Whole);
const AFTER: (&str, Kind) = ("after", Text);
const SEVERITY: (&str, Kind) = ("severity", States(&["warning", "critical"]));
const OF_ALERTS: Kind = States(&["pending", "firing", "resolved"]);
const OF_INCIDENTS: Kind = States(&["open", "acknowledged", "mitigating", "resolved", "closed"]);
const OF_SILENCES: Kind = States(&["pending", "active", "expired", "all"]);
const BY: (&str, Kind, bool) = ("by", Text, false);
const LISTING: &[(&str, Kind)] =
    &[("filter", Several), ("active", Flag), ("silenced", Flag), ("inhibited", Flag), ("receiver", Text)];

const fn get(
    path: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, Kind)],
    answer: Answer,
) -> Operation {
    Operation { method: "get", path, summary, status: 200, query, body: &[], answer }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    status: u16,
    body: &'static [(&'static str, Kind, bool)],
    answer: Answer,
) -> Operation {
    Operation { method: "post", path, summary, status, query: &[], body, answer }
}

const OPERATIONS: &[Operation] = &[
    get(
        "/api/runbookd/v1/incidents",
        "Incidents, newest first",
        &[
            ("state", OF_INCIDENTS),
            SEVERITY,
            ("type", Text),
            ("subject", Text),
            LIMIT,
            AFTER,
            ("before", Text),
        ],
        Answer::Page,
    ),
    get("/api/runbookd/v1/incidents/{id}", "One incident with its timeline and diagnosis", &[], One),
    get(
        "/api/runbookd/v1/incidents/{id}/timeline",
        "What happened to an incident, oldest first",
        &[LIMIT, AFTER],
        Answer::Page,
    ),
    post(
        "/api/runbookd/v1/incidents/{id}/acknowledge",
        "Take an incident",
        200,
        &[BY, ("for", Span, false)],
        One,
    ),
    post("/api/runbookd/v1/incidents/{id}/unacknowledge", "Give an incident back", 200, &[BY], One),
    post(
        "/api/runbookd/v1/incidents/{id}/notes",
        "Write a line on the timeline",
        200,
        &[BY, ("text", Text, true)],
        One,
    ),
    post(
        "/api/runbookd/v1/incidents/{id}/checklist/{step}",
        "Tick a step, counted from 0, or take that back",
        200,
        &[BY, ("done", Flag, false)],
        One,
    ),
    post("/api/runbookd/v1/incidents/{id}/resolve", "Call an incident over", 200, &[BY], One),
    get(
        "/api/runbookd/v1/rules",
        "Rules and how their alerts stand",
        &[("state", OF_ALERTS), LIMIT, AFTER],
        Answer::Page,
    ),
    get(
        "/api/runbookd/v1/alerts",
        "Alerts of rules here and those handed in",
        &[("state", OF_ALERTS), SEVERITY, ("subject", Text), LIMIT, AFTER],
        Answer::Page,
    ),
    get("/api/runbookd/v1/explain/{id}", "Why somebody was, or was not, told", &[], Answer::Page),
    get("/api/runbookd/v1/silences", "Silences", &[("state", OF_SILENCES), LIMIT, AFTER], Answer::Page),
    post(
        "/api/runbookd/v1/silences",
        "Make a silence, or change one",
        201,
        &[
            ("id", Text, false),
            ("matchers", Text, true),
            ("starts_at", Time, false),
            ("ends_at", Time, false),
            ("for", Span, false),
            ("comment", Text, true),
            BY,
        ],
        One,
    ),
    get("/api/runbookd/v1/silences/{id}", "One silence", &[], One),
    Operation {
        method: "delete",
        path: "/api/runbookd/v1/silences/{id}",
        summary: "End a silence",
        status: 200,
        query: &[("by", Text)],
        body: &[],
        answer: One,
    },
    get(
        "/api/runbookd/v1/scaling",
        "Targets, what is held and why, and their last actions",
        &[],
        Answer::Page,
    ),
    post(
        "/api/runbookd/v1/scaling/{namespace}/{kind}/{name}/pause",
        "Take no step for a while",
        200,
        &[BY, ("reason", Text, true), ("for", Span, false)],
        One,
    ),
    post(
        "/api/runbookd/v1/scaling/{namespace}/{kind}/{name}/resume",
        "Let a target be scaled again",
        200,
        &[BY],
        One,
    ),
    get(
        "/api/runbookd/v1/capacity",
        "How many tenants fit, and until when",
        &[("series", Flag)],
        Answer::Page,
    ),
    get("/api/runbookd/v1/tenants", "The tenants that are seen", &[], Answer::Page),
    get("/api/runbookd/v1/tenants/{id}", "The onboarding list of a tenant, checked", &[], One),
    get("/api/runbookd/v1/config", "How the last reload went", &[], One),
    post("/api/runbookd/v1/config/reload", "Reload now", 202, &[], Empty),
    get("/api/runbookd/v1/events", "What changes, as it changes", &[], Stream),
    get("/api/runbookd/v1/openapi.json", "This document", &[], One),
    get(
        "/api/v1/rules",
        "Rules as Prometheus serves them",
        &[
            ("type", States(&["alert", "record"])),
            ("rule_name[]", Several),
            ("rule_group[]", Several),
            ("file[]", Several),
            ("match[]", Several),
            ("exclude_alerts", Flag),
        ],
        Data,
    ),
    get("/api/v1/alerts", "Alerts as Prometheus serves them", &[], Data),
    get("/api/v1/status/buildinfo", "The version, as Prometheus serves it", &[], Data),
    get("/api/v2/status", "The status, as Alertmanager serves it", &[], One),
    get("/api/v2/receivers", "The channels, as Alertmanager serves receivers", &[], List),
    get("/api/v2/alerts", "What fires, as Alertmanager serves it", LISTING, List),
    post("/api/v2/alerts", "Hand alerts in", 200, &[("", Alerts, true)], Empty),
    get("/api/v2/alerts/groups", "What fires, by incident and channel", LISTING, List),
    get(
        "/api/v2/silences",
        "Silences, as Alertmanager serves them",
        &[("filter", Several), ("creator", Several)],
        List,
    ),
    post(
        "/api/v2/silences",
        "Make a silence, or change one",
        200,
        &[
            ("id", Text, false),
            ("matchers", Matchers, true),
            ("startsAt", Time, true),
            ("endsAt", Time, true),
            ("createdBy", Text, true),
            ("comment", Text, true),
        ],
        One,
    ),
    get("/api/v2/silence/{id}", "One silence", &[], One),
    Operation {
        method: "delete",
        path: "/api/v2/silence/{id}",
        summary: "End a silence",
        status: 200,
        query: &[],
        body: &[],
        answer: Empty,
    },
];

pub(super) async fn document() -> Json<Value> {
    Json(made())
}

/// The document.
fn made() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in OPERATIONS {
        paths.entry(operation.path).or_default().insert(operation.method.to_owned(), operation.described());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "runbookd",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Page": {
                    "type": "object",
                    "required": ["items", "next"],
                    "properties": {
                        "items": {"type": "array", "items": {"type": "object"}},
                        "next": {"type": ["string", "null"]},
                    },
                },
                "Problem": {
                    "type": "object",
                    "required": ["status", "title", "detail"],
                    "properties": {
                        "status": {"type": "integer"},
                        "title": {"type": "string"},
                        "detail": {"type": "string"},
                    },
                },
            },
        },
    })
}

impl Operation {
    fn described(&self) -> Value {
        let placed = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = placed.map(|name| {
            let kind = if name == "step" { Whole } else { Text };
            json!({"name": name, "in": "path", "required": true, "schema": kind.schema()})
        });
        let in_query = self
            .query
            .iter()
            .map(|(name, kind)| json!({"name": name, "in": "query", "schema": kind.schema()}));
        let parameters: Vec<Value> = in_path.chain(in_query).collect();
        let mut described = json!({
            "summary": self.summary,
            "parameters": parameters,
            "responses": {self.status.to_string(): self.answer.described(), "default": self.error()},
        });
        if self.method != "get" {
            described["security"] = json!([{"token": []}, {}]);
        }
        if self.method == "post" {
            described["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": self.body_schema()}}});
        }
        described
    }

    /// Alertmanager's and Prometheus' clients read errors in forms of their own.
    fn error(&self) -> Value {
        let (media, schema) = if self.path.starts_with("/api/v2/") {
            ("application/json", json!({"type": "string"}))
        } else if self.path.starts_with("/api/v1/") {
            ("application/json", json!({"type": "object"}))
        } else {
            ("application/problem+json", json!({"$ref": "#/components/schemas/Problem"}))
        };
        json!({"description": "What is wrong", "content": {media: {"schema": schema}}})
    }

    fn body_schema(&self) -> Value {
        if let [("", kind, _)] = self.body {
            return kind.schema();
        }
        let properties: Map<String, Value> =
            self.body.iter().map(|(name, kind, _)| ((*name).to_owned(), kind.schema())).collect();
        let required: Vec<&str> =
            self.body.iter().filter(|(.., required)| *required).map(|(name, ..)| *name).collect();
        json!({"type": "object", "properties": properties, "required": required})
    }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Text => json!({"type": "string"}),
            Span => json!({"type": "string", "examples": ["30m"]}),
            Time => json!({"type": "string", "format": "date-time"}),
            Whole => json!({"type": "integer", "minimum": 0}),
            Flag => json!({"type": "boolean"}),
            Several => json!({"type": "array", "items": {"type": "string"}}),
            States(words) => json!({"type": "string", "enum": words}),
            Matchers => {
                let properties = json!({"name": {"type": "string"}, "value": {"type": "string"},
                    "isRegex": {"type": "boolean"}, "isEqual": {"type": "boolean", "default": true}});
                let required = ["name", "value", "isRegex"];
                let one = json!({"type": "object", "properties": properties, "required": required});
                json!({"type": "array", "minItems": 1, "items": one})
            }
            Alerts => {
                let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
                let properties = json!({"labels": texts, "annotations": texts, "startsAt": Time.schema(),
                    "endsAt": Time.schema(), "generatorURL": {"type": "string"}});
                let one = json!({"type": "object", "properties": properties, "required": ["labels"]});
                json!({"type": "array", "items": one})
            }
        }
    }
}

impl Answer {
    fn described(self) -> Value {
        let (media, schema) = match self {
            One => ("application/json", json!({"type": "object"})),
            Self::Page => ("application/json", json!({"$ref": "#/components/schemas/Page"})),
            List => ("application/json", json!({"type": "array", "items": {"type": "object"}})),
            Data => {
                let properties = json!({"status": {"const": "success"}, "data": {"type": "object"}});
                ("application/json", json!({"type": "object", "properties": properties}))
            }
            Stream => ("text/event-stream", json!({"type": "string"})),
            Empty => return json!({"description": "Done"}),
        };
        json!({"description": "The answer", "content": {media: {"schema": schema}}})
    }
}
