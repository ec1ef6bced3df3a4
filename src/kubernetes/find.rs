//! Finding the workload behind a target: from the watch of its kind or the API server, and up to the owner that would
//! undo what is written to it. Owns that way and what is remembered of it; reads nothing of what it finds.

use std::sync::Arc;

use kube::core::{ApiResource, DynamicObject};

use super::client::Cluster;
use super::failure::Call;
use crate::domain::name::TargetId;
use crate::domain::scaling::ClusterFailure;

/// How many owners are followed: a `ReplicaSet` has a Deployment, which may have an operator's object.
const UP: usize = 4;

/// A workload that can be scaled.
pub(super) struct Found {
    /// Where it is: the target, or its owner.
    pub(super) at: TargetId,
    /// Its kind.
    pub(super) kind: ApiResource,
    /// It.
    pub(super) workload: Arc<DynamicObject>,
}

impl Cluster {
    /// The workload whose size is the target's.
    pub(super) async fn find(&self, target: &TargetId) -> Result<Found, ClusterFailure> {
        let mut at = target.clone();
        for _ in 0..UP {
            let kind = self.kind(&at.kind).await?;
            let workload = self.workload(&at, &kind).await?;
            let Some(owner) = self.scalable_owner(&at, &workload).await? else {
                self.remember_place(target, &at);
                return Ok(Found { at, kind, workload });
            };
            at = owner;
        }
        Err(ClusterFailure::NotScalable)
    }

    /// Where a target was found last: a write says itself which object and version it is for.
    pub(super) async fn place(&self, target: &TargetId) -> Result<TargetId, ClusterFailure> {
        match self.known_place(target) {
            Some(at) => Ok(at),
            None => Ok(self.find(target).await?.at),
        }
    }

    /// One workload, as the watch of its kind holds it, or freshly read.
    async fn workload(
        &self,
        at: &TargetId,
        kind: &ApiResource,
    ) -> Result<Arc<DynamicObject>, ClusterFailure> {
        if kind.group == "apps"
            && self.sight.is_watching()
            && let Some(held) = self.sight.workloads.held(kind, at).await
        {
            return Ok(held);
        }
        let read = self.call(Call::Read, self.workloads(kind, at).get(&at.name)).await;
        if read.as_ref().err() == Some(&ClusterFailure::NotFound) {
            // A kind whose definition was replaced is looked for again next time.
            self.remember_kind(&at.kind, None);
        }
        let read = Arc::new(read?);
        self.sight.workloads.read(at, &read);
        Ok(read)
    }

    /// The controller that made a workload, where that can be scaled itself.
    async fn scalable_owner(
        &self,
        at: &TargetId,
        workload: &DynamicObject,
    ) -> Result<Option<TargetId>, ClusterFailure> {
        let mut owners = workload.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.find(|owner| owner.controller == Some(true)) else { return Ok(None) };
        let kind = match owner.api_version.split_once('/') {
            Some((group, version)) if group != "apps" => format!("{}.{version}.{group}", owner.kind),
            _ => owner.kind.clone(),
        };
        let is_scalable = if let Some(known) = self.known_owner(&kind) {
            known
        } else {
            let scalable = self.has_scale(&kind).await?;
            self.remember_owner(&kind, scalable);
            scalable
        };
        let above =
            TargetId { namespace: at.namespace.clone(), kind: kind.into(), name: owner.name.as_str().into() };
        Ok(is_scalable.then_some(above))
    }
}
