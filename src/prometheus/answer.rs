//! The answer of an instant query: from bytes and a status code to samples. Owns the wire format and what counts as a
//! complete answer; asks nothing.
//!
//! ```json
//! {"status":"success","data":{"resultType":"vector","result":[{"metric":{"service":"a"},"value":[17,"0.9"]}]}}
//! ```

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::QueryError;
use super::pool::LabelPool;
use crate::domain::Timestamp;
use crate::domain::labels::Labels;
use crate::domain::observation::{Observation, QueryFailure, Sample};

/// What was asked, as far as it decides what the answer means.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The instant the query was asked for.
    pub at: Timestamp,
    /// A sample further before that instant is [`Observation::Stale`].
    pub staleness: Duration,
}

/// Reads the body of an answer with its HTTP status.
///
/// - A series whose value is a histogram is there but is not a number: [`Observation::NotANumber`], like NaN.
///   Infinite values are values.
/// - `__name__` is dropped; two series that are the same without it cannot be told apart, so the answer is
///   `Malformed`. Vectors and scalars are understood; strings and matrices are not.
/// - Warnings say that something is missing from the answer, with one exception: those that begin with `PromQL` are
///   remarks on the expression (Prometheus since 2.48). Everything else, from Thanos' unreachable stores to
///   Prometheus' own failed remote reads, makes the answer `Partial`, as does `VictoriaMetrics`' `isPartial`. `infos`
///   never do.
/// - `bad_data` and `execution` (400, 422) are `Rejected`, the server's own `timeout` is `TimedOut`, every other error
///   is `Unavailable`, whatever its body looks like.
pub fn decode(
    body: &[u8],
    status: u16,
    asked: Asked,
    pool: &mut LabelPool,
) -> Result<Vec<Sample>, QueryError> {
    let data = successful(body, status)?;
    pool.turn(asked.at);
    match data.result_type.as_ref() {
        "vector" => {
            let reading = Reading { asked, pool };
            let samples = reading
                .deserialize(&mut serde_json::Deserializer::from_str(data.result.get()))
                .map_err(malformed)?;
            if is_ambiguous(&samples) {
                return Err(malformed("two series have the same labels once the metric's name is dropped"));
            }
            Ok(samples)
        }
        "scalar" => {
            let point: Point<'_> = serde_json::from_str(data.result.get()).map_err(malformed)?;
            let seen = point.seen(asked).map_err(malformed)?;
            Ok(vec![Sample { labels: Labels::empty(), seen }])
        }
        other => Err(malformed(format!("a result of type {other}, expected a vector or a scalar"))),
    }
}

/// The data of an answer that is whole.
pub(super) fn successful(body: &[u8], status: u16) -> Result<Data<'_>, QueryError> {
    let envelope = match serde_json::from_slice::<Envelope<'_>>(body) {
        Ok(envelope) => envelope,
        Err(_) if !(200..300).contains(&status) => {
            return Err(QueryError::new(by_status(status), format!("HTTP {status}: {}", opening(body))));
        }
        Err(error) => return Err(malformed(error)),
    };
    if envelope.status != "success" || !(200..300).contains(&status) {
        let kind = envelope.error_type.as_deref().unwrap_or_default();
        let words = envelope.error.as_deref().unwrap_or("no reason given");
        return Err(QueryError::new(by_error(kind, status), format!("HTTP {status} {kind}: {words}")));
    }
    if let Some(warning) = envelope.warnings.iter().flatten().find(|text| !text.starts_with("PromQL")) {
        return Err(QueryError::new(QueryFailure::Partial, warning.clone()));
    }
    if envelope.is_partial == Some(true) {
        return Err(QueryError::new(QueryFailure::Partial, "the answer is marked isPartial"));
    }
    let Some(data) = envelope.data else { return Err(malformed("there is no data")) };
    serde_json::from_str(data.get()).map_err(malformed)
}

pub(super) fn malformed(why: impl fmt::Display) -> QueryError {
    QueryError::new(QueryFailure::Malformed, why.to_string())
}

fn by_error(kind: &str, status: u16) -> QueryFailure {
    match kind {
        "bad_data" | "execution" => QueryFailure::Rejected,
        "timeout" => QueryFailure::TimedOut,
        "" => by_status(status),
        _ => QueryFailure::Unavailable,
    }
}

fn by_status(status: u16) -> QueryFailure {
    match status {
        400 | 422 => QueryFailure::Rejected,
        _ => QueryFailure::Unavailable,
    }
}

/// The beginning of a body that is not the API's: the words of a proxy's error page.
fn opening(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_ambiguous(samples: &[Sample]) -> bool {
    let mut seen = HashSet::with_capacity(samples.len());
    !samples.iter().all(|sample| seen.insert(&sample.labels))
}

// === the wire format ===

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default, rename = "isPartial")]
    is_partial: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow, rename = "resultType")]
    pub(super) result_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) result: &'a RawValue,
}

#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    metric: Pairs<'a>,
    #[serde(borrow, default)]
    value: Option<Point<'a>>,
    #[serde(default)]
    histogram: Option<(f64, IgnoredAny)>,
}

/// Seconds since the epoch and the value as text.
#[derive(Deserialize)]
struct Point<'a>(f64, #[serde(borrow)] Cow<'a, str>);

impl Point<'_> {
    fn seen(&self, asked: Asked) -> Result<Observation, String> {
        let value: f64 = self.1.parse().map_err(|_| format!("`{}` is not a number", self.1))?;
        Ok(seen(self.0, Some(value), asked))
    }
}

/// What a sample of `seconds` since the epoch says; no value is a histogram's.
fn seen(seconds: f64, value: Option<f64>, asked: Asked) -> Observation {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are exact in a double")]
    let age = asked.at.as_millisecond() as f64 / 1000.0 - seconds;
    match value {
        _ if age > asked.staleness.as_secs_f64() => Observation::Stale,
        Some(value) if !value.is_nan() => Observation::Value(value),
        Some(_) | None => Observation::NotANumber,
    }
}

/// The labels of a series, without `__name__`, in the order the server wrote them.
pub(super) struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Pairs<'_> {
    /// The labels; an empty value is an absent label.
    pub(super) fn labels(&self) -> Labels {
        Labels::new(
            self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (&**name, &**value)),
        )
    }

    /// Whether they are exactly these labels; an empty value is an absent label.
    pub(super) fn is(&self, labels: &Labels) -> bool {
        let mut count = 0;
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_empty()) {
            if labels.get(name) != Some(value.as_ref()) {
                return false;
            }
            count += 1;
        }
        count == labels.len()
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some((name, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    if name.0 != "__name__" {
                        pairs.push((name.0, value.0));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// Reads a vector element by element, so that no second copy of the answer is held.
struct Reading<'p> {
    asked: Asked,
    pool: &'p mut LabelPool,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Vec<Sample>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Vec<Sample>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut samples = Vec::new();
        while let Some(element) = list.next_element::<Element<'de>>()? {
            let observed = match (&element.value, &element.histogram) {
                (Some(point), _) => point.seen(self.asked).map_err(de::Error::custom)?,
                (None, Some((seconds, _))) => seen(*seconds, None, self.asked),
                (None, None) => return Err(de::Error::missing_field("value")),
            };
            samples.push(Sample { labels: self.pool.intern(&element.metric.0), seen: observed });
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_700_000_000;

    fn read(body: &str, status: u16) -> Result<Vec<Sample>, QueryFailure> {
        let asked = Asked { at: Timestamp::from_second(AT).unwrap(), staleness: Duration::from_secs(300) };
        decode(body.as_bytes(), status, asked, &mut LabelPool::new()).map_err(|error| error.failure)
    }

    fn vector(elements: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#)
    }

    fn element(service: &str, time: i64, value: &str) -> String {
        format!(r#"{{"metric":{{"__name__":"up","service":"{service}"}},"value":[{time},"{value}"]}}"#)
    }

    #[test]
    fn each_kind_of_value_is_seen_as_what_it_is() {
        let cases = [
            (AT, "0.95", Observation::Value(0.95)),
            (AT, "-1e3", Observation::Value(-1000.0)),
            (AT, "+Inf", Observation::Value(f64::INFINITY)),
            (AT, "-Inf", Observation::Value(f64::NEG_INFINITY)),
            (AT, "NaN", Observation::NotANumber),
            (AT - 300, "1", Observation::Value(1.0)),
            (AT - 301, "1", Observation::Stale),
            (AT - 301, "NaN", Observation::Stale),
        ];
        for (time, text, expected) in cases {
            let samples = read(&vector(&element("a", time, text)), 200).unwrap();
            assert_eq!(
                samples,
                [Sample { labels: Labels::new([("service", "a")]), seen: expected }],
                "{text}"
            );
        }
    }

    #[test]
    fn a_histogram_is_one_series_that_is_not_a_number() {
        let histogram = format!(
            r#"{{"metric":{{"service":"h"}},"histogram":[{AT},{{"count":"3","sum":"1","buckets":[[0,"1","2","3"]]}}]}}"#
        );
        let samples = read(&vector(&format!("{},{histogram}", element("a", AT, "1"))), 200).unwrap();
        let seen: Vec<_> = samples.iter().map(|sample| sample.seen).collect();
        assert_eq!(seen, [Observation::Value(1.0), Observation::NotANumber]);
    }

    #[test]
    fn an_empty_vector_is_an_answer_and_a_scalar_is_one_series() {
        assert_eq!(read(&vector(""), 200), Ok(vec![]));
        let scalar =
            format!(r#"{{"data":{{"result":[{AT}.5,"7"],"resultType":"scalar"}},"status":"success"}}"#);
        let expected = Sample { labels: Labels::empty(), seen: Observation::Value(7.0) };
        assert_eq!(read(&scalar, 200), Ok(vec![expected]));
    }

    #[test]
    fn escapes_in_labels_are_undone() {
        let body = vector(&format!(r#"{{"metric":{{"a\u0062":"x\"\u00e9\n"}},"value":[{AT},"1"]}}"#));
        assert_eq!(read(&body, 200).unwrap()[0].labels, Labels::new([("ab", "x\"é\n")]));
    }

    #[test]
    fn what_cannot_be_told_apart_or_understood_is_malformed() {
        let twice = format!(
            r#"{{"metric":{{"__name__":"a"}},"value":[{AT},"1"]}},{{"metric":{{"__name__":"b"}},"value":[{AT},"2"]}}"#
        );
        let text = format!(r#"{{"status":"success","data":{{"resultType":"string","result":[{AT},"x"]}}}}"#);
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        let bodies = [
            vector(&twice),
            text,
            matrix.into(),
            vector(&element("a", AT, "twelve")),
            vector(r#"{"metric":{}}"#),
            vector(r#"{"metric":{},"value":["1",2]}"#),
            r#"{"status":"success"}"#.into(),
            r#"{"status":"success","data":null}"#.into(),
            "<html>Please log in</html>".into(),
            "[[[[".into(),
            String::new(),
            vector("").replace("]}}", "]}"),
        ];
        for body in bodies {
            assert_eq!(read(&body, 200), Err(QueryFailure::Malformed), "{body}");
        }
    }

    #[test]
    fn depth_does_not_overflow_the_stack() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(read(&vector(&deep), 200), Err(QueryFailure::Malformed));
    }

    #[test]
    fn errors_are_classed_by_their_type_and_else_by_the_status() {
        let error = |kind: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"why"}}"#);
        let cases = [
            (400, error("bad_data"), QueryFailure::Rejected),
            (422, error("execution"), QueryFailure::Rejected),
            (503, error("timeout"), QueryFailure::TimedOut),
            (503, error("unavailable"), QueryFailure::Unavailable),
            (429, error("too_many_requests"), QueryFailure::Unavailable),
            (500, error("internal"), QueryFailure::Unavailable),
            (200, error("bad_data"), QueryFailure::Rejected),
            (400, "{}".into(), QueryFailure::Rejected),
            (422, "no".into(), QueryFailure::Rejected),
            (429, "slow down".into(), QueryFailure::Unavailable),
            (401, "who are you".into(), QueryFailure::Unavailable),
            (302, String::new(), QueryFailure::Unavailable),
            (404, "404 page not found".into(), QueryFailure::Unavailable),
            (503, vector(""), QueryFailure::Unavailable),
        ];
        for (status, body, expected) in cases {
            assert_eq!(read(&body, status), Err(expected), "{status} {body}");
        }
    }

    #[test]
    fn a_warning_means_partial_unless_it_is_about_the_expression() {
        let with = |more: &str| vector("").replacen('{', &format!("{{{more},"), 1);
        assert_eq!(
            read(&with(r#""warnings":["No StoreAPIs matched for this query"]"#), 200),
            Err(QueryFailure::Partial)
        );
        assert_eq!(read(&with(r#""isPartial":true"#), 200), Err(QueryFailure::Partial));
        for fine in [
            r#""warnings":["PromQL warning: encountered a mix of histograms and floats"]"#,
            r#""infos":["PromQL info: metric might not be a counter"]"#,
            r#""warnings":[]"#,
            r#""warnings":null"#,
            r#""isPartial":false"#,
        ] {
            assert_eq!(read(&with(fine), 200), Ok(vec![]), "{fine}");
        }
    }

    #[test]
    fn long_errors_are_shortened_for_people() {
        let body = format!(r#"{{"status":"error","errorType":"bad_data","error":"{}"}}"#, "é".repeat(5_000));
        let asked = Asked { at: Timestamp::from_second(AT).unwrap(), staleness: Duration::from_secs(300) };
        let error = decode(body.as_bytes(), 400, asked, &mut LabelPool::new()).unwrap_err();
        assert!(error.detail.starts_with("HTTP 400 bad_data: é") && error.detail.chars().count() <= 401);
    }
}
