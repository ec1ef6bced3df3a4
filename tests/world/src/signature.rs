//! Signatures as Slack and PagerDuty make them: HMAC-SHA256 in lower-case hex, and the sending of what was signed.

use std::fmt::Write as _;

use ring::hmac::{HMAC_SHA256, Key, sign};

/// The signature of a text under a secret.
pub fn hmac(secret: &str, text: &[u8]) -> String {
    let tag = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), text);
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A request that is signed and ready to be sent, once or more often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The headers beside the content type.
    pub headers: Vec<(&'static str, String)>,
    /// The content type.
    pub kind: &'static str,
    /// The bytes that were signed.
    pub body: String,
}

impl Signed {
    /// Sends it; the status and the answer's text.
    ///
    /// # Errors
    /// If no answer came.
    pub async fn send(&self, url: &str) -> anyhow::Result<(u16, String)> {
        crate::install_crypto();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut request = client.post(url).header("Content-Type", self.kind).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}
