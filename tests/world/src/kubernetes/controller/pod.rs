//! Pods as controllers make them: names, template hashes, creation.

use serde_json::{Value, json};

use super::super::kind::{self, Kind};
use super::super::status::Refusal;
use super::super::store::{Store, mix};
use super::super::{admission, quota, resize};
use super::owner_reference;

/// The characters of generated names: no vowels, so no words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A suffix of so many characters, determined by the seed.
pub(super) fn suffix(mut seed: u64, length: usize) -> String {
    let mut name = String::with_capacity(length);
    for _ in 0..length {
        let at = usize::try_from(seed % 27).unwrap_or(0);
        name.push(char::from(ALPHABET[at]));
        seed /= 27;
    }
    name
}

/// The hash of a pod template, the same for every spelling of it.
pub(super) fn template_hash(template: &Value) -> String {
    suffix(mix(hash(template, 0xcbf2_9ce4_8422_2325)), 9)
}

fn hash(value: &Value, seed: u64) -> u64 {
    let bytes = |seed: u64, text: &str| {
        text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    match value {
        Value::Object(fields) => {
            // Added up, so that the order of keys does not matter.
            fields.iter().fold(seed, |sum, (key, value)| sum.wrapping_add(mix(hash(value, bytes(seed, key)))))
        }
        Value::Array(items) => items.iter().fold(seed ^ 0x5b, |seed, item| mix(hash(item, seed))),
        plain => bytes(seed, &plain.to_string()),
    }
}

/// Creates a pod from its owner's template, as the admission allows.
pub(super) fn create(
    store: &mut Store,
    kind: &Kind,
    owner: &Value,
    name: &str,
    labels: &[(&str, &str)],
) -> Result<(), Refusal> {
    let template = &owner["spec"]["template"];
    let namespace = owner["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": template["metadata"]["labels"],
                     "ownerReferences": owner_reference(kind, owner)},
        "spec": template["spec"],
    });
    if template["metadata"]["annotations"].is_object() {
        pod["metadata"]["annotations"] = template["metadata"]["annotations"].clone();
    }
    for (label, value) in labels {
        pod["metadata"]["labels"][*label] = json!(value);
    }
    admission::default(&kind::POD, &mut pod);
    quota::default_limits(store, &mut pod);
    quota::within_limits(store, &pod)?;
    quota::admit(store, &Value::Null, &pod)?;
    pod["status"] = json!({"phase": "Pending", "qosClass": resize::qos_class(&pod["spec"])});
    let key = kind::POD.key(namespace, name);
    if store.get(&key).is_some() {
        return Err(Refusal::already_exists(&kind::POD, name));
    }
    store.stamp(&key, &mut pod);
    store.put(&key, pod);
    Ok(())
}
