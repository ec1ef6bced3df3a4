//! The story: what an operator would live through with the daemon, from the first breach to the all-clear, told as it
//! happens. Every act waits for bytes that a server of the world received; the daemon's own word counts for nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::daemon::Daemon;
use crate::journal::Entry;
use crate::pagerduty::AlertState;
use crate::slack::Call;
use crate::smtp::message::Mail;
use crate::stage::{NAMESPACE, Stage, TimeScale};

/// How long an act may take before the story fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The service the story is about.
const SERVICE: &str = "checkout";

/// The time scale of the story: a breach must last longer than it takes to go from 70 to 90 percent.
const SCALE: TimeScale =
    TimeScale { window: 5, sustained: 12, horizontal_rest: 40, vertical_rest: 40, blind_after: 10 };

/// Where the story is told.
type Teller = Box<dyn FnMut(&str) + Send>;

/// A story that can be played, act by act.
pub struct Story {
    /// The world.
    pub stage: Stage,
    /// The daemon in it.
    pub daemon: Daemon,
    tell: Teller,
    began: Instant,
}

impl Story {
    /// Sets the stage and starts the daemon.
    ///
    /// # Errors
    /// If anything does not start.
    pub async fn begin(
        binary: &Path,
        shipped: &Path,
        mut tell: impl FnMut(&str) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        tell(
            "   0.0 s  the world starts: a shop on a cluster, a real Prometheus, Slack, a mail server, PagerDuty",
        );
        let stage = Stage::set(shipped, SCALE).await?;
        let daemon = stage.start_daemon(binary).await?;
        let mut story = Self { stage, daemon, tell: Box::new(tell), began };
        story.say(&format!("runbookd runs with the shipped config/ and rules/: {}", story.daemon.url()));
        Ok(story)
    }

    /// Plays every act.
    ///
    /// # Errors
    /// The first thing that did not happen.
    pub async fn play(&mut self) -> anyhow::Result<()> {
        self.quiet().await.context("a quiet shop pages nobody")?;
        self.warning().await.context("CPU crosses 70 % and Slack hears of it")?;
        self.critical().await.context("CPU crosses 90 % and everybody hears of it")?;
        self.scaled_out().await.context("two replicas are added")?;
        self.held().await.context("the cooldown holds the next step")?;
        self.scaled_up().await.context("memory crosses 80 % and a quarter more is applied in place")?;
        self.all_clear().await.context("the load falls and the all-clear is sent")?;
        self.edited_while_running().await.context("an edited rule file is taken while it runs")?;
        self.broken_file_refused().await.context("a broken rule file is refused and the old rules go on")
    }

    /// The shop is healthy: metrics are read, nobody is told anything.
    pub async fn quiet(&mut self) -> anyhow::Result<()> {
        let answered = async |daemon: &Daemon| {
            Ok(daemon.metric(r#"runbookd_queries_total{outcome="answered"}"#).await?.unwrap_or(0.0))
        };
        self.daemon.until(PATIENCE, answered, |count| *count >= 40.0).await?;
        let heard: Vec<String> =
            self.stage.slack.journal.bodies().iter().map(|call| call.text().to_owned()).collect();
        ensure!(heard.is_empty(), "a quiet shop was paged about: {heard:#?}");
        self.say("Prometheus scrapes, the rules are evaluated, nobody is told anything");
        Ok(())
    }

    /// CPU goes above the warning threshold.
    pub async fn warning(&mut self) -> anyhow::Result<()> {
        self.load(156.0)?;
        let text = self.slack("WARNING checkout: CPU").await?;
        self.say(&format!("CPU crosses 70 %       Slack      {text}"));
        Ok(())
    }

    /// CPU goes above the critical threshold.
    pub async fn critical(&mut self) -> anyhow::Result<()> {
        self.load(190.0)?;
        let text = self.slack("CRITICAL, was warning: checkout CPU").await?;
        self.say(&format!("CPU crosses 90 %       Slack      {text}"));
        let mail = self.mail(|mail| mail.header("Subject").is_some_and(|it| it.starts_with("INC-"))).await?;
        let (from, subject) = (header(&mail, "From"), header(&mail, "Subject"));
        self.say(&format!("                       email      {from}: {subject}"));
        let triggered = |event: &Value| event["event_action"] == "trigger";
        let page = self.stage.pagerduty.journal.wait_for(triggered, PATIENCE).await?;
        let summary = page["payload"]["summary"].as_str().unwrap_or_default();
        self.say(&format!("                       PagerDuty  {summary}"));
        let incident = self.incident().await?;
        self.say(&format!("the incident is        {incident} ({}/incidents/{incident})", self.daemon.url()));
        // The load goes on growing, so that the step to come will not be enough.
        self.load(330.0)
    }

    /// The trigger has lasted: two replicas more.
    pub async fn scaled_out(&mut self) -> anyhow::Result<()> {
        let four = |kubernetes: &crate::kubernetes::Kubernetes| {
            kubernetes.workload(NAMESPACE, SERVICE).is_some_and(|it| it.replicas == 4 && it.ready_pods == 4)
        };
        self.stage.kubernetes.until(PATIENCE, four).await?;
        self.say("CPU stayed above 70 %  cluster    checkout 2 → 4 replicas, all ready");
        let text = self.slack("SCALED checkout: 2 → 4 replicas").await?;
        self.say(&format!("                       Slack      {text}"));
        Ok(())
    }

    /// The step was not enough; the target rests.
    pub async fn held(&mut self) -> anyhow::Result<()> {
        let text = self.slack("cooldown until").await?;
        ensure!(text.starts_with("NOT SCALED checkout"), "a held step should say so: {text}");
        self.say(&format!("the load grew further  Slack      {text}"));
        Ok(())
    }

    /// Memory leaks: a quarter more resources for the running pods.
    pub async fn scaled_up(&mut self) -> anyhow::Result<()> {
        let pods =
            self.stage.kubernetes.workload(NAMESPACE, SERVICE).map_or(0, |workload| workload.ready_pods);
        self.stage.shop.set_memory(SERVICE, f64::from(pods) * LEAK_PER_POD)?;
        let larger = |kubernetes: &crate::kubernetes::Kubernetes| {
            kubernetes.workload(NAMESPACE, SERVICE).is_some_and(|it| {
                it.pods.iter().filter(|pod| pod.memory_limit_bytes >= 1_250_000_000).count() >= 4
            })
        };
        self.stage.kubernetes.until(PATIENCE, larger).await?;
        let in_place =
            |it: &crate::kubernetes::Exchange| it.resource == "pods/resize" && it.code == Some(200);
        self.stage
            .kubernetes
            .await_exchange(PATIENCE, in_place)
            .await
            .context("no pod was resized in place")?;
        self.say(
            "memory crosses 80 %    cluster    checkout pods resized in place: 1 → 1.25 cores, 1 → 1.25 GB",
        );
        let text = self.slack("SCALED checkout: 1 core/1 GB").await?;
        self.say(&format!("                       Slack      {text}"));
        Ok(())
    }

    /// The load falls.
    pub async fn all_clear(&mut self) -> anyhow::Result<()> {
        let fell = Timestamp::now();
        self.load(40.0)?;
        self.stage.shop.set_memory(SERVICE, 0.0)?;
        let over =
            |entry: &Entry<Call>| entry.at > fell && entry.body.text().starts_with("RESOLVED checkout");
        let call = self.stage.slack.journal.wait_for_entry(over, PATIENCE).await?;
        self.say(&format!("the load falls         Slack      {}", call.body.text()));
        let over = |entry: &Entry<Mail>| {
            entry.at > fell && entry.body.header("X-Runbookd-Event") == Some("resolved")
        };
        let mail = self.stage.smtp.journal.wait_for_entry(over, PATIENCE).await?.body;
        self.say(&format!(
            "                       email      {}: {}",
            header(&mail, "From"),
            header(&mail, "Subject")
        ));
        let resolved = |entry: &Entry<Value>| entry.at > fell && entry.body["event_action"] == "resolve";
        self.stage.pagerduty.journal.wait_for_entry(resolved, PATIENCE).await?;
        let open = self.stage.pagerduty.open();
        ensure!(open.is_empty(), "PagerDuty still has open alerts: {open:?}");
        let closed = self.stage.pagerduty.alerts();
        ensure!(
            closed.iter().all(|(_, alert)| alert.state == AlertState::Resolved),
            "an alert is not resolved"
        );
        self.say("                       PagerDuty  resolved");
        Ok(())
    }

    /// A threshold is edited; what it now says is told.
    pub async fn edited_while_running(&mut self) -> anyhow::Result<()> {
        self.stage.edit(MONITORING, &[(SHIPPED_DISK, EDITED_DISK)])?;
        let text = self.slack("disk").await?;
        ensure!(text.starts_with("WARNING"), "the edited threshold should warn: {text}");
        self.say(&format!("disk warning 75 → 45 % Slack      {text}"));
        Ok(())
    }

    /// A broken file changes nothing; mended, the rules of before are back.
    pub async fn broken_file_refused(&mut self) -> anyhow::Result<()> {
        self.stage.edit(MONITORING, &[(EDITED_DISK, BROKEN_DISK)])?;
        let status = async |daemon: &Daemon| daemon.json("/api/runbookd/v1/config").await;
        let refused =
            self.daemon.until(PATIENCE, status, |status| status["last_reload_successful"] == false).await?;
        let diagnostics = refused["diagnostics"].as_str().unwrap_or_default();
        ensure!(diagnostics.contains("monitoring.yaml:"), "the diagnostic names no place: {diagnostics}");
        ensure!(
            self.daemon.metric("runbookd_config_last_reload_successful").await? == Some(0.0),
            "the gauge does not say that the reload was refused"
        );
        self.say("a broken file is refused, the rules before it go on:");
        for line in diagnostics.lines() {
            (self.tell)(&format!("          {line}"));
        }
        self.stage.edit(MONITORING, &[(BROKEN_DISK, SHIPPED_DISK)])?;
        let over = |call: &Call| call.text().starts_with("RESOLVED") && call.text().contains("disk");
        let call = self.stage.slack.journal.wait_for(over, PATIENCE).await?;
        self.say(&format!("the file is mended     Slack      {}", call.text()));
        Ok(())
    }

    /// Says a line with the time since the beginning.
    pub fn say(&mut self, line: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        (self.tell)(&format!("{seconds:6.1} s  {line}"));
    }

    fn load(&self, requests_per_second: f64) -> anyhow::Result<()> {
        Ok(self.stage.shop.set_load(SERVICE, requests_per_second)?)
    }

    /// Waits for a Slack message that holds a text.
    async fn slack(&self, part: &str) -> anyhow::Result<String> {
        let found = self.stage.slack.journal.wait_for(|call| call.text().contains(part), PATIENCE).await;
        let call = found.with_context(|| {
            let heard: Vec<String> =
                self.stage.slack.journal.bodies().iter().map(|call| call.text().to_owned()).collect();
            let tail: Vec<String> = self.daemon.log().lines().rev().take(15).map(str::to_owned).collect();
            format!("Slack heard no `{part}`; it heard {heard:#?}; the log ends (newest first) {tail:#?}")
        })?;
        Ok(call.text().to_owned())
    }

    async fn mail(&self, is_it: impl Fn(&Mail) -> bool) -> anyhow::Result<Mail> {
        self.stage.smtp.journal.wait_for(|mail| is_it(mail), PATIENCE).await
    }

    /// The newest incident's number.
    async fn incident(&self) -> anyhow::Result<String> {
        let list = self.daemon.json("/api/runbookd/v1/incidents?limit=1").await?;
        let id = list["items"][0]["id"].as_str().context("there is no incident")?;
        Ok(id.to_owned())
    }
}

/// What leaks, in bytes: with what a pod uses anyway, more than 80 % of its gigabyte.
const LEAK_PER_POD: f64 = 580e6;

/// The file that the story edits, and its disk thresholds as shipped, edited and broken.
const MONITORING: &str = "rules/monitoring.yaml";
const SHIPPED_DISK: &str = "warning: 75%\n          critical: 85%";
const EDITED_DISK: &str = "warning: 45%\n          critical: 85%";
const BROKEN_DISK: &str = "warning: 45 minutes\n          critical: 85%";

fn header(mail: &Mail, name: &str) -> String {
    mail.header(name).unwrap_or("-").to_owned()
}
