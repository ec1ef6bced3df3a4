//! The whole story, and the cluster as kubectl sees it.

use tokio::process::Command;
use world::story::Story;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_is_told_from_the_first_breach_to_the_all_clear() {
    let _alone = super::alone().await;
    let mut story = super::begin().await;
    story.quiet().await.unwrap();
    story.warning().await.unwrap();
    story.critical().await.unwrap();
    story.scaled_out().await.unwrap();
    assert_eq!(replicas_by_kubectl(&story).await, "4 4", "kubectl sees what the daemon set");
    story.held().await.unwrap();
    story.scaled_up().await.unwrap();
    story.all_clear().await.unwrap();
    story.edited_while_running().await.unwrap();
    story.broken_file_refused().await.unwrap();
}

/// The replicas wanted and ready, as the real kubectl reads them from the world's API.
async fn replicas_by_kubectl(story: &Story) -> String {
    let output = Command::new("kubectl")
        .env("KUBECONFIG", story.stage.file("kubeconfig"))
        .args(["--namespace", "shop", "get", "deployment", "checkout"])
        .args(["--output", "jsonpath={.spec.replicas} {.status.readyReplicas}"])
        .output()
        .await
        .expect("kubectl is missing: run `make setup`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
