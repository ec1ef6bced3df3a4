//! Raising the least replicas of a horizontal autoscaler: more capacity without taking the decision from it. Owns that
//! one write, and the record on the autoscaler of what its least was before; decides no number.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, Patch};
use serde_json::json;

use super::client::Cluster;
use super::failure::Call;
use super::write::signed;
use crate::domain::scaling::ClusterFailure;

/// The least replicas before each raise that still stands, the first first. On the autoscaler itself, and written with
/// the number: whoever looks at it sees that the least is raised and what it is meant to be.
const BEFORE: &str = "runbookd.io/min-replicas-before";

/// What a horizontal autoscaler says of its least replicas.
struct Least {
    now: u32,
    /// Before each raise that still stands.
    before: Vec<u32>,
}

impl Cluster {
    /// Lets a horizontal autoscaler go no lower than `least` replicas.
    ///
    /// Only raises: one that goes no lower already is left alone, so writing it again is harmless. Beyond the most that
    /// the autoscaler allows it is `Invalid`: that bound is its owner's. Whoever changed it in between makes it a
    /// `Conflict`.
    pub async fn raise_hpa_min(&self, namespace: &str, name: &str, least: u32) -> Result<(), ClusterFailure> {
        let raised = |mut found: Least| {
            if found.now >= least {
                return None;
            }
            found.before.push(found.now);
            Some(Least { now: least, before: found.before })
        };
        self.set_least(namespace, name, raised).await
    }

    /// Gives a horizontal autoscaler the least replicas back that it had before [`Self::raise_hpa_min`], where nobody
    /// else has changed them since: `raised` is what was written then. Where the autoscaler does not say what that was,
    /// or it was more, it is `least`.
    pub async fn lower_hpa_min(
        &self,
        namespace: &str,
        name: &str,
        raised: u32,
        least: u32,
    ) -> Result<(), ClusterFailure> {
        let lowered = |mut found: Least| {
            if found.now != raised {
                return None;
            }
            let now = found.before.pop().map_or(least, |before| before.min(least));
            found.before.retain(|before| *before < now);
            Some(Least { now, before: found.before })
        };
        self.set_least(namespace, name, lowered).await
    }

    /// Lets a horizontal autoscaler go down to `least` replicas where a raise keeps it above; never below what it had
    /// before the first one.
    pub async fn ease_hpa_min(&self, namespace: &str, name: &str, least: u32) -> Result<(), ClusterFailure> {
        let eased = |mut found: Least| {
            let now = (*found.before.first()?).max(least);
            if now >= found.now {
                return None;
            }
            found.before.retain(|before| *before < now);
            Some(Least { now, before: found.before })
        };
        self.set_least(namespace, name, eased).await
    }

    async fn set_least(
        &self,
        namespace: &str,
        name: &str,
        decide: impl FnOnce(Least) -> Option<Least>,
    ) -> Result<(), ClusterFailure> {
        let scalers: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), namespace);
        let found = self.call(Call::Read, scalers.get(name)).await?;
        let count = |count: i32| u32::try_from(count).unwrap_or(0);
        let spec = found.spec.unwrap_or_default();
        let said = found.metadata.annotations.as_ref().and_then(|all| all.get(BEFORE));
        let before = said.map(|said| said.split(',').filter_map(|one| one.parse().ok()).collect());
        let now = spec.min_replicas.map_or(1, count);
        let Some(wanted) = decide(Least { now, before: before.unwrap_or_default() }) else { return Ok(()) };
        if wanted.now > count(spec.max_replicas) {
            return Err(ClusterFailure::Invalid);
        }
        let before: Vec<String> = wanted.before.iter().map(ToString::to_string).collect();
        // An empty record is none: `null` takes it away.
        let before = (!before.is_empty()).then(|| before.join(","));
        let patch = Patch::Merge(json!({
            "metadata": {
                "resourceVersion": found.metadata.resource_version,
                "annotations": {BEFORE: before},
            },
            "spec": {"minReplicas": wanted.now},
        }));
        self.call(Call::Write, scalers.patch(name, &signed(), &patch)).await.map(drop)
    }
}
