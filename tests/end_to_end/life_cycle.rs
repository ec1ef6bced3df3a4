//! Starting, stopping, dying: nothing half-done, nothing told twice, nothing forgotten.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use world::prometheus::Prometheus;
use world::slack::Call;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_orderly_and_a_restart_or_a_kill_repeats_no_page() {
    let _alone = super::alone().await;
    let (stage, daemon) = super::world().await;
    stage.shop.set_disk("node-1", 0.9).unwrap();
    let page = |call: &Call| call.text().starts_with("CRITICAL") && call.text().contains("disk");
    stage.slack.journal.wait_for(page, PATIENCE).await.unwrap();
    stage.smtp.journal.wait_count(1, PATIENCE).await.unwrap();
    stage.pagerduty.journal.wait_count(1, PATIENCE).await.unwrap();

    let asked = Instant::now();
    assert_eq!(daemon.terminate().await.unwrap(), Some(0), "an orderly stop is a success");
    assert!(asked.elapsed() < Duration::from_secs(5), "a stop takes less than five seconds");

    let daemon = super::start(&stage).await;
    let open = daemon.json("/api/runbookd/v1/incidents?state=open").await.unwrap();
    let id = open["items"][0]["id"].as_str().expect("the incident is remembered").to_owned();
    evaluated(&daemon).await;
    daemon.kill().await.unwrap();

    let daemon = super::start(&stage).await;
    evaluated(&daemon).await;
    let pages = stage.slack.journal.count_where(page);
    assert_eq!(pages, 1, "one page, whatever the daemon went through");
    assert_eq!(stage.pagerduty.journal.count(), 1);

    stage.shop.set_disk("node-1", 0.3).unwrap();
    let over = |call: &Call| call.text().starts_with("RESOLVED") && call.text().contains("disk");
    stage.slack.journal.wait_for(over, PATIENCE).await.expect("whoever was told hears that it is over");
    let resolved = |event: &serde_json::Value| event["event_action"] == "resolve";
    stage.pagerduty.journal.wait_for(resolved, PATIENCE).await.unwrap();
    let incident = daemon.json(&format!("/api/runbookd/v1/incidents/{id}")).await.unwrap();
    assert_eq!(incident["state"], "resolved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_could_not_leave_leaves_after_a_kill() {
    let _alone = super::alone().await;
    let (stage, daemon) = super::world().await;
    stage.slack.door.take_down().await;
    stage.shop.set_disk("node-1", 0.8).unwrap();
    let waiting = async |daemon: &world::daemon::Daemon| daemon.metric("runbookd_outbox_messages").await;
    daemon.until(PATIENCE, waiting, |count| *count == Some(1.0)).await.unwrap();
    daemon.kill().await.unwrap();
    stage.slack.door.bring_up().await.unwrap();
    let _daemon = super::start(&stage).await;
    let page = |call: &Call| call.text().starts_with("WARNING") && call.text().contains("disk");
    stage.slack.journal.wait_for(page, PATIENCE).await.expect("the outbox outlives the daemon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_scrapes_the_daemon_without_complaint() {
    let _alone = super::alone().await;
    let (_stage, daemon) = super::world().await;
    let address = daemon.url().trim_start_matches("http://").to_owned();
    let watcher = Prometheus::start(&[address], Duration::from_secs(1)).await.unwrap();
    let is_one = |answer: &[(_, f64)]| answer.iter().any(|(_, value)| *value == 1.0);
    watcher.until("up", PATIENCE, is_one).await.unwrap();
    watcher.until("runbookd_config_last_reload_successful", PATIENCE, is_one).await.unwrap();
    let counted = watcher.query("runbookd_queries_total").await.unwrap();
    assert!(!counted.is_empty(), "counters arrive under their names");
}

#[tokio::test]
async fn a_start_that_cannot_be_says_why_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::fs::write(folder.path().join("rules/wrong.yaml"), "monitoring:\n  metrics: 7\n").unwrap();
    let refused =
        world::daemon::Daemon::start(Path::new(super::BINARY), folder.path(), &[], "127.0.0.1:1").await;
    let error = format!("{:#}", refused.unwrap_err());
    assert!(error.contains("rules/wrong.yaml:2"), "{error}");
}

/// Waits for a few rounds.
async fn evaluated(daemon: &world::daemon::Daemon) {
    let answered = async |daemon: &world::daemon::Daemon| {
        Ok(daemon.metric(r#"runbookd_queries_total{outcome="answered"}"#).await?.unwrap_or(0.0))
    };
    daemon.until(PATIENCE, answered, |count| *count >= 30.0).await.unwrap();
}
