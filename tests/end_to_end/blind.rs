//! Prometheus dies in the middle: nothing resolves, nothing scales, somebody is paged, and it goes on afterwards.

use std::time::Duration;

use world::daemon::Daemon;
use world::journal::Entry;
use world::slack::Call;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_prometheus_nothing_resolves_and_nothing_scales() {
    let _alone = super::alone().await;
    let mut story = super::begin().await;
    story.quiet().await.unwrap();
    story.warning().await.unwrap();
    story.critical().await.unwrap();

    story.stage.prometheus.kill().await.unwrap();
    let killed = jiff::Timestamp::now();
    let blind = |call: &Call| call.text().starts_with("CRITICAL runbookd: blind");
    story.stage.slack.journal.wait_for(blind, PATIENCE).await.expect("the daemon says that it is blind");
    let failed = failed_queries(&story.daemon).await;
    // As long again as the triggers have to last: a step on stale evidence would come by now.
    let more = async |daemon: &Daemon| Ok(failed_queries(daemon).await);
    story.daemon.until(PATIENCE, more, |now| *now >= failed + 110.0).await.unwrap();

    assert_eq!(story.daemon.metric("runbookd_blind").await.unwrap(), Some(1.0));
    let after = |entry: &Entry<Call>| entry.at > killed;
    let told: Vec<_> = story.stage.slack.journal.entries().into_iter().filter(after).collect();
    assert!(
        told.iter().all(|entry| !entry.body.text().starts_with("RESOLVED")),
        "nothing is over while nothing is seen"
    );
    assert_eq!(story.stage.kubernetes.workload("shop", "checkout").unwrap().replicas, 2, "no step was taken");
    assert_eq!(story.stage.pagerduty.open().len(), 2, "the page stays open, beside the one for being blind");

    story.stage.prometheus.start_again().await.unwrap();
    let sees = |call: &Call| call.text().starts_with("RESOLVED runbookd");
    story.stage.slack.journal.wait_for(sees, PATIENCE).await.expect("the daemon says that it sees again");
    story.scaled_out().await.expect("what was wanted before is wanted still");
}

async fn failed_queries(daemon: &Daemon) -> f64 {
    daemon.metric(r#"runbookd_queries_total{outcome="unreachable"}"#).await.unwrap().unwrap_or(0.0)
}
