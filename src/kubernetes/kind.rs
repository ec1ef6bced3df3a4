//! Kinds of workloads and where the API serves them. Owns the way from a kind's name to a path.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::ReplicationController;
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery;

use super::client::Cluster;
use super::failure::Call;
use crate::domain::scaling::ClusterFailure;

impl Cluster {
    /// Where a kind is served. Kinds beyond the built-in ones are looked for once: `Rollout` in every group's preferred
    /// version, `Rollout.v1alpha1.argoproj.io` (kubectl's spelling) exactly there.
    pub(super) async fn kind(&self, name: &str) -> Result<ApiResource, ClusterFailure> {
        if let Some(built_in) = built_in(name) {
            return Ok(built_in);
        }
        if let Some(known) = self.known_kind(name) {
            return Ok(known);
        }
        let _one = self.discover().await;
        if let Some(known) = self.known_kind(name) {
            return Ok(known);
        }
        let mut parts = name.splitn(3, '.');
        let found = match (parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(version), Some(group)) => {
                let wanted = GroupVersionKind::gvk(group, version, kind);
                self.call(Call::Read, discovery::pinned_kind(&self.client, &wanted)).await?.0
            }
            _ => self.search(name).await?,
        };
        self.remember_kind(name, Some(&found));
        Ok(found)
    }

    /// Whether objects of a kind (`Deployment`, `Kind.version.group`) have a `scale`; not where that may not be asked.
    pub(super) async fn has_scale(&self, name: &str) -> Result<bool, ClusterFailure> {
        if built_in(name).is_some() {
            return Ok(true);
        }
        let mut parts = name.splitn(3, '.');
        let (Some(kind), Some(version), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(false);
        };
        let version = format!("{group}/{version}");
        let listing = self.client.list_api_group_resources(&version);
        let served = match self.call(Call::Read, listing).await {
            Ok(list) => list.resources,
            Err(ClusterFailure::NotFound | ClusterFailure::Forbidden) => return Ok(false),
            Err(failure) => return Err(failure),
        };
        let scale = served
            .iter()
            .find(|it| it.kind == kind && !it.name.contains('/'))
            .map(|it| format!("{}/scale", it.name));
        Ok(scale.is_some_and(|scale| served.iter().any(|it| it.name == scale)))
    }

    async fn search(&self, kind: &str) -> Result<ApiResource, ClusterFailure> {
        let groups = self.call(Call::Read, self.client.list_api_groups()).await?.groups;
        let mut otherwise = ClusterFailure::NotFound;
        for group in groups {
            let Some(version) = group.preferred_version.as_ref().or(group.versions.first()) else { continue };
            let listing = self.client.list_api_group_resources(&version.group_version);
            let resources = match self.call(Call::Read, listing).await {
                Ok(list) => list.resources,
                // One broken aggregated API must not hide the others, and what it may serve is unknown.
                Err(failure) => {
                    otherwise = failure;
                    continue;
                }
            };
            let Some(found) = resources.iter().find(|r| r.kind == kind && !r.name.contains('/')) else {
                continue;
            };
            let scale = format!("{}/scale", found.name);
            if resources.iter().any(|resource| resource.name == scale) {
                let wanted = GroupVersionKind::gvk(&group.name, &version.version, kind);
                return Ok(ApiResource::from_gvk_with_plural(&wanted, &found.name));
            }
            otherwise = ClusterFailure::NotScalable;
        }
        Err(otherwise)
    }
}

fn built_in(kind: &str) -> Option<ApiResource> {
    match kind {
        "Deployment" => Some(ApiResource::erase::<Deployment>(&())),
        "StatefulSet" => Some(ApiResource::erase::<StatefulSet>(&())),
        "ReplicaSet" => Some(ApiResource::erase::<ReplicaSet>(&())),
        "ReplicationController" => Some(ApiResource::erase::<ReplicationController>(&())),
        _ => None,
    }
}
