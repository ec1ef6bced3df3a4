//! Targets that are not there, may not be scaled or cannot be: each says why, on its page, in `check` and as a metric,
//! and stops no other.

use tokio::process::Command;
use world::kubernetes::{Fault, FaultRule};

use super::rig::{HOT, PATIENCE, Policy, Rig, held, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_cannot_be_scaled_says_why_and_stops_no_other() {
    let _alone = crate::alone().await;
    let rig = Rig::new(&["good".to_owned(), "refused".to_owned()], Policy::PATIENT).await;
    rig.add_target("service: gone");
    rig.add_target("service: odd, kind: ConfigMap");
    for service in ["gone", "odd"] {
        rig.source.set(service, HOT);
    }
    rig.source.set_all(HOT);
    let refused = Fault::Status { code: 403, retry_after: None };
    rig.kubernetes.fault(FaultRule::new(refused).verb("patch").resource("deployments/scale").name("refused"));
    let daemon = rig.start().await;

    rig.kubernetes
        .until(PATIENCE, |kubernetes| kubernetes.workload("shop", "good").is_some_and(|it| it.replicas == 3))
        .await
        .unwrap();
    until(&daemon, "gone", |target| held(target) == ["not_found"]).await;
    until(&daemon, "odd", |target| !held(target).is_empty()).await;
    let refused = until(&daemon, "refused", |target| target["actions"][0]["state"] == "refused").await;
    assert_eq!(refused["actions"][0]["reason"], "forbidden");

    let held = daemon.metric(r#"runbookd_scaling_held_total{reason="not_found"}"#).await.unwrap();
    assert!(held >= Some(1.0), "{held:?}");
    let refused = r#"runbookd_scaling_actions_total{axis="horizontal",outcome="refused",reason="forbidden"}"#;
    assert!(daemon.metric(refused).await.unwrap() >= Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_asks_a_cluster_for_each_target_and_only_files_can_be_wrong() {
    let rig = Rig::new(&["good".to_owned()], Policy::PATIENT).await;
    let (code, said) = check(&rig, true).await;
    assert_eq!(
        (code, last(&said)),
        (Some(0), "cluster: all 1 targets are there and may be scaled"),
        "{said}"
    );
    rig.add_target("service: gone");
    rig.add_target("service: odd, kind: ConfigMap");
    let (code, said) = check(&rig, true).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("cluster: Deployment shop/gone cannot be scaled: not_found"), "{said}");
    assert!(said.contains("cluster: ConfigMap shop/odd cannot be scaled: "), "{said}");
    assert!(!said.contains("shop/good cannot"), "{said}");
    rig.kubernetes.forbid("patch", "deployments/scale");
    let (code, said) = check(&rig, true).await;
    assert!(said.contains("cluster: Deployment shop/good cannot be scaled: forbidden"), "{said}");
    assert_eq!(code, Some(0), "{said}");
    assert!(rig.steps().is_empty(), "nothing was written");
    let (code, said) = check(&rig, false).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(last(&said), "no cluster is configured here: the targets were not looked for");
}

fn last(said: &str) -> &str {
    said.lines().last().unwrap_or_default()
}

async fn check(rig: &Rig, with_cluster: bool) -> (Option<i32>, String) {
    let mut command = Command::new(crate::BINARY);
    command.args(["check", "--config", "config", "--rules", "rules"]).current_dir(rig.folder());
    command.env_remove("KUBECONFIG").env("HOME", rig.folder()).env_remove("KUBERNETES_SERVICE_HOST");
    if with_cluster {
        command.env("KUBECONFIG", rig.file("kubeconfig"));
    }
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}
