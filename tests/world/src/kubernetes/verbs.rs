//! The verbs on objects: get, list, create, update, patch, delete.
//!
//! Runs under the state's lock from beginning to end; what is answered is what is stored.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::{Call, Target};
use super::cluster::State;
use super::event::{served, stored};
use super::kind;
use super::patch::PatchKind;
use super::resize::{self, Resize};
use super::selector::Selector;
use super::status::Refusal;
use super::store::{Key, carry_over, text};
use super::{admission, fields, quota, scale};

/// A code and a body, or the refusal.
pub(crate) type Outcome = Result<(u16, Value), Refusal>;

/// Refuses subresources that the kind does not have.
pub(crate) fn check_subresource(state: &State, target: &Target) -> Result<(), Refusal> {
    let resizable = state.settings.resize != Resize::Unsupported;
    let exists = match target.subresource.as_deref() {
        None | Some("status") => true,
        Some("scale") => target.kind.scalable,
        Some("log") => target.kind == kind::POD,
        Some("resize") => target.kind == kind::POD && resizable,
        Some("finalize") => target.kind == kind::NAMESPACE,
        Some(_) => false,
    };
    if exists { Ok(()) } else { Err(Refusal::no_such_resource()) }
}

/// One object, or its Scale.
pub(crate) fn get(state: &State, target: &Target) -> Outcome {
    let object = state.store.get(&target.kind.key(&target.namespace, &target.name));
    let object = object.ok_or_else(|| Refusal::not_found(&target.kind, &target.name))?;
    Ok((200, view(target, object)))
}

fn view(target: &Target, object: &Arc<Value>) -> Value {
    if target.subresource.as_deref() == Some("scale") {
        scale::read(object)
    } else {
        served(&target.kind, (**object).clone())
    }
}

/// A collection.
pub(crate) fn list(state: &State, call: &Call, target: &Target) -> Outcome {
    let selector = Selector::parse(call.option("labelSelector"), call.option("fieldSelector"))?;
    let items: Vec<Value> = state
        .store
        .list(&target.kind, &target.namespace)
        .map(|(_, object)| served(&target.kind, (**object).clone()))
        .filter(|object| selector.matches(object))
        .collect();
    let list = json!({
        "kind": format!("{}List", target.kind.kind), "apiVersion": target.kind.api_version(),
        "metadata": {"resourceVersion": state.store.revision().to_string()}, "items": items,
    });
    Ok((200, list))
}

/// Any verb that writes.
pub(crate) fn write(state: &mut State, call: &Call, target: &Target) -> Outcome {
    match call.verb {
        "create" => {
            if target.subresource.is_some() || !target.name.is_empty() {
                return Err(Refusal::method_not_allowed());
            }
            let object = stored(&target.kind, shaped(target, call.document()?)?);
            create(state, call, target, object, &Value::Null)
        }
        "update" | "patch" if target.name.is_empty() => Err(Refusal::method_not_allowed()),
        "update" | "patch" => edit(state, call, target),
        "delete" => delete(state, call, target),
        _ => {
            let selector = Selector::parse(call.option("labelSelector"), call.option("fieldSelector"))?;
            let keys: Vec<Key> = state
                .store
                .list(&target.kind, &target.namespace)
                .filter(|(_, object)| selector.matches(object))
                .map(|(key, _)| key.clone())
                .collect();
            if !call.is_dry_run() {
                for key in keys {
                    state.store.remove(&key);
                }
            }
            Ok((200, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
        }
    }
}

fn shaped(target: &Target, mut object: Value) -> Result<Value, Refusal> {
    admission::shape(&target.kind, &mut object)?;
    let namespace = text(&object, "/metadata/namespace");
    if !namespace.is_empty() && namespace != target.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(message));
    }
    Ok(object)
}

/// Stores a new object; `applied` is the document if it comes by server-side apply.
fn create(state: &mut State, call: &Call, target: &Target, mut object: Value, applied: &Value) -> Outcome {
    let kind = &target.kind;
    if text(&object, "/metadata/name").is_empty()
        && let prefix @ 1.. = text(&object, "/metadata/generateName").len()
    {
        let issued = state.store.issue();
        let name = format!("{}{:05x}", &text(&object, "/metadata/generateName")[..prefix], issued & 0xf_ffff);
        object["metadata"]["name"] = json!(name);
    }
    let name = text(&object, "/metadata/name").to_owned();
    let key = kind.key(&target.namespace, &name);
    if state.store.get(&key).is_some() {
        return Err(Refusal::already_exists(kind, &name));
    }
    if kind.namespaced && state.store.get(&kind::NAMESPACE.key("", &target.namespace)).is_none() {
        return Err(Refusal::not_found(&kind::NAMESPACE, &target.namespace));
    }
    if kind.namespaced {
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    admit_new(state, target, &mut object)?;
    let writer = call.writer(!applied.is_null())?;
    fields::record(&Value::Null, &mut object, &writer, applied)
        .map_err(|conflicts| Refusal::owned_by_others(kind, &name, &conflicts))?;
    state.store.stamp(&key, &mut object);
    if call.is_dry_run() {
        return Ok((201, served(kind, object)));
    }
    let object = state.store.put(&key, object);
    Ok((201, view(target, &object)))
}

/// Defaults and checks for a new object.
fn admit_new(state: &State, target: &Target, object: &mut Value) -> Result<(), Refusal> {
    let kind = &target.kind;
    if kind.has_template() || *kind == kind::POD {
        object["status"] = json!({});
    }
    if *kind == kind::NAMESPACE {
        object["status"] = json!({"phase": "Active"});
    }
    admission::default(kind, object);
    if *kind == kind::POD {
        quota::default_limits(&state.store, object);
    }
    admission::validate(kind, &Value::Null, object)?;
    if *kind == kind::POD {
        quota::within_limits(&state.store, object)?;
        quota::admit(&state.store, &Value::Null, object)?;
        object["status"] = json!({"phase": "Pending", "qosClass": resize::qos_class(&object["spec"])});
    }
    Ok(())
}

fn edit(state: &mut State, call: &Call, target: &Target) -> Outcome {
    let (kind, name) = (&target.kind, target.name.as_str());
    let key = kind.key(&target.namespace, name);
    let document = call.document()?;
    let how = if call.verb == "patch" { Some(PatchKind::of(&call.content_type)?) } else { None };
    let applies = how == Some(PatchKind::Apply);
    let Some(old) = state.store.get(&key).cloned() else {
        if applies && target.subresource.is_none() {
            let mut object = shaped(target, document.clone())?;
            object["metadata"]["name"] = json!(name);
            return create(state, call, target, stored(kind, object), &document);
        }
        return Err(Refusal::not_found(kind, name));
    };
    let seen = view(target, &old);
    let edited = match how {
        Some(how) => {
            let mut edited = seen.clone();
            how.apply(&mut edited, &document)?;
            edited
        }
        None => document.clone(),
    };
    let mut new = if target.subresource.as_deref() == Some("scale") {
        let metadata = edited["metadata"].clone();
        precondition(target, &seen, &metadata)?;
        let mut new = (*old).clone();
        new["spec"]["replicas"] = json!(scale::wanted(kind, name, &edited)?);
        new
    } else {
        let edited = shaped(target, edited)?;
        precondition(target, &old, &edited["metadata"])?;
        through(target, &old, &stored(kind, edited))?
    };
    admission::default(kind, &mut new);
    if target.subresource.as_deref() == Some("resize") {
        quota::within_limits(&state.store, &new)?;
        quota::admit(&state.store, &old, &new)?;
    } else if target.subresource.is_none() {
        admission::validate(kind, &old, &new)?;
    }
    fields::record(&old, &mut new, &call.writer(applies)?, if applies { &document } else { &Value::Null })
        .map_err(|conflicts| Refusal::owned_by_others(kind, name, &conflicts))?;
    let object = if call.is_dry_run() {
        carry_over(&old, &mut new);
        Arc::new(new)
    } else {
        state.store.replace(&key, new)
    };
    Ok((200, view(target, &object)))
}

/// Refuses a write that was made for another version, another object or another name.
fn precondition(target: &Target, old: &Value, metadata: &Value) -> Result<(), Refusal> {
    let name = metadata["name"].as_str().unwrap_or(&target.name);
    if name != target.name {
        let message =
            format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
        return Err(Refusal::bad_request(message));
    }
    for field in ["resourceVersion", "uid"] {
        let wanted = metadata[field].as_str().unwrap_or_default();
        if !wanted.is_empty() && old["metadata"][field] != wanted {
            return Err(Refusal::conflict(&target.kind, &target.name));
        }
    }
    Ok(())
}

/// What of an edited object a write through the subresource keeps.
fn through(target: &Target, old: &Value, edited: &Value) -> Result<Value, Refusal> {
    match target.subresource.as_deref() {
        Some("status") => {
            let mut new = old.clone();
            new["status"] = edited.get("status").cloned().unwrap_or_else(|| json!({}));
            Ok(new)
        }
        Some("resize") => resize::accept(old, edited),
        _ => {
            let mut new = edited.clone();
            match old.get("status") {
                Some(status) => new["status"] = status.clone(),
                None => drop(new.as_object_mut().and_then(|new| new.remove("status"))),
            }
            Ok(new)
        }
    }
}

fn delete(state: &mut State, call: &Call, target: &Target) -> Outcome {
    let key = target.kind.key(&target.namespace, &target.name);
    let old = state.store.get(&key).cloned().ok_or_else(|| Refusal::not_found(&target.kind, &target.name))?;
    let options = call.document().unwrap_or(Value::Null);
    precondition(target, &old, &options["preconditions"])?;
    if !call.is_dry_run() {
        state.store.remove(&key);
        if target.kind == kind::NAMESPACE {
            state.store.clear_namespace(&target.name);
        }
    }
    let details = json!({"name": target.name, "group": target.kind.group, "kind": target.kind.plural,
                         "uid": old["metadata"]["uid"]});
    Ok((
        200,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    ))
}
