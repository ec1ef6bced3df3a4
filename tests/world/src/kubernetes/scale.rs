//! The `scale` subresource: a workload seen as `autoscaling/v1` Scale, and written through it.

use serde_json::{Value, json};

use super::kind::Kind;
use super::status::Refusal;

/// The workload's Scale.
pub(crate) fn read(workload: &Value) -> Value {
    let meta = &workload["metadata"];
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"],
        },
        "spec": {},
        "status": {
            "replicas": workload["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector(&workload["spec"]["selector"]),
        },
    });
    // The real server leaves a zero out, too.
    if let Some(replicas) = workload["spec"]["replicas"].as_i64().filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = json!(replicas);
    }
    scale
}

/// The replicas that a written Scale asks for.
pub(crate) fn wanted(kind: &Kind, name: &str, scale: &Value) -> Result<i64, Refusal> {
    let replicas = &scale["spec"]["replicas"];
    let wanted = match replicas {
        Value::Null => 0,
        other => other.as_i64().filter(|n| i32::try_from(*n).is_ok()).ok_or_else(|| {
            Refusal::bad_request(format!(
                "json: cannot unmarshal {other} into Go struct field ScaleSpec.spec.replicas of type int32"
            ))
        })?,
    };
    if wanted < 0 {
        let message = format!("Invalid value: {wanted}: must be greater than or equal to 0");
        return Err(Refusal::invalid("Scale.autoscaling", name, &[("spec.replicas".into(), message)]));
    }
    if !kind.scalable {
        return Err(Refusal::no_such_resource());
    }
    Ok(wanted)
}

/// A label selector in the spelling of list requests.
pub(crate) fn selector(selector: &Value) -> String {
    let equal = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let sets = selector["matchExpressions"].as_array().into_iter().flatten().map(|term| {
        let key = term["key"].as_str().unwrap_or_default();
        let values: Vec<_> =
            term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match term["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        }
    });
    equal.chain(sets).collect::<Vec<_>>().join(",")
}
