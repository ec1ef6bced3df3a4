//! Secrets and URLs that may stand in the file, in another file or in the environment. Owns that exactly one of the
//! three says it; reads no secret.

use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{NamedFile, Reader};
use crate::config::diagnostic::Code;
use crate::config::secret::SecretSource;
use crate::config::tree::{Node, Span, Value};
use crate::config::walk::Fields;

/// The three keys under which one value may stand.
pub(super) struct Keys {
    pub(super) inline: &'static str,
    pub(super) file: &'static str,
    pub(super) env: &'static str,
}

impl Reader<'_> {
    /// The value of `x`, `x_file` or `x_env`; nothing where none of them is there.
    pub(super) fn secret(&self, fields: &Fields<'_>, keys: &Keys) -> Option<SecretSource> {
        let (key, node) = self.only_one(fields, keys)?;
        self.source(key, keys, node)
    }

    /// Every value of `x`, `x_file` or `x_env`, which may hold one or a list: while a secret is rotated two are good.
    pub(super) fn secrets(&self, fields: &Fields<'_>, keys: &Keys) -> Vec<SecretSource> {
        let Some((key, node)) = self.only_one(fields, keys) else { return Vec::new() };
        let nodes =
            if let Value::List(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
        nodes.iter().filter_map(|node| self.source(key, keys, node)).collect()
    }

    fn source(&self, key: &str, keys: &Keys, node: &Node) -> Option<SecretSource> {
        let text = self.walk.text(node)?;
        if key == keys.file {
            Some(SecretSource::File(self.file(node)?))
        } else if key == keys.env {
            self.variable(node, text)
        } else {
            Some(SecretSource::Inline(SecretString::from(text.trim())))
        }
    }

    /// The same for a value that must be there.
    pub(super) fn required_secret(
        &self,
        fields: &Fields<'_>,
        keys: &Keys,
        span: Span,
    ) -> Option<SecretSource> {
        let Keys { inline, file, env } = keys;
        if ![inline, file, env].iter().any(|key| fields.get(key).is_some()) {
            self.walk
                .error(Code::MissingKey, span, format!("`{file}` is missing"))
                .expected(format!("expected one of `{file}`, `{env}` and `{inline}`"));
            return None;
        }
        self.secret(fields, keys)
    }

    /// The key that says it, where exactly one does.
    fn only_one<'n>(&self, fields: &Fields<'n>, keys: &Keys) -> Option<(&'static str, &'n Node)> {
        let there: Vec<_> = [keys.inline, keys.file, keys.env]
            .into_iter()
            .filter_map(|key| fields.get(key).map(|node| (key, node)))
            .collect();
        if let [(first, _), (second, _), ..] = there.as_slice() {
            self.walk
                .error(
                    Code::AmbiguousSecret,
                    fields.key_span(second),
                    format!("`{first}` and `{second}` say the same thing"),
                )
                .expected("expected only one of the two")
                .other(fields.key_span(first));
            return None;
        }
        there.into_iter().next()
    }

    pub(super) fn variable(&self, node: &Node, text: &Arc<str>) -> Option<SecretSource> {
        let fine = !text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fine {
            self.walk
                .error(Code::BadValue, node.span, "this is no name of an environment variable")
                .expected("expected a name such as SLACK_WEBHOOK_URL");
            return None;
        }
        Some(SecretSource::Env(text.to_string()))
    }

    /// A path; whether the file is there is looked at when loading is done.
    pub(super) fn file(&self, node: &Node) -> Option<PathBuf> {
        let path = PathBuf::from(self.walk.text(node)?.trim());
        self.files.borrow_mut().push(NamedFile { path: path.clone(), span: node.span });
        Some(path)
    }

    /// An http or https URL without credentials and without a trailing slash.
    pub(super) fn url(&self, node: &Node) -> Option<Arc<str>> {
        self.url_text(self.walk.text(node)?, node.span)
    }

    /// The same from `x`, `x_file` or `x_env`, read now.
    pub(super) fn url_of(&self, fields: &Fields<'_>, keys: &Keys) -> Option<Arc<str>> {
        let (text, node) = self.text_of(fields, keys)?;
        self.url_text(&text, node.span)
    }

    fn url_text(&self, text: &str, span: Span) -> Option<Arc<str>> {
        let text = text.trim();
        self.check_url(text, span)?;
        Some(text.trim_end_matches('/').into())
    }

    /// The text of `x`, `x_file` or `x_env` as it is now: for values that are no secrets and are read once.
    pub(super) fn text_of<'n>(&self, fields: &Fields<'n>, keys: &Keys) -> Option<(String, &'n Node)> {
        let (key, node) = self.only_one(fields, keys)?;
        let text = self.walk.text(node)?;
        if key == keys.inline {
            return Some((text.to_string(), node));
        }
        let source = if key == keys.file {
            SecretSource::File(PathBuf::from(text.trim()))
        } else {
            self.variable(node, text)?
        };
        match source.read() {
            Ok(value) => Some((value.expose_secret().to_owned(), node)),
            Err(error) => {
                self.walk
                    .error(Code::MissingFile, node.span, error.to_string())
                    .expected("this is needed when the files are read");
                None
            }
        }
    }

    /// Checks a URL and never repeats it: it may carry a secret.
    fn check_url(&self, text: &str, span: Span) -> Option<()> {
        let example = "expected a URL such as https://example.org";
        match Url::parse(text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                self.walk
                    .error(Code::BadUrl, span, format!("the scheme `{}` does not serve here", url.scheme()))
                    .expected(example);
                None
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                self.walk
                    .error(Code::BadUrl, span, "credentials may not stand in this URL")
                    .expected("expected a URL without user and password");
                None
            }
            Ok(_) if !text.contains(char::is_whitespace) => Some(()),
            Ok(_) => {
                self.walk.error(Code::BadUrl, span, "a URL has no white space").expected(example);
                None
            }
            Err(error) => {
                self.walk.error(Code::BadUrl, span, format!("this is no URL: {error}")).expected(example);
                None
            }
        }
    }

    /// A URL that may be a secret: checked here where it stands in the file.
    pub(super) fn secret_url(&self, fields: &Fields<'_>, keys: &Keys, span: Span) -> Option<SecretSource> {
        let source = self.required_secret(fields, keys, span)?;
        if let (SecretSource::Inline(_), Some(node)) = (&source, fields.get(keys.inline)) {
            self.check_url(node.text().unwrap_or("").trim(), node.span)?;
        }
        Some(source)
    }
}
