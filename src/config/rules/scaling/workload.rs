//! The workload that a target names, in the spelling of Kubernetes. Owns what may be a name and a kind; looks for nothing.

use std::sync::Arc;

use crate::config::diagnostic::Code;
use crate::config::tree::Node;
use crate::config::walk::Walk;

/// A name that Kubernetes accepts.
pub(super) fn object_name(walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.text(node)?;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fine = text.len() <= 253 && text.chars().all(inner) && text.starts_with(ends) && text.ends_with(ends);
    if !fine {
        walk.error(Code::BadValue, node.span, format!("`{text}` cannot name a Kubernetes object"))
            .expected("expected small letters, digits, `-` and `.`");
        return None;
    }
    Some(text.clone())
}

/// A kind of workload.
pub(super) fn kind(walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.text(node)?;
    let fine =
        text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    if !fine {
        let near =
            crate::config::suggest::nearest(text, ["Deployment", "StatefulSet", "ReplicaSet"].into_iter());
        walk.error(Code::BadValue, node.span, format!("`{text}` is no kind of workload"))
            .expected("expected a kind such as Deployment")
            .maybe_help(near.map(|near| format!("did you mean `{near}`?")));
        return None;
    }
    Some(text.clone())
}
