//! All targets at once: every trigger of every target is exceeded in the same instant, over an API server that takes
//! 20 ms for each request to arrive. Measured from outside: from each decision to the arrival of its write. The cluster's
//! controllers rest until all is written: in a real cluster they run elsewhere, here they would hold the server up.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use world::daemon::Daemon;
use world::kubernetes::Exchange;

use super::rig::{HOT, PATIENCE, Policy, Rig, SCALING, services};

/// How long a request is on its way.
const LATENCY: Duration = Duration::from_millis(20);

/// What was measured.
#[derive(Debug)]
struct Measured {
    targets: usize,
    /// From the first decision to the last one.
    deciding: Duration,
    /// From the decision to the arrival of its write, the shortest first.
    took: Vec<Duration>,
    /// The requests from the breach to the last write, by verb and resource.
    calls: BTreeMap<String, usize>,
    /// The seconds that these are of.
    ticks: f64,
    /// The processor time that the daemon used from the breach to the last write.
    processor: Duration,
    /// The most memory it held, in bytes.
    memory: u64,
}

impl Measured {
    fn percentile(&self, percent: usize) -> Duration {
        self.took.get(self.took.len() * percent / 100).or(self.took.last()).copied().unwrap_or_default()
    }

    fn summary(&self) -> String {
        let calls: Vec<String> = self.calls.iter().map(|(what, count)| format!("{count} {what}")).collect();
        format!(
            "{} targets x 3 triggers: decided within {:?}; decision to write p50 {:?}, p99 {:?}, max {:?}; \
             {:?} of processor time, {} MB at the most; calls over {:.1} s: {}",
            self.targets,
            self.deciding,
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
            self.processor,
            self.memory / 1_000_000,
            self.ticks,
            calls.join(", "),
        )
    }
}

async fn at_once(targets: usize) -> Measured {
    let services = services(targets);
    let rig = Rig::new(&services, Policy::PATIENT).await;
    let daemon = rig.start().await;
    // Twice asked: it has seen every target well before.
    let answered = async |daemon: &Daemon| {
        Ok(daemon.metric(r#"runbookd_queries_total{outcome="answered"}"#).await?.unwrap_or(0.0))
    };
    daemon.until(PATIENCE, answered, |count| *count >= 6.0).await.unwrap();
    rig.kubernetes.set_latency(LATENCY);
    rig.kubernetes.set_controllers_rest(true);
    let before = (processor_time(&daemon), rig.kubernetes.journal().len());
    let breached = Timestamp::now();
    rig.source.set_all(HOT);
    let is_write = |it: &Exchange| it.resource == "deployments/scale" && it.write.is_some();
    rig.kubernetes.await_exchanges(PATIENCE * 3, targets, is_write).await.unwrap();
    let processor = processor_time(&daemon).saturating_sub(before.0);
    let exchanges = rig.kubernetes.journal().split_off(before.1);
    let last = exchanges.iter().filter(|it| is_write(it)).map(|it| it.at).max();
    let mut calls = BTreeMap::new();
    for exchange in exchanges.iter().filter(|it| Some(it.at) <= last) {
        *calls.entry(format!("{} {}", exchange.verb, exchange.resource)).or_insert(0) += 1;
    }
    // Every write was accepted at once, and changed something: each step was written once.
    let writes: Vec<&Exchange> = exchanges.iter().filter(|it| it.resource == "deployments/scale").collect();
    assert_eq!(writes.len(), targets, "{calls:?}");
    assert!(
        writes.iter().all(|it| it.write.is_some_and(|write| write.accepted && write.before != write.after))
    );
    let planned = planned(&daemon).await;
    // What was written comes up, and every step is seen to.
    rig.kubernetes.set_latency(Duration::ZERO);
    rig.kubernetes.set_controllers_rest(false);
    let seen_to = async |daemon: &Daemon| {
        let ready = r#"runbookd_scaling_actions_total{axis="horizontal",outcome="ready",reason="#;
        let page = daemon.text("/metrics").await?;
        let values =
            page.lines().filter(|line| line.starts_with(ready)).filter_map(|line| line.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<usize>().ok()).sum::<usize>())
    };
    daemon.until(PATIENCE * 3, seen_to, |ready| *ready == targets).await.unwrap();
    assert_eq!(rig.steps().len(), targets, "and written once");
    assert_eq!(planned.len(), targets);
    let mut took: Vec<Duration> = writes
        .iter()
        .map(|write| Duration::try_from(write.at.duration_since(planned[&write.name])).unwrap_or_default())
        .collect();
    took.sort();
    let first = planned.values().min().unwrap();
    let deciding = Duration::try_from(planned.values().max().unwrap().duration_since(*first)).unwrap();
    let ticks = last.unwrap().duration_since(breached).as_secs_f64();
    Measured { targets, deciding, took, calls, ticks, processor, memory: peak_memory(&daemon) }
}

/// When each target's step was decided.
async fn planned(daemon: &Daemon) -> BTreeMap<String, Timestamp> {
    let page = daemon.json(SCALING).await.unwrap();
    let when = |item: &serde_json::Value| {
        let name = item["target"].as_str()?.strip_prefix("shop/")?.to_owned();
        assert_eq!(item["actions"].as_array()?.len(), 1, "one step for each target: {item}");
        Some((name, item["actions"][0]["planned_at"].as_str()?.parse().ok()?))
    };
    page["items"].as_array().unwrap().iter().filter_map(when).collect()
}

/// The processor time that a process has used, in the hundredths that Linux counts.
fn processor_time(daemon: &Daemon) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.process_id().unwrap())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn peak_memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process_id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// `make storm-scaling` runs it with a thousand targets, the released binary, and a limit on the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_breaches_is_written_once_each_and_asks_no_target_one_by_one() {
    let _alone = crate::alone().await;
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let targets = usize::try_from(number("TARGETS").unwrap_or(100)).unwrap();
    let measured = at_once(targets).await;
    println!("storm: {}", measured.summary());
    let reads: usize = measured
        .calls
        .iter()
        .filter(|(what, _)| what.starts_with("get ") || what.starts_with("list "))
        .map(|(_, count)| count)
        .sum();
    assert!(reads <= 20, "what is watched is not asked for: {}", measured.summary());
    if let Some(limit) = number("P99_MS") {
        assert!(measured.percentile(99) <= Duration::from_millis(limit), "{}", measured.summary());
        assert!(measured.deciding <= Duration::from_secs(1), "{}", measured.summary());
    }
}
