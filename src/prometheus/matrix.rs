//! The past of a query: every series of a range, as stored history is replayed. Owns reading the matrix; decides
//! nothing about what the values mean.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::QueryError;
use super::answer::{Pairs, malformed, successful};
use crate::domain::labels::Labels;

/// One series of the past: whole seconds since the epoch and values, oldest first. A histogram is there without a
/// number: NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct PastSeries {
    /// Its labels, without `__name__`.
    pub labels: Labels,
    /// Its values.
    pub values: Vec<(i64, f64)>,
}

/// Which instants of the past are asked for: from the first to the last, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The first instant, in seconds since the epoch.
    pub first: i64,
    /// The last instant: a whole number of steps after the first.
    pub last: i64,
    /// The distance of two instants in seconds, at least 1.
    pub step: i64,
}

#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    metric: Pairs<'a>,
    #[serde(borrow, default)]
    values: Vec<(f64, Cow<'a, str>)>,
    #[serde(default)]
    histograms: Vec<(f64, IgnoredAny)>,
}

/// Reads the body of a range query's answer.
pub(super) fn decode(body: &[u8], status: u16) -> Result<Vec<PastSeries>, QueryError> {
    let data = successful(body, status)?;
    if data.result_type != "matrix" {
        return Err(malformed(format!("a result of type {}, expected a matrix", data.result_type)));
    }
    let elements: Vec<Element<'_>> = serde_json::from_str(data.result.get()).map_err(malformed)?;
    elements.iter().map(series).collect()
}

fn series(element: &Element<'_>) -> Result<PastSeries, QueryError> {
    let mut values = Vec::with_capacity(element.values.len() + element.histograms.len());
    for (time, text) in &element.values {
        let value = text.parse().map_err(|_| malformed(format!("`{text}` is not a number")))?;
        values.push((second(*time), value));
    }
    if !element.histograms.is_empty() {
        values.extend(element.histograms.iter().map(|(time, _)| (second(*time), f64::NAN)));
        values.sort_by_key(|(time, _)| *time);
    }
    Ok(PastSeries { labels: element.metric.labels(), values })
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of an epoch fit")]
fn second(time: f64) -> i64 {
    time.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_read_and_a_histogram_is_no_number() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up","job":"a"},"values":[[60,"1"],[75,"NaN"],[105,"+Inf"]]},
            {"metric":{"job":"b"},"values":[[90,"2"]],"histograms":[[60,{"count":"3"}]]}]}}"#;
        let read = decode(body, 200).unwrap();
        assert_eq!(read[0].labels, Labels::new([("job", "a")]));
        assert_eq!((read[0].values[0], read[0].values[2]), ((60, 1.0), (105, f64::INFINITY)));
        assert!(read[0].values[1].1.is_nan());
        assert!(read[1].values[0].1.is_nan() && read[1].values[1] == (90, 2.0));
        assert!(decode(br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, 200).is_err());
    }
}
