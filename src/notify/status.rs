//! What an HTTP answer means for a notice: one table for every channel, and one way to ask. Owns the retry classes;
//! never lets a URL or a secret into what it says.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::headline::one_line;

/// The most of an answer's body that is read, in bytes.
const LARGEST_ANSWER: usize = 4 * 1024;
/// The most of it that is told, in characters.
const LONGEST_DETAIL: usize = 300;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// When the other side asked to be tried again.
    pub retry_after: Option<Duration>,
    /// The beginning of the body, on one line.
    pub body: String,
}

impl Answer {
    /// The meaning of the status alone.
    pub fn attempt(&self) -> Attempt {
        let reason = match self.status.as_u16() {
            200..=299 => return Attempt::ACCEPTED,
            401 | 403 | 407 => DeliveryReason::Unauthorized,
            404 | 410 => DeliveryReason::NotFound,
            408 => DeliveryReason::TimedOut,
            425 | 429 => DeliveryReason::RateLimited,
            500.. => DeliveryReason::ServerError,
            // Redirects too: following one would hand the message to an address that nobody configured.
            _ => DeliveryReason::Rejected,
        };
        match reason {
            DeliveryReason::TimedOut | DeliveryReason::RateLimited | DeliveryReason::ServerError => {
                self.failed(reason)
            }
            _ => self.refused(reason),
        }
    }

    /// It may work later.
    pub fn failed(&self, reason: DeliveryReason) -> Attempt {
        Attempt::Failed { reason, detail: self.detail(), retry_after: self.retry_after }
    }

    /// It will never work.
    pub fn refused(&self, reason: DeliveryReason) -> Attempt {
        Attempt::Refused { reason, detail: self.detail() }
    }

    fn detail(&self) -> Arc<str> {
        let status = self.status.as_u16();
        let said = beginning(self.body.trim());
        if said.is_empty() {
            format!("HTTP {status}").into()
        } else {
            format!("HTTP {status}: {said}").into()
        }
    }
}

/// One request: where a JSON body goes and what must not be told of it.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a str,
    /// Further headers.
    pub headers: &'a [(HeaderName, &'a str)],
    /// What is taken out of whatever the other side says: it may echo what it was sent.
    pub secrets: &'a [&'a str],
}

/// Posts a body, of JSON where no header says otherwise. An error is the attempt that came of it.
pub async fn post(client: &reqwest::Client, post: Post<'_>, body: Vec<u8>) -> Result<Answer, Attempt> {
    let mut request = client.post(post.url).body(body);
    if !post.headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        request = request.header(CONTENT_TYPE, "application/json; charset=utf-8");
    }
    for (name, value) in post.headers {
        request = request.header(name, *value);
    }
    exchange(request, post.secrets, LARGEST_ANSWER).await
}

/// Sends a request and reads at most `most` bytes of the answer. An error is the attempt that came of it.
pub async fn exchange(
    request: reqwest::RequestBuilder,
    secrets: &[&str],
    most: usize,
) -> Result<Answer, Attempt> {
    let broken = |error| broken(error, secrets);
    let mut response = request.send().await.map_err(broken)?;
    let mut read = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        read.extend_from_slice(&chunk);
        if read.len() >= most {
            read.truncate(most);
            break;
        }
    }
    Ok(Answer {
        status: response.status(),
        retry_after: retry_after(response.headers()),
        body: one_line(&without_secrets(&String::from_utf8_lossy(&read), secrets)),
    })
}

/// `Retry-After` in either of its forms (RFC 9110, 10.2.3); a date is read by the other side's own clock.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = asked.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date =
        |text: &str| -> Option<Timestamp> { rfc2822::DateTimeParser::new().parse_timestamp(text).ok() };
    let then = date(asked)?;
    let now = date(headers.get(DATE)?.to_str().ok()?)?;
    Some(Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// A request that got no answer.
fn broken(error: reqwest::Error, secrets: &[&str]) -> Attempt {
    let error = error.without_url();
    let reason = if error.is_timeout() {
        DeliveryReason::TimedOut
    } else if error.is_builder() {
        // The address comes from a file or variable that may be mended.
        DeliveryReason::NotRendered
    } else {
        DeliveryReason::Unreachable
    };
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !detail.contains(&cause_text) {
            detail = format!("{detail}: {cause_text}");
        }
        source = cause.source();
    }
    let detail = beginning(&one_line(&without_secrets(&detail, secrets))).into();
    Attempt::Failed { reason, detail, retry_after: None }
}

/// A text with every secret taken out. Before it is shortened, so that no piece of one is left.
pub fn without_secrets(text: &str, secrets: &[&str]) -> String {
    let told = secrets.iter().filter(|secret| !secret.is_empty());
    told.fold(text.to_owned(), |text, secret| text.replace(secret, "<secret>"))
}

/// As much of what the other side said as is worth keeping.
pub fn beginning(text: &str) -> String {
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_class() {
        let class = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            match (Answer { status, retry_after: None, body: "x".into() }).attempt() {
                Attempt::Accepted { .. } => "accepted".to_owned(),
                Attempt::NothingToSend => "nothing".to_owned(),
                Attempt::Failed { reason, .. } => format!("retry {reason}"),
                Attempt::Refused { reason, .. } => format!("refused {reason}"),
            }
        };
        for (statuses, expected) in [
            (&[200, 202, 204][..], "accepted"),
            (&[401, 403, 407], "refused unauthorized"),
            (&[404, 410], "refused not_found"),
            (&[301, 302, 308, 400, 405, 413, 422], "refused rejected"),
            (&[408], "retry timed_out"),
            (&[425, 429], "retry rate_limited"),
            (&[500, 502, 503, 504, 529], "retry server_error"),
        ] {
            for status in statuses {
                assert_eq!(class(*status), expected, "{status}");
            }
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let asked = |pairs: &[(HeaderName, &str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            retry_after(&headers.collect())
        };
        let now = (DATE, "Mon, 23 Nov 2026 03:14:00 GMT");
        assert_eq!(asked(&[(RETRY_AFTER, "30")]), Some(Duration::from_secs(30)));
        let later = (RETRY_AFTER, "Mon, 23 Nov 2026 03:16:00 GMT");
        assert_eq!(asked(&[later.clone(), now.clone()]), Some(Duration::from_secs(120)));
        assert_eq!(asked(&[(RETRY_AFTER, "Mon, 23 Nov 2026 03:13:00 GMT"), now]), Some(Duration::ZERO));
        assert_eq!(asked(&[later]), None);
        assert_eq!(asked(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(asked(&[]), None);
    }
}
