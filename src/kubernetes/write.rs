//! Writing a workload's size. Owns how a decided change reaches the API server; decides nothing.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::json;

use super::client::Cluster;
use super::failure::Call;
use super::observe::{template_sizes, wanted};
use super::resources::{has_sizes, patch_of};
use crate::domain::scaling::{
    ClusterFailure, ContainerSize, FIELD_MANAGER, ScalingAction, Size, VerticalMode,
};

impl Cluster {
    /// Writes the size that an action decided. Writing it again is harmless: what already has the size is left alone.
    ///
    /// Replicas and templates are written only to the version that the decision saw, in place resizes only to pods of
    /// the workload it saw; otherwise it is a `Conflict`. `Unreachable` means that the write may have been made.
    pub async fn write(&self, action: &ScalingAction) -> Result<(), ClusterFailure> {
        let kind = self.kind(&action.target.kind).await?;
        match &action.to {
            Size::Replicas(replicas) => self.write_replicas(action, &kind, *replicas).await,
            Size::Resources(sizes) => {
                let in_place = match action.vertical {
                    VerticalMode::Template => false,
                    VerticalMode::InPlace if !self.offers_resize().await? => {
                        return Err(ClusterFailure::NotScalable);
                    }
                    VerticalMode::InPlace => true,
                    VerticalMode::InPlaceThenTemplate => self.offers_resize().await?,
                };
                if in_place {
                    self.resize_pods(action, &kind, sizes).await
                } else {
                    self.write_template(action, &kind, sizes).await
                }
            }
        }
    }

    async fn write_replicas(
        &self,
        action: &ScalingAction,
        kind: &ApiResource,
        replicas: u32,
    ) -> Result<(), ClusterFailure> {
        let workloads = self.workloads(kind, &action.target);
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": &*action.resource_version},
            "spec": {"replicas": replicas},
        }));
        match self.call(Call::Write, workloads.patch_scale(&action.target.name, &signed(), &patch)).await {
            Err(ClusterFailure::Conflict) => {
                // Our own earlier write, whose answer was lost, makes the version another one, too.
                let found = self.scale(&workloads, &action.target).await?;
                let is_done =
                    is_same_uid(found.metadata.uid.as_deref(), action) && wanted(&found) == replicas;
                if is_done { Ok(()) } else { Err(ClusterFailure::Conflict) }
            }
            // Reading tells a workload without a scale from one that is not there.
            Err(ClusterFailure::NotFound) => {
                self.scale(&workloads, &action.target).await.and(Err(ClusterFailure::NotFound))
            }
            other => other.map(|_| ()),
        }
    }

    /// Resizes the pods one by one. The first refusal ends it: what one pod may not have, none may.
    async fn resize_pods(
        &self,
        action: &ScalingAction,
        kind: &ApiResource,
        sizes: &[ContainerSize],
    ) -> Result<(), ClusterFailure> {
        let workloads = self.workloads(kind, &action.target);
        let scale = self.scale(&workloads, &action.target).await?;
        if !is_same_uid(scale.metadata.uid.as_deref(), action) {
            return Err(ClusterFailure::Conflict);
        }
        // Without a selector nobody can say which pods are its own.
        let Some(pods) = self.pods(&action.target, kind, &scale).await? else {
            return Err(ClusterFailure::NotScalable);
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &action.target.namespace);
        let patch = Patch::Strategic(json!({"spec": {"containers": patch_of(sizes)}}));
        let mut begun = pods.iter().any(|pod| has_sizes(&pod.containers, sizes));
        for pod in pods.iter().filter(|pod| !has_sizes(&pod.containers, sizes)) {
            match self.call(Call::Write, api.patch_resize(&pod.name, &signed(), &patch)).await {
                Ok(_) => begun = true,
                // A pod that went away in between needs no size.
                Err(ClusterFailure::NotFound) => {}
                // Some pods have the size and some have not: neither done nor refused. The same write goes on with
                // the rest.
                Err(_) if begun => return Err(ClusterFailure::Unreachable),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Changes the template. Only the built-in kinds that roll their pods have a strategic merge for it.
    async fn write_template(
        &self,
        action: &ScalingAction,
        kind: &ApiResource,
        sizes: &[ContainerSize],
    ) -> Result<(), ClusterFailure> {
        if kind.group != "apps" || !matches!(kind.kind.as_str(), "Deployment" | "StatefulSet") {
            return Err(ClusterFailure::NotScalable);
        }
        let workloads = self.workloads(kind, &action.target);
        let patch = Patch::Strategic(json!({
            "metadata": {"resourceVersion": &*action.resource_version},
            "spec": {"template": {"spec": {"containers": patch_of(sizes)}}},
        }));
        match self.call(Call::Write, workloads.patch(&action.target.name, &signed(), &patch)).await {
            Err(ClusterFailure::Conflict) => {
                let found: DynamicObject = self.call(Call::Read, workloads.get(&action.target.name)).await?;
                let is_done = is_same_uid(found.metadata.uid.as_deref(), action)
                    && has_sizes(&template_sizes(&found), sizes);
                if is_done { Ok(()) } else { Err(ClusterFailure::Conflict) }
            }
            other => other.map(|_| ()),
        }
    }
}

/// Every field that is written names its owner.
fn signed() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

/// Whether it is still the object that the decision saw, not one made anew under its name.
fn is_same_uid(found: Option<&str>, action: &ScalingAction) -> bool {
    found.is_none_or(|found| found == &*action.uid)
}
