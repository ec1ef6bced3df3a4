//! Cases that make sense on any cluster: `make test-cluster` runs them on the one that `KUBECONFIG` names, every other
//! run on this process' API server, through a kubeconfig like that one's.

use runbookd::domain::Timestamp;
use runbookd::domain::scaling::checks::before;
use runbookd::domain::scaling::{Axis, Check, ClusterFailure, Limits, ScalerKind, Size, VerticalMode};
use runbookd::kubernetes::Line;
use serde_json::json;

use super::ground::Ground;
use super::{action, replicas};

#[tokio::test]
async fn portable_a_step_is_written_to_the_version_that_was_seen_and_only_once() {
    Ground::with(|ground| async move {
        let checkout = ground.checkout(1).await;
        let seen = ground.cluster.look(&checkout).await.unwrap();
        let step = replicas(&seen, 2);
        for _ in 0..2 {
            assert_eq!(ground.cluster.write(&step).await, Ok(()), "the same write again is harmless");
        }
        let scaled = ground.until(&checkout, |seen| seen.replicas == 2 && seen.ready_replicas == 2).await;
        let by = scaled.surroundings.replicas_by.unwrap();
        assert_eq!((&*by.manager, by.subresource.as_deref()), ("runbookd", Some("scale")));
        assert_eq!(ground.cluster.write(&replicas(&seen, 3)).await, Err(ClusterFailure::Conflict));
    })
    .await;
}

#[tokio::test]
async fn portable_what_is_not_there_and_what_cannot_be_scaled_are_told_apart() {
    Ground::with(|ground| async move {
        let checkout = ground.checkout(1).await;
        assert_eq!(ground.cluster.can_scale(&checkout).await, Ok(()));
        let nobody = ground.target("Deployment", "nobody");
        assert_eq!(ground.cluster.can_scale(&nobody).await, Err(ClusterFailure::NotFound));
        let odd = ground.target("DaemonSet", "checkout");
        assert!(ground.cluster.can_scale(&odd).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn portable_a_quota_that_leaves_no_room_refuses_before_anything_is_written() {
    Ground::with(|ground| async move {
        let checkout = ground.checkout(1).await;
        ground.quota(json!({"pods": "2"})).await;
        let seen = ground
            .until(&checkout, |seen| {
                before(seen, Axis::Horizontal, &Size::Replicas(1), &Size::Replicas(3), &Limits::default())
                    .refused
                    .iter()
                    .any(|refusal| refusal.check == Check::Quota)
            })
            .await;
        assert_eq!(seen.replicas, 1);
    })
    .await;
}

#[tokio::test]
async fn portable_who_takes_a_step_back_is_known_by_name() {
    Ground::with(|ground| async move {
        let checkout = ground.checkout(1).await;
        let seen = ground.cluster.look(&checkout).await.unwrap();
        ground.cluster.write(&replicas(&seen, 2)).await.unwrap();
        ground.change("somebody-else", json!({"spec": {"replicas": 1}})).await;
        let back = ground.until(&checkout, |seen| seen.replicas == 1).await;
        assert_eq!(&*back.surroundings.replicas_by.unwrap().manager, "somebody-else");
    })
    .await;
}

#[tokio::test]
async fn portable_a_pause_that_the_workload_states_is_seen() {
    Ground::with(|ground| async move {
        let checkout = ground.checkout(1).await;
        ground.change("kubectl", json!({"metadata": {"annotations": {"runbookd.io/paused": "true"}}})).await;
        ground.until(&checkout, |seen| seen.surroundings.paused(Timestamp::UNIX_EPOCH).is_some()).await;
    })
    .await;
}

#[tokio::test]
async fn portable_an_autoscaler_is_seen_raised_and_given_back() {
    Ground::with(|ground| async move {
        let checkout = ground.checkout(1).await;
        ground.autoscaler(1, 4).await;
        let owned = |kind| kind == ScalerKind::HorizontalPodAutoscaler;
        ground.until(&checkout, |seen| seen.surroundings.scalers.iter().any(|it| owned(it.kind))).await;
        let (cluster, namespace) = (&ground.cluster, ground.namespace.as_str());
        cluster.raise_hpa_min(namespace, "checkout", 2).await.unwrap();
        assert_eq!(ground.least().await, Some(2));
        assert_eq!(cluster.raise_hpa_min(namespace, "checkout", 5).await, Err(ClusterFailure::Invalid));
        for _ in 0..2 {
            cluster.lower_hpa_min(namespace, "checkout", 2, 2).await.unwrap();
            assert_eq!(ground.least().await, Some(1), "what it had before");
        }
    })
    .await;
}

#[tokio::test]
async fn portable_pods_grow_in_place_where_the_cluster_can_do_that_and_a_line_is_written() {
    Ground::with(|ground| async move {
        let checkout = ground.checkout(1).await;
        let seen = ground.cluster.look(&checkout).await.unwrap();
        let line = Line {
            name: "checkout.runbookd-test",
            target: &checkout,
            uid: &seen.uid,
            reason: "ScalingApplied",
            note: "a test of runbookd",
            is_warning: false,
            at: Timestamp::now(),
        };
        for _ in 0..2 {
            ground.cluster.announce(&line).await.unwrap();
        }
        let mut larger = seen.containers.clone();
        for size in &mut larger {
            size.cpu_request = Some(0.02);
            size.cpu_limit = Some(0.02);
        }
        let step = action(&seen, Size::Resources(larger.clone()), VerticalMode::InPlace);
        let written = ground.cluster.write(&step).await;
        if !seen.in_place_resize {
            assert_eq!(written, Err(ClusterFailure::NotScalable));
            return;
        }
        assert_eq!(written, Ok(()));
        ground.until(&checkout, |seen| seen.pods.iter().all(|pod| pod.containers == larger)).await;
    })
    .await;
}
