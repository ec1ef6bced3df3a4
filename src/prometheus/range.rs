//! The answer of a range query: one series' values over time, for a picture. Owns picking the series out of the
//! answer; decides nothing about what the values mean.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};

use super::QueryError;
use super::answer::{Pairs, malformed, successful};
use crate::domain::Timestamp;
use crate::domain::labels::Labels;

/// The most values of a series that are asked for.
pub const MOST_POINTS: u32 = 241;

/// The shortest step asked for: a chart needs no finer one.
const SHORTEST_STEP: i64 = 15;

/// Which span is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant, in whole seconds.
    pub from: Timestamp,
    /// The last instant, in whole seconds.
    pub to: Timestamp,
    /// How long the answer may take.
    pub within: Duration,
}

impl Span {
    /// The distance of two values in seconds: so that at most [`MOST_POINTS`] are answered, and not below 15 seconds.
    pub fn step(&self) -> i64 {
        let whole = self.to.as_second().saturating_sub(self.from.as_second()).max(0);
        let least = whole / i64::from(MOST_POINTS - 1) + i64::from(whole % i64::from(MOST_POINTS - 1) > 0);
        least.max(SHORTEST_STEP)
    }
}

/// Reads the body of a range query's answer: the values of the series with exactly the labels `wanted`, oldest first.
/// An instant without a value is NaN, so that gaps stay gaps; `None` where there is no such series.
pub(super) fn decode(
    body: &[u8],
    status: u16,
    wanted: &Labels,
    span: &Span,
) -> Result<Option<Vec<(Timestamp, f64)>>, QueryError> {
    let data = successful(body, status)?;
    if data.result_type != "matrix" {
        return Err(malformed(format!("a result of type {}, expected a matrix", data.result_type)));
    }
    let picked = Picking { wanted }
        .deserialize(&mut serde_json::Deserializer::from_str(data.result.get()))
        .map_err(malformed)?;
    Ok(picked.map(|values| on_grid(&values, span)))
}

/// The values at each step of the span.
fn on_grid(values: &[(f64, f64)], span: &Span) -> Vec<(Timestamp, f64)> {
    let step = span.step();
    let mut values = values.iter().peekable();
    let mut grid = Vec::new();
    for index in 0..i64::from(MOST_POINTS) {
        let second = span.from.as_second().saturating_add(index * step);
        if second > span.to.as_second() {
            break;
        }
        let Ok(at) = Timestamp::from_second(second) else { break };
        #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact in a double")]
        let (early, late) = (second as f64 - 0.5, second as f64 + 0.5);
        while values.next_if(|(time, _)| *time < early).is_some() {}
        let value = values.next_if(|(time, _)| *time <= late).map_or(f64::NAN, |(_, value)| *value);
        grid.push((at, value));
    }
    grid
}

#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    metric: Pairs<'a>,
    // A histogram has none, and no line to draw.
    #[serde(borrow, default)]
    values: Vec<(f64, Cow<'a, str>)>,
}

/// Reads a matrix element by element and keeps the one that is wanted.
struct Picking<'w> {
    wanted: &'w Labels,
}

impl<'de> DeserializeSeed<'de> for Picking<'_> {
    type Value = Option<Vec<(f64, f64)>>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Picking<'_> {
    type Value = Option<Vec<(f64, f64)>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut picked = None;
        while let Some(element) = list.next_element::<Element<'de>>()? {
            if picked.is_some() || !element.metric.is(self.wanted) {
                continue;
            }
            let read = |(time, text): &(f64, Cow<'de, str>)| {
                let value =
                    text.parse().map_err(|_| de::Error::custom(format!("`{text}` is not a number")))?;
                Ok((*time, value))
            };
            picked = Some(element.values.iter().map(read).collect::<Result<Vec<_>, A::Error>>()?);
        }
        Ok(picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::observation::QueryFailure;

    const FROM: i64 = 1_700_000_000;

    fn span(seconds: i64) -> Span {
        let at = |second| Timestamp::from_second(second).unwrap();
        Span { from: at(FROM), to: at(FROM + seconds), within: Duration::from_secs(2) }
    }

    fn series(service: &str, values: &[(i64, &str)]) -> String {
        let values: Vec<String> =
            values.iter().map(|(at, value)| format!(r#"[{},"{value}"]"#, FROM + at)).collect();
        format!(r#"{{"metric":{{"__name__":"up","service":"{service}"}},"values":[{}]}}"#, values.join(","))
    }

    fn matrix(series: &[String]) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#, series.join(","))
    }

    fn read(body: &str) -> Result<Option<Vec<f64>>, QueryFailure> {
        let wanted = Labels::new([("service", "checkout")]);
        let read = decode(body.as_bytes(), 200, &wanted, &span(60)).map_err(|error| error.failure)?;
        Ok(read.map(|values| values.into_iter().map(|(_, value)| value).collect()))
    }

    #[test]
    fn a_span_is_answered_in_at_most_so_many_points() {
        assert_eq!([0, 60, 3_585, 3_600, 86_400].map(|seconds| span(seconds).step()), [15, 15, 15, 15, 360]);
        for seconds in [0, 14, 3_600, 7_201, 90_000, 31_536_000] {
            assert!(seconds / span(seconds).step() < i64::from(MOST_POINTS), "{seconds}");
        }
    }

    #[test]
    fn the_wanted_series_is_picked_and_its_gaps_stay() {
        let body = matrix(&[
            series("search", &[(0, "9")]),
            series("checkout", &[(0, "0.5"), (15, "NaN"), (45, "+Inf"), (60, "0.9")]),
        ]);
        let values = read(&body).unwrap().unwrap();
        assert_eq!(values.len(), 5);
        assert_eq!((values[0], values[3], values[4]), (0.5, f64::INFINITY, 0.9));
        assert!(values[1].is_nan() && values[2].is_nan());
        assert_eq!(read(&matrix(&[series("search", &[(0, "9")])])), Ok(None));
        assert_eq!(read(&matrix(&[])), Ok(None));
        let histogram = r#"{"metric":{"service":"checkout"},"histograms":[[1,{"count":"3"}]]}"#.to_owned();
        assert!(read(&matrix(&[histogram])).unwrap().unwrap().iter().all(|value| value.is_nan()));
    }

    #[test]
    fn what_is_no_matrix_or_no_whole_answer_is_a_failure() {
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let error = r#"{"status":"error","errorType":"bad_data","error":"why"}"#;
        let partial = matrix(&[]).replacen('{', r#"{"isPartial":true,"#, 1);
        let text = matrix(&[series("checkout", &[(0, "twelve")])]);
        assert_eq!(read(vector), Err(QueryFailure::Malformed));
        assert_eq!(read(error), Err(QueryFailure::Rejected));
        assert_eq!(read(&partial), Err(QueryFailure::Partial));
        assert_eq!(read(&text), Err(QueryFailure::Malformed));
        assert_eq!(read("[[["), Err(QueryFailure::Malformed));
    }
}
