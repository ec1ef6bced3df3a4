//! The real Prometheus as a child process, with a data folder of its own and nothing but the given targets to
//! scrape. It owns the process and the questions put to it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long a start may take, replaying what an earlier run has left included.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A free port can be taken between looking and starting; after so many times it is not that.
const START_ATTEMPTS: usize = 3;

/// A running Prometheus; dropping it kills the process and removes the data.
///
/// It scrapes for the first time about five seconds after a start: its discovery of targets, static ones too, hands
/// them on in that rhythm, and no option changes it.
#[derive(Debug)]
pub struct Prometheus {
    child: Option<Child>,
    address: SocketAddr,
    folder: TempDir,
    client: reqwest::Client,
}

impl Prometheus {
    /// Starts the binary named by the environment variable `PROMETHEUS`, or `prometheus` from the path, and waits
    /// until it is ready. Each target is `host:port`; `/metrics` of it is scraped every `interval`.
    ///
    /// # Errors
    /// If there is no such binary, or it is not ready in time; its log is in the error.
    pub async fn start(targets: &[String], interval: Duration) -> anyhow::Result<Self> {
        Self::configured(&configuration(targets, interval), "").await
    }

    /// Starts one that scrapes nothing, evaluates the rule file `rules` every second and hands its alerts to the
    /// Alertmanager at `alertmanager`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn alerting(alertmanager: SocketAddr, rules: &str) -> anyhow::Result<Self> {
        let text = format!(
            "global: {{evaluation_interval: 1s}}\nrule_files: [rules.yml]\nalerting:\n  alertmanagers:\n    - \
             static_configs: [{{targets: ['{alertmanager}']}}]\n"
        );
        Self::configured(&text, rules).await
    }

    async fn configured(configuration: &str, rules: &str) -> anyhow::Result<Self> {
        crate::install_crypto();
        let folder = tempfile::tempdir()?;
        tokio::fs::write(folder.path().join("prometheus.yml"), configuration).await?;
        tokio::fs::write(folder.path().join("rules.yml"), rules).await?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let mut prometheus = Self { child: None, address: free_port().await?, folder, client };
        let mut attempt = 1;
        while let Err(error) = prometheus.start_again().await {
            if attempt == START_ATTEMPTS || !error.to_string().contains("address already in use") {
                return Err(error);
            }
            attempt += 1;
            prometheus.address = free_port().await?;
        }
        Ok(prometheus)
    }

    /// Starts one that scrapes nothing and has a past: `past` is OpenMetrics text with a time on every sample. `promtool`
    /// beside the binary, or from the path, makes blocks of it.
    ///
    /// # Errors
    /// If there is no such tool, it refuses the text, or Prometheus does not start.
    pub async fn with_past(past: &str) -> anyhow::Result<Self> {
        let mut prometheus = Self::start(&[], Duration::from_secs(60)).await?;
        prometheus.kill().await?;
        let folder = prometheus.folder.path().to_owned();
        let file = folder.join("past");
        tokio::fs::write(&file, past).await?;
        let program = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
        let made = Command::new(&program)
            .args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h"])
            .arg(&file)
            .arg(folder.join("data"))
            .output()
            .await
            .with_context(|| format!("cannot start {program}"))?;
        let words = String::from_utf8_lossy(&made.stderr);
        anyhow::ensure!(made.status.success(), "{program} refused the past: {words}");
        prometheus.start_again().await?;
        Ok(prometheus)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its root, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Kills it with SIGKILL and waits until it is gone; its port is free then, its data is kept.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("cannot kill prometheus")?;
        }
        Ok(())
    }

    /// Starts it once more on the same port and data, and waits until it is ready; one that runs is killed first.
    ///
    /// # Errors
    /// If it cannot be started or is not ready in time; its log is in the error.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join("log"))?;
        let program = std::env::var("PROMETHEUS").unwrap_or_else(|_| "prometheus".to_owned());
        let child = Command::new(&program)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={}", self.address))
            .arg("--storage.tsdb.retention.time=10y")
            .arg("--log.level=warn")
            // What it says before it has found the Alertmanager is lost; this is how soon it says it again.
            .arg("--rules.alert.resend-delay=1s")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        self.child = Some(child);
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let url = format!("{}/-/ready", self.url());
        loop {
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("prometheus ended with {status}: {}", log_of(self.folder.path()).await);
            }
            if self.client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("prometheus not ready within {READY_WITHIN:?}: {}", log_of(self.folder.path()).await);
            }
            // It announces its readiness in no other way than to be asked.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for the value of an expression until it is what is waited for.
    ///
    /// # Errors
    /// If it is not in time, with the last answer, or [`Self::query`] fails.
    pub async fn until(
        &self,
        expression: &str,
        timeout: Duration,
        is_so: impl Fn(&[(BTreeMap<String, String>, f64)]) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let answer = self.query(expression).await?;
            if is_so(&answer) {
                return Ok(());
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "`{expression}` is not so after {timeout:?}; the last answer was {answer:?}"
            );
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Asks for the value of an expression now: one entry per series, with its labels.
    ///
    /// # Errors
    /// If it does not answer, refuses the expression, or the answer is neither a vector nor a scalar.
    pub async fn query(&self, expression: &str) -> anyhow::Result<Vec<(BTreeMap<String, String>, f64)>> {
        let url = format!("{}/api/v1/query", self.url());
        let answer = self.client.get(url).query(&[("query", expression)]).send().await?;
        let answer: Answer = answer.json().await.context("not an answer of prometheus")?;
        match answer.data {
            Some(Data::Vector(samples)) => {
                samples.into_iter().map(|s| Ok((s.metric, s.value.1.parse()?))).collect()
            }
            Some(Data::Scalar((_, value))) => Ok(vec![(BTreeMap::new(), value.parse()?)]),
            None => bail!("{expression}: {}", answer.error.unwrap_or_default()),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Scalar((f64, String)),
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

fn configuration(targets: &[String], interval: Duration) -> String {
    let mut text = format!(
        "global:\n  scrape_interval: {0}ms\n  scrape_timeout: {0}ms\nscrape_configs:\n  - job_name: world\n    \
         honor_labels: true\n    static_configs:\n      - targets:\n",
        interval.as_millis().max(1)
    );
    if targets.is_empty() {
        text.push_str("          []\n");
    }
    for target in targets {
        // JSON strings are YAML strings.
        let _ = writeln!(text, "          - {}", serde_json::Value::from(target.as_str()));
    }
    text
}

async fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(listener.local_addr()?)
}

async fn log_of(folder: &Path) -> String {
    tokio::fs::read_to_string(folder.join("log")).await.unwrap_or_default()
}
