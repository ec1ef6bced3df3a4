//! Telling people: a notice becomes a Slack message, a mail, PagerDuty events or a webhook's body, and is sent once.
//! Owns how a message looks and what a receiver's answer means; when to send, again or elsewhere is the outbox's
//! business. One attempt is one call of [`channels::Channels::deliver`].
//!
//! To add a channel: a body (see `slack.rs`), a reading of its answers, an arm in `channels.rs`, golden files.

pub mod channels;
pub mod email;
pub mod hook;
pub mod html;
pub mod pager;
pub mod pagerduty;
pub mod render;
pub mod routing_key;
pub mod slack;
pub mod slack_bot;
pub mod smtp;
pub mod status;
pub mod webhook;

use std::pin::Pin;
use std::sync::Arc;

use crate::domain::name::ChannelName;
use crate::domain::template::TemplateError;

/// A chart, a PNG, that may still be in the making: each channel waits for it as late as it can, and does without.
pub type LateChart<'a> = Pin<Box<dyn Future<Output = Option<Arc<[u8]>>> + Send + 'a>>;

/// Why the channels cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A template of the communication plan is wrong.
    #[error("the template `{name}`: {source}")]
    Template {
        /// `initial_alert` or `status_update`.
        name: &'static str,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// The HTTP client cannot be made: the system has no certificates to trust.
    #[error("no HTTP client for notices: {0}")]
    Client(#[source] reqwest::Error),
    /// A channel's own address cannot be read.
    #[error("channel `{channel}`: `{address}` is not a mail address")]
    Address {
        /// The channel.
        channel: ChannelName,
        /// What was written.
        address: String,
    },
}
