//! Links of rule files: URLs that the daemon calls or shows. Owns the check against the hosts that config/ allows, so
//! that whoever may write a rule cannot send the daemon, or a reader, anywhere else.

use std::sync::Arc;

use reqwest::Url;

use crate::config::diagnostic::Code;
use crate::config::tree::Node;
use crate::config::walk::Walk;

/// Reads a URL that reaches only allowed hosts; `$label` may stand in it.
///
/// A host may contain `$label` only where the rest of it is fixed by an entry such as `*.shop.svc`.
pub(super) fn read_allowed(walk: &Walk<'_>, node: &Node, allowed: &[Arc<str>]) -> Option<Arc<str>> {
    let text = walk.text(node)?;
    let authority = authority(walk, node, text)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let fits = |entry: &str| {
        let (wanted, wanted_port) = match entry.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (entry, None),
        };
        let host_fits = match wanted.strip_prefix('*') {
            Some(suffix) => ends_fixed(host, suffix),
            None => host.eq_ignore_ascii_case(wanted),
        };
        host_fits && (wanted_port.is_none() || wanted_port == port)
    };
    if allowed.iter().any(|entry| fits(entry)) {
        return Some(text.clone());
    }
    walk.error(Code::HostNotAllowed, node.span, format!("a rule may not reach the host `{host}`"))
        .expected("expected a host that config/ allows")
        .help(format!("a platform operator can add it: allowed_hosts: [{host}]"));
    None
}

/// Reads a URL that people may follow: only its form is checked.
pub(super) fn read_any(walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.text(node)?;
    authority(walk, node, text)?;
    Some(text.clone())
}

/// Whether the host ends in `suffix` and the part that a label could change lies before it.
fn ends_fixed(host: &str, suffix: &str) -> bool {
    let Some(at) = host.len().checked_sub(suffix.len()) else { return false };
    let Some(tail) = host.get(at..) else { return false };
    at > 0 && suffix.starts_with('.') && tail.eq_ignore_ascii_case(suffix) && !tail.contains('$')
}

/// The part `host:port` of an http or https URL, as written.
fn authority<'t>(walk: &Walk<'_>, node: &Node, text: &'t str) -> Option<&'t str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#', '\\']).next().unwrap_or(""));
    let plain = text.replace('$', "");
    let fine = authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('@'));
    if fine && Url::parse(&plain).is_ok_and(|url| url.has_host()) && !text.contains(char::is_whitespace) {
        return authority;
    }
    walk.error(Code::BadUrl, node.span, "this is no link")
        .expected("expected a URL such as https://grafana.example.org/d/shop");
    None
}
