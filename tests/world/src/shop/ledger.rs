//! What the shop has counted so far: CPU seconds, requests and statements, by pod and tenant. Time comes in as elapsed
//! seconds; counters only ever grow, begin at zero with their pod and vanish with it.

use std::collections::{BTreeMap, BTreeSet};

use super::fleet::Pod;
use super::model::{self, Database, DatabaseStrain, Demand, Profile, Strain};

/// Upper bounds of the response time histogram in seconds, without +Inf; the runbook's thresholds are among them.
pub(super) const BOUNDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0];

/// One histogram of response times. Fractions of requests are kept; whole ones are shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram {
    /// Responses within each of [`BOUNDS`], cumulative.
    pub(super) within: [f64; BOUNDS.len()],
    /// All responses.
    pub(super) count: f64,
    /// Seconds they took together.
    pub(super) sum: f64,
}

impl Histogram {
    fn add(&mut self, requests: f64, mean_seconds: f64) {
        for (within, bound) in self.within.iter_mut().zip(BOUNDS) {
            *within += requests * model::share_within(bound, mean_seconds);
        }
        self.count += requests;
        self.sum += requests * mean_seconds;
    }
}

/// What one pod has counted, and how it fared last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PodLedger {
    /// The pod as the fleet last showed it.
    pub(super) pod: Pod,
    /// CPU seconds used.
    pub(super) cpu_seconds: f64,
    /// Response times by tenant and status code.
    pub(super) responses: BTreeMap<(String, &'static str), Histogram>,
    /// How the pod fared at the last step.
    pub(super) strain: Strain,
}

/// What reaches a service in one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer<'a> {
    /// Requests per second, all tenants together.
    pub(super) requests_per_second: f64,
    /// Leaked memory in bytes, all pods together.
    pub(super) leaked_bytes: f64,
    /// Share of requests that fail whatever the load, 0 to 1.
    pub(super) fault_share: f64,
    /// The tenants, who send equal parts.
    pub(super) tenants: &'a BTreeSet<String>,
}

/// The pods of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ServiceLedger {
    /// By pod name.
    pub(super) pods: BTreeMap<String, PodLedger>,
}

impl ServiceLedger {
    /// Counts `elapsed` seconds of `offer` on these pods; the offer spreads over those that are ready.
    pub(super) fn advance(&mut self, profile: &Profile, pods: &[Pod], offer: &Offer<'_>, elapsed: f64) {
        self.pods.retain(|name, _| pods.iter().any(|pod| pod.name == *name));
        let ready = count(pods.iter().filter(|pod| pod.ready).count());
        for pod in pods {
            let share = if pod.ready { 1.0 / ready } else { 0.0 };
            let demand = Demand {
                requests_per_second: offer.requests_per_second * share,
                leaked_bytes: offer.leaked_bytes * share,
                cpu_limit_cores: pod.cpu_limit_cores,
                memory_limit_bytes: bytes(pod.memory_limit_bytes),
            };
            let strain = model::strain(profile, &demand);
            let ledger = self.pods.entry(pod.name.clone()).or_insert_with(|| PodLedger::new(pod, strain));
            ledger.pod.clone_from(pod);
            ledger.strain = strain;
            ledger.cpu_seconds += strain.cpu_cores * elapsed;
            ledger.answer(demand.requests_per_second * elapsed, offer);
        }
    }

    /// How many of the pods were ready at the last step.
    pub(super) fn ready(&self) -> f64 {
        count(self.pods.values().filter(|ledger| ledger.pod.ready).count())
    }
}

impl PodLedger {
    fn new(pod: &Pod, strain: Strain) -> Self {
        Self { pod: pod.clone(), cpu_seconds: 0.0, responses: BTreeMap::new(), strain }
    }

    fn answer(&mut self, requests: f64, offer: &Offer<'_>) {
        self.responses.retain(|(tenant, _), _| offer.tenants.contains(tenant));
        let failing = 1.0 - (1.0 - self.strain.error_share) * (1.0 - offer.fault_share);
        let each = requests / count(offer.tenants.len());
        for tenant in offer.tenants {
            for (code, share) in [("200", 1.0 - failing), ("503", failing)] {
                // A code that was never answered has no series, as in a real exporter.
                if each * share > 0.0 {
                    let responses = self.responses.entry((tenant.clone(), code)).or_default();
                    responses.add(each * share, self.strain.response_seconds);
                }
            }
        }
    }
}

/// What the database has counted, and how it fared last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DatabaseLedger {
    /// Statements executed.
    pub(super) calls: f64,
    /// Seconds they took together.
    pub(super) seconds: f64,
    /// How the database fared at the last step.
    pub(super) strain: DatabaseStrain,
}

impl DatabaseLedger {
    /// A database that has executed nothing yet.
    pub(super) fn new(database: &Database) -> Self {
        Self { calls: 0.0, seconds: 0.0, strain: database.strain(0.0, 0.0) }
    }

    /// Counts `elapsed` seconds of `queries_per_second` statements from `pods` ready pods.
    pub(super) fn advance(&mut self, database: &Database, queries_per_second: f64, pods: f64, elapsed: f64) {
        self.strain = database.strain(queries_per_second, pods);
        self.calls += queries_per_second * elapsed;
        self.seconds += queries_per_second * elapsed * self.strain.query_seconds;
    }
}

/// Bytes as a quantity to calculate with.
#[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB, more than any pod has")]
pub(super) fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_precision_loss, reason = "pods and tenants come in small numbers")]
fn count(things: usize) -> f64 {
    things as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(names: &[&str]) -> Vec<Pod> {
        let pod = |name: &&str| Pod {
            name: (*name).into(),
            cpu_limit_cores: 1.0,
            memory_limit_bytes: 1 << 30,
            ready: true,
        };
        names.iter().map(pod).collect()
    }

    fn tenants() -> BTreeSet<String> {
        ["acme".to_owned(), "globex".to_owned()].into()
    }

    fn offer(tenants: &BTreeSet<String>, requests_per_second: f64) -> Offer<'_> {
        Offer { requests_per_second, leaked_bytes: 0.0, fault_share: 0.0, tenants }
    }

    fn requests(ledger: &PodLedger) -> f64 {
        ledger.responses.values().map(|responses| responses.count).sum()
    }

    #[test]
    fn a_new_pod_begins_at_zero_and_a_gone_one_is_forgotten() {
        let (tenants, mut service) = (tenants(), ServiceLedger::default());
        service.advance(&Profile::default(), &pods(&["a", "b"]), &offer(&tenants, 60.0), 100.0);
        service.advance(&Profile::default(), &pods(&["b", "c"]), &offer(&tenants, 60.0), 1.0);
        assert_eq!(service.pods.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert!((requests(&service.pods["b"]) - 3030.0).abs() < 1e-6);
        assert!((requests(&service.pods["c"]) - 30.0).abs() < 1e-6);
    }

    #[test]
    fn counters_never_fall_and_buckets_stay_in_order() {
        let (tenants, mut service) = (tenants(), ServiceLedger::default());
        let mut before: Option<PodLedger> = None;
        for load in [10.0, 300.0, 0.0, 95.0] {
            service.advance(&Profile::default(), &pods(&["a"]), &offer(&tenants, load), 7.0);
            let now = service.pods["a"].clone();
            for (key, histogram) in &now.responses {
                assert!(
                    histogram.within.is_sorted() && histogram.within[BOUNDS.len() - 1] <= histogram.count
                );
                let earlier = before.as_ref().and_then(|before| before.responses.get(key));
                assert!(earlier.is_none_or(|e| e.count <= histogram.count && e.sum <= histogram.sum));
            }
            assert!(before.is_none_or(|before| before.cpu_seconds < now.cpu_seconds));
            before = Some(now);
        }
    }

    #[test]
    fn a_pod_that_is_not_ready_is_sent_nothing() {
        let (tenants, mut service, mut two) = (tenants(), ServiceLedger::default(), pods(&["a", "b"]));
        two[1].ready = false;
        service.advance(&Profile::default(), &two, &offer(&tenants, 60.0), 10.0);
        assert!((requests(&service.pods["a"]) - 600.0).abs() < 1e-6);
        assert_eq!(requests(&service.pods["b"]), 0.0);
        two[0].ready = false;
        service.advance(&Profile::default(), &two, &offer(&tenants, 60.0), 10.0);
        assert!((requests(&service.pods["a"]) - 600.0).abs() < 1e-6, "no pod, no answer");
    }

    #[test]
    fn faults_fail_requests_without_any_load() {
        let (tenants, mut service) = (tenants(), ServiceLedger::default());
        let faulty = Offer { fault_share: 0.25, ..offer(&tenants, 10.0) };
        service.advance(&Profile::default(), &pods(&["a"]), &offer(&tenants, 10.0), 10.0);
        assert!(service.pods["a"].responses.keys().all(|(_, code)| *code == "200"));
        service.advance(&Profile::default(), &pods(&["a"]), &faulty, 100.0);
        assert!((service.pods["a"].responses[&("acme".into(), "503")].count - 125.0).abs() < 1e-6);
    }
}
