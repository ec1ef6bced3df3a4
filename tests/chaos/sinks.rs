//! The receivers of a run and how each of them can fall ill. Owns their ports; what they heard is `words`.

use std::time::Duration;

use jiff::Timestamp;
use world::fault::Fault;
use world::journal::Answer;
use world::pagerduty::PagerDuty;
use world::slack::Slack;
use world::smtp::{self, Security, Smtp, Trouble};

use super::hook::Hook;
use super::patience::lasting;

/// A channel of the run's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Channel {
    /// Hears everything.
    Hook,
    /// The first rung: hears what is critical.
    Slack,
    /// The second rung.
    Email,
    /// The last rung.
    PagerDuty,
}

impl Channel {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Hook, Self::Slack, Self::Email, Self::PagerDuty];

    /// Its lanes: the most messages it may have in flight.
    pub(crate) fn lanes(self) -> u64 {
        match self {
            Self::Hook => 16,
            Self::Slack => 1,
            Self::Email => 2,
            Self::PagerDuty => 4,
        }
    }
}

/// A way to be ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ill {
    /// The port is closed.
    Down,
    /// Server errors; 451 in mail.
    Failing,
    /// Nothing is ever answered, and nothing taken in mail.
    Hanging,
    /// 429 with a `Retry-After`; 421 in mail.
    Limiting,
    /// Slack says 200 with an error in the body and takes nothing. The others take the message and give no answer.
    Lying,
}

/// All receivers.
pub(crate) struct Sinks {
    /// The webhook.
    pub(crate) hook: Hook,
    /// Slack.
    pub(crate) slack: Slack,
    /// The mail server.
    pub(crate) smtp: Smtp,
    /// PagerDuty.
    pub(crate) pagerduty: PagerDuty,
}

impl Sinks {
    /// Starts all of them.
    pub(crate) async fn start(slowest_hook: Duration, mail: smtp::Options) -> anyhow::Result<Self> {
        let sinks = Self {
            hook: Hook::start(slowest_hook).await?,
            slack: Slack::start().await?,
            smtp: Smtp::start(mail).await?,
            pagerduty: PagerDuty::start().await?,
        };
        Ok(sinks)
    }

    /// A mail server without protection, as is allowed on loopback: a kill ends its sessions at once.
    pub(crate) fn plain_mail() -> smtp::Options {
        smtp::Options { security: Security::Plain, login: None }
    }

    /// Makes a channel ill.
    pub(crate) async fn infect(&self, channel: Channel, ill: Ill) {
        let fault = match ill {
            Ill::Down => {
                match channel {
                    Channel::Hook => self.hook.door.take_down().await,
                    Channel::Slack => self.slack.door.take_down().await,
                    Channel::Email => self.smtp.take_down().await,
                    Channel::PagerDuty => self.pagerduty.door.take_down().await,
                }
                return;
            }
            Ill::Failing => Fault::status(500),
            Ill::Hanging => Fault::Hang,
            Ill::Limiting => {
                Fault::Status { code: 429, retry_after: Some(Duration::from_secs(2)), body: String::new() }
            }
            Ill::Lying if channel == Channel::Slack => {
                Fault::Status { code: 200, retry_after: None, body: "invalid_payload".to_owned() }
            }
            Ill::Lying => Fault::Cut,
        };
        match channel {
            Channel::Hook => self.hook.faults.set(fault),
            Channel::Slack => self.slack.faults.set(fault),
            Channel::PagerDuty => self.pagerduty.faults.set(fault),
            Channel::Email => self.smtp.faults.set(match ill {
                Ill::Down => Trouble::None,
                Ill::Failing => Trouble::Recipient { code: 451, only: None },
                Ill::Hanging => Trouble::HangAtData,
                Ill::Limiting => Trouble::Unavailable,
                Ill::Lying => Trouble::CutAfterDot,
            }),
        }
    }

    /// Waits until an illness that began at `since` has met a message: one that met none shows nothing.
    ///
    /// # Errors
    /// If it met none in time.
    pub(crate) async fn felt(
        &self,
        channel: Channel,
        ill: Ill,
        since: Timestamp,
        patience: Duration,
    ) -> anyhow::Result<()> {
        macro_rules! met {
            ($journal:expr) => {
                $journal.wait_for_entry(|entry| entry.at >= since, patience).await.map(drop)
            };
        }
        match channel {
            // Nobody is there who could write down that somebody knocked.
            _ if ill == Ill::Down => {
                lasting(Duration::from_millis(500)).await;
                Ok(())
            }
            Channel::Hook => met!(self.hook.journal),
            Channel::Slack => met!(self.slack.journal),
            Channel::Email => met!(self.smtp.commands),
            Channel::PagerDuty => met!(self.pagerduty.journal),
        }
    }

    /// Makes everything well again, and ends what hangs.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        self.hook.faults.clear();
        self.slack.faults.clear();
        self.smtp.faults.clear();
        self.pagerduty.faults.clear();
        self.hook.door.bring_up().await?;
        self.slack.door.bring_up().await?;
        self.smtp.bring_up().await?;
        self.pagerduty.door.bring_up().await
    }

    /// Lets the next message of a channel arrive in full and keeps the answer back; returns when it has arrived.
    /// False if none came in time.
    pub(crate) async fn withhold_next(&self, channel: Channel, patience: Duration) -> bool {
        let armed = Timestamp::now();
        macro_rules! withhold {
            ($sink:expr, $fault:expr) => {{
                $sink.faults.next_requests(1, $fault);
                let is_it =
                    |entry: &world::journal::Entry<_>| entry.at >= armed && entry.answer == Answer::Withheld;
                let came = $sink.journal.wait_for_entry(is_it, patience).await.is_ok();
                if !came {
                    $sink.faults.clear();
                }
                came
            }};
        }
        match channel {
            Channel::Hook => withhold!(self.hook, Fault::Hang),
            Channel::Slack => withhold!(self.slack, Fault::Hang),
            Channel::Email => withhold!(self.smtp, Trouble::HangAfterDot),
            Channel::PagerDuty => withhold!(self.pagerduty, Fault::Hang),
        }
    }
}
