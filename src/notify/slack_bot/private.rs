//! An answer that only the person who clicked sees. Owns where such an answer may go: the address comes with the
//! click, so it must be one of the workspace's own.

use reqwest::Url;
use serde_json::json;

use crate::notify::status::exchange;

/// The most of the answer's answer that is read, in bytes.
const LARGEST_ANSWER: usize = 1024;

/// Why a private answer was not given.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The address is not one of Slack's, as it is configured.
    #[error("the address for the answer does not belong to the configured Slack")]
    Foreign,
    /// It was not taken.
    #[error("the answer was not taken: {0}")]
    NotTaken(String),
}

/// Answers a click to the person who made it.
pub async fn answer_privately(
    client: &reqwest::Client,
    api_url: &str,
    response_url: &str,
    text: &str,
) -> Result<(), PrivateError> {
    if !belongs(api_url, response_url) {
        return Err(PrivateError::Foreign);
    }
    let body = json!({"response_type": "ephemeral", "replace_original": false, "text": text});
    let path = response_url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(_, path)| path);
    let answer = exchange(client.post(response_url).json(&body), &[path], LARGEST_ANSWER).await;
    match answer {
        Ok(answer) if answer.status.is_success() => Ok(()),
        Ok(answer) => Err(PrivateError::NotTaken(format!("HTTP {}", answer.status.as_u16()))),
        Err(attempt) => Err(PrivateError::NotTaken(format!("{attempt:?}"))),
    }
}

/// Whether an address is Slack's as configured: over TLS to its host or a name below it, and without TLS only to the
/// very loopback address that the API itself is at.
fn belongs(api_url: &str, response_url: &str) -> bool {
    let (Ok(api), Ok(to)) = (Url::parse(api_url), Url::parse(response_url)) else { return false };
    let (Some(home), Some(host)) = (api.host_str(), to.host_str()) else { return false };
    if !to.username().is_empty() || to.password().is_some() {
        return false;
    }
    let is_below = host.strip_suffix(home).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    match to.scheme() {
        "https" => is_below,
        "http" => {
            let ip = home.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            let loopback = home == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
            loopback && api.scheme() == "http" && host == home && to.port() == api.port()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::belongs;

    #[test]
    fn an_answer_goes_to_the_workspace_only() {
        for (api, to, expected) in [
            ("https://slack.com", "https://hooks.slack.com/actions/T0/1/x", true),
            ("https://slack.com", "https://slack.com/x", true),
            ("https://slack.com", "http://hooks.slack.com/actions", false),
            ("https://slack.com", "https://hooks.slack.com.evil.example/x", false),
            ("https://slack.com", "https://evilslack.com/x", false),
            ("https://slack.com", "https://slack.com@evil.example/x", false),
            ("https://slack.com", "https://evil@slack.com/x", false),
            ("https://slack.com", "http://169.254.169.254/latest", false),
            ("https://slack.com", "file:///etc/passwd", false),
            ("https://slack.com", "", false),
            ("http://127.0.0.1:4000/api", "http://127.0.0.1:4000/actions/x", true),
            ("http://127.0.0.1:4000/api", "http://127.0.0.1:4001/actions/x", false),
            ("http://10.0.0.1:4000", "http://10.0.0.1:4000/actions/x", false),
        ] {
            assert_eq!(belongs(api, to), expected, "{api} {to}");
        }
    }
}
