//! The way to a mail server: connection, login, one transaction, and what its answers mean. Owns the retry classes of
//! SMTP; writes no mail.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::secret::SecretSource;
use crate::config::settings::{EmailSettings, SmtpTls};
use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::headline::one_line;

use super::status::{beginning, without_secrets};

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a whole attempt may take: the library's own timeout ends with the connection.
const SEND_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait after a send that was not answered: a server may still be busy with the mail it has taken, and
/// would then get it twice (RFC 1047).
const AFTER_SILENCE: Duration = Duration::from_secs(60);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// A mail server.
#[derive(Debug)]
pub struct Mailer {
    settings: EmailSettings,
    send_within: Duration,
    /// The connections of the last send, good for the next one unless a secret has changed.
    open: Mutex<Option<Open>>,
}

/// Connections and what they were opened with.
#[derive(Debug)]
struct Open {
    password: Option<SecretString>,
    authority: Option<Vec<u8>>,
    transport: Transport,
}

impl Mailer {
    /// A mailer that has not connected yet.
    pub fn new(settings: EmailSettings) -> Self {
        Self { settings, send_within: SEND_WITHIN, open: Mutex::new(None) }
    }

    /// The same with another time for a whole attempt.
    #[must_use]
    pub fn within(self, send_within: Duration) -> Self {
        Self { send_within, ..self }
    }

    /// Tries to send a mail once.
    pub async fn send(&self, mail: &lettre::Message) -> Attempt {
        let settings = &self.settings;
        let password = match settings.password.as_ref().map(SecretSource::read).transpose() {
            Ok(password) => password,
            Err(error) => return not_ready(&error.to_string()),
        };
        let authority = match settings.ca_file.as_deref().map(read_authority).transpose() {
            Ok(authority) => authority,
            Err(detail) => return not_ready(&detail),
        };
        let user = settings.user.as_deref().unwrap_or_default();
        let secrets = secrets(user, password.as_ref().map_or("", |password| password.expose_secret()));
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let transport = match self.transport(password, authority) {
            Ok(transport) => transport,
            Err(error) => return not_ready(&without_secrets(&error.to_string(), &secrets)),
        };
        let sent = tokio::time::timeout(self.send_within, transaction(&transport, mail)).await;
        let attempt = match sent {
            Ok(Ok(())) => return Attempt::ACCEPTED,
            Ok(Err(error)) => judge(&error, &secrets),
            Err(_) => Attempt::Failed {
                reason: DeliveryReason::TimedOut,
                detail: format!("no answer within {} s", self.send_within.as_secs()).into(),
                retry_after: Some(AFTER_SILENCE),
            },
        };
        // A connection that failed once is not used again.
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        attempt
    }

    fn transport(
        &self,
        password: Option<SecretString>,
        authority: Option<Vec<u8>>,
    ) -> Result<Transport, lettre::transport::smtp::Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|it| it.expose_secret().to_owned());
        if let Some(open) = open.as_ref()
            && open.authority == authority
            && exposed(&open.password) == exposed(&password)
        {
            return Ok(open.transport.clone());
        }
        let settings = &self.settings;
        let mut builder = Transport::builder_dangerous(settings.host.as_ref())
            .port(settings.port)
            .timeout(Some(CONNECT_WITHIN))
            .tls(match settings.tls {
                SmtpTls::Implicit => Tls::Wrapper(self.tls(authority.as_deref())?),
                SmtpTls::StartTls => Tls::Required(self.tls(authority.as_deref())?),
                SmtpTls::None => Tls::None,
            });
        if let (Some(user), Some(password)) = (settings.user.as_deref(), password.as_ref()) {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.to_owned(), password));
        }
        let transport = builder.build();
        *open = Some(Open { password, authority, transport: transport.clone() });
        Ok(transport)
    }

    fn tls(&self, authority: Option<&[u8]>) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let mut builder = TlsParameters::builder(self.settings.host.to_string());
        if let Some(pem) = authority {
            builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
        }
        builder.build()
    }
}

/// One transaction for all receivers. One bad address fails it for all; they then get the mail one by one, and the
/// notice counts as delivered if anybody got it.
async fn transaction(
    transport: &Transport,
    mail: &lettre::Message,
) -> Result<(), lettre::transport::smtp::Error> {
    let envelope = mail.envelope();
    let bytes = mail.formatted();
    let Err(error) = transport.send_raw(envelope, &bytes).await else { return Ok(()) };
    let others = envelope.to();
    if !error.is_permanent() || is_login(&error) || others.len() < 2 {
        return Err(error);
    }
    let mut accepted = false;
    for receiver in others {
        let Ok(one) = Envelope::new(envelope.from().cloned(), vec![receiver.clone()]) else { continue };
        match transport.send_raw(&one, &bytes).await {
            Ok(_) => accepted = true,
            Err(error) => tracing::warn!(%receiver, %error, "a receiver's mail was not accepted"),
        }
    }
    if accepted { Ok(()) } else { Err(error) }
}

/// What an error means. The library calls connection, TLS and certificate errors neither transient nor permanent;
/// they may go away.
fn judge(error: &lettre::transport::smtp::Error, secrets: &[&str]) -> Attempt {
    let said = error.to_string();
    let detail: Arc<str> = beginning(&one_line(&without_secrets(&said, secrets))).into();
    let refused = |reason| Attempt::Refused { reason, detail: Arc::clone(&detail) };
    let failed = |reason| Attempt::Failed { reason, detail: Arc::clone(&detail), retry_after: None };
    if is_login(error) || (error.is_client() && said.contains("authentication mechanism")) {
        refused(DeliveryReason::Unauthorized)
    } else if error.is_permanent() || error.is_client() {
        refused(DeliveryReason::Rejected)
    } else if error.is_transient() {
        failed(DeliveryReason::ServerError)
    } else if error.is_timeout() {
        failed(DeliveryReason::TimedOut)
    } else {
        failed(DeliveryReason::Unreachable)
    }
}

/// Whether the server asks for another login (RFC 4954, 6).
fn is_login(error: &lettre::transport::smtp::Error) -> bool {
    error.status().is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538))
}

/// The password in every form in which it is sent, so that a server that echoes a line cannot have it told.
fn secrets(user: &str, password: &str) -> Vec<String> {
    if password.is_empty() {
        return Vec::new();
    }
    let encoded = |text: String| {
        let body = Body::new_with_encoding(text.into_bytes(), ContentTransferEncoding::Base64);
        let body = body.map(|body| String::from_utf8_lossy(body.as_ref()).replace(['\r', '\n'], ""));
        body.unwrap_or_default()
    };
    vec![encoded(format!("\0{user}\0{password}")), encoded(password.to_owned()), password.to_owned()]
}

fn read_authority(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read the CA file {}: {error}", path.display()))
}

/// A file may appear or be mended, so this is not the end.
fn not_ready(detail: &str) -> Attempt {
    Attempt::Failed { reason: DeliveryReason::NotRendered, detail: detail.into(), retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_in_the_forms_in_which_it_is_sent() {
        let forms = secrets("ana", "hunter2");
        assert_eq!(forms, ["AGFuYQBodW50ZXIy", "aHVudGVyMg==", "hunter2"]);
        let told: Vec<&str> = forms.iter().map(String::as_str).collect();
        assert_eq!(
            without_secrets("501 AUTH PLAIN AGFuYQBodW50ZXIy hunter2", &told),
            "501 AUTH PLAIN <secret> <secret>"
        );
        assert!(secrets("ana", "").is_empty());
    }
}
