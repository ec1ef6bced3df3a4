//! `emergency_contacts`: the runbook's appendix C. Owns reading them; resolves nothing (see `Settings::contact`).

use std::sync::Arc;

use super::Reader;
use crate::config::diagnostic::Code;
use crate::config::settings::Contact;

/// Reads the contacts in the order written.
pub(super) fn read(reader: &Reader<'_>) -> Vec<Contact> {
    let walk = reader.walk;
    let entries = reader.blocks.get("emergency_contacts").map_or(&[][..], |node| walk.entries(node));
    let contact = |entry: &crate::config::tree::Entry| {
        let fields = walk.fields(&entry.value, &["role", "contact", "phone"]);
        let text = |key: &str| fields.get(key).and_then(|node| walk.text(node)).cloned();
        let role = walk.required(&fields, "role", entry.key_span, "role: DevOps Lead");
        let role = role.and_then(|node| walk.text(node)).cloned();
        if let Some(node) = fields.get("contact")
            && node.text().is_some_and(|text| !is_address(text))
        {
            walk.error(Code::BadValue, node.span, "this is no mail address")
                .expected("expected an address such as oncall@example.org");
        }
        Some(Contact { key: entry.key.clone(), role: role?, contact: text("contact"), phone: text("phone") })
    };
    entries.iter().filter_map(contact).collect()
}

/// Whether a text may be a mail address: something, an `@`, something, no white space or angle brackets.
pub(super) fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;\"()".contains(c);
    let (local, domain) = text.rsplit_once('@').unwrap_or(("", ""));
    !local.is_empty() && !domain.is_empty() && !local.contains('@') && !text.contains(odd)
}

/// The address behind an address itself or a role.
pub(super) fn address(text: &str, contacts: &[Contact]) -> Option<Arc<str>> {
    if is_address(text) {
        return Some(text.into());
    }
    crate::config::settings::contact(contacts, text)?.contact.clone()
}
