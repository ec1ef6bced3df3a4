//! What load does to a pod and to the database: pure functions from demand to CPU, latency, errors and memory.
//!
//! A pod is one queue. Its demand is requests times their cost; demand over the CPU limit is the load factor ρ. Response
//! times are exponential with mean S / (1 − ρ), as in an M/M/1 queue, so the 95th percentile is about three means. More
//! pods mean fewer requests for each, a larger limit means a smaller ρ: both ways of scaling help, as they do in life.
//! No clock, no state, no metric names here.

/// Where the queue stops growing by the formula, which is infinite at ρ = 1.
const STEEPEST: f64 = 0.97;
/// No response takes longer: clients hang up.
const TIMEOUT_SECONDS: f64 = 10.0;
/// The load factor from which requests begin to fail.
const FIRST_ERRORS: f64 = 0.9;

/// What the requests of one service cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// CPU seconds that one request takes.
    pub cpu_seconds_per_request: f64,
    /// Cores that a pod takes without any request.
    pub idle_cores: f64,
    /// Mean response time without a queue, in seconds.
    pub response_seconds: f64,
    /// Memory of a pod without any request, in bytes.
    pub base_memory_bytes: f64,
    /// Working set of the sessions behind one request per second, in bytes.
    pub session_bytes: f64,
    /// Database statements that one request makes.
    pub queries_per_request: f64,
}

impl Default for Profile {
    /// A core serves 100 requests a second; the 95th percentile crosses 300 ms at a load of about 70 %.
    fn default() -> Self {
        Self {
            cpu_seconds_per_request: 0.01,
            idle_cores: 0.01,
            response_seconds: 0.03,
            base_memory_bytes: 200e6,
            session_bytes: 1e6,
            queries_per_request: 2.0,
        }
    }
}

/// What one pod has to do and what it may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Requests per second that reach this pod.
    pub requests_per_second: f64,
    /// Memory beyond what requests explain, in bytes: a leak.
    pub leaked_bytes: f64,
    /// CPU limit in cores.
    pub cpu_limit_cores: f64,
    /// Memory limit in bytes.
    pub memory_limit_bytes: f64,
}

/// How a pod fares under a demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strain {
    /// Cores in use, at most the limit.
    pub cpu_cores: f64,
    /// Mean response time in seconds.
    pub response_seconds: f64,
    /// Share of requests that fail, 0 to 1.
    pub error_share: f64,
    /// Memory in use in bytes, at most the limit.
    pub memory_bytes: f64,
}

/// How one pod of a service with this profile fares under this demand.
pub fn strain(profile: &Profile, demand: &Demand) -> Strain {
    let cores = profile.idle_cores + demand.requests_per_second * profile.cpu_seconds_per_request;
    let load = load_factor(cores, demand.cpu_limit_cores);
    let memory =
        profile.base_memory_bytes + demand.requests_per_second * profile.session_bytes + demand.leaked_bytes;
    Strain {
        cpu_cores: cores.min(demand.cpu_limit_cores),
        response_seconds: queueing(profile.response_seconds, load),
        error_share: error_share(load),
        memory_bytes: memory.min(demand.memory_limit_bytes),
    }
}

/// Mean seconds in a queue and in service at load factor `load`: S / (1 − ρ), a straight line beyond saturation.
pub fn queueing(service_seconds: f64, load: f64) -> f64 {
    let queued = service_seconds / (1.0 - load.min(STEEPEST)) * (load / STEEPEST).max(1.0);
    queued.min(TIMEOUT_SECONDS)
}

/// Share of failing requests: none up to ρ = 0.9, a tenth at saturation, then all that does not fit.
pub fn error_share(load: f64) -> f64 {
    if load <= FIRST_ERRORS {
        0.0
    } else if load <= 1.0 {
        0.1 * ((load - FIRST_ERRORS) / (1.0 - FIRST_ERRORS)).powi(2)
    } else {
        1.0 - FIRST_ERRORS / load
    }
}

/// Share of responses within `bound` seconds when they take `mean` seconds on average.
pub fn share_within(bound: f64, mean: f64) -> f64 {
    if mean > 0.0 { 1.0 - (-bound / mean).exp() } else { 1.0 }
}

/// What the database can take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Database {
    /// Connections the server accepts.
    pub max_connections: f64,
    /// Connections that every ready pod keeps open.
    pub pool_per_pod: f64,
    /// Statements per second at saturation.
    pub queries_per_second: f64,
    /// Mean time of a statement without a queue, in seconds.
    pub query_seconds: f64,
}

impl Default for Database {
    fn default() -> Self {
        Self { max_connections: 200.0, pool_per_pod: 5.0, queries_per_second: 4_000.0, query_seconds: 0.01 }
    }
}

/// How the database fares: mean seconds of a statement, active and idle connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DatabaseStrain {
    /// Mean time of a statement in seconds.
    pub query_seconds: f64,
    /// Connections that run a statement.
    pub active: f64,
    /// Connections that wait in a pool.
    pub idle: f64,
}

impl Database {
    /// How the database fares under `queries_per_second` from `pods` ready pods.
    pub fn strain(&self, queries_per_second: f64, pods: f64) -> DatabaseStrain {
        let query_seconds =
            queueing(self.query_seconds, load_factor(queries_per_second, self.queries_per_second));
        // Little's law: what arrives, times how long it stays.
        let active = (queries_per_second * query_seconds).min(self.max_connections);
        let idle = (self.pool_per_pod * pods - active).clamp(0.0, self.max_connections - active);
        DatabaseStrain { query_seconds, active, idle }
    }
}

fn load_factor(demand: f64, limit: f64) -> f64 {
    if demand <= 0.0 {
        0.0
    } else if limit <= 0.0 {
        f64::MAX
    } else {
        demand / limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADS: [f64; 9] = [0.0, 20.0, 60.0, 85.0, 95.0, 99.0, 120.0, 400.0, 1e6];

    fn under(requests_per_second: f64, cpu_limit_cores: f64) -> Strain {
        let demand = Demand {
            requests_per_second,
            leaked_bytes: 0.0,
            cpu_limit_cores,
            memory_limit_bytes: 1e9 * cpu_limit_cores,
        };
        strain(&Profile::default(), &demand)
    }

    fn worst(a: &Strain) -> [f64; 4] {
        [a.cpu_cores, a.response_seconds, a.error_share, a.memory_bytes]
    }

    #[test]
    fn nothing_gets_better_with_more_load() {
        for pair in LOADS.windows(2) {
            let (less, more) = (under(pair[0], 1.0), under(pair[1], 1.0));
            for (name, (l, m)) in
                ["cpu", "latency", "errors", "memory"].iter().zip(worst(&less).iter().zip(worst(&more)))
            {
                assert!(*l <= m, "{name} falls from {l} to {m} between {pair:?} requests per second");
            }
            assert!(
                less.response_seconds < more.response_seconds || more.response_seconds == TIMEOUT_SECONDS
            );
        }
    }

    #[test]
    fn twice_the_pods_halve_the_cpu_above_idle() {
        let (one, two) = (under(80.0, 1.0), under(40.0, 1.0));
        let idle = Profile::default().idle_cores;
        assert!(((one.cpu_cores - idle) / (two.cpu_cores - idle) - 2.0).abs() < 1e-9);
        assert!(two.response_seconds < one.response_seconds && two.memory_bytes < one.memory_bytes);
    }

    #[test]
    fn a_larger_limit_relieves_latency_and_errors() {
        let (small, large) = (under(110.0, 1.0), under(110.0, 2.0));
        assert!(large.response_seconds < small.response_seconds);
        assert!(small.error_share > 0.1 && large.error_share == 0.0);
    }

    #[test]
    fn the_runbooks_thresholds_are_crossed_together() {
        let p95 = |s: Strain| s.response_seconds * 20f64.ln();
        assert!(p95(under(65.0, 1.0)) < 0.3 && p95(under(72.0, 1.0)) > 0.3);
        assert!(p95(under(78.0, 1.0)) < 0.5 && p95(under(84.0, 1.0)) > 0.5);
        assert!(under(88.0, 1.0).error_share == 0.0 && under(94.0, 1.0).error_share > 0.01);
    }

    #[test]
    fn usage_never_exceeds_the_limits() {
        for load in LOADS {
            let s = under(load, 0.5);
            assert!(s.cpu_cores <= 0.5 && s.memory_bytes <= 0.5e9 && (0.0..1.0).contains(&s.error_share));
            assert!(worst(&s).iter().all(|v| v.is_finite()));
        }
        assert!(worst(&under(10.0, 0.0)).iter().all(|v| v.is_finite()), "a limit of zero");
    }

    #[test]
    fn a_leak_adds_to_memory_alone() {
        let mut demand = Demand {
            requests_per_second: 10.0,
            leaked_bytes: 0.0,
            cpu_limit_cores: 1.0,
            memory_limit_bytes: 1e9,
        };
        let clean = strain(&Profile::default(), &demand);
        demand.leaked_bytes = 3e8;
        assert_eq!(
            strain(&Profile::default(), &demand),
            Strain { memory_bytes: clean.memory_bytes + 3e8, ..clean }
        );
    }

    #[test]
    fn quantiles_of_the_response_time_are_those_of_an_exponential() {
        assert!((share_within(20f64.ln() * 0.2, 0.2) - 0.95).abs() < 1e-12);
        assert_eq!((share_within(0.0, 0.2), share_within(0.1, 0.0)), (0.0, 1.0));
    }

    #[test]
    fn the_database_slows_down_and_fills_up() {
        let database = Database::default();
        let (calm, busy, drowned) =
            (database.strain(100.0, 6.0), database.strain(3_900.0, 6.0), database.strain(1e6, 60.0));
        assert!(calm.query_seconds < 0.1 && busy.query_seconds > 0.2);
        assert!((calm.active + calm.idle - 30.0).abs() < 1e-9, "the pools");
        assert_eq!(drowned.active + drowned.idle, 200.0, "all the server accepts");
    }
}
