//! Whether a workload is rolling out a new template. Owns the reading of each kind's status; pure.

use serde_json::Value;

/// Whether pods of an old template are still being replaced, or the controller has not yet seen the newest spec.
///
/// Pods that are merely missing or not ready are no rollout: an overloaded service must still be scaled. A new template
/// whose pods never come up is one, because a Deployment keeps old pods, or the mark of an unfinished rollout, until
/// they do.
pub(super) fn in_progress(kind: &str, generation: Option<i64>, workload: &Value, wanted: u32) -> bool {
    let wanted = i64::from(wanted);
    let status = |field: &str| integer(workload, &format!("/status/{field}"));
    let unseen = |seen: i64| generation.is_some_and(|generation| seen < generation);
    match kind {
        "Deployment" => {
            let updated = status("updatedReplicas").unwrap_or(0);
            unseen(status("observedGeneration").unwrap_or(0))
                || status("replicas").unwrap_or(0) > updated
                || match progress(workload) {
                    // The controller keeps this mark while the same template is scaled.
                    Some("NewReplicaSetAvailable") => false,
                    Some("DeploymentPaused" | "DeploymentResumed") | None => updated < wanted,
                    Some(_) => true,
                }
        }
        "StatefulSet" => {
            let revision =
                |field: &str| workload.pointer(&format!("/status/{field}")).and_then(Value::as_str);
            let differs = match (revision("currentRevision"), revision("updateRevision")) {
                (Some(current), Some(update)) => current != update,
                _ => false,
            };
            // With OnDelete or a partition the revisions differ for as long as people like.
            let strategy = workload.pointer("/spec/updateStrategy/type").and_then(Value::as_str);
            let kept = integer(workload, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
            let rolls = strategy != Some("OnDelete");
            unseen(status("observedGeneration").unwrap_or(0))
                || (rolls && differs && status("updatedReplicas").unwrap_or(0) < wanted - kept)
        }
        "ReplicaSet" | "ReplicationController" => unseen(status("observedGeneration").unwrap_or(0)),
        _ => {
            let updated = status("updatedReplicas");
            status("observedGeneration").is_some_and(unseen)
                || updated.is_some_and(|updated| status("replicas").unwrap_or(0) > updated)
        }
    }
}

fn progress(workload: &Value) -> Option<&str> {
    let conditions = workload.pointer("/status/conditions")?.as_array()?;
    let progressing = conditions.iter().find(|condition| condition["type"] == "Progressing")?;
    progressing["reason"].as_str()
}

/// A number; some controllers write theirs as text.
fn integer(workload: &Value, path: &str) -> Option<i64> {
    let value = workload.pointer(path)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(observed: i64, total: i64, updated: i64, reason: Option<&str>) -> Value {
        let conditions =
            reason.map_or(json!([]), |reason| json!([{"type": "Progressing", "reason": reason}]));
        json!({"status": {"observedGeneration": observed, "replicas": total, "updatedReplicas": updated,
                          "conditions": conditions}})
    }

    #[test]
    fn a_deployment_rolls_while_old_pods_are_there_or_the_new_ones_never_came_up() {
        let done = Some("NewReplicaSetAvailable");
        let cases = [
            (deployment(3, 4, 4, done), false, "settled"),
            (deployment(2, 4, 4, done), true, "the newest spec was not seen yet"),
            (deployment(3, 5, 2, Some("ReplicaSetUpdated")), true, "half way"),
            (deployment(3, 4, 4, Some("ProgressDeadlineExceeded")), true, "the new pods never came up"),
            (deployment(3, 3, 3, done), false, "a fourth replica is on its way"),
            (deployment(3, 3, 3, None), true, "no mark, and one is missing"),
            (deployment(3, 4, 4, None), false, "no mark, all there"),
            (deployment(3, 4, 4, Some("DeploymentPaused")), false, "paused at rest"),
            (json!({}), true, "never seen by its controller"),
        ];
        for (workload, rolls, why) in cases {
            assert_eq!(in_progress("Deployment", Some(3), &workload, 4), rolls, "{why}");
        }
    }

    #[test]
    fn a_stateful_set_rolls_only_as_far_as_its_strategy_goes() {
        let set = |update: &str, updated: i64, strategy: Value| {
            json!({"spec": {"updateStrategy": strategy},
                   "status": {"observedGeneration": 1, "updatedReplicas": updated, "currentRevision": "a",
                              "updateRevision": update}})
        };
        let rolling = |kept: i64| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": kept}});
        let rolls = |workload| in_progress("StatefulSet", Some(1), &workload, 3);
        assert!(rolls(set("b", 1, rolling(0))));
        assert!(!rolls(set("a", 0, rolling(0))));
        assert!(!rolls(set("b", 1, rolling(2))), "a canary that stays");
        assert!(!rolls(set("b", 0, json!({"type": "OnDelete"}))));
    }

    #[test]
    fn other_kinds_are_taken_at_what_they_say() {
        let rolls = |workload| in_progress("Rollout", Some(7), &workload, 3);
        assert!(!rolls(json!({})), "it says nothing");
        assert!(rolls(json!({"status": {"observedGeneration": "6"}})));
        assert!(!rolls(json!({"status": {"observedGeneration": "7", "replicas": 3, "updatedReplicas": 3}})));
        assert!(rolls(json!({"status": {"observedGeneration": "7", "replicas": 4, "updatedReplicas": 3}})));
        assert!(!rolls(json!("nonsense")));
    }
}
