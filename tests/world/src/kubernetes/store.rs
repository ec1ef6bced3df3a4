//! The objects: one revision counter, one map, one ring of past changes.
//!
//! Knows metadata (uid, resourceVersion, generation, owners) and nothing of what kinds mean.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kind::Kind;

/// How many changes a watch can look back upon.
const HISTORY: usize = 8192;

/// Where an object lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub group: &'static str,
    pub plural: &'static str,
    pub namespace: String,
    pub name: String,
}

/// One step of the history.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub revision: u64,
    pub key: Key,
    /// The object before; `None` when it was created.
    pub before: Option<Arc<Value>>,
    /// The object afterwards; when it was deleted, its last state under the deletion's revision.
    pub object: Arc<Value>,
    pub deleted: bool,
}

/// All objects of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Store {
    revision: u64,
    issued: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    owned: HashMap<String, BTreeSet<Key>>,
    history: VecDeque<Change>,
    forgotten: u64,
}

impl Store {
    /// The newest revision.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Changes up to and including this revision can no longer be told.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The object, if it exists.
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a kind, in one namespace or (empty) in all of them.
    pub(crate) fn list<'a>(
        &'a self,
        kind: &Kind,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let from = kind.key(namespace, "");
        let (group, plural) = (from.group, from.plural);
        self.objects.range(from..).take_while(move |(key, _)| {
            key.group == group && key.plural == plural && (namespace.is_empty() || key.namespace == namespace)
        })
    }

    /// The objects whose controller has this uid.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<(Key, Arc<Value>)> {
        let Some(keys) = self.owned.get(uid) else { return Vec::new() };
        keys.iter().filter_map(|key| Some((key.clone(), Arc::clone(self.objects.get(key)?)))).collect()
    }

    /// The changes after a revision, oldest first.
    pub(crate) fn changes_since(&self, revision: u64) -> impl Iterator<Item = &Change> {
        let start = self.history.partition_point(|change| change.revision <= revision);
        self.history.range(start..)
    }

    /// Forgets the history, as compaction does.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
        self.forgotten = self.revision;
    }

    /// A number never issued before.
    pub(crate) fn issue(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    /// Gives a new object its identity; stores nothing.
    pub(crate) fn stamp(&mut self, key: &Key, object: &mut Value) {
        let issued = self.issue();
        let meta = &mut object["metadata"];
        meta["name"] = json!(key.name);
        if !key.namespace.is_empty() {
            meta["namespace"] = json!(key.namespace);
        }
        meta["uid"] = json!(format!("{:08x}-5eed-4000-8000-{issued:012x}", mix(issued) >> 32));
        meta["creationTimestamp"] = json!(second(Timestamp::now()));
        if object.get("spec").is_some() {
            object["metadata"]["generation"] = json!(1);
        }
    }

    /// Stores an object as it stands under the next revision.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        if let Some(before) = &before {
            self.disown(key, before);
        }
        if let Some(uid) = controller_uid(&object) {
            self.owned.entry(uid.to_owned()).or_default().insert(key.clone());
        }
        self.remember(Change {
            revision: self.revision,
            key: key.clone(),
            before,
            object: Arc::clone(&object),
            deleted: false,
        });
        object
    }

    /// Replaces an existing object unless nothing changes; moves the generation when the spec does.
    pub(crate) fn replace(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        let Some(old) = self.objects.get(key).cloned() else { return self.put(key, object) };
        if carry_over(&old, &mut object) { self.put(key, object) } else { old }
    }

    /// Deletes an object with all that it controls; answers its last state.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.disown(key, &before);
        self.revision += 1;
        let mut last = (*before).clone();
        last["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let object = Arc::new(last);
        let uid = text(&before, "/metadata/uid").to_owned();
        self.remember(Change {
            revision: self.revision,
            key: key.clone(),
            before: Some(before),
            object: Arc::clone(&object),
            deleted: true,
        });
        for (owned, _) in self.owned_by(&uid) {
            self.remove(&owned);
        }
        Some(object)
    }

    /// Deletes everything in a namespace.
    pub(crate) fn clear_namespace(&mut self, namespace: &str) {
        let keys: Vec<_> = self.objects.keys().filter(|key| key.namespace == namespace).cloned().collect();
        for key in keys {
            self.remove(&key);
        }
    }

    fn disown(&mut self, key: &Key, object: &Value) {
        if let Some(uid) = controller_uid(object)
            && let Some(keys) = self.owned.get_mut(uid)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(uid);
            }
        }
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.forgotten = oldest.revision;
        }
    }
}

/// Keeps the old object's identity in its successor; tells whether anything changes.
pub(crate) fn carry_over(old: &Value, new: &mut Value) -> bool {
    for field in ["name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion"] {
        match old["metadata"].get(field) {
            Some(value) => new["metadata"][field] = value.clone(),
            None => drop(new["metadata"].as_object_mut().and_then(|meta| meta.remove(field))),
        }
    }
    if old.get("spec") != new.get("spec") {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
    old != new
}

/// The string at a JSON pointer, empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The owner reference of the controller, if one owns the object.
pub(crate) fn controller_of(object: &Value) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)
}

fn controller_uid(object: &Value) -> Option<&str> {
    controller_of(object)?["uid"].as_str()
}

/// A time as Kubernetes writes it: whole seconds, UTC.
pub(crate) fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Spreads a counter over 64 bits (the splitmix finalizer), for names that look random and repeat.
pub(crate) fn mix(counter: u64) -> u64 {
    let mut x = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
