//! The stage: a whole world around one daemon. Starts the shop on a cluster, a real Prometheus that scrapes it, every
//! receiver of notices, and lays out the shipped configuration with only endpoints and time scales changed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::kubernetes::Kubernetes;
use crate::pagerduty::PagerDuty;
use crate::prometheus::Prometheus;
use crate::shop::{Blueprint, Fleet, Pod, Shop};
use crate::slack::Slack;
use crate::smtp::{self, Security, Smtp};

/// The namespace of the shop.
pub const NAMESPACE: &str = "shop";

/// What a pod of the shop has: one core and one gigabyte.
const POD_CORES: f64 = 1.0;
const POD_BYTES: u64 = 1_000_000_000;

/// A routing key as PagerDuty makes them: 32 characters.
const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The mail server's login.
const LOGIN: (&str, &str) = ("runbookd", "a-fixture-password");

/// How fast time runs on the stage, compared with the shipped files.
#[derive(Debug, Clone, Copy)]
pub struct TimeScale {
    /// Instead of the shipped `[5m]` of the catalogue's queries, in seconds.
    pub window: u32,
    /// Instead of `sustained: 5m`, in seconds.
    pub sustained: u32,
    /// Instead of the horizontal `cool_down: 10m`, in seconds.
    pub horizontal_rest: u32,
    /// Instead of the vertical `cool_down: 1h`, in seconds.
    pub vertical_rest: u32,
    /// Instead of `blind_after: 2m`, in seconds.
    pub blind_after: u32,
}

impl Default for TimeScale {
    fn default() -> Self {
        Self { window: 6, sustained: 5, horizontal_rest: 25, vertical_rest: 40, blind_after: 8 }
    }
}

/// Everything outside the daemon, and the folder it runs in.
pub struct Stage {
    /// The cluster.
    pub kubernetes: Arc<Kubernetes>,
    /// The shop that runs on it.
    pub shop: Shop,
    /// The real Prometheus that scrapes the shop.
    pub prometheus: Prometheus,
    /// Slack.
    pub slack: Slack,
    /// The mail server.
    pub smtp: Smtp,
    /// PagerDuty.
    pub pagerduty: PagerDuty,
    folder: TempDir,
    listen: String,
}

/// The shop runs on the cluster's pods.
struct ClusterFleet(Arc<Kubernetes>);

impl Fleet for ClusterFleet {
    fn pods(&self, namespace: &str, service: &str) -> Vec<Pod> {
        let Some(workload) = self.0.workload(namespace, service) else { return Vec::new() };
        let pods = workload.pods.into_iter().map(|pod| Pod {
            name: pod.name,
            cpu_limit_cores: pod.cpu_limit_cores,
            memory_limit_bytes: pod.memory_limit_bytes,
            ready: pod.ready,
        });
        pods.collect()
    }
}

impl Stage {
    /// Starts everything but the daemon. `shipped` is the folder that holds `config/` and `rules/`.
    ///
    /// # Errors
    /// If a server or Prometheus does not start, or the shipped files no longer have what the stage changes.
    pub async fn set(shipped: &Path, scale: TimeScale) -> anyhow::Result<Self> {
        crate::install_crypto();
        let kubernetes = Arc::new(Kubernetes::start().await?);
        kubernetes.namespace(NAMESPACE);
        for (service, replicas) in [("checkout", 2), ("search", 2), ("payments", 2)] {
            kubernetes.deployment(NAMESPACE, service, replicas, POD_CORES, POD_BYTES);
        }
        kubernetes.set_ready_after(Duration::from_secs(1));
        let all_ready = |kubernetes: &Kubernetes| {
            ["checkout", "search", "payments"].iter().all(|service| {
                kubernetes.workload(NAMESPACE, service).is_some_and(|workload| workload.ready_pods == 2)
            })
        };
        kubernetes.until(Duration::from_secs(20), all_ready).await?;
        let mut blueprint = Blueprint::default();
        for service in blueprint.services.values_mut() {
            // Quick enough that CPU is what gives way first, whatever the few samples of a short window say.
            service.response_seconds = 0.001;
        }
        let shop = Shop::open(blueprint, Arc::new(ClusterFleet(kubernetes.clone()))).await?;
        for service in ["checkout", "search", "payments"] {
            shop.set_load(service, 30.0)?;
        }
        let prometheus = Prometheus::start(&[shop.address().to_string()], Duration::from_secs(1)).await?;
        let login = Some((LOGIN.0.to_owned(), LOGIN.1.to_owned()));
        let smtp = Smtp::start(smtp::Options { security: Security::StartTls, login }).await?;
        let stage = Self {
            kubernetes,
            shop,
            prometheus,
            slack: Slack::start().await?,
            smtp,
            pagerduty: PagerDuty::start().await?,
            folder: tempfile::tempdir()?,
            listen: free_address()?,
        };
        stage.lay_out(shipped, scale)?;
        Ok(stage)
    }

    /// The folder with `config/`, `rules/`, the secrets and the store.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One of the daemon's files.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Starts the daemon on the stage.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn start_daemon(&self, binary: &Path) -> anyhow::Result<Daemon> {
        let kubeconfig = self.file("kubeconfig");
        self.kubernetes.write_kubeconfig(&kubeconfig)?;
        let environment = [("KUBECONFIG", kubeconfig.display().to_string())];
        Daemon::start(binary, self.folder(), &environment, &self.listen).await
    }

    /// Puts the shipped files into the folder, with endpoints of this world and a faster clock.
    fn lay_out(&self, shipped: &Path, scale: TimeScale) -> anyhow::Result<()> {
        for folder in ["config", "rules"] {
            let to = self.file(folder);
            std::fs::create_dir_all(&to)?;
            for entry in std::fs::read_dir(shipped.join(folder)).context("the shipped files are missing")? {
                let entry = entry?;
                std::fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        let secrets = self.file("secrets");
        std::fs::create_dir_all(&secrets)?;
        std::fs::write(secrets.join("slack-webhook-url"), self.slack.webhook_url())?;
        std::fs::write(secrets.join("smtp-password"), LOGIN.1)?;
        std::fs::write(secrets.join("pagerduty-routing-key"), ROUTING_KEY)?;
        std::fs::write(self.file("ca.pem"), self.smtp.ca_pem())?;

        let secrets = format!("{}/", secrets.display());
        let mail = format!(
            "smtp_url: smtp://{}@{}\n      ca_file: {}",
            LOGIN.0,
            self.smtp.address(),
            self.file("ca.pem").display()
        );
        let routing_key = format!("{secrets}pagerduty-routing-key");
        let pagerduty = format!("{routing_key}\n      url: {}", self.pagerduty.url());
        self.edit("config/prometheus.yaml", &[("http://127.0.0.1:9090", &self.prometheus.url())])?;
        self.edit("config/kubernetes.yaml", &[("mode: dry_run", "mode: apply")])?;
        self.edit(
            "config/runbookd.yaml",
            &[
                ("interval: 15s", "interval: 1s"),
                ("blind_after: 2m", &format!("blind_after: {}s", scale.blind_after)),
                ("poll: 30s", "poll: 2s"),
                ("/etc/runbookd/secrets/", &secrets),
                ("smtp_url: smtps://runbookd@smtp.gocommerce.dev:465", &mail),
                (&routing_key, &pagerduty),
            ],
        )?;
        self.edit("rules/catalogue.yaml", &[("[5m]", &format!("[{}s]", scale.window))])?;
        self.edit(
            "rules/scaling.yaml",
            &[
                ("cool_down: 10m", &format!("cool_down: {}s", scale.horizontal_rest)),
                ("cool_down: 1h", &format!("cool_down: {}s", scale.vertical_rest)),
                ("sustained: 5m", &format!("sustained: {}s", scale.sustained)),
            ],
        )
    }

    /// Replaces texts in one of the daemon's files; a text that is not there is an error, so that the stage cannot
    /// drift away from what is shipped.
    ///
    /// # Errors
    /// If the file or a text is missing.
    pub fn edit(&self, path: &str, changes: &[(&str, &str)]) -> anyhow::Result<()> {
        let path = self.file(path);
        let mut text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (from, to) in changes {
            ensure!(text.contains(from), "{} no longer has `{from}`", path.display());
            text = text.replace(from, to);
        }
        Ok(std::fs::write(&path, text)?)
    }
}

/// An address on loopback whose port is free now.
fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
