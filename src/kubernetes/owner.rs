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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::scaling::Tracker;

    fn dynamic(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_reference_names_the_same_workload_in_every_spelling() {
        let web = Aim { group: "apps".into(), kind: "Deployment".into(), name: "web".into() };
        for (version, kind) in [
            (Some("apps/v1"), Some("Deployment")),
            (Some("apps/v1beta2"), Some("Deployment")),
            (None, None),
            (None, Some("Deployment")),
            (Some(""), Some("")),
        ] {
            assert_eq!(Aim::new(version, kind, "web"), web, "{version:?} {kind:?}");
        }
        let rollout = Aim::new(Some("argoproj.io/v1alpha1"), Some("Rollout"), "web");
        assert_eq!((rollout.group.as_str(), rollout.kind.as_str()), ("argoproj.io", "Rollout"));
        assert_ne!(Aim::new(Some("v1"), Some("ReplicationController"), "web").group, "apps");
    }

    #[test]
    fn autoscalers_that_act_are_read_and_others_are_not() {
        let keda = |spec| scaled_object(&dynamic(json!({"metadata": {"name": "web"}, "spec": spec})));
        let read = keda(json!({"scaleTargetRef": {"name": "web"}, "minReplicaCount": 2}));
        assert_eq!(read[0].1.replicas, Some((2, 100)), "KEDA's own most where none is said");
        assert_eq!(keda(json!({})), []);
        let vertical = |mode| {
            let spec = json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                              "updatePolicy": {"updateMode": mode}});
            vertical_autoscaler(&dynamic(json!({"metadata": {"name": "web"}, "spec": spec}))).len()
        };
        let acts = [json!("Auto"), json!("Initial"), json!("InPlaceOrRecreate"), Value::Null].map(vertical);
        assert_eq!((acts, vertical(json!("Off"))), ([1; 4], 0));
    }

    #[test]
    fn the_last_writer_of_the_number_is_found_and_one_who_applied_it_goes_before() {
        let entry = |manager: &str, operation: &str, subresource: &str, at: &str, fields: Value| {
            json!({"manager": manager, "operation": operation, "subresource": subresource, "time": at,
                   "fieldsV1": fields})
        };
        let number = || json!({"f:spec": {"f:replicas": {}}});
        let early = entry("helm", "Update", "", "2026-01-01T00:00:00Z", number());
        let late = entry("kubectl", "Update", "scale", "2026-01-02T00:00:00Z", number());
        let other = entry("argocd", "Apply", "", "2026-01-03T00:00:00Z", json!({"f:spec": {"f:paused": {}}}));
        let applied = entry("flux", "Apply", "", "2025-01-01T00:00:00Z", number());
        let ours = entry("runbookd", "Update", "scale", "2026-01-04T00:00:00Z", number());
        let of = |entries: &[&Value]| {
            let read = of_replicas(&meta(json!({"managedFields": entries})));
            read.map(|owner| (owner.manager.to_string(), owner.subresource.map(|name| name.to_string())))
        };
        assert_eq!(of(&[&other]), None);
        assert_eq!(of(&[&late, &early]), Some(("kubectl".into(), Some("scale".into()))));
        assert_eq!(of(&[&late, &early, &ours]).unwrap().0, "runbookd");
        assert_eq!(of(&[&late, &applied, &ours]).unwrap().0, "flux");
        let sizes = json!({"f:spec": {"f:template": {"f:spec": {"f:containers":
            {"k:{\"name\":\"app\"}": {"f:resources": {"f:limits": {}}}}}}}});
        let template = entry("argocd", "Apply", "", "2026-01-01T00:00:00Z", sizes);
        let read = of_resources(&meta(json!({"managedFields": [early, template]})));
        assert_eq!(read.map(|owner| owner.manager.to_string()).as_deref(), Some("argocd"));
    }

    #[test]
    fn marks_of_tools_pauses_and_applied_numbers_are_read() {
        let by = |value| tracking(&meta(value)).map(|tracking| tracking.by);
        assert_eq!(
            by(json!({"annotations": {"argocd.argoproj.io/tracking-id": "a"}})),
            Some(Tracker::ArgoCd)
        );
        assert_eq!(by(json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "a"}})), Some(Tracker::Flux));
        assert_eq!(by(json!({"annotations": {"meta.helm.sh/release-name": "a"}})), Some(Tracker::Helm));
        assert_eq!(by(json!({"labels": {"app.kubernetes.io/instance": "a"}})), None);
        let applied = |text: &str| {
            states_replicas(&meta(
                json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": text}}),
            ))
        };
        assert!(applied(r#"{"spec": {"replicas": 2}}"#));
        assert!(!applied(r#"{"spec": {}}"#) && !applied("nonsense"));
        let paused = |text: &str| {
            pause(&meta(
                json!({"annotations": {"runbookd.io/paused": text, "runbookd.io/paused-reason": "sale"}}),
            ))
        };
        assert_eq!(paused("false"), None);
        assert_eq!(paused("yes").and_then(|pause| pause.until), None);
        let pause = paused("2026-12-01T08:00:00Z").unwrap();
        let until = pause.until.unwrap();
        assert!(pause.holds(until - std::time::Duration::from_secs(1)) && !pause.holds(until));
        assert_eq!(pause.reason.as_deref(), Some("sale"));
        assert!(paused("tomorrow").unwrap().holds(until), "a slip of the pen pauses without end");
    }
}
