//! A mirror of one namespaced kind: what its objects say, by namespace, ready to be shared. Knows no kind.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use kube::Resource;

use super::watch::{Pulse, Sink};
use crate::domain::scaling::Unseen;

/// What one namespace's objects say, by name, and all of it in one slice.
#[derive(Debug)]
struct Shelf<T> {
    objects: BTreeMap<String, Vec<T>>,
    shared: Arc<[T]>,
}

/// What the objects of a kind say.
#[derive(Debug)]
pub(super) struct Mirror<T> {
    pub(super) pulse: Pulse,
    shelves: Mutex<HashMap<String, Shelf<T>>>,
}

impl<T> Default for Mirror<T> {
    fn default() -> Self {
        Self { pulse: Pulse::default(), shelves: Mutex::default() }
    }
}

impl<T: Clone> Mirror<T> {
    /// What a namespace's objects say, where that can be trusted.
    pub(super) fn of(&self, namespace: &str) -> Result<Arc<[T]>, Unseen> {
        self.pulse.trusted()?;
        Ok(self.with(|shelves| {
            shelves.get(namespace).map_or_else(|| Arc::from([]), |shelf| shelf.shared.clone())
        }))
    }

    /// The way in for objects of a kind that say `read` each.
    pub(super) fn reading<K>(&self, read: fn(&K) -> Vec<T>) -> Reading<'_, K, T> {
        Reading { mirror: self, read }
    }

    fn with<R>(&self, work: impl FnOnce(&mut HashMap<String, Shelf<T>>) -> R) -> R {
        // Only whole entries are ever put in.
        work(&mut self.shelves.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), shared: Arc::from([]) }
    }
}

impl<T: Clone> Shelf<T> {
    fn share(&mut self) {
        self.shared = self.objects.values().flatten().cloned().collect();
    }
}

/// How the objects of a kind are read into a mirror.
pub(super) struct Reading<'m, K, T> {
    mirror: &'m Mirror<T>,
    read: fn(&K) -> Vec<T>,
}

impl<K: Resource, T: Clone> Sink<K> for Reading<'_, K, T> {
    fn replace(&self, all: Vec<K>) {
        let mut shelves: HashMap<String, Shelf<T>> = HashMap::new();
        for one in &all {
            let (namespace, name) = place(one);
            shelves.entry(namespace).or_default().objects.insert(name, (self.read)(one));
        }
        shelves.values_mut().for_each(Shelf::share);
        self.mirror.with(|known| *known = shelves);
    }

    fn apply(&self, one: K) {
        let (namespace, name) = place(&one);
        let says = (self.read)(&one);
        self.mirror.with(|shelves| {
            let known = shelves.entry(namespace).or_default();
            known.objects.insert(name, says);
            known.share();
        });
    }

    fn remove(&self, one: &K) {
        let (namespace, name) = place(one);
        self.mirror.with(|shelves| {
            let Some(known) = shelves.get_mut(&namespace) else { return };
            known.objects.remove(&name);
            known.share();
            if known.objects.is_empty() {
                shelves.remove(&namespace);
            }
        });
    }
}

fn place(one: &impl Resource) -> (String, String) {
    let meta = one.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}
