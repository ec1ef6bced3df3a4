//! Announcing: a line on a workload that `kubectl describe` shows. Owns the spelling of events; decides not what is said.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};

use super::client::Cluster;
use super::failure::Call;
use crate::domain::Timestamp;
use crate::domain::name::TargetId;
use crate::domain::scaling::{ClusterFailure, FIELD_MANAGER};

/// The most bytes of a note that the API server takes.
const NOTE: usize = 1024;

/// A line on a workload.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Its name, a lowercase DNS name: the same thing said again has the same, and is written once.
    pub name: &'a str,
    /// The workload.
    pub target: &'a TargetId,
    /// The workload's identity.
    pub uid: &'a str,
    /// What happened, in one word of the cluster's spelling: `ScalingApplied`.
    pub reason: &'a str,
    /// What happened, in a sentence.
    pub note: &'a str,
    /// Whether somebody should look.
    pub is_warning: bool,
    /// When.
    pub at: Timestamp,
}

impl Cluster {
    /// Writes a line on a workload. Written again under its name it stays one.
    pub async fn announce(&self, line: &Line<'_>) -> Result<(), ClusterFailure> {
        let kind = self.kind(&line.target.kind).await?;
        let namespace = line.target.namespace.to_string();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(line.name.to_owned()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            regarding: Some(ObjectReference {
                api_version: Some(kind.api_version),
                kind: Some(kind.kind),
                name: Some(line.target.name.to_string()),
                namespace: Some(namespace.clone()),
                uid: Some(line.uid.to_owned()),
                ..ObjectReference::default()
            }),
            action: Some("Scaling".to_owned()),
            reason: Some(line.reason.to_owned()),
            note: Some(cut(line.note).to_owned()),
            type_: Some(if line.is_warning { "Warning" } else { "Normal" }.to_owned()),
            event_time: Some(MicroTime(line.at)),
            reporting_controller: Some("runbookd.io/runbookd".to_owned()),
            reporting_instance: Some(FIELD_MANAGER.to_owned()),
            ..Event::default()
        };
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.call(Call::Write, events.create(&params, &event)).await {
            // It was said already, and the answer was lost.
            Ok(_) | Err(ClusterFailure::Conflict) => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// As much of a note as fits, whole characters only.
fn cut(note: &str) -> &str {
    let end = (0..=NOTE.min(note.len())).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
    note.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_ends_at_a_whole_character() {
        assert_eq!(cut("kept"), "kept");
        let long = format!("{}→ 6", "x".repeat(NOTE - 1));
        assert_eq!(cut(&long), "x".repeat(NOTE - 1));
    }
}
