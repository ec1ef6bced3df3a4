//! The `resize` subresource of pods: which changes of resources are accepted.
//!
//! Acting on an accepted change is the kubelet's part, in `controller`.

use std::time::Duration;

use serde_json::{Value, json};

use super::admission;
use super::kind;
use super::quantity::milli;
use super::status::Refusal;

/// What becomes of in-place resizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The subresource does not exist, as before Kubernetes 1.33.
    Unsupported,
    /// Carried out after this long, if the node has the room.
    InPlace {
        /// From the accepted write to the new resources in the status.
        after: Duration,
    },
    /// Carried out after this long with a restart of the container.
    Restart {
        /// From the accepted write to the new resources in the status.
        after: Duration,
    },
    /// Accepted, then left pending with the reason Deferred.
    Deferred,
    /// Accepted, then left pending with the reason Infeasible.
    Infeasible,
}

/// The pod with the new resources, or why it cannot have them.
pub(crate) fn accept(old: &Value, new: &Value) -> Result<Value, Refusal> {
    let name = old["metadata"]["name"].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    if without_resources(old) != without_resources(new) {
        let message = "Forbidden: only cpu and memory resources are mutable";
        return Err(Refusal::invalid(kind::POD.kind, name, &[("spec".into(), message.into())]));
    }
    admission::containers(&new["spec"], "spec", &mut causes);
    let pairs = containers(old).iter().zip(containers(new));
    for (index, (before, after)) in pairs.enumerate() {
        for part in ["requests", "limits"] {
            let at = format!("spec.containers[{index}].resources.{part}");
            let (before, after) = (&before["resources"][part], &after["resources"][part]);
            for (resource, quantity) in before.as_object().into_iter().flatten() {
                if after.get(resource).is_none() {
                    causes.push((at.clone(), format!("Forbidden: resource {part} cannot be removed")));
                } else if !matches!(resource.as_str(), "cpu" | "memory")
                    && after.get(resource) != Some(quantity)
                {
                    causes.push((at.clone(), "Forbidden: only cpu and memory resources are mutable".into()));
                }
            }
            for resource in after.as_object().into_iter().flatten().map(|(resource, _)| resource) {
                if !matches!(resource.as_str(), "cpu" | "memory") && before.get(resource).is_none() {
                    causes.push((at.clone(), "Forbidden: only cpu and memory resources are mutable".into()));
                }
            }
        }
    }
    let (before, after) = (qos_class(&old["spec"]), qos_class(&new["spec"]));
    if before != after {
        let message =
            format!("Invalid value: \"{after}\": Pod QOS Class may not change as a result of resizing");
        causes.push(("spec".into(), message));
    }
    if !causes.is_empty() {
        return Err(Refusal::invalid(kind::POD.kind, name, &causes));
    }
    let mut pod = old.clone();
    pod["spec"] = new["spec"].clone();
    Ok(pod)
}

/// The containers of a pod.
pub(crate) fn containers(pod: &Value) -> &[Value] {
    pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn without_resources(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = container.as_object_mut() {
            fields.remove("resources");
            fields.remove("resizePolicy");
        }
    }
    spec
}

/// Guaranteed, Burstable or `BestEffort`, by the cpu and memory of all containers, init containers among them, or of the
/// pod as a whole where that is said.
pub(crate) fn qos_class(spec: &Value) -> &'static str {
    let is_said = |resources: &Value| ["requests", "limits"].iter().any(|part| resources[part].is_object());
    let units: Vec<&Value> = if is_said(&spec["resources"]) {
        vec![&spec["resources"]]
    } else {
        let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
        lists.into_iter().flatten().flatten().map(|container| &container["resources"]).collect()
    };
    let of =
        |unit: &Value, part: &str, resource: &str| milli(&unit[part][resource]).filter(|amount| *amount > 0);
    let pairs = || units.iter().flat_map(|unit| ["cpu", "memory"].map(|resource| (*unit, resource)));
    let named = pairs().any(|(u, r)| of(u, "requests", r).is_some() || of(u, "limits", r).is_some());
    let guaranteed =
        pairs().all(|(u, r)| of(u, "limits", r).is_some() && of(u, "requests", r) == of(u, "limits", r));
    match (named, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The cpu and memory requests of a container's spec: what a node allocates to it.
pub(crate) fn allocation(container: &Value) -> Value {
    let requests = &container["resources"]["requests"];
    let mut allocation = json!({});
    for resource in ["cpu", "memory"] {
        if let Some(quantity) = requests.get(resource) {
            allocation[resource] = quantity.clone();
        }
    }
    allocation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(resources: &Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"containers": [
            {"name": "app", "image": "a:1", "resources": resources}]}})
    }

    fn refused(before: &Value, after: &Value) -> String {
        let refusal = accept(&pod(before), &pod(after)).unwrap_err();
        assert_eq!(refusal.code, 422);
        refusal.message().to_owned()
    }

    #[test]
    fn a_resize_keeps_the_class_and_every_request() {
        let one = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
        let more =
            json!({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}});
        assert_eq!(accept(&pod(&one), &pod(&more)).unwrap()["spec"], pod(&more)["spec"]);

        let limits_only =
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}});
        assert!(refused(&one, &limits_only).contains("QOS Class"));
        let removed = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}});
        assert!(refused(&one, &removed).contains("cannot be removed"));
        let too_much =
            json!({"requests": {"cpu": "3", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}});
        assert!(refused(&one, &too_much).contains("less than or equal to cpu limit"));
        assert!(refused(&json!({}), &one).contains("QOS Class"));
        let disk = json!({"requests": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"},
                          "limits": {"cpu": "1", "memory": "1Gi"}});
        assert!(refused(&one, &disk).contains("only cpu and memory"));
    }

    #[test]
    fn a_resize_changes_nothing_else() {
        let mut other = pod(&json!({}));
        other["spec"]["containers"][0]["image"] = json!("a:2");
        assert_eq!(accept(&pod(&json!({})), &other).unwrap_err().code, 422);
    }
}
