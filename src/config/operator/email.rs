//! An `email` channel. Owns what an SMTP URL means and that mail never travels unprotected over a network.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;

use super::Reader;
use super::contacts::{address, is_address};
use super::secret::Keys;
use crate::config::diagnostic::Code;
use crate::config::settings::{Contact, EmailSettings, SmtpTls};
use crate::config::tree::{Node, Value};

const PASSWORD: Keys = Keys { inline: "password", file: "password_file", env: "password_env" };

const SERVER: Keys = Keys { inline: "smtp_url", file: "smtp_url_file", env: "smtp_url_env" };

const KEYS: &[&str] = &[
    "smtp_url",
    "smtp_url_file",
    "smtp_url_env",
    "password",
    "password_file",
    "password_env",
    "from",
    "to",
    "tls",
    "ca_file",
];

/// Reads the channel; roles in `to` become addresses.
pub(super) fn read(reader: &Reader<'_>, node: &Node, contacts: &[Contact]) -> Option<EmailSettings> {
    let walk = reader.walk;
    let fields = walk.fields(node, KEYS);
    let required = |key: &str, example: &str| walk.required(&fields, key, node.span, example);
    let protected = fields.get("tls").map(|node| walk.word(node, &[("required", true), ("none", false)]));
    let server = if ["smtp_url", "smtp_url_file", "smtp_url_env"].iter().any(|key| fields.get(key).is_some())
    {
        reader.text_of(&fields, &SERVER).and_then(|(url, node)| {
            server(reader, url.trim(), node, fields.get("tls"), protected.flatten().unwrap_or(true))
        })
    } else {
        walk.missing(node.span, "smtp_url", "smtp_url: smtps://user@host:465");
        None
    };
    let password = reader.secret(&fields, &PASSWORD);
    let from = required("from", "from: runbookd@example.org").and_then(|node| {
        let text = walk.text(node)?;
        if !is_address(bare(text)) {
            walk.error(Code::BadValue, node.span, "this is no mail address")
                .expected("expected an address such as runbookd@example.org");
            return None;
        }
        Some(text.clone())
    });
    let to = required("to", "to: [DevOps Lead]").map(|node| receivers(reader, node, contacts));
    let ca_file = fields.get("ca_file").and_then(|node| reader.file(node));
    let (server, from, to) = (server?, from?, to?);
    if to.is_empty() {
        return None;
    }
    let Server { host, port, user, tls } = server;
    Some(EmailSettings { host, port, user, password, tls, ca_file, from, to })
}

struct Server {
    host: Arc<str>,
    port: u16,
    user: Option<Arc<str>>,
    tls: SmtpTls,
}

fn server(
    reader: &Reader<'_>,
    text: &str,
    node: &Node,
    tls: Option<&Node>,
    protected: bool,
) -> Option<Server> {
    let walk = reader.walk;
    let example = "expected a URL such as smtps://user@host:465";
    // A scheme that the URL standard does not know has opaque rules for hosts; http has the ones meant here.
    let rest = text.strip_prefix("smtps://").or_else(|| text.strip_prefix("smtp://"));
    let url = rest.and_then(|rest| Url::parse(&format!("http://{rest}")).ok());
    let host = url.as_ref().and_then(|url| url.host_str());
    let (Some(url), Some(host)) = (&url, host) else {
        walk.error(Code::BadUrl, node.span, "this is no URL of a mail server").expected(example);
        return None;
    };
    if url.password().is_some() {
        walk.error(Code::BadUrl, node.span, "a password may not stand in the URL")
            .expected(example)
            .help("give it as `password_file` or `password_env`");
        return None;
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        walk.error(Code::BadUrl, node.span, "the URL of a mail server ends after the port").expected(example);
        return None;
    }
    let implicit = text.starts_with("smtps://");
    // Port 80 is http's own and is not reported by the parser.
    let written = rest.and_then(|rest| rest.trim_end_matches('/').rsplit_once(':')).map(|(_, port)| port);
    let port = url.port().or_else(|| written.and_then(|port| port.parse().ok()));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if !protected {
        let at = tls.map_or(node.span, |node| node.span);
        if implicit {
            walk.error(Code::UnprotectedMail, at, "smtps:// is TLS, `tls: none` is not")
                .expected("expected `required`");
            return None;
        }
        if !is_loopback(host) {
            walk.error(Code::UnprotectedMail, at, format!("mail to `{host}` would travel unprotected"))
                .expected("expected `required`: `none` is only for loopback");
            return None;
        }
    }
    let user = (!url.username().is_empty()).then(|| unescape(url.username()).into());
    let (default, tls) = match (implicit, protected) {
        (true, _) => (465, SmtpTls::Implicit),
        (false, true) => (587, SmtpTls::StartTls),
        (false, false) => (25, SmtpTls::None),
    };
    Some(Server { host: host.into(), port: port.unwrap_or(default), user, tls })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `user%40example.org` is `user@example.org`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { tail.get(2..).unwrap_or(&[]) } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The address of `Name <address>`.
fn bare(text: &str) -> &str {
    text.split_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(text)
}

fn receivers(reader: &Reader<'_>, node: &Node, contacts: &[Contact]) -> Vec<Arc<str>> {
    let walk = reader.walk;
    let items = match &node.value {
        Value::Scalar(_) => std::slice::from_ref(node),
        Value::List(_) | Value::Map(_) | Value::Null => walk.list(node),
    };
    if items.is_empty() && matches!(node.value, Value::List(_)) {
        walk.error(Code::MissingKey, node.span, "nobody would receive the mail")
            .expected("expected an address or a role");
    }
    let mut to: Vec<Arc<str>> = Vec::new();
    for item in items {
        let Some(text) = walk.text(item) else { continue };
        match address(text, contacts) {
            Some(address) if to.contains(&address) => {}
            Some(address) => to.push(address),
            None => {
                let roles: Vec<&str> = contacts.iter().map(|one| one.role.as_ref()).collect();
                let help = crate::config::suggest::suggestion(text, roles.iter().copied());
                walk.error(
                    Code::UnknownRole,
                    item.span,
                    format!("`{text}` is neither an address nor a role"),
                )
                .expected("expected an address, or a role of `emergency_contacts` with a `contact`")
                .maybe_help(help);
            }
        }
    }
    to
}
