//! The daemon under test: the real binary as a child process, and its HTTP surface. Knows nothing of its code.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

/// How long a start or a stop may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a page is asked for again while waiting for what it will say.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A running daemon; it is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    url: String,
    log: PathBuf,
    client: reqwest::Client,
}

impl Daemon {
    /// Starts `binary run` on the folders, with these environment variables, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start or is not ready in time; the end of its log is in the error.
    pub async fn start(
        binary: &Path,
        folder: &Path,
        environment: &[(&str, String)],
        listen: &str,
    ) -> anyhow::Result<Self> {
        crate::install_crypto();
        let log = folder.join("runbookd.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let child = Command::new(binary)
            .args(["run", "--config", "config", "--rules", "rules", "--listen", listen])
            .current_dir(folder)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let mut daemon = Self { child, url: format!("http://{listen}"), log, client };
        daemon.wait_ready().await?;
        Ok(daemon)
    }

    /// The process' id.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The base of its pages.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A page's text.
    pub async fn text(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// A page's JSON.
    pub async fn json(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.text(path).await?)?)
    }

    /// Posts JSON; the code and the answer.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let answer = self.client.post(format!("{}{path}", self.url)).json(body).send().await?;
        let code = answer.status().as_u16();
        Ok((code, serde_json::from_str(&answer.text().await?).unwrap_or(Value::Null)))
    }

    /// The value of one of its metrics, by the line's beginning.
    pub async fn metric(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let text = self.text("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        Ok(value)
    }

    /// Asks until the answer is what is waited for.
    ///
    /// # Errors
    /// If it is not in time; the last answer is in the error.
    pub async fn until<T: std::fmt::Debug>(
        &self,
        timeout: Duration,
        ask: impl AsyncFn(&Self) -> anyhow::Result<T>,
        is_so: impl Fn(&T) -> bool,
    ) -> anyhow::Result<T> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let answer = ask(self).await;
            if let Ok(answer) = answer
                && is_so(&answer)
            {
                return Ok(answer);
            } else if tokio::time::Instant::now() > deadline {
                bail!("not so after {timeout:?}; the last answer was {answer:?}", answer = ask(self).await);
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Sends SIGTERM by the process' id and waits for its end; the exit code.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn terminate(mut self) -> anyhow::Result<Option<i32>> {
        let id = self.child.id().context("the daemon has ended already")?;
        let killed = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        if !killed.success() {
            bail!("cannot signal the process {id}");
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("the daemon did not end after SIGTERM")??;
        Ok(status.code())
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended with {status}:\n{}", self.log());
            }
            if self.text("/readyz").await.is_ok() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("the daemon is not ready after {PATIENCE:?}:\n{}", self.log());
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}
