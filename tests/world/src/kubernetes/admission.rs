//! What an object must be like to be stored: shape, defaults, validity.
//!
//! Quotas and limit ranges are in `quota`; resizes in `resize`.

use serde_json::{Value, json};

use super::kind::{self, Kind};
use super::quantity::milli;
use super::status::Refusal;

type Causes = Vec<(String, String)>;

/// Checks that an object can be handled at all and names its kind.
pub(crate) fn shape(kind: &Kind, object: &mut Value) -> Result<(), Refusal> {
    let fields =
        object.as_object_mut().ok_or_else(|| Refusal::bad_request("the object is not a JSON object"))?;
    for (field, wanted) in [("apiVersion", kind.api_version()), ("kind", kind.kind.to_owned())] {
        let found = fields.entry(field).or_insert_with(|| json!(wanted));
        if *found != wanted.as_str() {
            let message =
                format!("the {field} in the data ({found}) does not match the expected {field} ({wanted})");
            return Err(Refusal::bad_request(message));
        }
    }
    fields.entry("metadata").or_insert_with(|| json!({}));
    for field in ["metadata", "spec", "status", "data"] {
        if fields.get(field).is_some_and(|value| !value.is_object()) {
            return Err(Refusal::bad_request(format!("json: cannot unmarshal {field}: not an object")));
        }
    }
    for field in ["labels", "annotations"] {
        let map = &fields["metadata"][field];
        let fits = map.is_null() || map.as_object().is_some_and(|map| map.values().all(Value::is_string));
        if !fits {
            return Err(Refusal::bad_request(format!(
                "json: cannot unmarshal metadata.{field}: not a map of strings"
            )));
        }
    }
    let numbers: &[&str] = match kind.plural {
        "leases" => &["/spec/leaseDurationSeconds", "/spec/leaseTransitions"],
        _ => &["/spec/replicas"],
    };
    for pointer in numbers {
        if object.pointer(pointer).is_some_and(|value| value.as_i64().is_none() && !value.is_null()) {
            return Err(Refusal::bad_request(format!("json: cannot unmarshal {pointer} into an int32")));
        }
    }
    Ok(())
}

/// Fills in what the server fills in.
pub(crate) fn default(kind: &Kind, object: &mut Value) {
    if *kind == kind::POD {
        default_pod_spec(&mut object["spec"]);
        default_requests(&mut object["spec"]);
    } else if *kind == kind::LIMIT_RANGE {
        for item in object["spec"]["limits"].as_array_mut().into_iter().flatten() {
            default_range(item);
        }
    } else if kind.has_template() {
        let spec = &mut object["spec"];
        or_else(spec, "replicas", json!(1));
        if *kind == kind::DEPLOYMENT {
            or_else(spec, "strategy", json!({"type": "RollingUpdate"}));
            or_else(spec, "revisionHistoryLimit", json!(10));
            or_else(spec, "progressDeadlineSeconds", json!(600));
            if spec["strategy"]["type"] == "RollingUpdate" {
                or_else(&mut spec["strategy"], "rollingUpdate", json!({}));
                or_else(&mut spec["strategy"]["rollingUpdate"], "maxSurge", json!("25%"));
                or_else(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", json!("25%"));
            }
        } else if *kind == kind::STATEFUL_SET {
            or_else(spec, "podManagementPolicy", json!("OrderedReady"));
            or_else(
                spec,
                "updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            );
        }
        if spec["template"]["spec"].is_object() {
            default_pod_spec(&mut spec["template"]["spec"]);
        }
    }
}

fn default_pod_spec(spec: &mut Value) {
    or_else(spec, "restartPolicy", json!("Always"));
    or_else(spec, "terminationGracePeriodSeconds", json!(30));
    or_else(spec, "dnsPolicy", json!("ClusterFirst"));
    or_else(spec, "schedulerName", json!("default-scheduler"));
    for container in spec["containers"].as_array_mut().into_iter().flatten().filter(|item| item.is_object()) {
        or_else(container, "imagePullPolicy", json!("IfNotPresent"));
        or_else(container, "resources", json!({}));
    }
}

/// A pod's missing requests are its limits; templates stay as they are written.
fn default_requests(spec: &mut Value) {
    each_container(spec, |container| {
        let Some(limits) = container["resources"]["limits"].as_object().cloned() else { return };
        for (resource, limit) in limits {
            or_else(&mut container["resources"], "requests", json!({}));
            or_else(&mut container["resources"]["requests"], &resource, limit);
        }
    });
    let limits = spec["resources"]["limits"].as_object().cloned();
    for (resource, limit) in limits.into_iter().flatten() {
        let mut is_said = false;
        each_container(spec, |container| is_said |= !container["resources"]["requests"][&resource].is_null());
        if !is_said {
            or_else(&mut spec["resources"], "requests", json!({}));
            or_else(&mut spec["resources"]["requests"], &resource, limit);
        }
    }
}

/// Every container of a pod's spec, init containers among them.
pub(crate) fn each_container(spec: &mut Value, mut work: impl FnMut(&mut Value)) {
    for list in ["containers", "initContainers"] {
        spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(&mut work);
    }
}

/// A container's default limit is the most, its default request the default limit or the least.
fn default_range(item: &mut Value) {
    if item["type"] != "Container" {
        return;
    }
    for (field, source) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let Some(amounts) = item[source].as_object().cloned() else { continue };
        or_else(item, field, json!({}));
        for (resource, amount) in amounts {
            or_else(&mut item[field], &resource, amount);
        }
    }
}

fn or_else(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        let found = fields.entry(field).or_insert(Value::Null);
        if found.is_null() {
            *found = value;
        }
    }
}

/// Refuses invalid objects; `old` is null for a creation.
pub(crate) fn validate(kind: &Kind, old: &Value, new: &Value) -> Result<(), Refusal> {
    let mut causes = Causes::new();
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if name.is_empty() {
        causes.push(("metadata.name".into(), "Required value: name or generateName is required".into()));
    } else if !name.chars().all(plain) || name.len() > 253 {
        let message = format!("Invalid value: \"{name}\": a lowercase RFC 1123 subdomain is needed");
        causes.push(("metadata.name".into(), message));
    }
    if kind.has_template() {
        workload(old, new, &mut causes);
    } else if *kind == kind::POD {
        containers(&new["spec"], "spec", &mut causes);
        if !old.is_null() && immutable_spec(old) != immutable_spec(new) {
            let message = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, \
                           `spec.activeDeadlineSeconds`, `spec.terminationGracePeriodSeconds`, `spec.tolerations`";
            causes.push(("spec".into(), message.into()));
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid(&kind.qualified_kind(), name, &causes)) }
}

fn workload(old: &Value, new: &Value, causes: &mut Causes) {
    if let Some(replicas) = new["spec"]["replicas"].as_i64().filter(|replicas| *replicas < 0) {
        let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        causes.push(("spec.replicas".into(), message));
    }
    let (selector, template) = (&new["spec"]["selector"], &new["spec"]["template"]);
    let wanted = selector["matchLabels"].as_object();
    if wanted.is_none_or(serde_json::Map::is_empty)
        && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty)
    {
        causes.push(("spec.selector".into(), "Required value".into()));
    }
    let labels = &template["metadata"]["labels"];
    if wanted.into_iter().flatten().any(|(key, value)| labels.get(key) != Some(value)) {
        let message = format!("Invalid value: {labels}: `selector` does not match template `labels`");
        causes.push(("spec.template.metadata.labels".into(), message));
    }
    if !old.is_null() && old["spec"]["selector"] != *selector {
        causes.push(("spec.selector".into(), format!("Invalid value: {selector}: field is immutable")));
    }
    containers(&template["spec"], "spec.template.spec", causes);
}

/// Checks every container's resources, below the field path.
pub(crate) fn containers(spec: &Value, at: &str, causes: &mut Causes) {
    let list = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        causes.push((format!("{at}.containers"), "Required value".into()));
    }
    for (index, container) in list.iter().enumerate() {
        let at = format!("{at}.containers[{index}]");
        for field in ["name", "image"] {
            if container[field].as_str().is_none_or(str::is_empty) {
                causes.push((format!("{at}.{field}"), "Required value".into()));
            }
        }
        let resources = &container["resources"];
        for part in ["requests", "limits"] {
            for (resource, quantity) in resources[part].as_object().into_iter().flatten() {
                if milli(quantity).is_none_or(|milli| milli < 0) {
                    let message = format!("Invalid value: {quantity}: must be a non-negative quantity");
                    causes.push((format!("{at}.resources.{part}[{resource}]"), message));
                }
            }
        }
        for (resource, request) in resources["requests"].as_object().into_iter().flatten() {
            let limit = resources["limits"].get(resource);
            if let (Some(limit), Some(wanted), Some(most)) = (limit, milli(request), limit.and_then(milli))
                && wanted > most
            {
                let message = format!(
                    "Invalid value: {request}: must be less than or equal to {resource} limit of {limit}"
                );
                causes.push((format!("{at}.resources.requests"), message));
            }
        }
    }
}

/// A pod's spec without what an update may change.
fn immutable_spec(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        for field in ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations"] {
            fields.remove(field);
        }
    }
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = container.as_object_mut() {
            fields.remove("image");
        }
    }
    spec
}
