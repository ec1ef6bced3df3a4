//! The probe's client: one bounded GET. Owns the connection, the resolver that guards it and what of an answer is read.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use super::guard::{AllowedHosts, Reach};

/// How long one probe may take, from the look-up to the last byte read.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most of an answer's body that is read, in bytes after decompression.
const LARGEST_BODY: usize = 512;

/// Who says which addresses a name has.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name.
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Why a probe got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// The URL is none, or of another scheme than http and https.
    #[error("this is no http or https URL")]
    NoUrl,
    /// The operator's list does not have the host.
    #[error("the host {0} is not allowed")]
    NotAllowed(String),
    /// The name leads to addresses that may not be reached by it.
    #[error("the name {0} leads to an address that may not be reached by it")]
    Misleading(String),
    /// No complete answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// No connection could be made, or it broke.
    #[error("{0}")]
    Unreachable(String),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// What the body says it is.
    pub content_type: Option<String>,
    /// The beginning of the body where it is text; invalid UTF-8 is replaced.
    pub body: String,
    /// Whether the body went on.
    pub cut: bool,
}

/// The way to the hosts that rule files may reach. Cheap to clone.
#[derive(Clone)]
pub struct Probe {
    allowed: Arc<AllowedHosts>,
    client: reqwest::Client,
}

impl Probe {
    /// Sets the client up; connects to nothing. A rustls crypto provider must have been installed.
    ///
    /// # Errors
    /// If the client cannot be set up, for instance because the system has no CA bundle.
    pub fn new(allowed: AllowedHosts) -> Result<Self, reqwest::Error> {
        Self::with_lookup(allowed, SystemLookup)
    }

    /// The same with another say over names.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_lookup(allowed: AllowedHosts, lookup: impl Lookup) -> Result<Self, reqwest::Error> {
        let allowed = Arc::new(allowed);
        let client = reqwest::Client::builder()
            .user_agent(concat!("runbookd/", env!("CARGO_PKG_VERSION"), " diagnosis"))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // A proxy would look names up by itself.
            .no_proxy()
            .dns_resolver(Guarded { allowed: allowed.clone(), lookup: Arc::new(lookup) })
            // A kept connection would outlive the check that allowed it.
            .pool_max_idle_per_host(0)
            .connect_timeout(TIMEOUT / 2)
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { allowed, client })
    }

    /// Asks once.
    ///
    /// # Errors
    /// Where there is no answer; an answer with an error status is an answer.
    pub async fn get(&self, url: &str) -> Result<Answer, ProbeFailure> {
        let url = Url::parse(url).map_err(|_| ProbeFailure::NoUrl)?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(ProbeFailure::NoUrl);
        };
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some()
        {
            return Err(ProbeFailure::NoUrl);
        }
        if self.allowed.reach(host, port).is_none() {
            return Err(ProbeFailure::NotAllowed(format!("{host}:{port}")));
        }
        let request = self.client.get(url.clone()).header(ACCEPT, HeaderValue::from_static("*/*"));
        let mut response = request.send().await.map_err(|error| failure(&error, host))?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        let mut body = Vec::new();
        while body.len() <= LARGEST_BODY {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(LARGEST_BODY + 1)]),
                // Where the body breaks off the status is worth more than the rest of it.
                Ok(None) | Err(_) => break,
            }
        }
        let cut = body.len() > LARGEST_BODY;
        body.truncate(LARGEST_BODY);
        let is_text = !body.contains(&0);
        let body = if is_text { String::from_utf8_lossy(&body).into_owned() } else { String::new() };
        Ok(Answer { status: response.status().as_u16(), content_type, body, cut })
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// The resolver: of the addresses a name has, those that its listing allows.
struct Guarded<L> {
    allowed: Arc<AllowedHosts>,
    lookup: Arc<L>,
}

/// A name none of whose addresses may be reached.
#[derive(Debug, thiserror::Error)]
#[error("no address of the name may be reached by it")]
struct Misleading;

impl<L: Lookup> Resolve for Guarded<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.allowed.reach_of_name(name.as_str());
        let lookup = self.lookup.clone();
        Box::pin(async move {
            let found = lookup.lookup(name.as_str().to_owned()).await?;
            let may = |address: &IpAddr| reach.is_some_and(|reach: Reach| reach.allows(*address));
            let allowed: Vec<SocketAddr> =
                found.iter().filter(|address| may(address)).map(|it| SocketAddr::new(*it, 0)).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Misleading.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The class of a request that got no answer. The URL stays out of the words: it is told beside them.
fn failure(error: &reqwest::Error, host: &str) -> ProbeFailure {
    let mut words = String::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<Misleading>() {
            return ProbeFailure::Misleading(host.to_owned());
        }
        words = error.to_string();
        cause = error.source();
    }
    if error.is_timeout() {
        return ProbeFailure::TimedOut;
    }
    ProbeFailure::Unreachable(if words.is_empty() { "the connection broke".into() } else { words })
}
