//! The client of the query API: one question, one bounded answer. Owns connections, credentials, time-outs and the
//! size limit; what an answer means is `answer`'s business.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_http_query::{Client, Error as QueryApiError};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::QueryError;
use super::answer::{Asked, decode};
use super::matrix::{self, Grid, PastSeries};
use super::pool::LabelPool;
use super::range::{self, Span};
use crate::config::secret::{SecretError, SecretSource};
use crate::config::settings::PrometheusSettings;
use crate::domain::Timestamp;
use crate::domain::labels::Labels;
use crate::domain::observation::{Answer, QueryFailure, Sample};

/// A sample older than this when it is answered is stale: Prometheus' own look-back.
const STALE_AFTER: Duration = Duration::from_secs(300);

/// Connecting takes milliseconds or fails; the rest of the time-out belongs to the query.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Answers above this are read off the runtime's threads.
const LARGE: usize = 1024 * 1024;

/// Why no client could be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one, or not of HTTP.
    #[error("`{url}` is not an http or https URL")]
    Url {
        /// What was configured.
        url: String,
    },
    /// A header's name or value cannot be sent. The value may be a secret and is not shown.
    #[error("the header `{name}` cannot be sent: its name or value is not valid in HTTP")]
    Header {
        /// Its name.
        name: String,
    },
    /// The CA bundle could not be read.
    #[error("cannot read the CA file {}", path.display())]
    CaUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The CA bundle holds no certificate, or one that is not valid.
    #[error("the CA file {} holds no valid certificate in PEM", path.display())]
    CaInvalid {
        /// The file.
        path: PathBuf,
    },
    /// The HTTP client could not be set up, for instance because the system has no CA bundle.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
}

/// A Prometheus, or anything that speaks its query API. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Prometheus {
    client: Client,
    timeout: Duration,
    max_answer_bytes: usize,
    bearer_token: Option<SecretSource>,
    pool: Arc<Mutex<LabelPool>>,
}

impl Prometheus {
    /// Sets the client up; connects to nothing. A rustls crypto provider must have been installed.
    pub fn new(settings: &PrometheusSettings) -> Result<Self, ClientError> {
        let url = settings.url.trim_end_matches('/');
        let invalid = || ClientError::Url { url: settings.url.to_string() };
        let parsed = reqwest::Url::parse(url).map_err(|_| invalid())?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(invalid());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("runbookd/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(settings)?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.timeout.min(CONNECT_WITHIN))
            .timeout(settings.timeout);
        if let Some(path) = &settings.ca_file {
            builder = builder.tls_certs_merge(certificates(path.clone())?);
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        Ok(Self {
            client: Client::from(http, url).map_err(|_| invalid())?,
            timeout: settings.timeout,
            max_answer_bytes: settings.max_answer_bytes,
            bearer_token: settings.bearer_token.clone(),
            pool: Arc::new(Mutex::new(LabelPool::new())),
        })
    }

    /// Asks for `expr` at the instant `at`: the form the engine observes.
    pub async fn query(&self, expr: &str, at: Timestamp) -> Answer {
        match self.query_vector(expr, at).await {
            Ok(samples) => Answer::Series(samples),
            Err(error) => {
                tracing::debug!(expr, failure = %error.failure, detail = error.detail, "query failed");
                Answer::Failed(error.failure)
            }
        }
    }

    /// Asks for `expr` at the instant `at` and keeps what the server said about a failure, for people.
    ///
    /// Takes at most the configured time-out and reads at most the configured number of bytes, both counted after
    /// decompression; dropping the future closes the question.
    pub async fn query_vector(&self, expr: &str, at: Timestamp) -> Result<Vec<Sample>, QueryError> {
        let fetched = tokio::time::timeout(self.timeout, self.fetch(expr, at)).await;
        let (status, body) = fetched.unwrap_or_else(|_| {
            let words = format!("no complete answer within {:?}", self.timeout);
            Err(QueryError::new(QueryFailure::TimedOut, words))
        })?;
        let asked = Asked { at, staleness: STALE_AFTER };
        if body.len() < LARGE {
            return read(&body, status, asked, &self.pool);
        }
        let pool = Arc::clone(&self.pool);
        tokio::task::spawn_blocking(move || read(&body, status, asked, &pool))
            .await
            .map_err(|_| QueryError::new(QueryFailure::Malformed, "the answer could not be read"))?
    }

    /// Asks for the values of one series of `expr` over a span, for a picture: exactly the labels `wanted`, `None`
    /// where there is no such series; an instant without a value is NaN.
    ///
    /// Bounded as [`Self::query_vector`] is, and by the span's own time.
    pub async fn query_range(
        &self,
        expr: &str,
        span: Span,
        wanted: &Labels,
    ) -> Result<Option<Vec<(Timestamp, f64)>>, QueryError> {
        let within = self.timeout.min(span.within);
        let fetched = tokio::time::timeout(within, self.fetch_range(expr, span, within)).await;
        let (status, body) = fetched.unwrap_or_else(|_| {
            Err(QueryError::new(QueryFailure::TimedOut, format!("no complete answer within {within:?}")))
        })?;
        if body.len() < LARGE {
            return range::decode(&body, status, wanted, &span);
        }
        let wanted = wanted.clone();
        tokio::task::spawn_blocking(move || range::decode(&body, status, &wanted, &span))
            .await
            .map_err(|_| QueryError::new(QueryFailure::Malformed, "the answer could not be read"))?
    }

    /// Asks for every series of `expr` at the instants of a grid: the past, as it is replayed.
    ///
    /// Bounded as [`Self::query_vector`] is; what the servers' own limit of points allows is the caller's business.
    pub async fn query_past(&self, expr: &str, grid: Grid) -> Result<Vec<PastSeries>, QueryError> {
        let asked = self.ask_range(expr, grid.first, grid.last, grid.step, self.timeout);
        let (status, body) = tokio::time::timeout(self.timeout, asked).await.unwrap_or_else(|_| {
            let words = format!("no complete answer within {:?}", self.timeout);
            Err(QueryError::new(QueryFailure::TimedOut, words))
        })?;
        tokio::task::spawn_blocking(move || matrix::decode(&body, status))
            .await
            .map_err(|_| QueryError::new(QueryFailure::Malformed, "the answer could not be read"))?
    }

    async fn fetch_range(
        &self,
        expr: &str,
        span: Span,
        within: Duration,
    ) -> Result<(u16, Vec<u8>), QueryError> {
        self.ask_range(expr, span.from.as_second(), span.to.as_second(), span.step(), within).await
    }

    async fn ask_range(
        &self,
        expr: &str,
        first: i64,
        last: i64,
        step: i64,
        within: Duration,
    ) -> Result<(u16, Vec<u8>), QueryError> {
        #[expect(clippy::cast_precision_loss, reason = "a step of seconds is exact in a double")]
        let step = step as f64;
        let mut question = self
            .client
            .query_range(expr, first, last, step)
            .timeout(i64::try_from(within.as_millis()).unwrap_or(i64::MAX).max(1));
        if let Some(token) = self.token()? {
            question = question.header(AUTHORIZATION, token);
        }
        let response = question.post_raw().await.map_err(|error| unanswered(&error))?;
        let status = response.status().as_u16();
        Ok((status, self.body(response).await?))
    }

    async fn fetch(&self, expr: &str, at: Timestamp) -> Result<(u16, Vec<u8>), QueryError> {
        let mut question = self
            .client
            .query(expr)
            .query("time", seconds(at))
            // The server need not go on after we have stopped waiting.
            .timeout(i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX).max(1));
        if let Some(token) = self.token()? {
            question = question.header(AUTHORIZATION, token);
        }
        let response = question.post_raw().await.map_err(|error| unanswered(&error))?;
        let status = response.status().as_u16();
        Ok((status, self.body(response).await?))
    }

    fn token(&self) -> Result<Option<HeaderValue>, QueryError> {
        let token = self.bearer_token.as_ref().map(bearer).transpose();
        token.map_err(|error| QueryError::new(QueryFailure::Unreachable, error.to_string()))
    }

    /// Reads the body chunk by chunk, so that neither a huge answer nor one that only decompresses to a huge one is
    /// ever held.
    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, QueryError> {
        let most = self.max_answer_bytes;
        let too_large =
            || QueryError::new(QueryFailure::TooLarge, format!("the answer is larger than {most} bytes"));
        let announced = response.content_length().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > most {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(announced.min(LARGE));
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len() + chunk.len() > most {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

fn read(body: &[u8], status: u16, asked: Asked, pool: &Mutex<LabelPool>) -> Result<Vec<Sample>, QueryError> {
    // A pool that another thread left half-filled is still a pool of whole label sets.
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    decode(body, status, asked, &mut pool)
}

/// Seconds with milliseconds, exactly: the client library's own parameter has whole seconds only.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_millisecond().max(0);
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn bearer(source: &SecretSource) -> Result<HeaderValue, SecretError> {
    let token = source.read()?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| SecretError::Empty { place: "the bearer token, which no header can carry,".into() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn headers(settings: &PrometheusSettings) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let invalid = || ClientError::Header { name: name.clone() };
        let key = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn certificates(path: PathBuf) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(ClientError::CaUnreadable { path, source }),
    };
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(ClientError::CaInvalid { path }),
    }
}

fn unanswered(error: &QueryApiError) -> QueryError {
    let unreachable = || QueryError::new(QueryFailure::Unreachable, error.to_string());
    match error {
        QueryApiError::Client(client) => client.inner().map_or_else(unreachable, broken),
        _ => unreachable(),
    }
}

/// The class of a question that got no complete answer. The URL stays out of the words: it may carry a password.
fn broken(error: &reqwest::Error) -> QueryError {
    let failure = if error.is_connect() {
        QueryFailure::Unreachable
    } else if error.is_timeout() {
        QueryFailure::TimedOut
    } else if error.is_decode() {
        QueryFailure::Malformed
    } else {
        QueryFailure::Unreachable
    };
    let mut words = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&error.to_string());
        cause = error.source();
    }
    if words.is_empty() {
        words.push_str("the connection broke");
    }
    QueryError::new(failure, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_exact_to_the_millisecond() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(seconds(at(1_700_000_000_007)), "1700000000.007");
        assert_eq!(seconds(at(1_700_000_000_000)), "1700000000.000");
        assert_eq!(seconds(Timestamp::MIN), "0.000");
    }
}
