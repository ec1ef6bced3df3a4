//! Signatures: HMAC-SHA256 over the bytes as they came, in lower-case hex. Owns the comparison, which takes the same
//! time however close a forgery is.

use ring::hmac::{self, HMAC_SHA256, Key};
use secrecy::{ExposeSecret as _, SecretString};

/// The length of an HMAC-SHA256, in bytes.
const LENGTH: usize = 32;

/// Whether one of the secrets made one of the signatures over the parts, one after the other.
pub(super) fn is_signed(secrets: &[SecretString], signatures: &[[u8; LENGTH]], parts: &[&[u8]]) -> bool {
    secrets.iter().any(|secret| {
        let key = Key::new(HMAC_SHA256, secret.expose_secret().as_bytes());
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(part);
        }
        let expected = context.sign();
        // `verify` of the library hashes the message again; comparing two tags under a key is as safe.
        signatures.iter().any(|shown| is_same(&key, expected.as_ref(), shown))
    })
}

/// Compares in constant time: verifying a tag over one text says whether the other is the same.
fn is_same(key: &Key, expected: &[u8], shown: &[u8]) -> bool {
    let tag = hmac::sign(key, shown);
    hmac::verify(key, expected, tag.as_ref()).is_ok()
}

/// The signatures of a header such as `v1=00ff…,v1=…`; those of another version, or unreadable, are left out.
pub(super) fn read(header: &str, version: &str) -> Vec<[u8; LENGTH]> {
    let shown = header.split(',').filter_map(|one| one.trim().strip_prefix(version)?.strip_prefix('='));
    shown.filter_map(from_hex).collect()
}

fn from_hex(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() != LENGTH * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const KNOWN: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn a_known_signature_is_recognised_and_no_other() {
        let jefe = || [SecretString::from("Jefe")];
        let parts: &[&[u8]] = &[b"what do ya want ", b"for nothing?"];
        let right = read(&format!("v1={KNOWN}"), "v1");
        assert!(is_signed(&jefe(), &right, parts));
        assert!(is_signed(&[SecretString::from("new"), SecretString::from("Jefe")], &right, parts));
        assert!(is_signed(&jefe(), &read(&format!("v1={}, v1={KNOWN}", "0".repeat(64)), "v1"), parts));
        assert!(!is_signed(&jefe(), &right, &[b"what do ya want for nothing!"]));
        assert!(!is_signed(&[SecretString::from("jefe")], &right, parts));
        assert!(!is_signed(&[], &right, parts));
        assert!(!is_signed(&jefe(), &[], parts));
    }

    #[test]
    fn what_is_no_signature_is_left_out() {
        for header in ["", "v1=", "v0=00", "v1", KNOWN, "v1=zz", "v2=00", &format!("v1={}é", "0".repeat(62))]
        {
            assert!(read(header, "v1").is_empty(), "{header}");
        }
        assert!(read(&format!("v1={}", "+1".repeat(32)), "v1").is_empty());
        assert_eq!(read(&format!("v1={KNOWN},v1={KNOWN},v9={KNOWN}"), "v1").len(), 2);
    }
}
