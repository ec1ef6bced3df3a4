//! Routing keys: which of the keys in a file opened what. Owns their fingerprints, which alone are remembered: an
//! alert is closed with the key that opened it, or PagerDuty drops the event without a word.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::notice::Receipt;

/// How many bytes of a key's hash tell it from others: nobody finds a key by them, and no two keys of one file meet.
const FINGERPRINT_BYTES: usize = 8;

/// The keys of a file, the newest first.
pub struct RoutingKeys<'s>(Vec<&'s str>);

impl<'s> RoutingKeys<'s> {
    /// The keys of a secret: one a line, the newest first.
    pub fn of(secret: &'s SecretString) -> Self {
        Self(secret.expose_secret().split_whitespace().collect())
    }

    /// The key that opens alerts now.
    pub fn newest(&self) -> Option<&'s str> {
        self.0.first().copied()
    }

    /// The key of this fingerprint, while it is there.
    pub fn find(&self, wanted: &str) -> Option<&'s str> {
        self.0.iter().copied().find(|key| fingerprint(key) == wanted)
    }

    /// All of them, for what must not be told.
    pub fn all(&self) -> &[&'s str] {
        &self.0
    }
}

/// What tells a key from another and does not tell the key.
pub fn fingerprint(key: &str) -> String {
    let hash = digest(&SHA256, key.as_bytes());
    let mut text = String::new();
    for byte in hash.as_ref().iter().take(FINGERPRINT_BYTES) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// With which key each page of an incident was opened: `1=0011223344556677,2=8899aabbccddeeff`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenedWith(BTreeMap<u32, Arc<str>>);

impl OpenedWith {
    /// What a receipt says; nothing where it says nothing that can be read.
    pub fn read(receipt: Option<&Receipt>) -> Self {
        let pairs = receipt.map_or("", |receipt| &receipt.0).split(',');
        let read = |pair: &str| {
            let (page, key) = pair.split_once('=')?;
            Some((page.parse().ok()?, key.into()))
        };
        Self(pairs.filter_map(read).collect())
    }

    /// The fingerprint of the key that opened a page, where it is known.
    pub fn key_of(&self, page: u32) -> Option<&str> {
        self.0.get(&page).map(AsRef::as_ref)
    }

    /// Notes what a page was opened with.
    pub fn note(&mut self, page: u32, key: &str) {
        self.0.insert(page, fingerprint(key).into());
    }

    /// The receipt that says it.
    pub fn receipt(&self) -> Receipt {
        let pairs: Vec<String> = self.0.iter().map(|(page, key)| format!("{page}={key}")).collect();
        Receipt(pairs.join(",").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_fingerprint_and_not_told_by_it() {
        let file = SecretString::from("R-new-0000\nR-old-1111\n");
        let keys = RoutingKeys::of(&file);
        assert_eq!(keys.newest(), Some("R-new-0000"));
        let old = fingerprint("R-old-1111");
        assert_eq!((keys.find(&old), old.len()), (Some("R-old-1111"), 16));
        assert_eq!(keys.find(&fingerprint("R-gone-222")), None);
    }

    #[test]
    fn a_receipt_is_read_back_as_it_was_written() {
        let mut opened = OpenedWith::default();
        opened.note(1, "one");
        opened.note(2, "two");
        assert_eq!(OpenedWith::read(Some(&opened.receipt())), opened);
        assert_eq!(OpenedWith::read(Some(&Receipt("of another channel".into()))), OpenedWith::default());
    }
}
