//! Writing a workload's size. Owns how a decided change reaches the API server; decides nothing.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;

use super::client::Cluster;
use super::failure::Call;
use super::find::Found;
use super::observe::{template_sizes, wanted};
use super::occupancy::HeldPod;
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
        let written = match &action.to {
            Size::Replicas(replicas) => self.write_replicas(action, *replicas).await,
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
                    return self.resize_pods(action, sizes).await;
                }
                self.write_template(action, sizes).await
            }
        };
        // From now on no look may tell of what was before.
        let version = written.as_ref().ok().and_then(|version| version.as_deref());
        if let Some(at) = self.known_place(&action.target) {
            self.sight.workloads.wrote(&at, version);
        }
        written.map(drop)
    }

    /// The version that was made, where the answer tells.
    async fn write_replicas(
        &self,
        action: &ScalingAction,
        replicas: u32,
    ) -> Result<Option<String>, ClusterFailure> {
        let at = self.place(&action.target).await?;
        let workloads = self.workloads(&self.kind(&at.kind).await?, &at);
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": &*action.resource_version},
            "spec": {"replicas": replicas},
        }));
        match self.call(Call::Write, workloads.patch_scale(&at.name, &signed(), &patch)).await {
            Ok(scale) => Ok(scale.metadata.resource_version),
            Err(ClusterFailure::Conflict) => {
                // Our own earlier write, whose answer was lost, makes the version another one, too.
                let found = self.call(Call::Read, workloads.get_scale(&at.name)).await?;
                let is_done =
                    is_same_uid(found.metadata.uid.as_deref(), action) && wanted(&found) == replicas;
                if is_done { Ok(found.metadata.resource_version) } else { Err(ClusterFailure::Conflict) }
            }
            Err(ClusterFailure::NotFound) => {
                // A workload without a scale, or one that is gone since.
                self.call(Call::Read, workloads.get(&at.name)).await.and(Err(ClusterFailure::NotScalable))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Resizes the pods one by one. The first refusal ends it: what one pod may not have, none may.
    async fn resize_pods(
        &self,
        action: &ScalingAction,
        sizes: &[ContainerSize],
    ) -> Result<(), ClusterFailure> {
        // A pod's patch names no version of its workload: whether it is still the same is asked, not remembered.
        let at = self.place(&action.target).await?;
        self.sight.workloads.wrote(&at, None);
        let Found { at, kind, workload } = self.find(&at).await?;
        if !is_same_uid(workload.metadata.uid.as_deref(), action) {
            return Err(ClusterFailure::Conflict);
        }
        let scale = self.scale_of(&at, &kind, &workload).await?;
        // Without a selector nobody can say which pods are its own.
        let Some(pods) = self.pods(&at, &kind, &workload, &scale).await? else {
            return Err(ClusterFailure::NotScalable);
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &at.namespace);
        let patch = Patch::Strategic(json!({"spec": {"containers": patch_of(sizes)}}));
        let has = |pod: &HeldPod| has_sizes(&pod.snapshot.containers, sizes);
        let mut begun = pods.iter().any(has);
        for pod in pods.iter().filter(|pod| !has(pod)) {
            match self.call(Call::Write, api.patch_resize(&pod.snapshot.name, &signed(), &patch)).await {
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
        sizes: &[ContainerSize],
    ) -> Result<Option<String>, ClusterFailure> {
        let at = self.place(&action.target).await?;
        let kind = self.kind(&at.kind).await?;
        if kind.group != "apps" || !matches!(kind.kind.as_str(), "Deployment" | "StatefulSet") {
            return Err(ClusterFailure::NotScalable);
        }
        let workloads = self.workloads(&kind, &at);
        let patch = Patch::Strategic(json!({
            "metadata": {"resourceVersion": &*action.resource_version},
            "spec": {"template": {"spec": {"containers": patch_of(sizes)}}},
        }));
        match self.call(Call::Write, workloads.patch(&at.name, &signed(), &patch)).await {
            Ok(workload) => Ok(workload.metadata.resource_version),
            Err(ClusterFailure::Conflict) => {
                let found: DynamicObject = self.call(Call::Read, workloads.get(&at.name)).await?;
                let is_done = is_same_uid(found.metadata.uid.as_deref(), action)
                    && has_sizes(&template_sizes(&found), sizes);
                if is_done { Ok(found.metadata.resource_version) } else { Err(ClusterFailure::Conflict) }
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Every field that is written names its owner.
pub(super) fn signed() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

/// Whether it is still the object that the decision saw, not one made anew under its name.
fn is_same_uid(found: Option<&str>, action: &ScalingAction) -> bool {
    found.is_none_or(|found| found == &*action.uid)
}
