//! The rig: the daemon's binary between a source whose values a test sets and an API server that keeps a journal. Owns
//! the files it runs on and how its scaling page is read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use world::daemon::Daemon;
use world::kubernetes::{Exchange, Kubernetes};

use super::source::Source;

/// Long enough for a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The scaling page.
pub(crate) const SCALING: &str = "/api/runbookd/v1/scaling";

/// All triggers are exceeded.
pub(crate) const HOT: [f64; 3] = [0.95, 0.95, 0.9];

/// Every trigger is well.
pub(crate) const CALM: [f64; 3] = [0.3, 0.3, 0.1];

/// Everything around the daemon.
pub(crate) struct Rig {
    /// The cluster.
    pub(crate) kubernetes: Kubernetes,
    /// Where metrics come from.
    pub(crate) source: Source,
    folder: tempfile::TempDir,
    listen: String,
}

/// What the rules say beside the targets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// How long a target rests after a step.
    pub(crate) cool_down: &'static str,
    /// How long its pods have to become ready.
    pub(crate) ready_within: &'static str,
    /// More keys of each target, each with a comma before it.
    pub(crate) more: &'static str,
}

impl Policy {
    /// A long rest, and pods that have time.
    pub(crate) const PATIENT: Self = Self { cool_down: "30m", ready_within: "5m", more: "" };
}

impl Rig {
    /// A cluster with a Deployment of one pod for each of these services, and a daemon's files that scale them.
    pub(crate) async fn new(services: &[String], policy: Policy) -> Self {
        let rig = Self::without_workloads(services, policy).await;
        for service in services {
            rig.kubernetes.deployment("shop", service, 1, 0.01, 16 << 20);
        }
        let all_ready = |kubernetes: &Kubernetes| {
            services.iter().all(|service| {
                kubernetes.workload("shop", service).is_some_and(|workload| workload.ready_pods == 1)
            })
        };
        rig.kubernetes.until(PATIENCE, all_ready).await.unwrap();
        rig
    }

    /// The same with nothing in the cluster yet but nodes with room for three pods of each.
    pub(crate) async fn without_workloads(services: &[String], policy: Policy) -> Self {
        world::install_crypto();
        let kubernetes = Kubernetes::start().await.unwrap();
        kubernetes.namespace("shop");
        for number in 0..services.len().div_ceil(30) {
            kubernetes.node(&format!("large-{number}"), 32.0, 128 << 30);
        }
        let source = Source::start().await.unwrap();
        for service in services {
            source.set(service, CALM);
        }
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let rig = Self { kubernetes, source, folder: tempfile::tempdir().unwrap(), listen };
        rig.write("config/runbookd.yaml", &configuration(&rig.source.url()));
        rig.write("rules/rules.yaml", &rules(services, policy));
        rig.kubernetes.write_kubeconfig(&rig.file("kubeconfig")).unwrap();
        rig
    }

    /// One of its files.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a target to the rules, before the daemon is started.
    pub(crate) fn add_target(&self, keys: &str) {
        let path = self.file("rules/rules.yaml");
        let rules = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{rules}    - {{namespace: shop, {keys}}}\n")).unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.file(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Starts the daemon: the binary that was built with these tests, or another that `RUNBOOKD` names.
    pub(crate) async fn start(&self) -> Daemon {
        let binary = std::env::var_os("RUNBOOKD").map_or_else(|| crate::BINARY.into(), PathBuf::from);
        let kubeconfig = self.file("kubeconfig").display().to_string();
        Daemon::start(&binary, self.folder(), &[("KUBECONFIG", kubeconfig)], &self.listen).await.unwrap()
    }

    /// The writes of replicas that changed something, in the order of their arrival.
    pub(crate) fn steps(&self) -> Vec<Exchange> {
        let is_step = |exchange: &Exchange| {
            exchange.resource == "deployments/scale"
                && exchange.write.is_some_and(|write| write.accepted && write.before != write.after)
        };
        self.kubernetes.journal().into_iter().filter(is_step).collect()
    }

    /// The replicas that each step wrote.
    pub(crate) fn sizes(&self) -> Vec<u64> {
        let wanted = |step: &Exchange| step.body.as_ref()?.pointer("/spec/replicas")?.as_u64();
        self.steps().iter().filter_map(wanted).collect()
    }
}

/// A target of the scaling page.
pub(crate) async fn target(daemon: &Daemon, name: &str) -> anyhow::Result<Value> {
    let page = daemon.json(SCALING).await?;
    let wanted = format!("shop/{name}");
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let found = items.into_iter().find(|item| item["target"] == wanted.as_str());
    Ok(found.unwrap_or(Value::Null))
}

/// Waits until a target of the scaling page is so.
pub(crate) async fn until(daemon: &Daemon, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    daemon.until(PATIENCE, async |daemon: &Daemon| target(daemon, name).await, is_so).await.unwrap()
}

/// The reasons for which a target's steps are held.
pub(crate) fn held(target: &Value) -> Vec<&str> {
    let held = target["held"].as_array().map_or(&[][..], Vec::as_slice);
    held.iter().filter_map(|held| held["reason"].as_str()).collect()
}

fn configuration(source: &str) -> String {
    format!(
        "\
prometheus: {{url: {source}, timeout: 5s}}
evaluation: {{interval: 1s, blind_after: 10m}}
reload: {{poll: 1h}}
store: {{url: 'sqlite:data/runbookd.db'}}
kubernetes: {{mode: apply}}
"
    )
}

fn rules(services: &[String], policy: Policy) -> String {
    let Policy { cool_down, ready_within, more } = policy;
    let mut rules = format!(
        "\
metrics:
  cpu_usage: {{query: cpu, unit: ratio, help: CPU.}}
  memory_usage: {{query: memory, unit: ratio, help: Memory.}}
  response_time: {{query: latency, unit: seconds, help: Response time.}}
scale_out_strategy:
  triggers:
    cpu_sustained: 70%
    memory_sustained: {{threshold: 80%, axis: horizontal}}
    response_time: 300ms
  actions:
    horizontal: {{step: +2 replicas, cool_down: {cool_down}}}
  sustained: 1s
  settle: 1m
  targets:
"
    );
    for service in services {
        rules.push_str(&format!(
            "    - {{service: {service}, namespace: shop, max_replicas: 9, ready_within: {ready_within}{more}}}\n"
        ));
    }
    rules
}

/// The names of so many services.
pub(crate) fn services(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("svc-{number:04}")).collect()
}
