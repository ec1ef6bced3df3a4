//! One webhook: which bytes and headers a notice becomes. Owns the template's fallback and the signature; how the
//! documented body looks is `webhook.rs`' business.

use std::fmt::Write as _;

use reqwest::header::{HeaderName, HeaderValue};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::config::secret::SecretError;
use crate::config::settings::WebhookSettings;
use crate::domain::Timestamp;
use crate::domain::body::BodyTemplate;
use crate::domain::template::TemplateError;

use super::render::Message;
use super::webhook;

/// The header that holds when a request was signed and its signature: `t=1700000000,v1=6b1f…`.
pub const SIGNATURE: HeaderName = HeaderName::from_static("x-runbookd-signature");

/// A webhook as it is configured, its template read.
#[derive(Debug)]
pub struct Hook {
    settings: WebhookSettings,
    body: Option<BodyTemplate>,
}

/// What is sent.
#[derive(Debug)]
pub struct Request {
    /// The body.
    pub body: Vec<u8>,
    /// Its media type.
    pub content_type: String,
    /// Further headers. Their values may be secrets.
    pub headers: Vec<(HeaderName, SecretString)>,
}

/// Why a request cannot be made now; a file may appear or be mended.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A header's value or the secret to sign with cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A header's value holds what no header can carry. It may be a secret and is not shown.
    #[error("the value of the header `{0}` cannot be sent")]
    Header(String),
}

impl Hook {
    /// Reads the template; the error is what is wrong with it.
    pub fn new(settings: WebhookSettings) -> Result<Self, TemplateError> {
        let body = settings.body.as_deref().map(BodyTemplate::parse).transpose()?;
        Ok(Self { settings, body })
    }

    /// The settings.
    pub fn settings(&self) -> &WebhookSettings {
        &self.settings
    }

    /// The request of a message made for plain text. A template that fails is replaced by the documented body, because
    /// a page must not be lost over a template.
    pub fn request(&self, message: &Message<'_>, now: Timestamp) -> Result<Request, HookError> {
        let usual = || WebhookSettings::CONTENT_TYPE.to_owned();
        let (body, content_type) = match self.templated(message) {
            Some(body) => (body, self.settings.content_type.to_string()),
            // Bodies are strings, numbers and maps of strings, which always encode.
            None => (serde_json::to_vec(&webhook::body(message)).unwrap_or_default(), usual()),
        };
        let mut headers =
            vec![(webhook::IDEMPOTENCY_KEY, SecretString::from(message.notice.id.as_str().to_owned()))];
        for (name, source) in &self.settings.headers {
            let value = source.read()?;
            let header = HeaderName::from_bytes(name.as_bytes());
            match (header, HeaderValue::from_str(value.expose_secret())) {
                (Ok(header), Ok(_)) => headers.push((header, value)),
                _ => return Err(HookError::Header(name.to_string())),
            }
        }
        if let Some(source) = &self.settings.secret {
            let signed = signature(source.read()?.expose_secret(), now, &body);
            headers.push((SIGNATURE, SecretString::from(signed)));
        }
        Ok(Request { body, content_type, headers })
    }

    fn templated(&self, message: &Message<'_>) -> Option<Vec<u8>> {
        let template = self.body.as_ref()?;
        let notice = message.notice;
        let made = match template.render(&webhook::body(message)) {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(notice = %notice.id, channel = %notice.channel, %error, "a webhook's template could not be filled, the documented body went out");
                return None;
            }
        };
        let is_whole = !WebhookSettings::is_json(&self.settings.content_type)
            || serde_json::from_str::<serde::de::IgnoredAny>(&made).is_ok();
        if !is_whole {
            tracing::warn!(notice = %notice.id, channel = %notice.channel, "a webhook's template made no JSON, the documented body went out");
        }
        is_whole.then(|| made.into_bytes())
    }
}

/// `t=…,v1=…`: the HMAC of `t.body`, so that a request that is sent again later is known by its time.
fn signature(secret: &str, now: Timestamp, body: &[u8]) -> String {
    let time = now.as_second().to_string();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    for part in [time.as_bytes(), b".", body] {
        context.update(part);
    }
    let mut out = format!("t={time},v1=");
    for byte in context.sign().as_ref() {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
