//! Rights: whether the daemon may write a target's size. Owns that one question; nothing is tried.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::client::Cluster;
use super::failure::Call;
use crate::domain::name::TargetId;
use crate::domain::scaling::ClusterFailure;

impl Cluster {
    /// Whether a target is there, can be scaled, and may be scaled by whoever asks: `NotFound`, `NotScalable` and
    /// `Forbidden` say what is missing. Nothing is written.
    pub async fn can_scale(&self, target: &TargetId) -> Result<(), ClusterFailure> {
        self.look(target).await?;
        let at = self.place(target).await?;
        let kind = self.kind(&at.kind).await?;
        let wanted = ResourceAttributes {
            group: Some(kind.group),
            resource: Some(kind.plural),
            subresource: Some("scale".to_owned()),
            verb: Some("patch".to_owned()),
            namespace: Some(at.namespace.to_string()),
            name: Some(at.name.to_string()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(wanted), ..Default::default() },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = self.call(Call::Read, reviews.create(&PostParams::default(), &review)).await?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        if allowed { Ok(()) } else { Err(ClusterFailure::Forbidden) }
    }
}
