//! SIGKILL between every two states of a step, and of the revert of one: no write is repeated, none is forgotten, and
//! the rest ends when it would have ended. Each kill waits for the request or the state that it is meant to fall on.

use std::time::Duration;

use serde_json::{Value, json};
use world::daemon::Daemon;
use world::kubernetes::{Exchange, Fault, FaultRule};

use super::rig::{CALM, HOT, PATIENCE, Policy, Rig, held, services, target, until};

const NAME: &str = "svc-0000";

/// The states that the newest action has been in, and those of the one before.
fn ways(target: &Value) -> Vec<Vec<&str>> {
    let actions = target["actions"].as_array().map_or(&[][..], Vec::as_slice);
    let states = actions.iter().map(|action| {
        let way = action["way"].as_array().map_or(&[][..], Vec::as_slice);
        way.iter().filter_map(|passage| passage["state"].as_str()).collect()
    });
    states.collect()
}

fn is_in(target: &Value, state: &str) -> bool {
    target["actions"][0]["state"] == state
}

/// When the rest after a step out ends.
fn rest(target: &Value) -> Option<String> {
    let rests = target["cooldowns"].as_array()?;
    let out = rests.iter().find(|rest| rest["direction"] == "out" && rest["axis"] == "horizontal")?;
    Some(out["until"].as_str()?.to_owned())
}

fn write_of_replicas(exchange: &Exchange) -> bool {
    exchange.verb == "patch" && exchange.resource == "deployments/scale"
}

/// Kills a daemon and starts another on the same files.
async fn again(rig: &Rig, daemon: Daemon) -> Daemon {
    daemon.kill().await.unwrap();
    rig.start().await
}

async fn queries(daemon: &Daemon) -> anyhow::Result<f64> {
    Ok(daemon.metric(r#"runbookd_queries_total{outcome="answered"}"#).await?.unwrap_or(0.0))
}

/// Waits until a daemon has asked for a few rounds, and so decided again and again.
async fn a_few_rounds(daemon: &Daemon) {
    daemon.until(PATIENCE, queries, |count| *count >= 12.0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_any_two_states_of_a_step_repeats_and_forgets_nothing() {
    let _alone = crate::alone().await;
    let policy = Policy { more: ", health: {query: health}", ..Policy::PATIENT };
    let rig = Rig::new(&services(1), policy).await;
    rig.source.set_healthy(false);
    rig.source.set_all(HOT);

    // Before it is planned: the look hangs.
    rig.kubernetes.fault(FaultRule::new(Fault::Hang).verb("list").resource("nodes").times(1));
    let daemon = rig.start().await;
    let look = |exchange: &Exchange| exchange.verb == "list" && exchange.resource == "nodes";
    rig.kubernetes.await_exchange(PATIENCE, look).await.unwrap();

    // Checked, on record, and its write has not happened.
    rig.kubernetes.fault(FaultRule::new(Fault::Hang).verb("patch").resource("deployments/scale").times(1));
    let daemon = again(&rig, daemon).await;
    rig.kubernetes.await_exchange(PATIENCE, write_of_replicas).await.unwrap();
    let checked = target(&daemon, NAME).await.unwrap();
    assert_eq!(ways(&checked), [["planned", "checked"]]);
    assert_eq!((rest(&checked), rig.sizes()), (None, vec![]), "it rests from the write on");
    let id = checked["actions"][0]["id"].clone();

    // Written, and the daemon does not know.
    rig.kubernetes.set_never_ready(true);
    let late = Fault::Delay(Duration::from_secs(3600));
    rig.kubernetes.fault(FaultRule::new(late).verb("patch").resource("deployments/scale").times(1));
    let daemon = again(&rig, daemon).await;
    rig.kubernetes.await_write(PATIENCE, write_of_replicas).await.unwrap();
    assert!(is_in(&target(&daemon, NAME).await.unwrap(), "checked"));

    // Applied: found there, its pods are not ready.
    let daemon = again(&rig, daemon).await;
    let applied = until(&daemon, NAME, |target| is_in(target, "applied")).await;
    assert_eq!(applied["actions"][0]["id"], id, "it is the same step");
    assert_eq!(applied["actions"][0]["reason"], "found_there");
    let rests_until = rest(&applied).expect("the rest has begun");
    let daemon = again(&rig, daemon).await;
    a_few_rounds(&daemon).await;
    assert!(is_in(&target(&daemon, NAME).await.unwrap(), "applied"));

    // Ready: the service is not healthy yet.
    rig.kubernetes.set_never_ready(false);
    until(&daemon, NAME, |target| is_in(target, "ready")).await;
    let daemon = again(&rig, daemon).await;
    assert!(is_in(&target(&daemon, NAME).await.unwrap(), "ready"));

    // Healthy: the triggers are no better yet.
    rig.source.set_healthy(true);
    until(&daemon, NAME, |target| is_in(target, "healthy")).await;
    let daemon = again(&rig, daemon).await;
    assert!(is_in(&target(&daemon, NAME).await.unwrap(), "healthy"));

    // Verified; and then they are exceeded again, in the rest.
    rig.source.set_all(CALM);
    until(&daemon, NAME, |target| is_in(target, "verified")).await;
    let daemon = again(&rig, daemon).await;
    rig.source.set_all(HOT);
    let resting = until(&daemon, NAME, |target| held(target) == ["cooldown"]).await;
    assert_eq!(rest(&resting), Some(rests_until), "the end of the rest has not moved");
    assert_eq!(ways(&resting), [["planned", "checked", "applied", "ready", "healthy", "verified"]]);
    assert_eq!(resting["actions"][0]["id"], id);
    a_few_rounds(&daemon).await;
    assert_eq!(rig.sizes(), [3], "one step was written, once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_any_two_states_of_a_revert_repeats_and_forgets_nothing() {
    let _alone = crate::alone().await;
    let rig = Rig::new(&services(1), Policy { ready_within: "3s", ..Policy::PATIENT }).await;
    rig.kubernetes.set_never_ready(true);
    rig.source.set_all(HOT);
    let daemon = rig.start().await;
    rig.kubernetes.await_write(PATIENCE, write_of_replicas).await.unwrap();

    // Owed and on record, and its write has not happened.
    rig.kubernetes.fault(FaultRule::new(Fault::Hang).verb("patch").resource("deployments/scale").times(1));
    let gives_back = |exchange: &Exchange| {
        let wanted = exchange.body.as_ref().and_then(|body| body.pointer("/spec/replicas"));
        write_of_replicas(exchange) && wanted == Some(&json!(1))
    };
    rig.kubernetes.await_exchange(PATIENCE, gives_back).await.unwrap();
    let owed = target(&daemon, NAME).await.unwrap();
    assert_eq!(ways(&owed), [vec!["planned", "checked"], vec!["planned", "checked", "applied", "failed"]]);
    let rests_until = rest(&owed).expect("a step that failed was one");

    // Written, and the daemon does not know.
    let late = Fault::Delay(Duration::from_secs(3600));
    rig.kubernetes.fault(FaultRule::new(late).verb("patch").resource("deployments/scale").times(1));
    let daemon = again(&rig, daemon).await;
    rig.kubernetes.await_write(PATIENCE, gives_back).await.unwrap();
    assert_eq!(rig.sizes(), [3, 1]);

    // Found there.
    let daemon = again(&rig, daemon).await;
    let is_reverted = |target: &Value| target["actions"][1]["state"] == "reverted";
    let reverted = until(&daemon, NAME, is_reverted).await;
    assert_eq!(reverted["actions"][0]["purpose"], "revert");
    assert_eq!(reverted["actions"][1]["reason"], "not_ready");

    // Over; the triggers are exceeded all the time.
    let daemon = again(&rig, daemon).await;
    let resting = until(&daemon, NAME, |target| held(target) == ["cooldown"]).await;
    assert_eq!(rest(&resting), Some(rests_until), "the end of the rest has not moved");
    a_few_rounds(&daemon).await;
    assert_eq!(rig.sizes(), [3, 1], "one step and its revert, each written once");
}
