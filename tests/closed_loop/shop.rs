//! The service: pods that start, work, queue and burn CPU, and a database behind them that bears only so much. Owns what
//! really happens; what anybody sees of it goes through `pipeline`.
//!
//! ```text
//! clients ─▶ queue ─▶ ready pods, 100 requests/s each ─▶ database
//!    └── a request that waited 2 s is dropped, and tried once more
//! ```

/// Requests per second that one pod carries at full CPU. Its request and its limit are one core.
pub(crate) const PER_POD: f64 = 100.0;
/// Seconds from a pod's creation until its container runs: scheduling, pulling.
const UNTIL_RUNNING: i64 = 10;
/// Seconds from a pod's creation until it takes traffic.
pub(crate) const UNTIL_READY: i64 = 45;
/// Cores that a pod burns while it starts.
const STARTING: f64 = 0.6;
/// Seconds an idle pod takes for a request.
const IDLE: f64 = 0.06;
/// Seconds a request may wait before the client gives up.
const PATIENCE: f64 = 2.0;

/// The bounds of the histogram of response times, in seconds; the last bucket has none.
pub(crate) const BOUNDS: [f64; 9] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0];

/// One pod.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    /// Its number, never used again.
    pub(crate) number: u32,
    /// When it was created, in seconds.
    pub(crate) created: i64,
    /// CPU seconds used so far.
    pub(crate) cpu: f64,
}

impl Pod {
    /// When its container runs.
    pub(crate) fn runs_from(&self) -> i64 {
        self.created + UNTIL_RUNNING
    }

    /// When it takes traffic.
    pub(crate) fn ready_from(&self) -> i64 {
        self.created + UNTIL_READY
    }
}

/// What happened in a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Second {
    /// Cores used by the ready pods, of those they have.
    pub(crate) cpu: f64,
    /// How long a request took, in seconds.
    pub(crate) response: f64,
}

/// The service.
pub(crate) struct Service {
    pub(crate) pods: Vec<Pod>,
    /// How many pods there should be.
    pub(crate) wanted: u32,
    /// Counts every change of what should be.
    pub(crate) version: u32,
    /// Requests so far, by bucket of [`BOUNDS`], each on its own.
    pub(crate) took: [f64; BOUNDS.len() + 1],
    created: u32,
    queue: f64,
    again: f64,
}

impl Service {
    /// So many pods, all of which have run for an hour.
    pub(crate) fn new(replicas: u32) -> Self {
        let pods = (0..replicas).map(|number| Pod { number, created: -3_600, cpu: 1_000.0 });
        Self {
            pods: pods.collect(),
            wanted: replicas,
            version: 1,
            took: [0.0; BOUNDS.len() + 1],
            created: replicas,
            queue: 0.0,
            again: 0.0,
        }
    }

    /// Somebody wants another number of pods; whether that changes anything.
    pub(crate) fn scale(&mut self, wanted: u32) -> bool {
        let changes = wanted != self.wanted;
        self.wanted = wanted;
        self.version += u32::from(changes);
        changes
    }

    /// The pods that take traffic.
    pub(crate) fn ready(&self, now: i64) -> u32 {
        count(self.pods.iter().filter(|pod| pod.ready_from() <= now).count())
    }

    /// Lets a second pass.
    pub(crate) fn pass(&mut self, now: i64, load: f64, downstream: f64) -> Second {
        self.reconcile(now);
        let ready = f64::from(self.ready(now));
        let pods = ready * PER_POD;
        let capacity = pods.min(downstream).max(1.0);
        let asked = load + self.again;
        let served = (self.queue + asked).min(capacity);
        let waits = self.queue + asked - served;
        self.queue = waits.min(capacity * PATIENCE);
        // A request is tried twice, not for ever.
        self.again = (waits - self.queue).min(load);
        let crowd = (asked / capacity).min(1.0 - IDLE / PATIENCE);
        let response = IDLE / (1.0 - crowd) + self.queue / capacity;
        let bucket = BOUNDS.iter().position(|bound| response <= *bound).unwrap_or(BOUNDS.len());
        self.took[bucket] += asked;
        // A request costs its CPU before the database is asked.
        let cpu = if pods > 0.0 { asked.min(pods) / pods } else { 1.0 };
        for pod in &mut self.pods {
            if pod.ready_from() <= now {
                pod.cpu += cpu;
            } else if pod.runs_from() <= now {
                pod.cpu += STARTING;
            }
        }
        Second { cpu, response }
    }

    /// The controllers of the cluster: as many pods as there should be. Those that do not take traffic go first, then the
    /// youngest.
    fn reconcile(&mut self, now: i64) {
        while count(self.pods.len()) < self.wanted {
            self.pods.push(Pod { number: self.created, created: now, cpu: 0.0 });
            self.created += 1;
        }
        self.pods.truncate(usize::try_from(self.wanted).unwrap_or(0));
    }
}

/// A number of pods.
pub(crate) fn count(pods: usize) -> u32 {
    u32::try_from(pods).unwrap_or(u32::MAX)
}
