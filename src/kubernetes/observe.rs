//! Looking at a workload: its scale, its template, its pods. Owns what of them counts; writes nothing.

use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject, Selector};
use serde_json::Value;

use super::client::Cluster;
use super::failure::Call;
use super::find::Found;
use super::occupancy::HeldPod;
use super::resources::{SizedContainer, has_sizes, size_of};
use super::rollout;
use crate::domain::name::TargetId;
use crate::domain::scaling::{
    ClusterFailure, ContainerSize, Known, Placed, PodSnapshot, ResizeState, Unseen, WorkloadSnapshot,
};

impl Cluster {
    /// Looks at a workload of any kind that has a `scale` subresource; at its owner's, where one that can be scaled made
    /// it and would undo what is written to it.
    ///
    /// Workloads, pods and what surrounds them are read from the watches where those run and can be trusted, and from the
    /// API server otherwise: never from before the daemon's own last write. The version it carries is the one read first,
    /// so that a change made while looking makes a later write fail. Ready replicas are counted from the pods where the
    /// workload has a selector.
    pub async fn look(&self, target: &TargetId) -> Result<WorkloadSnapshot, ClusterFailure> {
        self.sight.begun().await;
        let Found { at, kind, workload } = self.find(target).await?;
        let (scale, in_place_resize) =
            tokio::try_join!(self.scale_of(&at, &kind, &workload), self.offers_resize())?;
        let pods = self.pods(&at, &kind, &workload, &scale).await?;
        let placed = match &pods {
            Some(pods) => Known::Seen(pods.iter().map(Placed::from).collect()),
            None => Known::Unseen(Unseen::Unreadable),
        };
        let surroundings = self.sight.around(&at, &kind, &workload, placed, scale.replicas);
        let ready = match &pods {
            Some(pods) => pods.iter().filter(|pod| pod.snapshot.ready).count(),
            None => count(workload.data.pointer("/status/readyReplicas")),
        };
        Ok(WorkloadSnapshot {
            target: target.clone(),
            uid: workload.metadata.uid.as_deref().unwrap_or_default().into(),
            resource_version: workload.metadata.resource_version.as_deref().unwrap_or_default().into(),
            replicas: scale.replicas,
            ready_replicas: u32::try_from(ready).unwrap_or(u32::MAX),
            rollout_in_progress: rollout::in_progress(
                &kind.kind,
                workload.metadata.generation,
                &workload.data,
                scale.replicas,
            ),
            containers: template_sizes(&workload),
            pods: pods.into_iter().flatten().map(|pod| pod.snapshot).collect(),
            in_place_resize,
            surroundings,
        })
    }

    pub(super) fn workloads(&self, kind: &ApiResource, target: &TargetId) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &target.namespace, kind)
    }

    /// How far a workload is scaled and which pods are its own. The built-in kinds say so themselves; others by their
    /// scale, and one without is `NotScalable`.
    pub(super) async fn scale_of(
        &self,
        at: &TargetId,
        kind: &ApiResource,
        workload: &DynamicObject,
    ) -> Result<Scaled, ClusterFailure> {
        if kind.group == "apps" {
            let replicas = workload.data.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
            let selector = workload.data.pointer("/spec/selector");
            let selector =
                selector.and_then(|read| serde_json::from_value::<LabelSelector>(read.clone()).ok());
            let selector = selector.and_then(|read| Selector::try_from(read).ok());
            let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
            return Ok(Scaled { replicas, selector: selector.map(Selecting::Parsed) });
        }
        let scale = match self.call(Call::Read, self.workloads(kind, at).get_scale(&at.name)).await {
            Ok(scale) => scale,
            Err(ClusterFailure::NotFound) => {
                // The workload is there. A kind whose definition was replaced is looked for again next time.
                self.remember_kind(&at.kind, None);
                return Err(ClusterFailure::NotScalable);
            }
            Err(failure) => return Err(failure),
        };
        let selector = scale.status.as_ref().and_then(|status| status.selector.clone());
        Ok(Scaled { replicas: wanted(&scale), selector: selector.map(Selecting::Spelled) })
    }

    /// The pods that are the workload's and not on their way out; none where it has no selector, which would match
    /// every pod of the namespace.
    pub(super) async fn pods(
        &self,
        at: &TargetId,
        kind: &ApiResource,
        workload: &DynamicObject,
        scale: &Scaled,
    ) -> Result<Option<Vec<HeldPod>>, ClusterFailure> {
        let uid = workload.metadata.uid.as_deref();
        let spelled = match &scale.selector {
            Some(Selecting::Parsed(selector)) if !selector.selects_all() => {
                let belongs = |owner: Option<(&str, &str)>| is_owner(owner, &kind.kind, uid);
                if let Ok(pods) = self.sight.occupancy.pods(&at.namespace, selector, belongs) {
                    return Ok(Some(pods));
                }
                selector.to_string()
            }
            Some(Selecting::Spelled(selector)) if !selector.is_empty() => selector.clone(),
            _ => return Ok(None),
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &at.namespace);
        let list = self.call(Call::Read, pods.list(&ListParams::default().labels(&spelled))).await?;
        let ours = list.items.iter().filter(|pod| is_live(pod) && belongs(pod, &kind.kind, uid));
        Ok(Some(ours.map(HeldPod::read).collect()))
    }
}

/// How far a workload is scaled.
pub(super) struct Scaled {
    /// The replicas it should have.
    pub(super) replicas: u32,
    /// Which pods are its own.
    pub(super) selector: Option<Selecting>,
}

/// A selector, as far as it is understood here.
pub(super) enum Selecting {
    /// It can be matched here.
    Parsed(Selector),
    /// It can be asked for.
    Spelled(String),
}

/// The replicas a scale asks for; a zero is left out on the wire.
pub(super) fn wanted(scale: &Scale) -> u32 {
    let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    u32::try_from(replicas).unwrap_or(0)
}

/// What the template gives each container; nothing where the kind has no pod template in the usual place.
pub(super) fn template_sizes(workload: &DynamicObject) -> Vec<ContainerSize> {
    let containers = workload.data.pointer("/spec/template/spec/containers");
    let containers: Vec<SizedContainer> =
        containers.and_then(|list| serde_json::from_value(list.clone()).ok()).unwrap_or_default();
    containers.iter().map(|container| size_of(&container.name, container.resources.as_ref())).collect()
}

fn count(value: Option<&Value>) -> usize {
    value.and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

pub(super) fn is_live(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a pod that fits the selector is the workload's: a job's pod with the same labels must not be resized with
/// it. Kinds whose way of making pods is not known are taken at their selector.
pub(super) fn belongs(pod: &Pod, kind: &str, workload: Option<&str>) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true));
    is_owner(owner.map(|owner| (owner.kind.as_str(), owner.uid.as_str())), kind, workload)
}

/// Whether a pod's controller, by its kind and identity, is the workload or one of its own.
fn is_owner(owner: Option<(&str, &str)>, kind: &str, workload: Option<&str>) -> bool {
    match kind {
        "Deployment" => owner.is_some_and(|(kind, _)| kind == "ReplicaSet"),
        "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            owner.is_some_and(|(_, uid)| Some(uid) == workload)
        }
        _ => true,
    }
}

/// Whether a node has said of a resize that it can never be.
pub(super) fn resize_is_infeasible(pod: &Pod) -> bool {
    condition(pod, "PodResizePending").is_some_and(|pending| pending.reason.as_deref() == Some("Infeasible"))
}

pub(super) fn snapshot(pod: &Pod) -> PodSnapshot {
    let containers = sizes(pod);
    PodSnapshot {
        name: pod.metadata.name.clone().unwrap_or_default().into(),
        uid: pod.metadata.uid.clone().unwrap_or_default().into(),
        resource_version: pod.metadata.resource_version.clone().unwrap_or_default().into(),
        ready: is_ready(pod),
        crashing: is_crashing(pod),
        resize: resize_state(pod, &containers),
        containers,
    }
}

/// Whether a pod takes traffic.
pub(super) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

fn sizes(pod: &Pod) -> Vec<ContainerSize> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(|container| size_of(&container.name, container.resources.as_ref())).collect()
}

/// Whether a container keeps crashing: the kubelet waits before it starts it again.
fn is_crashing(pod: &Pod) -> bool {
    let status = pod.status.iter();
    let mut all = status.flat_map(|it| {
        it.container_statuses.iter().flatten().chain(it.init_container_statuses.iter().flatten())
    });
    all.any(|container| {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    })
}

fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// How far a resize has come.
///
/// Right after an accepted write no condition says anything yet: then a status that has not seen the newest spec, or
/// running containers whose size is another than the spec's, tell that it is under way.
fn resize_state(pod: &Pod, wanted: &[ContainerSize]) -> ResizeState {
    let generation = pod.metadata.generation.unwrap_or(0);
    let is_current = |condition: &&PodCondition| {
        condition.status == "True" && condition.observed_generation.is_none_or(|seen| seen >= generation)
    };
    if let Some(pending) = condition(pod, "PodResizePending").filter(is_current) {
        return match pending.reason.as_deref() {
            Some("Infeasible") => ResizeState::Infeasible,
            _ => ResizeState::Deferred,
        };
    }
    let status = pod.status.as_ref();
    let unseen = status.and_then(|status| status.observed_generation).is_some_and(|seen| seen < generation);
    if unseen || condition(pod, "PodResizeInProgress").is_some_and(|state| state.status == "True") {
        return ResizeState::InProgress;
    }
    let running = status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let differs = running.filter(|container| container.resources.is_some()).any(|container| {
        let actual = size_of(&container.name, container.resources.as_ref());
        let known = wanted.iter().find(|wanted| wanted.name == actual.name);
        known.is_some_and(|wanted| !has_sizes(std::slice::from_ref(wanted), &[actual]))
    });
    if differs { ResizeState::InProgress } else { ResizeState::Settled }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "generation": 2},
            "spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "625m"}, "limits": {"cpu": "1"}}}]},
            "status": status,
        }))
        .unwrap()
    }

    fn state(status: &Value) -> ResizeState {
        let pod = pod(status);
        resize_state(&pod, &sizes(&pod))
    }

    fn running(cpu: &str) -> Value {
        json!([{"name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": "1"}}}])
    }

    #[test]
    fn a_resize_is_as_far_as_the_kubelet_says() {
        let pending = |reason: &str| json!({"conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}]});
        assert_eq!(state(&pending("Deferred")), ResizeState::Deferred);
        assert_eq!(state(&pending("Infeasible")), ResizeState::Infeasible);
        let both = json!({"conditions": [{"type": "PodResizeInProgress", "status": "True"},
                                         {"type": "PodResizePending", "status": "True", "reason": "Deferred"}]});
        assert_eq!(state(&both), ResizeState::Deferred);
        let doing =
            json!({"conditions": [{"type": "PodResizeInProgress", "status": "True", "reason": "Error"}]});
        assert_eq!(state(&doing), ResizeState::InProgress);
        assert_eq!(state(&json!({})), ResizeState::Settled);
    }

    #[test]
    fn before_the_kubelet_says_anything_the_difference_tells() {
        assert_eq!(state(&json!({"containerStatuses": running("500m")})), ResizeState::InProgress);
        assert_eq!(state(&json!({"containerStatuses": running("0.625")})), ResizeState::Settled);
        assert_eq!(
            state(&json!({"observedGeneration": 1, "containerStatuses": running("625m")})),
            ResizeState::InProgress
        );
        let stale = json!({"observedGeneration": 2, "containerStatuses": running("625m"), "conditions":
            [{"type": "PodResizePending", "status": "True", "reason": "Infeasible", "observedGeneration": 1}]});
        assert_eq!(state(&stale), ResizeState::Settled, "that was about an earlier size");
    }

    #[test]
    fn a_pod_crashes_when_the_kubelet_waits_before_it_starts_it_again() {
        let waits = |kind: &str, reason: &str| {
            let state = json!({"waiting": {"reason": reason}});
            let container = json!([{"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 5, "state": state}]);
            is_crashing(&pod(&json!({kind: container})))
        };
        assert!(waits("containerStatuses", "CrashLoopBackOff"));
        assert!(waits("initContainerStatuses", "CrashLoopBackOff"));
        assert!(!waits("containerStatuses", "ContainerCreating"));
        assert!(!is_crashing(&pod(&json!({}))));
    }

    #[test]
    fn only_the_workloads_own_live_pods_count() {
        let with = |owner: Value, more: Value| {
            let mut pod = json!({"metadata": {"name": "a", "ownerReferences": [owner]}});
            pod["status"] = more;
            serde_json::from_value::<Pod>(pod).unwrap()
        };
        let owner = |kind: &str, uid: &str| json!({"apiVersion": "v1", "kind": kind, "name": "x", "uid": uid, "controller": true});
        let set = with(owner("ReplicaSet", "r"), json!({"phase": "Running"}));
        assert!(is_live(&set) && belongs(&set, "Deployment", Some("d")));
        assert!(!belongs(&set, "StatefulSet", Some("s")));
        assert!(!belongs(&with(owner("Job", "j"), json!({})), "Deployment", Some("d")));
        assert!(belongs(&with(owner("StatefulSet", "s"), json!({})), "StatefulSet", Some("s")));
        assert!(!is_live(&with(owner("ReplicaSet", "r"), json!({"phase": "Failed"}))));
    }
}
