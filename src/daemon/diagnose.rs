//! Diagnosis performed: each step of a run is carried out by whoever can, bounded in time, and reported as it ends.
//! Owns the bounds and how an answer becomes an attachment; what to ask was decided before it comes here. Nothing waits
//! for it: a step that hangs holds up no page.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::{Core, clock};
use crate::domain::diagnosis::{Ask, Attachment, Diagnose, Failed, Finding, Keep, Pods, StepFailure};
use crate::domain::observation::{Observation, QueryFailure, Sample};
use crate::domain::quantity::Unit;
use crate::domain::scaling::{ClusterFailure, ScalingMode};
use crate::engine::event::Event;
use crate::kubernetes::Cluster;
use crate::probe::{Answer, ProbeFailure};

use super::running::Running;

/// How long one step may take once it began.
const STEP: Duration = Duration::from_secs(10);

/// How long a step may wait to begin: with [`STEP`] it bounds a whole run.
const WAIT: Duration = Duration::from_secs(50);

/// How many steps run at once, over all incidents.
const AT_ONCE: usize = 8;

/// How many series of an answer are shown.
const ROWS: usize = 10;

/// Those who can carry out a step.
#[derive(Clone)]
pub struct Diagnosis {
    running: watch::Receiver<Arc<Running>>,
    cluster: Arc<OnceCell<Cluster>>,
    core: Core,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Diagnosis {
    /// Steps run under the configuration of the moment, on a cluster that is connected to at the first need.
    pub fn new(
        running: watch::Receiver<Arc<Running>>,
        cluster: Arc<OnceCell<Cluster>>,
        core: Core,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self { running, cluster, core, permits: Arc::new(Semaphore::new(AT_ONCE)), stop, tasks }
    }

    /// Begins a run and returns at once.
    pub fn begin(&self, run: Diagnose) {
        let wait_until = Instant::now() + WAIT;
        for (step, ask) in run.steps {
            let performer = self.clone();
            let (incident, asked_at) = (run.incident.clone(), run.asked_at);
            self.tasks.spawn(async move {
                let stop = performer.stop.clone();
                let finding = tokio::select! {
                    // It is run again after the restart.
                    () = stop.cancelled() => return,
                    finding = performer.perform(&ask, wait_until) => Box::new(finding),
                };
                // The core is gone when the daemon stops; the step is run again after the restart.
                let _ = performer.core.send(Event::Diagnosed { incident, step, asked_at, finding }).await;
            });
        }
    }

    /// Carries out one step within its time.
    async fn perform(&self, ask: &Ask, wait_until: Instant) -> Finding {
        let Ok(Ok(_permit)) = timeout_at(wait_until, self.permits.acquire()).await else {
            let outcome = Err(Failed::new(StepFailure::Busy, "too many steps at once"));
            return Finding { at: clock::now(), took: WAIT, outcome };
        };
        let began = Instant::now();
        let outcome = timeout(STEP, self.ask(ask)).await;
        let late = || Err(Failed::new(StepFailure::TimedOut, &format!("nothing within {STEP:?}")));
        let outcome = outcome.unwrap_or_else(|_| late());
        Finding { at: clock::now(), took: began.elapsed(), outcome }
    }

    async fn ask(&self, ask: &Ask) -> Result<Attachment, Failed> {
        let running = self.running.borrow().clone();
        match ask {
            Ask::Query { expr, unit } => {
                let answered = running.prometheus.query_vector(expr, clock::now()).await;
                answered
                    .map(|samples| table(samples, *unit))
                    .map_err(|error| Failed::new(query_failure(error.failure), &error.detail))
            }
            Ask::Http(url) => running.probe.get(url).await.map(answer).map_err(|error| probe_failure(&error)),
            Ask::Logs(pods) => self.logs(&running, pods).await,
            Ask::Events { namespace, name } => self.events(&running, namespace, name).await,
            Ask::Link(url) => Ok(Attachment::new(url, url, Keep::Beginning)),
        }
    }

    async fn logs(&self, running: &Running, pods: &Pods) -> Result<Attachment, Failed> {
        let tail = self.cluster(running).await?.log_tail(pods).await.map_err(cluster_failure)?;
        let (count, ready) = tail.pods;
        let container = tail.container.map_or_else(String::new, |name| format!(" [{name}]"));
        let whose = if tail.previous { " before its restart" } else { "" };
        let last = tail.text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("the log is empty");
        let head = format!("{}{container}{whose}, {ready} of {count} ready: {last}", tail.pod);
        Ok(Attachment::new(&head, &tail.text, Keep::End))
    }

    async fn events(&self, running: &Running, namespace: &str, name: &str) -> Result<Attachment, Failed> {
        let found =
            self.cluster(running).await?.last_events(namespace, name).await.map_err(cluster_failure)?;
        let head = match found.lines.last() {
            None => "no events".to_owned(),
            Some(last) => format!("{} seen, {} of them warnings; last {last}", found.total, found.warnings),
        };
        Ok(Attachment::new(&head, &found.lines.join("\n"), Keep::End))
    }

    async fn cluster(&self, running: &Running) -> Result<&Cluster, Failed> {
        if running.settings.kubernetes_mode == ScalingMode::Off {
            return Err(Failed::new(StepFailure::NotAvailable, "kubernetes is off"));
        }
        let connected = self.cluster.get_or_try_init(Cluster::connect).await;
        connected.map_err(|error| Failed::new(StepFailure::NotAvailable, &error.to_string()))
    }
}

/// The largest series, a line each.
fn table(mut samples: Vec<Sample>, unit: Option<Unit>) -> Attachment {
    let number = |sample: &Sample| match sample.seen {
        Observation::Value(value) => value,
        _ => f64::NEG_INFINITY,
    };
    samples.sort_by(|one, two| number(two).total_cmp(&number(one)));
    let shown = |sample: &Sample| match sample.seen {
        Observation::Value(value) => unit.map_or_else(|| plain(value), |unit| unit.show(value)),
        Observation::Stale => "stale".to_owned(),
        Observation::NotANumber | Observation::Missing | Observation::Failed(_) => "no number".to_owned(),
    };
    let mut lines: Vec<String> =
        samples.iter().take(ROWS).map(|sample| format!("{}  {}", sample.labels, shown(sample))).collect();
    if samples.len() > ROWS {
        lines.push(format!("and {} series more", samples.len() - ROWS));
    }
    let head = match samples.as_slice() {
        [] => "no series".to_owned(),
        [only] => format!("{} {}", shown(only), values(only, |_| true)),
        [first, others @ ..] => {
            // What all have in common says nothing about the largest.
            let differs =
                |name: &str| others.iter().any(|other| other.labels.get(name) != first.labels.get(name));
            format!("{} {}, the largest of {}", shown(first), values(first, differs), samples.len())
        }
    };
    Attachment::new(head.trim(), &lines.join("\n"), Keep::Beginning)
}

fn values(sample: &Sample, told: impl Fn(&str) -> bool) -> String {
    let values: Vec<&str> =
        sample.labels.iter().filter(|(name, _)| told(name)).map(|(_, value)| value).collect();
    values.join(" ")
}

/// A number whose unit nobody knows.
fn plain(value: f64) -> String {
    let digits = if value.abs() >= 100.0 || value.fract() == 0.0 { 0 } else { 3 };
    format!("{value:.digits$}")
}

fn answer(answer: Answer) -> Attachment {
    let first = answer.body.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let head = format!("HTTP {} {first}", answer.status);
    let kind = answer.content_type.unwrap_or_else(|| "no content type".to_owned());
    let text = format!("HTTP {}, {kind}\n{}", answer.status, answer.body);
    let mut attached = Attachment::new(&head, &text, Keep::Beginning);
    attached.cut |= answer.cut;
    attached
}

fn query_failure(failure: QueryFailure) -> StepFailure {
    match failure {
        QueryFailure::Unreachable => StepFailure::Unreachable,
        QueryFailure::TimedOut => StepFailure::TimedOut,
        QueryFailure::TooLarge => StepFailure::TooLarge,
        QueryFailure::Rejected => StepFailure::Rejected,
        QueryFailure::Unavailable | QueryFailure::Partial => StepFailure::Unavailable,
        QueryFailure::Malformed => StepFailure::Malformed,
    }
}

fn probe_failure(failure: &ProbeFailure) -> Failed {
    let why = match failure {
        ProbeFailure::NoUrl => StepFailure::Malformed,
        ProbeFailure::NotAllowed(_) | ProbeFailure::Misleading(_) => StepFailure::RefusedHost,
        ProbeFailure::TimedOut => StepFailure::TimedOut,
        ProbeFailure::Unreachable(_) => StepFailure::Unreachable,
    };
    Failed::new(why, &failure.to_string())
}

fn cluster_failure(failure: ClusterFailure) -> Failed {
    let why = match failure {
        ClusterFailure::NotFound | ClusterFailure::NotScalable => StepFailure::NotFound,
        ClusterFailure::Forbidden => StepFailure::Forbidden,
        ClusterFailure::Unreachable => StepFailure::Unreachable,
        ClusterFailure::Unavailable | ClusterFailure::Conflict => StepFailure::Unavailable,
        ClusterFailure::Invalid => StepFailure::Rejected,
    };
    Failed::new(why, &failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::labels::Labels;

    fn sample(pod: &str, seen: Observation) -> Sample {
        Sample { labels: Labels::new([("pod", pod), ("job", "x")]), seen }
    }

    #[test]
    fn the_largest_series_lead_in_their_unit() {
        let samples = vec![
            sample("a", Observation::Value(0.1)),
            sample("b", Observation::NotANumber),
            sample("c", Observation::Value(0.953)),
        ];
        let shown = table(samples, Some(Unit::Ratio));
        assert_eq!(&*shown.head, "95.3 % c, the largest of 3");
        assert_eq!(
            &*shown.text,
            "{job=\"x\", pod=\"c\"}  95.3 %\n{job=\"x\", pod=\"a\"}  10 %\n{job=\"x\", pod=\"b\"}  no number"
        );
        let many = (0..25).map(|n| sample(&format!("p{n}"), Observation::Value(f64::from(n)))).collect();
        let shown = table(many, None);
        assert!(
            shown.text.starts_with("{job=\"x\", pod=\"p24\"}  24\n")
                && shown.text.ends_with("and 15 series more")
        );
        assert_eq!(&*table(vec![sample("a", Observation::Value(0.123_456))], None).head, "0.123 x a");
        assert_eq!(&*table(Vec::new(), None).head, "no series");
    }
}
