//! People and other programs in between: a pause over HTTP and by annotation, and somebody who takes a step back.

use std::time::Duration;

use serde_json::json;
use world::daemon::Daemon;

use super::rig::{HOT, PATIENCE, Policy, Rig, SCALING, held, services, target, until};

const NAME: &str = "svc-0000";

async fn post(daemon: &Daemon, what: &str, body: serde_json::Value) -> u16 {
    daemon.post(&format!("{SCALING}/shop/Deployment/{NAME}/{what}"), &body).await.unwrap().0
}

/// Changes the Deployment under the name of a field manager.
async fn patch(rig: &Rig, manager: &str, body: &serde_json::Value) {
    let url = format!(
        "{}/apis/apps/v1/namespaces/shop/deployments/{NAME}?fieldManager={manager}",
        rig.kubernetes.url()
    );
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let request = client.patch(url).header("Content-Type", "application/merge-patch+json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_target_takes_no_step_until_it_is_resumed_and_a_kill_does_not_end_the_pause() {
    let _alone = crate::alone().await;
    let rig = Rig::new(&services(1), Policy::PATIENT).await;
    let daemon = rig.start().await;
    let pause = json!({"by": "ana", "reason": "moving the database", "for": "1h"});
    assert_eq!(post(&daemon, "pause", pause).await, 200);
    rig.source.set_all(HOT);
    let paused = until(&daemon, NAME, |target| held(target) == ["paused"]).await;
    assert_eq!(paused["paused"]["by"], "ana");
    assert_eq!(paused["paused"]["reason"], "moving the database");
    assert!(paused["paused"]["until"].is_string(), "{paused}");

    daemon.kill().await.unwrap();
    let daemon = rig.start().await;
    let still = until(&daemon, NAME, |target| held(target) == ["paused"]).await;
    assert_eq!(still["paused"], paused["paused"]);
    assert!(rig.steps().is_empty());

    assert_eq!(post(&daemon, "resume", json!({"by": "bo"})).await, 200);
    let scaled = until(&daemon, NAME, |target| target["actions"][0].is_object()).await;
    assert!(scaled["paused"].is_null());
    rig.kubernetes.until(PATIENCE, |_| rig.sizes() == [3]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_the_workload_states_holds_until_it_is_taken_off() {
    let _alone = crate::alone().await;
    let rig = Rig::new(&services(1), Policy::PATIENT).await;
    let annotations = json!({"runbookd.io/paused": "true", "runbookd.io/paused-reason": "load test"});
    patch(&rig, "kubectl", &json!({"metadata": {"annotations": annotations}})).await;
    rig.source.set_all(HOT);
    let daemon = rig.start().await;
    let paused = until(&daemon, NAME, |target| held(target) == ["paused"]).await;
    assert!(paused["held"][0]["text"].as_str().unwrap().contains("load test"), "{paused}");
    assert!(rig.steps().is_empty());
    let off = json!({"runbookd.io/paused": null, "runbookd.io/paused-reason": null});
    patch(&rig, "kubectl", &json!({"metadata": {"annotations": off}})).await;
    rig.kubernetes.until(PATIENCE, |_| rig.sizes() == [3]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_a_step_back_is_named_and_not_fought() {
    let _alone = crate::alone().await;
    let rig = Rig::new(&services(1), Policy { cool_down: "1s", ..Policy::PATIENT }).await;
    rig.source.set_all(HOT);
    let daemon = rig.start().await;
    // The triggers stay exceeded, so it is healthy and not better.
    until(&daemon, NAME, |target| target["actions"][0]["state"] == "healthy").await;
    patch(&rig, "argocd-controller", &json!({"spec": {"replicas": 1}})).await;
    let undone = until(&daemon, NAME, |target| target["frozen"][0]["reason"] == "undone").await;
    assert_eq!(undone["frozen"][0]["text"], "undone by argocd-controller");
    assert_eq!(
        (&undone["actions"][0]["state"], &undone["actions"][0]["reason"]),
        (&json!("failed"), &json!("undone"))
    );

    // The rest is long over and the triggers ask: it is held, not written.
    until(&daemon, NAME, |target| held(target) == ["undone"]).await;
    let asked = async |daemon: &Daemon| {
        Ok(daemon.metric(r#"runbookd_queries_total{outcome="answered"}"#).await?.unwrap_or(0.0))
    };
    let before = asked(&daemon).await.unwrap();
    daemon.until(PATIENCE, asked, |count| *count >= before + 12.0).await.unwrap();
    assert_eq!(rig.sizes(), [3], "one step");
    assert_eq!(target(&daemon, NAME).await.unwrap()["actions"].as_array().unwrap().len(), 1);

    // A person decides.
    assert_eq!(post(&daemon, "resume", json!({"by": "ana"})).await, 200);
    rig.kubernetes.until(PATIENCE, |_| rig.sizes() == [3, 3]).await.unwrap();
}
