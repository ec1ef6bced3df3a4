//! Asking the daemon: where it listens, and one GET of its API. Owns what is said where it cannot be asked; the answer's
//! meaning is the subcommand's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::config::load;

use super::FolderArgs;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the API lies.
const API: [&str; 3] = ["api", "runbookd", "v1"];

/// The largest answer that is read, in bytes.
const LARGEST: usize = 64 * 1024 * 1024;

/// Which daemon is asked.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// The daemon's address, such as `http://127.0.0.1:9095`; by default where the configuration has it listen.
    #[arg(long, value_name = "URL", env = "RUNBOOKD_URL")]
    pub url: Option<String>,
    /// A file with the token to show.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where the configuration lies, for the address.
    #[command(flatten)]
    pub folders: FolderArgs,
}

/// Why the daemon could not be asked, with what was tried.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The configuration that would tell the address is not valid.
    #[error("cannot tell where the daemon listens: {0} does not load; give --url")]
    NoAddress(String),
    /// The token cannot be read.
    #[error("cannot read the token in {path}: {source}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No connection, or no complete answer.
    #[error("tried {url}: {why}")]
    NoAnswer {
        /// What was asked for.
        url: String,
        /// Why there is none.
        why: String,
    },
    /// The daemon answered with an error.
    #[error("tried {url}: HTTP {status}: {detail}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// What the daemon says about it.
        detail: String,
    },
}

impl AskArgs {
    /// Asks for a path of the API, with its segments escaped where they need it.
    pub fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Value, AskError> {
        self.call(reqwest::Method::GET, &[&API[..], segments].concat(), query, None).and_then(Text::json)
    }

    /// Asks for a change: what is said is the body.
    pub fn post(&self, segments: &[&str], said: &Value) -> Result<Value, AskError> {
        self.call(reqwest::Method::POST, &[&API[..], segments].concat(), &[], Some(said)).and_then(Text::json)
    }

    /// Ends something.
    pub fn delete(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Value, AskError> {
        let nothing = Value::Object(serde_json::Map::new());
        let segments = [&API[..], segments].concat();
        self.call(reqwest::Method::DELETE, &segments, query, Some(&nothing)).and_then(Text::json)
    }

    /// Asks for a page that is no JSON, such as `metrics`.
    pub fn page(&self, segments: &[&str]) -> Result<String, AskError> {
        self.call(reqwest::Method::GET, segments, &[], None).map(|text| text.body)
    }

    fn call(
        &self,
        method: reqwest::Method,
        segments: &[&str],
        query: &[(&str, &str)],
        said: Option<&Value>,
    ) -> Result<Text, AskError> {
        let base = self.base()?;
        let invalid = |why: String| AskError::NoAnswer { url: base.clone(), why };
        let mut url = reqwest::Url::parse(&base).map_err(|error| invalid(error.to_string()))?;
        url.path_segments_mut()
            .map_err(|()| invalid("this is no address of a server".into()))?
            .pop_if_empty()
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let token = self.token()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| invalid(error.to_string()))?;
        runtime.block_on(fetch(method, url, token, said))
    }

    fn base(&self) -> Result<String, AskError> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let loaded = load(&self.folders.config, &self.folders.rules)
            .map_err(|_| AskError::NoAddress(self.folders.config.display().to_string()))?;
        Ok(format!("http://{}", reachable(loaded.settings.listen)))
    }

    fn token(&self) -> Result<Option<String>, AskError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text =
            std::fs::read_to_string(path).map_err(|source| AskError::Token { path: path.clone(), source })?;
        Ok(Some(text.trim().to_owned()))
    }
}

/// A daemon that listens everywhere is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// An answer that is no error, and where it came from.
struct Text {
    url: String,
    body: String,
}

impl Text {
    fn json(self) -> Result<Value, AskError> {
        match serde_json::from_str(&self.body) {
            Ok(Value::Null) | Err(_) => {
                let why = "the answer is no JSON: this is no runbookd".into();
                Err(AskError::NoAnswer { url: self.url, why })
            }
            Ok(value) => Ok(value),
        }
    }
}

async fn fetch(
    method: reqwest::Method,
    url: reqwest::Url,
    token: Option<String>,
    said: Option<&Value>,
) -> Result<Text, AskError> {
    let shown = {
        let mut shown = url.clone();
        // An address may carry a password, and errors are pasted into chats.
        let _ = shown.set_password(None);
        shown.to_string()
    };
    let failed = |error: &dyn std::error::Error| {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            why = next.to_string();
            cause = next.source();
        }
        AskError::NoAnswer { url: shown.clone(), why }
    };
    let mut client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    if is_loopback(&url) {
        // A proxy that the environment names has a loopback of its own.
        client = client.no_proxy();
    }
    let client = client.build().map_err(|error| failed(&error))?;
    let mut request = client.request(method, url);
    if let Some(said) = said {
        request = request.json(said);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let mut response = request.send().await.map_err(|error| failed(&error.without_url()))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error.without_url()))? {
        if body.len() + chunk.len() > LARGEST {
            let why = format!("the answer has more than {LARGEST} bytes");
            return Err(AskError::NoAnswer { url: shown, why });
        }
        body.extend_from_slice(&chunk);
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    if !status.is_success() {
        let value: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let detail = value["detail"].as_str().unwrap_or("this is no runbookd").to_owned();
        return Err(AskError::Refused { url: shown, status: status.as_u16(), detail });
    }
    Ok(Text { url: shown, body })
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_asked_without_a_proxy() {
        let is = |url: &str| is_loopback(&reqwest::Url::parse(url).unwrap());
        assert!(is("http://localhost:9095") && is("http://127.0.0.1:1") && is("http://[::1]:1"));
        assert!(!is("http://10.0.0.7:9095") && !is("https://localhost.example.org"));
    }

    #[test]
    fn a_daemon_that_listens_everywhere_is_asked_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9095", "127.0.0.1:9095"), ("[::]:80", "[::1]:80"), ("10.0.0.7:9095", "10.0.0.7:9095")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
