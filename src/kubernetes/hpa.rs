//! Raising the least replicas of a horizontal autoscaler: more capacity without taking the decision from it. Owns that
//! one write; decides no number.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, Patch};
use serde_json::json;

use super::client::Cluster;
use super::failure::Call;
use super::write::signed;
use crate::domain::scaling::ClusterFailure;

impl Cluster {
    /// Lets a horizontal autoscaler go no lower than `least` replicas.
    ///
    /// Only raises: one that goes no lower already is left alone, so writing it again is harmless. Beyond the most that
    /// the autoscaler allows it is `Invalid`: that bound is its owner's. Whoever changed it in between makes it a
    /// `Conflict`.
    pub async fn raise_hpa_min(&self, namespace: &str, name: &str, least: u32) -> Result<(), ClusterFailure> {
        self.set_least(namespace, name, least, |found| found >= least).await
    }

    /// Gives a horizontal autoscaler its least replicas back after [`Self::raise_hpa_min`], where nobody else has changed
    /// them since: `raised` is what was written then.
    pub async fn lower_hpa_min(
        &self,
        namespace: &str,
        name: &str,
        raised: u32,
        least: u32,
    ) -> Result<(), ClusterFailure> {
        self.set_least(namespace, name, least, |found| found != raised).await
    }

    async fn set_least(
        &self,
        namespace: &str,
        name: &str,
        least: u32,
        is_done: impl Fn(u32) -> bool,
    ) -> Result<(), ClusterFailure> {
        let scalers: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), namespace);
        let found = self.call(Call::Read, scalers.get(name)).await?;
        let count = |count: i32| u32::try_from(count).unwrap_or(0);
        let spec = found.spec.unwrap_or_default();
        if is_done(spec.min_replicas.map_or(1, count)) {
            return Ok(());
        }
        if least > count(spec.max_replicas) {
            return Err(ClusterFailure::Invalid);
        }
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": found.metadata.resource_version},
            "spec": {"minReplicas": least},
        }));
        self.call(Call::Write, scalers.patch(name, &signed(), &patch)).await.map(drop)
    }
}
