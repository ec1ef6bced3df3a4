//! The pipeline of metrics: what Prometheus and the metrics server have scraped, and what their queries answer. Owns the
//! delay between what happens and what is seen.

use std::collections::{BTreeMap, VecDeque};

use crate::load::seconds;
use crate::shop::{BOUNDS, Service};

/// Both scrape this often, in seconds; the metrics server a third of it later.
const SCRAPE: i64 = 15;
const LATER: i64 = 5;
/// The range of the catalogue's rates, in seconds.
const RANGE: i64 = 300;

type Counts = [f64; BOUNDS.len() + 1];

/// What one pod used, as the metrics server tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Millicores.
    pub(crate) milli: i64,
    /// When it was scraped, in seconds.
    pub(crate) at: i64,
    /// Seconds between the two scrapes it was made from.
    pub(crate) window: i64,
}

/// What was scraped.
#[derive(Default)]
pub(crate) struct Pipeline {
    /// CPU seconds by pod, as Prometheus has them.
    cpu: BTreeMap<u32, VecDeque<(i64, f64)>>,
    /// Requests by bucket, as Prometheus has them.
    took: VecDeque<(i64, Counts)>,
    /// The last two scrapes of the metrics server.
    server: BTreeMap<u32, VecDeque<(i64, f64)>>,
}

impl Pipeline {
    /// Scrapes what is due.
    pub(crate) fn scrape(&mut self, now: i64, service: &Service) {
        if now % SCRAPE == 0 {
            scrape_pods(&mut self.cpu, now, RANGE, service);
            self.took.push_back((now, service.took));
            while self.took.front().is_some_and(|(at, _)| *at <= now - RANGE - SCRAPE) {
                self.took.pop_front();
            }
        }
        if now % SCRAPE == LATER {
            scrape_pods(&mut self.server, now, SCRAPE, service);
        }
    }

    /// The catalogue's `cpu_usage`: the mean over the pods there are of what each used, of its limit.
    pub(crate) fn cpu_usage(&self, now: i64) -> Option<f64> {
        let rates: Vec<f64> = self.cpu.values().filter_map(|samples| rate(samples, now)).collect();
        let pods = f64::from(crate::shop::count(rates.len()));
        (pods > 0.0).then(|| rates.iter().sum::<f64>() / pods)
    }

    /// The catalogue's `response_time`: the 95th percentile.
    pub(crate) fn response_time(&self, now: i64) -> Option<f64> {
        let inside = || self.took.iter().filter(|(at, _)| now - RANGE < *at && *at <= now);
        let (first, last) = (inside().next()?, inside().next_back()?);
        let new: Vec<f64> = last.1.iter().zip(&first.1).map(|(last, first)| last - first).collect();
        let all: f64 = new.iter().sum();
        if all <= 0.0 {
            return None;
        }
        let rank = 0.95 * all;
        let mut below = 0.0;
        for (bucket, count) in new.iter().enumerate() {
            let Some(bound) = BOUNDS.get(bucket) else { break };
            if below + count >= rank {
                let low = if bucket == 0 { 0.0 } else { BOUNDS[bucket - 1] };
                return Some(low + (bound - low) * (rank - below) / count);
            }
            below += count;
        }
        BOUNDS.last().copied()
    }

    /// What the metrics server says of a pod, once it was scraped twice.
    pub(crate) fn usage(&self, pod: u32) -> Option<Usage> {
        let samples = self.server.get(&pod)?;
        let (&(from, before), &(at, after)) = (samples.front()?, samples.back()?);
        let window = at - from;
        #[expect(clippy::cast_possible_truncation, reason = "millicores of one pod")]
        let milli = ((after - before) / seconds(window) * 1_000.0).round() as i64;
        (window > 0).then_some(Usage { milli, at, window })
    }
}

/// Adds a sample for each running pod; a pod that is gone leaves the answers at once, because its limit does.
fn scrape_pods(known: &mut BTreeMap<u32, VecDeque<(i64, f64)>>, now: i64, keep: i64, service: &Service) {
    known.retain(|number, _| service.pods.iter().any(|pod| pod.number == *number));
    for pod in service.pods.iter().filter(|pod| pod.runs_from() <= now) {
        let samples = known.entry(pod.number).or_default();
        samples.push_back((now, pod.cpu));
        while samples.front().is_some_and(|(at, _)| *at < now - keep) {
            samples.pop_front();
        }
    }
}

/// Prometheus's `rate(…[5m])` of a counter that never falls: what lies between the first and the last sample in the
/// range, drawn out to the range's edges where samples reach near them, over the whole range. A young pod's rate is
/// too small therefore until it has run for the length of the range.
fn rate(samples: &VecDeque<(i64, f64)>, now: i64) -> Option<f64> {
    let start = now - RANGE;
    let inside: Vec<(f64, f64)> = samples
        .iter()
        .filter(|(at, _)| start < *at && *at <= now)
        .map(|(at, value)| (seconds(*at), *value))
        .collect();
    let (&(first, low), &(last, high)) = (inside.first()?, inside.last()?);
    if inside.len() < 2 {
        return None;
    }
    let increase = high - low;
    let spanned = last - first;
    let between = spanned / f64::from(crate::shop::count(inside.len() - 1));
    let reach = |gap: f64| if gap >= between * 1.1 { between / 2.0 } else { gap };
    let mut before = reach(first - seconds(start));
    if increase > 0.0 {
        before = before.min(spanned * low / increase);
    }
    let after = reach(seconds(now) - last);
    Some(increase * (spanned + before + after) / spanned / seconds(RANGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_prometheus_answers() {
        // Scraped every 15 s at half a core, asked 7 s after a scrape: (285 s + 8 s + 7 s) of 300.
        let old: VecDeque<(i64, f64)> = (0..40).map(|n| (n * 15, 100.0 + seconds(n) * 7.5)).collect();
        assert_eq!(rate(&old, 592), Some(0.5));
        // Four samples of a young pod that began at zero: 45 s, nothing before, 7 s after.
        let young: VecDeque<(i64, f64)> = (0..4).map(|n| (540 + n * 15, seconds(n) * 7.5)).collect();
        assert_eq!(rate(&young, 592), Some(22.5 * 52.0 / 45.0 / 300.0));
        assert_eq!(rate(&young, 550), None, "one sample is no rate");
    }

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        let mut pipeline = Pipeline::default();
        let mut service = Service::new(1);
        pipeline.scrape(0, &service);
        service.took[1] = 900.0;
        service.took[4] = 100.0;
        pipeline.scrape(15, &service);
        // Rank 950 of 1,000: half of the bucket from 0.2 to 0.3.
        assert_eq!(pipeline.response_time(15), Some(0.25));
    }
}
