//! A mail server: takes messages over SMTP, in the clear, with STARTTLS or over TLS from the first byte, and keeps
//! them taken apart. It owns the port and the modes; `session` speaks the protocol, [`message`] reads the mail.

pub mod message;
mod session;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

pub use self::message::{Mail, Part};
use crate::{fault::Switch, journal::Journal, loopback::ANY_PORT, tls::Identity};

/// How connections are protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// Not at all, and STARTTLS is not offered.
    Plain,
    /// STARTTLS is offered, and mail before it refused.
    #[default]
    StartTls,
    /// TLS from the first byte, as on port 465.
    Implicit,
}

/// What goes wrong in a mail transaction; drawn at each `MAIL FROM`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// `MAIL FROM` gets 421 and the connection is closed.
    Unavailable,
    /// `RCPT TO` gets this code: 451 for a mailbox that is busy, 550 for one that is not there.
    Recipient {
        /// The reply code.
        code: u16,
        /// The one address that is refused; all without it.
        only: Option<String>,
    },
    /// `DATA` is never answered.
    HangAtData,
    /// The message is taken, and the dot at its end never answered.
    HangAfterDot,
    /// The message is taken, and the connection closed instead of an answer to the dot at its end.
    CutAfterDot,
    /// The message is taken, and the dot at its end answered after this time.
    Late(Duration),
    /// The dot at the end of the message gets this code, and the message is not taken.
    Content {
        /// The reply code: 452 for a disk that is full, 554 for mail that is not wanted.
        code: u16,
    },
}

/// How a server is set up. The default offers STARTTLS and asks for no login.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How connections are protected.
    pub security: Security,
    /// The name and password without which no mail is taken.
    pub login: Option<(String, String)>,
}

/// One command line and the code it was answered with; what belongs to a login is not kept.
pub type Commands = Journal<String>;

/// A running mail server; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Smtp {
    /// What goes wrong.
    pub faults: Switch<Trouble>,
    /// Every message that was taken, and with [`Trouble::Content`] those that were refused as a whole.
    pub journal: Journal<Mail>,
    /// Every command, for what never became a message.
    pub commands: Commands,
    options: Options,
    identity: Identity,
    address: SocketAddr,
    service: Arc<Service>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Smtp {
    /// Starts on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Self::start_at(ANY_PORT, options, Identity::issue()?).await
    }

    /// Starts at this address with this certificate.
    ///
    /// # Errors
    /// If the address cannot be bound or the certificate does not fit its key.
    pub async fn start_at(address: SocketAddr, options: Options, identity: Identity) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot bind {address}"))?;
        let service = Arc::new(Service {
            faults: Switch::default(),
            journal: Journal::default(),
            commands: Journal::default(),
            options: options.clone(),
            acceptor: TlsAcceptor::from(identity.server_config()?),
        });
        let server = Self {
            faults: service.faults.clone(),
            journal: service.journal.clone(),
            commands: service.commands.clone(),
            options,
            identity,
            address: listener.local_addr()?,
            service,
            accepting: Mutex::new(None),
        };
        server.serve(listener);
        Ok(server)
    }

    /// Where it listens, or would if it were up.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the daemon is configured with, user included and password not: `smtp://` or `smtps://`.
    pub fn url(&self) -> String {
        let scheme = match self.options.security {
            Security::Plain | Security::StartTls => "smtp",
            Security::Implicit => "smtps",
        };
        let user = self.options.login.as_ref().map(|(user, _)| format!("{user}@")).unwrap_or_default();
        format!("{scheme}://{user}{}", self.address)
    }

    /// The certificate that a client has to trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.identity.ca_pem
    }

    /// The certificate and its authority.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes it down: connections are closed, new ones refused. What it has received stays.
    pub async fn take_down(&self) {
        let accepting = self.accepting().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Cancelled, as was just asked for; awaited because only then is the port closed.
            let _ = accepting.await;
        }
    }

    /// Brings it up again on the same port; nothing to do if it is up.
    ///
    /// # Errors
    /// If something else took the port.
    pub async fn bring_up(&self) -> anyhow::Result<()> {
        if self.accepting().is_none() {
            let listener = TcpListener::bind(self.address).await.context("the port was taken")?;
            self.serve(listener);
        }
        Ok(())
    }

    fn serve(&self, listener: TcpListener) {
        let service = Arc::clone(&self.service);
        let task = tokio::spawn(async move {
            // Ends with this task, and the sessions in it with it.
            let mut sessions = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((stream, _)) = accepted {
                            let _ = stream.set_nodelay(true);
                            sessions.spawn(session::serve(Arc::clone(&service), stream));
                        }
                    }
                    Some(_) = sessions.join_next() => {}
                }
            }
        });
        *self.accepting() = Some(task);
    }

    fn accepting(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting().take() {
            accepting.abort();
        }
    }
}

/// What every session needs.
struct Service {
    faults: Switch<Trouble>,
    journal: Journal<Mail>,
    commands: Commands,
    options: Options,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("options", &self.options).finish_non_exhaustive()
    }
}
