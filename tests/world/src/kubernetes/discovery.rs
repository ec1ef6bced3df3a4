//! Discovery: which groups, versions and resources there are, and the little of `OpenAPI` that clients look for.

use serde_json::{Map, Value, json};

use super::kind::{self, Kind};

/// The document at a path outside of resources; `None` where there is none.
pub(crate) fn document(path: &str, kinds: &[Kind], resizable: bool) -> Option<Value> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["version"] => Some(json!({
            "major": "1", "minor": if resizable { "33" } else { "32" },
            "gitVersion": if resizable { "v1.33.0" } else { "v1.32.0" },
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "2025-04-23T13:37:53Z", "goVersion": "go1.24.2",
            "compiler": "gc", "platform": "linux/amd64",
        })),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]})),
        ["apis"] => {
            let groups: Vec<Value> =
                groups(kinds).into_iter().map(|(name, version)| group(name, version)).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let (name, version) = groups(kinds).into_iter().find(|(group, _)| group == name)?;
            let mut group = group(name, version);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            Some(group)
        }
        ["api", version] => resources("", version, kinds, resizable),
        ["apis", group, version] => resources(group, version, kinds, resizable),
        ["openapi", "v3"] => {
            let mut paths = Map::new();
            for kind in kinds {
                let path = root(kind);
                let url = format!("/openapi/v3/{path}");
                paths.insert(path, json!({"serverRelativeURL": url}));
            }
            Some(json!({"paths": paths}))
        }
        ["openapi", "v3", rest @ ..] => open_api(&rest.join("/"), kinds),
        _ => None,
    }
}

fn root(kind: &Kind) -> String {
    if kind.group.is_empty() { "api/v1".to_owned() } else { format!("apis/{}", kind.api_version()) }
}

/// The groups besides the core one, with the version of each.
fn groups(kinds: &[Kind]) -> Vec<(&'static str, &'static str)> {
    let mut groups = vec![("authorization.k8s.io", "v1")];
    for kind in kinds.iter().filter(|kind| !kind.group.is_empty()) {
        if !groups.iter().any(|(group, _)| *group == kind.group) {
            groups.push((kind.group, kind.version));
        }
    }
    groups
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str, version: &str, kinds: &[Kind], resizable: bool) -> Option<Value> {
    let mut list = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group == group && kind.version == version) {
        list.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "shortNames": kind.short_names,
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }));
        let mut sub = |name: &str, kind_of: &str, group: &str, version: &str, verbs: &[&str]| {
            let mut entry = json!({"name": format!("{}/{name}", kind.plural), "singularName": "",
                                   "namespaced": kind.namespaced, "kind": kind_of, "verbs": verbs});
            if !group.is_empty() {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
            list.push(entry);
        };
        let written = ["get", "patch", "update"];
        sub("status", kind.kind, "", "", &written);
        if kind.scalable {
            sub("scale", "Scale", "autoscaling", "v1", &written);
        }
        if *kind == kind::POD {
            sub("log", "Pod", "", "", &["get"]);
            if resizable {
                sub("resize", "Pod", "", "", &written);
            }
        }
    }
    if group == "authorization.k8s.io" && version == "v1" {
        list.push(json!({"name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview",
                         "namespaced": false, "kind": "SelfSubjectAccessReview", "verbs": ["create"]}));
    }
    if list.is_empty() {
        return None;
    }
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": list}))
}

/// Enough of a schema for clients to learn that writes are validated here.
fn open_api(root_path: &str, kinds: &[Kind]) -> Option<Value> {
    let mut paths = Map::new();
    for kind in kinds.iter().filter(|kind| root(kind) == root_path) {
        let place = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
        let path = format!("/{root_path}/{place}{}/{{name}}", kind.plural);
        let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation", "force"]
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        paths.insert(
            path,
            json!({"patch": {"parameters": parameters, "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind":
                {"group": kind.group, "version": kind.version, "kind": kind.kind}}}),
        );
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.33.0"}, "paths": paths,
                "components": {"schemas": {}}}))
}
