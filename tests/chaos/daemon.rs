//! The daemon of a run: the real binary in a folder of its own, begun and killed at will. Knows nothing of its code.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::patience::until;
use super::sinks::Sinks;

/// How long a start may take before the run gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The secrets of a run. They look like what they are for and stand nowhere else.
pub(crate) const ROUTING_KEY: &str = "fixture0routing0key0of0chaos0run";

/// The binary: the one built with these tests, or another that `RUNBOOKD` names.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("RUNBOOKD").map_or_else(|| env!("CARGO_BIN_EXE_runbookd").into(), PathBuf::from)
}

/// The folder of a daemon: its files, and where it listens.
#[derive(Debug)]
pub(crate) struct Home {
    folder: tempfile::TempDir,
    asker: Asker,
    log_filter: &'static str,
}

/// Asks the daemon of a home, whoever lives there.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    listen: String,
    client: reqwest::Client,
}

/// One life of a daemon; killed when dropped.
#[derive(Debug)]
pub(crate) struct Life {
    child: Child,
}

impl Home {
    /// Lays out the files. `store` is what stands behind `sqlite:`.
    pub(crate) fn new(source: &str, sinks: &Sinks, store: &str) -> anyhow::Result<Self> {
        let home = Self {
            folder: tempfile::tempdir()?,
            asker: Asker {
                listen: std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string(),
                client: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?,
            },
            log_filter: "info",
        };
        home.write("config/runbookd.yaml", &configuration(source, sinks, store))?;
        home.write("rules/rules.yaml", RULES)?;
        Ok(home)
    }

    /// The same with the log lines that are for developers.
    pub(crate) fn talkative(mut self) -> Self {
        self.log_filter = "debug";
        self
    }

    /// One of its files.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes one of its files.
    pub(crate) fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.file(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, text)?)
    }

    /// Adds to one of its files.
    pub(crate) fn append(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let before = std::fs::read_to_string(self.file(path))?;
        self.write(path, &format!("{before}{text}"))
    }

    /// Everything it ever logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.file("runbookd.log")).unwrap_or_default()
    }

    /// The last lines it logged.
    pub(crate) fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n")
    }

    /// Begins a life, without waiting for anything.
    pub(crate) fn begin(&self) -> anyhow::Result<Life> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.file("runbookd.log"))?;
        let binary = binary();
        let child = Command::new(&binary)
            .args(["run", "--config", "config", "--rules", "rules", "--listen", &self.asker.listen])
            .current_dir(self.folder.path())
            .env("RUNBOOKD_LOG", self.log_filter)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Life { child })
    }

    /// Waits until a life answers.
    pub(crate) async fn ready(&self, life: &mut Life) -> anyhow::Result<()> {
        let ready = async || {
            // One that has ended is not waited for.
            let ended = life.child.try_wait()?;
            Ok(ended.is_some() || self.text("/readyz").await.is_ok())
        };
        let waited = until(PATIENCE, ready).await;
        if let Some(status) = life.child.try_wait()? {
            bail!("the daemon ended with {status}:\n{}", self.end_of_log());
        }
        waited.with_context(|| self.end_of_log())
    }

    /// A page's text.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        self.asker.text(path).await
    }

    /// What asks it, to be used beside.
    pub(crate) fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// A page's JSON.
    pub(crate) async fn json(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.text(path).await?)?)
    }

    /// Asks for a reload.
    pub(crate) async fn reload(&self, token: Option<&str>) -> anyhow::Result<()> {
        self.post("/api/runbookd/v1/config/reload", token).await.map(drop)
    }

    /// Acknowledges the newest incident; what the daemon answers.
    pub(crate) async fn acknowledge_one(&self, token: &str) -> anyhow::Result<String> {
        let newest = self.json("/api/runbookd/v1/incidents?limit=1").await?;
        let id = newest["items"][0]["id"].as_str().context("there is no incident")?.to_owned();
        self.post(&format!("/api/runbookd/v1/incidents/{id}/acknowledge"), Some(token)).await
    }

    /// Silences something that never happens.
    pub(crate) async fn silence(&self, token: &str) -> anyhow::Result<String> {
        let body = serde_json::json!({"matchers": "service=\"none\"", "for": "1h", "comment": "a fixture"});
        self.send("/api/runbookd/v1/silences", Some(token), &body).await
    }

    async fn post(&self, path: &str, token: Option<&str>) -> anyhow::Result<String> {
        self.send(path, token, &serde_json::json!({})).await
    }

    async fn send(&self, path: &str, token: Option<&str>, body: &Value) -> anyhow::Result<String> {
        let request = self.asker.client.post(format!("http://{}{path}", self.asker.listen));
        let request = request.json(body);
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// The value of one of its metrics, by the line's beginning.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.text("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.with_context(|| format!("there is no metric {name}"))
    }

    /// Every incident it knows: subject, number and state.
    pub(crate) async fn incidents(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let mut all = Vec::new();
        let mut path = "/api/runbookd/v1/incidents?limit=500".to_owned();
        loop {
            let page = self.json(&path).await?;
            for item in page["items"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                all.push((text(&item["subject"]["service"]), text(&item["id"]), text(&item["state"])));
            }
            let Some(next) = page["next"].as_str() else { return Ok(all) };
            path = format!("/api/runbookd/v1/incidents?limit=500&before={next}");
        }
    }
}

impl Asker {
    /// What is answered, also where that is an error.
    pub(crate) async fn any(&self, path: &str) -> anyhow::Result<String> {
        Ok(self.client.get(format!("http://{}{path}", self.listen)).send().await?.text().await?)
    }

    /// A page's text.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.client.get(format!("http://{}{path}", self.listen)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

impl Life {
    /// Kills it with SIGKILL; it is gone on return.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// How much processor time it has used, in its own code and in the system's.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let id = self.child.id().context("the daemon has ended")?;
        let stat = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat"))?;
        // Fields 14 and 15, in hundredths of a second; the name before them may hold anything (proc(5)).
        let (_, fields) = stat.rsplit_once(')').context("the system tells nothing")?;
        let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
        Ok(Duration::from_millis(10 * ticks.sum::<u64>()))
    }

    /// The most memory it has held, in bytes.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("the daemon has ended")?;
        let status = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status"))?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
        let kilobytes: u64 = peak.context("the system does not tell the peak")?;
        Ok(kilobytes * 1_024)
    }
}

const RULES: &str = "\
metrics:
  load: {query: load, unit: ratio, help: How loaded a service is.}
monitoring:
  metrics:
    system:
      - load: {warning: 70%, critical: 90%, group_by: [service], incident_type: service_outage}
";

/// A configuration in which each notice is one message: no digests, and nothing passed on because it is late.
fn configuration(source: &str, sinks: &Sinks, store: &str) -> String {
    let (hook, slack) = (sinks.hook.door.url(), sinks.slack.webhook_url());
    let (mail, pager) = (sinks.smtp.address(), sinks.pagerduty.url());
    format!(
        "\
prometheus: {{url: {source}, timeout: 5s}}
evaluation: {{interval: 1s, blind_after: 10m}}
reload: {{poll: 1h}}
store: {{url: 'sqlite:{store}'}}
kubernetes: {{mode: 'off'}}
channels:
  hook: {{webhook: {{url: '{hook}/hook'}}}}
  slack: {{slack: {{webhook_url: '{slack}'}}}}
  mail: {{email: {{smtp_url: 'smtp://{mail}', tls: none, from: runbookd@example.org, to: [oncall@example.org]}}}}
  pager: {{pagerduty: {{routing_key: {ROUTING_KEY}, url: '{pager}'}}}}
communication:
  channels: {{primary: slack, secondary: mail, emergency: pager}}
  notify:
    warning: [hook]
    critical: [hook, primary, secondary, emergency]
  status_every: 1h
  failover_after: 1h
  storm: {{above: 10000, per: 1s}}
"
    )
}
