//! The configured channels: one attempt to deliver one notice. Owns the HTTP client and the choice of the channel;
//! knows nothing of queues, retries and failover.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::config::secret::SecretSource;
use crate::config::settings::{ChannelSettings, HeartbeatSettings, SlackSettings};
use crate::domain::Timestamp;
use crate::domain::communication::Communication;
use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::name::ChannelName;
use crate::domain::notice::{Notice, NoticeEvent};
use crate::domain::template::Escape;

use super::email::{self, Addresses};
use super::hook::Hook;
use super::pager::Pager;
use super::render::{Message, Wording};
use super::slack_bot::blocks::Words;
use super::slack_bot::{self, PrivateError, SlackBot};
use super::smtp::Mailer;
use super::status::{Post, post};
use super::{LateChart, NotifyError, slack, webhook};

/// How long one HTTP request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// The shortest part of a URL that is taken for a secret: a shorter one is in every text.
const SHORTEST_SECRET: usize = 6;

/// The configured channels.
#[derive(Debug)]
pub struct Channels {
    by_name: BTreeMap<ChannelName, Channel>,
    wording: Wording,
    public_url: Option<Arc<str>>,
    client: reqwest::Client,
}

#[derive(Debug)]
enum Channel {
    Slack(SlackSettings),
    SlackBot(Box<SlackBot>),
    Email(Box<(Mailer, Addresses)>),
    PagerDuty(Box<Pager>),
    Webhook(Box<Hook>),
    Heartbeat(HeartbeatSettings),
}

impl Channels {
    /// Sets the channels up; connects to none of them and reads no secret yet. A TLS provider has to be installed.
    pub fn new(
        channels: &BTreeMap<ChannelName, ChannelSettings>,
        communication: &Communication,
        public_url: Option<&str>,
    ) -> Result<Self, NotifyError> {
        let client = reqwest::Client::builder()
            .timeout(REQUEST_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("runbookd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(NotifyError::Client)?;
        let by_name = channels
            .iter()
            .map(|(name, settings)| Ok((name.clone(), Channel::new(name, settings)?)))
            .collect::<Result<_, NotifyError>>()?;
        let wording = Wording::new(communication)?;
        Ok(Self { by_name, wording, public_url: public_url.map(Arc::from), client })
    }

    /// The same with an outside watchdog on the channel `name`.
    #[must_use]
    pub fn with_heartbeat(mut self, name: ChannelName, settings: HeartbeatSettings) -> Self {
        self.by_name.insert(name, Channel::Heartbeat(settings));
        self
    }

    /// Whether a notice is told with a chart where there is one.
    pub fn shows_charts(&self, notice: &Notice) -> bool {
        let is_told = notice.event.is_page() || notice.event == NoticeEvent::Resolved;
        let shows = match self.by_name.get(&notice.channel) {
            Some(Channel::Email(_)) => true,
            // Once, with the message that opens the incident's thread.
            Some(Channel::SlackBot(_)) => notice.receipt.is_none(),
            Some(Channel::Slack(_) | Channel::PagerDuty(_) | Channel::Webhook(_) | Channel::Heartbeat(_))
            | None => false,
        };
        shows && is_told && notice.digest.is_none()
    }

    /// Tries once to deliver a notice to its channel.
    pub async fn deliver(&self, notice: &Notice) -> Attempt {
        self.deliver_with(notice, None, notice.created_at).await
    }

    /// The same at `now`, with a chart for the channels that show one.
    pub async fn deliver_with(
        &self,
        notice: &Notice,
        chart: Option<LateChart<'_>>,
        now: Timestamp,
    ) -> Attempt {
        match self.by_name.get(&notice.channel) {
            None => Attempt::Refused {
                reason: DeliveryReason::NoSuchChannel,
                detail: format!("no channel `{}` is configured", notice.channel).into(),
            },
            Some(Channel::Slack(settings)) => self.slack(settings, notice).await,
            Some(Channel::SlackBot(bot)) => self.slack_bot(bot, notice, chart).await,
            Some(Channel::Email(mail)) => self.email(&mail.0, &mail.1, notice, chart).await,
            Some(Channel::PagerDuty(pager)) => {
                pager.deliver(&self.client, &self.message(notice, Escape::Text)).await
            }
            Some(Channel::Webhook(hook)) => self.webhook(hook, notice, now).await,
            Some(Channel::Heartbeat(settings)) => self.heartbeat(settings, notice).await,
        }
    }

    fn message<'n>(&self, notice: &'n Notice, escape: Escape) -> Message<'n> {
        let message = self.wording.message(notice, escape, self.public_url.as_deref());
        if let Some(error) = &message.template_error {
            tracing::warn!(notice = %notice.id, %error, "a template could not be filled, plain words went out");
        }
        message
    }

    async fn slack(&self, settings: &SlackSettings, notice: &Notice) -> Attempt {
        let body = encoded(&slack::body(&self.message(notice, Escape::Mrkdwn)));
        match self.post_to_secret(&settings.webhook_url, &[], body).await {
            Ok(answer) => slack::judge(&answer),
            Err(attempt) => attempt,
        }
    }

    async fn slack_bot(&self, bot: &SlackBot, notice: &Notice, chart: Option<LateChart<'_>>) -> Attempt {
        let message = self.message(notice, Escape::Mrkdwn);
        bot.deliver(&self.client, &message, &Words::new(&self.wording, &message), chart).await
    }

    /// Answers a click on a message of `channel` to the person who made it.
    pub async fn answer_privately(
        &self,
        channel: &ChannelName,
        response_url: &str,
        text: &str,
    ) -> Result<(), PrivateError> {
        let Some(Channel::SlackBot(bot)) = self.by_name.get(channel) else {
            return Err(PrivateError::Foreign);
        };
        slack_bot::answer_privately(&self.client, &bot.settings().api_url, response_url, text).await
    }

    async fn webhook(&self, hook: &Hook, notice: &Notice, now: Timestamp) -> Attempt {
        let request = match hook.request(&self.message(notice, Escape::Text), now) {
            Ok(request) => request,
            Err(error) => return unread(&error.to_string()),
        };
        let mut headers = vec![(CONTENT_TYPE, request.content_type.as_str())];
        headers.extend(request.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret())));
        match self.post_to_secret(&hook.settings().url, &headers, request.body).await {
            Ok(answer) => answer.attempt(),
            Err(attempt) => attempt,
        }
    }

    /// Any answer that is no error will do: the call itself is the message.
    async fn heartbeat(&self, settings: &HeartbeatSettings, notice: &Notice) -> Attempt {
        let body = encoded(&serde_json::json!({
            "status": "ok",
            "at": notice.created_at.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        }));
        match self.post_to_secret(&settings.url, &[], body).await {
            Ok(answer) => answer.attempt(),
            Err(attempt) => attempt,
        }
    }

    /// Posts to a URL that is a secret itself.
    async fn post_to_secret(
        &self,
        url: &SecretSource,
        headers: &[(HeaderName, &str)],
        body: Vec<u8>,
    ) -> Result<super::status::Answer, Attempt> {
        let url = url.read().map_err(|error| unread(&error.to_string()))?;
        let url = url.expose_secret();
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let mut secrets = vec![url];
        secrets.extend(path.into_iter().flat_map(|path| [path, path.trim_start_matches('/')]));
        secrets.extend(path.and_then(|path| path.rsplit(['/', '=']).next()));
        let told = [CONTENT_TYPE, webhook::IDEMPOTENCY_KEY];
        let hidden = headers.iter().filter(|(name, _)| !told.contains(name));
        secrets.extend(hidden.flat_map(|(_, value)| [*value, value.rsplit(' ').next().unwrap_or(value)]));
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        post(&self.client, Post { url, headers, secrets: &secrets }, body).await
    }

    async fn email(
        &self,
        mailer: &Mailer,
        addresses: &Addresses,
        notice: &Notice,
        chart: Option<LateChart<'_>>,
    ) -> Attempt {
        let chart = match chart {
            Some(chart) => chart.await,
            None => None,
        };
        let text = self.message(notice, Escape::Text);
        let html = self.message(notice, Escape::Html);
        match email::mail_with(&text, &html, &addresses.for_recipients(&notice.recipients), chart.as_deref())
        {
            Ok(mail) => mailer.send(&mail).await,
            Err(error) => {
                Attempt::Refused { reason: DeliveryReason::NotRendered, detail: error.to_string().into() }
            }
        }
    }
}

impl Channel {
    fn new(name: &ChannelName, settings: &ChannelSettings) -> Result<Self, NotifyError> {
        Ok(match settings {
            ChannelSettings::Slack(slack) => Self::Slack(slack.clone()),
            ChannelSettings::SlackBot(bot) => Self::SlackBot(Box::new(SlackBot::new(bot.clone()))),
            ChannelSettings::Email(email) => {
                let addresses = Addresses::read(&email.from, &email.to)
                    .map_err(|address| NotifyError::Address { channel: name.clone(), address })?;
                Self::Email(Box::new((Mailer::new(email.clone()), addresses)))
            }
            ChannelSettings::PagerDuty(pagerduty) => Self::PagerDuty(Box::new(Pager::new(pagerduty.clone()))),
            ChannelSettings::Webhook(webhook) => Self::Webhook(Box::new(
                Hook::new(webhook.clone())
                    .map_err(|source| NotifyError::Template { name: "body", source })?,
            )),
        })
    }
}

/// A secret's file may appear, so this is not the end.
fn unread(detail: &str) -> Attempt {
    Attempt::Failed { reason: DeliveryReason::NotRendered, detail: detail.into(), retry_after: None }
}

fn encoded(body: &impl Serialize) -> Vec<u8> {
    // Bodies are strings, numbers and maps of strings, which always encode.
    serde_json::to_vec(body).unwrap_or_default()
}
