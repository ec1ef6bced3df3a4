//! Alerts in Alertmanager's form: what fires here, and alerts that others hand in.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::api::guard::Changer;
use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::external_alert::PostedAlert;
use crate::domain::labels::{Fnv, Labels};
use crate::engine::Engine;
use crate::engine::event::Event;
use crate::engine::external::MOST_EXTERNAL;
use crate::engine::firing::FiringAlert;

use super::listing::{Listing, Pairs, receivers};
use super::{Api, Problem, Refused};

/// The most labels of an alert.
const MOST_LABELS: usize = 100;

/// The longest name or value of a label, in bytes.
const LONGEST_LABEL: usize = 4_096;

/// The longest annotation that is kept, in bytes; what is longer is cut, as it says enough by then.
const LONGEST_ANNOTATION: usize = 8_192;

/// Before this instant a time is none: Go's zero time is the year 1.
const FIRST: Timestamp = Timestamp::UNIX_EPOCH;

/// An alert as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertView {
    annotations: BTreeMap<Arc<str>, Arc<str>>,
    ends_at: String,
    fingerprint: String,
    receivers: Vec<ReceiverView>,
    starts_at: String,
    status: StatusView,
    updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<Arc<str>>,
    labels: BTreeMap<String, String>,
}

/// A receiver's name.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ReceiverView {
    pub(super) name: String,
}

/// Whether an alert is told, and what holds it back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    inhibited_by: Vec<String>,
    muted_by: Vec<String>,
    silenced_by: Vec<String>,
    state: &'static str,
}

impl AlertView {
    pub(super) fn new(engine: &Engine, alert: FiringAlert) -> Self {
        let receivers = receivers(engine, &alert);
        let receivers = receivers.into_iter().map(|name| ReceiverView { name: name.to_owned() }).collect();
        let inhibited_by: Vec<String> = alert.inhibited_by.iter().map(fingerprint).collect();
        let silenced_by: Vec<String> = alert.silenced_by.iter().map(ToString::to_string).collect();
        let is_held = !inhibited_by.is_empty() || !silenced_by.is_empty() || alert.muted_by.is_some();
        Self {
            fingerprint: fingerprint(&alert.labels),
            annotations: alert.annotations,
            ends_at: time(alert.ends_at),
            receivers,
            starts_at: time(alert.since),
            status: StatusView {
                inhibited_by,
                muted_by: alert.muted_by.iter().map(ToString::to_string).collect(),
                silenced_by,
                state: if is_held { "suppressed" } else { "active" },
            },
            updated_at: time(alert.updated_at),
            generator_url: alert.generator_url,
            labels: pairs(&alert.labels),
        }
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// An alert as it is handed in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<Arc<str>, Arc<str>>,
    annotations: Option<BTreeMap<Arc<str>, Arc<str>>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<Arc<str>>,
}

pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<Pairs>, QueryRejection>,
) -> Result<Json<Vec<AlertView>>, Refused> {
    let Query(pairs) = query.map_err(|error| Refused::bad(error.body_text()))?;
    let listing = Listing::read(&pairs)?;
    let found = api.core.peek(move |engine| {
        let firing = engine.firing(clock::now()).into_iter();
        let wanted = firing.filter(|alert| listing.wants(engine, alert));
        let mut views: Vec<AlertView> = wanted.map(|alert| AlertView::new(engine, alert)).collect();
        views.sort_by(|one, two| one.fingerprint.cmp(&two.fingerprint));
        views
    });
    Ok(Json(found.await?))
}

/// Takes alerts; those that are fine are taken whatever is wrong with others, as in Alertmanager. Answers once they are
/// on record, or, where the store fails, decided.
pub(super) async fn post(
    State(api): State<Api>,
    changer: Result<Changer, Problem>,
    body: Result<axum::body::Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    changer?;
    let body = body.map_err(|error| Refused { status: error.status(), detail: error.body_text() })?;
    let posted: Vec<Posted> = serde_json::from_slice(&body)
        .map_err(|error| Refused::bad(format!("parsing alerts body from \"\" failed, because {error}")))?;
    let mut wrong = Vec::new();
    let mut fine = Vec::new();
    for alert in posted {
        match alert.check() {
            Ok(alert) => fine.push(alert),
            Err(why) => wrong.push(why),
        }
    }
    let firing = api.core.peek(|engine| engine.external_alerts().count()).await?;
    if firing + fine.len() > MOST_EXTERNAL {
        let labels: Vec<Labels> = fine.iter().map(|alert| alert.labels.clone()).collect();
        let fresh = move |engine: &Engine| {
            let known: std::collections::BTreeSet<&Labels> =
                engine.external_alerts().map(|alert| &alert.labels).collect();
            labels.iter().filter(|labels| !known.contains(labels)).count()
        };
        if firing + api.core.peek(fresh).await? > MOST_EXTERNAL {
            let detail = format!("more than {MOST_EXTERNAL} alerts at a time are not taken");
            return Err(Refused { status: StatusCode::TOO_MANY_REQUESTS, detail });
        }
    }
    if !fine.is_empty() {
        api.core.confirm(Event::Posted(fine)).await?;
    }
    if wrong.is_empty() { Ok(StatusCode::OK) } else { Err(Refused::bad(wrong.join("; "))) }
}

impl Posted {
    fn check(self) -> Result<PostedAlert, String> {
        let fits = |text: &str| text.len() <= LONGEST_LABEL;
        let named = |name: &str| !name.is_empty() && fits(name);
        if self.labels.len() > MOST_LABELS
            || !self.labels.iter().all(|(name, value)| named(name) && fits(value))
        {
            return Err("invalid label set: a name is empty or something is too long".into());
        }
        let annotations = self.annotations.unwrap_or_default().into_iter().take(MOST_LABELS);
        let annotations =
            annotations.map(|(name, value)| (cut(name, LONGEST_LABEL), cut(value, LONGEST_ANNOTATION)));
        let alert = PostedAlert {
            labels: Labels::new(self.labels),
            annotations: annotations.collect(),
            starts_at: said(self.starts_at.as_deref())?,
            ends_at: said(self.ends_at.as_deref())?,
            generator_url: self
                .generator_url
                .filter(|url| !url.is_empty() && url.len() <= LONGEST_ANNOTATION),
        };
        alert.check().map_err(|fault| fault.to_string())?;
        Ok(alert)
    }
}

/// A time that is said: Go's zero time and the empty text say none.
pub(super) fn said(text: Option<&str>) -> Result<Option<Timestamp>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let at: Timestamp =
        text.parse().map_err(|_| format!("`{text}` is no time such as 2026-11-24T18:00:00Z"))?;
    Ok(Some(at).filter(|at| *at >= FIRST))
}

fn cut(text: Arc<str>, longest: usize) -> Arc<str> {
    if text.len() <= longest {
        return text;
    }
    let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text[..end].into()
}

/// Times with milliseconds, as Alertmanager writes them.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The labels as a map.
pub(super) fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The fingerprint by which Prometheus' world names a label set: FNV-1a over sorted names and values, each closed by the
/// byte 255.
pub(super) fn fingerprint(labels: &Labels) -> String {
    let mut hash = Fnv::default();
    for (name, value) in labels.iter() {
        hash.write(name.as_bytes());
        hash.write(&[255]);
        hash.write(value.as_bytes());
        hash.write(&[255]);
    }
    format!("{:016x}", hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_one_that_prometheus_computes() {
        // From prometheus/common's own tests of label sets.
        assert_eq!(fingerprint(&Labels::empty()), format!("{:016x}", 14_695_981_039_346_656_037_u64));
        let labels = Labels::new([
            ("first-label", "first-label-value"),
            ("name", "garland, briggs"),
            ("fear", "love is not enough"),
        ]);
        assert_eq!(
            fingerprint(&Labels::new(labels.iter().filter(|(name, _)| *name != "first-label"))),
            format!("{:016x}", 5_799_056_148_416_392_346_u64)
        );
    }

    #[test]
    fn times_are_read_and_written_as_go_does() {
        assert_eq!(said(Some("0001-01-01T00:00:00Z")), Ok(None));
        assert_eq!(said(Some("0001-01-01T00:00:00.000Z")), Ok(None));
        assert_eq!(said(None), Ok(None));
        let at = said(Some("2026-11-24T18:00:00.5+01:00")).unwrap().unwrap();
        assert_eq!(time(at), "2026-11-24T17:00:00.500Z");
        assert!(said(Some("soon")).is_err());
    }
}
