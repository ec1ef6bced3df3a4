//! Reading who else decides on a workload: autoscalers and their targets, field managers, marks of deployment tools,
//! pauses. Owns the wire format; judges nothing.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use crate::domain::scaling::{
    FieldOwner, PAUSED, PAUSED_REASON, Pause, Scaler, ScalerKind, Tracker, Tracking,
};

/// What an autoscaler scales, as far as it can be named without asking: versions do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aim {
    group: String,
    kind: String,
    name: String,
}

impl Aim {
    /// The aim that names this workload.
    pub(super) fn at(kind: &ApiResource, name: &str) -> Self {
        Self { group: kind.group.clone(), kind: kind.kind.clone(), name: name.to_owned() }
    }

    fn new(api_version: Option<&str>, kind: Option<&str>, name: &str) -> Self {
        let group = api_version.and_then(|version| version.rsplit_once('/')).map_or("", |(group, _)| group);
        // A reference without a kind is to a Deployment, which is in `apps`.
        let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or("Deployment");
        let group = if group.is_empty() && matches!(kind, "Deployment" | "StatefulSet" | "ReplicaSet") {
            "apps"
        } else {
            group
        };
        Self { group: group.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }
}

/// KEDA's kind.
pub(super) fn scaled_objects() -> ApiResource {
    let kind = GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject");
    ApiResource::from_gvk_with_plural(&kind, "scaledobjects")
}

/// The vertical autoscaler's kind.
pub(super) fn vertical_autoscalers() -> ApiResource {
    let kind = GroupVersionKind::gvk("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler");
    ApiResource::from_gvk_with_plural(&kind, "verticalpodautoscalers")
}

/// A horizontal autoscaler and its aim.
pub(super) fn hpa(read: &HorizontalPodAutoscaler) -> Vec<(Aim, Scaler)> {
    let Some(spec) = &read.spec else { return Vec::new() };
    let target = &spec.scale_target_ref;
    let count = |count: i32| u32::try_from(count).unwrap_or(0);
    let follows = spec.metrics.iter().flatten().filter_map(|metric| {
        let resource = metric.resource.as_ref().map(|it| (&it.name, &it.target));
        let of_container = metric.container_resource.as_ref().map(|it| (&it.name, &it.target));
        let (name, target) = resource.or(of_container)?;
        (target.type_ == "Utilization").then(|| Arc::from(name.as_str()))
    });
    let owners = read.metadata.owner_references.iter().flatten();
    let keda = owners.into_iter().find(|owner| owner.kind == "ScaledObject");
    let scaler = Scaler {
        kind: ScalerKind::HorizontalPodAutoscaler,
        name: name(&read.metadata),
        replicas: Some((spec.min_replicas.map_or(1, count), count(spec.max_replicas))),
        follows: follows.collect(),
        made_by: keda.map(|owner| owner.name.as_str().into()),
    };
    vec![(Aim::new(target.api_version.as_deref(), Some(&target.kind), &target.name), scaler)]
}

/// A `ScaledObject` and its aim.
pub(super) fn scaled_object(read: &DynamicObject) -> Vec<(Aim, Scaler)> {
    let Some(aim) = aim(read, "/spec/scaleTargetRef") else { return Vec::new() };
    let count =
        |field: &str| read.data.pointer(field).and_then(Value::as_u64).and_then(|it| u32::try_from(it).ok());
    let least = count("/spec/minReplicaCount").unwrap_or(0);
    let most = count("/spec/maxReplicaCount").unwrap_or(100);
    let scaler = Scaler {
        kind: ScalerKind::ScaledObject,
        name: name(&read.metadata),
        replicas: Some((least, most)),
        follows: Vec::new(),
        made_by: None,
    };
    vec![(aim, scaler)]
}

/// A vertical autoscaler that acts, and its aim.
pub(super) fn vertical_autoscaler(read: &DynamicObject) -> Vec<(Aim, Scaler)> {
    let mode = read.data.pointer("/spec/updatePolicy/updateMode").and_then(Value::as_str);
    let aim = aim(read, "/spec/targetRef").filter(|_| mode != Some("Off"));
    let scaler = Scaler {
        kind: ScalerKind::VerticalPodAutoscaler,
        name: name(&read.metadata),
        replicas: None,
        follows: Vec::new(),
        made_by: None,
    };
    aim.map(|aim| (aim, scaler)).into_iter().collect()
}

fn aim(read: &DynamicObject, at: &str) -> Option<Aim> {
    let target = read.data.pointer(at)?;
    Some(Aim::new(target["apiVersion"].as_str(), target["kind"].as_str(), target["name"].as_str()?))
}

fn name(meta: &ObjectMeta) -> Arc<str> {
    meta.name.as_deref().unwrap_or_default().into()
}

/// Who wrote the number of replicas last.
pub(super) fn of_replicas(meta: &ObjectMeta) -> Option<FieldOwner> {
    let mut owners: Vec<FieldOwner> =
        entries(meta).filter(|entry| has(entry, &["f:spec", "f:replicas"])).map(field_owner).collect();
    // Several may apply the same value; the one that applied it is the one that will insist on it.
    owners.sort_by_key(|owner| {
        (owner.applied && &*owner.manager != crate::domain::scaling::FIELD_MANAGER, owner.at)
    });
    owners.pop()
}

/// Who applied the resources of the template's containers, beside the daemon.
pub(super) fn of_resources(meta: &ObjectMeta) -> Option<FieldOwner> {
    let containers = ["f:spec", "f:template", "f:spec", "f:containers"];
    let states = |entry: &&ManagedFieldsEntry| {
        let found = entry.fields_v1.as_ref().and_then(|fields| dig(&fields.0, &containers));
        found.and_then(Value::as_object).is_some_and(|containers| {
            containers.values().any(|container| container.get("f:resources").is_some())
        })
    };
    entries(meta).filter(states).map(field_owner).find(|owner| owner.applied)
}

fn entries(meta: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    meta.managed_fields.iter().flatten()
}

fn has(entry: &ManagedFieldsEntry, path: &[&str]) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| dig(&fields.0, path).is_some())
}

fn dig<'v>(fields: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(fields, |fields, step| fields.get(step))
}

fn field_owner(entry: &ManagedFieldsEntry) -> FieldOwner {
    FieldOwner {
        manager: entry.manager.as_deref().unwrap_or_default().into(),
        applied: entry.operation.as_deref() == Some("Apply"),
        subresource: entry.subresource.as_deref().filter(|name| !name.is_empty()).map(Arc::from),
        at: entry.time.as_ref().map(|time| time.0),
    }
}

/// The marks by which deployment tools know what is theirs. The bare `app.kubernetes.io/instance` is no mark: charts and
/// people write it, too.
const MARKS: [(Tracker, &str); 5] = [
    (Tracker::ArgoCd, "argocd.argoproj.io/tracking-id"),
    (Tracker::ArgoCd, "argocd.argoproj.io/instance"),
    (Tracker::Flux, "kustomize.toolkit.fluxcd.io/name"),
    (Tracker::Flux, "helm.toolkit.fluxcd.io/name"),
    (Tracker::Helm, "meta.helm.sh/release-name"),
];

/// The tool that keeps a workload, by its labels and annotations.
pub(super) fn tracking(meta: &ObjectMeta) -> Option<Tracking> {
    MARKS.iter().find_map(|(by, mark)| {
        let in_map =
            |map: &Option<std::collections::BTreeMap<String, String>>| map.as_ref()?.get(*mark).cloned();
        let value = in_map(&meta.annotations).or_else(|| in_map(&meta.labels))?;
        Some(Tracking { by: *by, mark: (*mark).into(), value: value.into() })
    })
}

/// The controller that made a workload; one that can be scaled itself was followed before.
pub(super) fn maker(meta: &ObjectMeta) -> Option<Arc<str>> {
    let mut owners = meta.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(format!("{} {}", owner.kind, owner.name).into())
}

/// Whether the text that `kubectl apply` left states the number of replicas.
pub(super) fn states_replicas(meta: &ObjectMeta) -> bool {
    let applied =
        meta.annotations.as_ref().and_then(|map| map.get("kubectl.kubernetes.io/last-applied-configuration"));
    let read = applied.and_then(|text| serde_json::from_str::<Value>(text).ok());
    read.is_some_and(|object| object.pointer("/spec/replicas").is_some())
}

/// The pause that a workload's annotations state.
pub(super) fn pause(meta: &ObjectMeta) -> Option<Pause> {
    let annotations = meta.annotations.as_ref()?;
    Pause::read(annotations.get(PAUSED)?, annotations.get(PAUSED_REASON).map(String::as_str))
}
