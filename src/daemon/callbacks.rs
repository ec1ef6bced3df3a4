//! Callbacks: hands the routes what they need of the running configuration, and brings private answers out. Owns
//! where secrets are read; what a callback means is the API's business.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::api::callbacks::{Callbacks, Doors, PagerDutyDoor, PrivateAnswer, Secrets, SlackDoor};
use crate::config::secret::SecretSource;
use crate::config::settings::{ChannelSettings, SlackAllow};

use super::running::Running;

/// How many private answers may wait; beyond it they are dropped, because nothing depends on them.
const WAITING: usize = 64;

/// Callbacks over the configuration as it is at each of them.
pub(super) fn callbacks(
    running: watch::Receiver<Arc<Running>>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Callbacks {
    let (answers, waiting) = mpsc::channel(WAITING);
    tasks.spawn(answer(running.clone(), waiting, stop));
    Callbacks::new(move || doors(&running.borrow()), answers)
}

/// The channels that take callbacks, with their secrets read now: a rotated file is picked up.
fn doors(running: &Running) -> Doors {
    let mut doors = Doors::default();
    for (channel, settings) in &running.settings.channels {
        match settings {
            ChannelSettings::SlackBot(bot) => {
                let secrets = read(&bot.signing_secrets);
                doors.slack.push(SlackDoor {
                    channel: channel.clone(),
                    secrets,
                    mapped_only: bot.allow == SlackAllow::Mapped,
                    users: bot.users.clone(),
                });
            }
            ChannelSettings::PagerDuty(pagerduty) => {
                let secrets = read(&pagerduty.webhook_secrets);
                doors.pagerduty.push(PagerDutyDoor { channel: channel.clone(), secrets });
            }
            ChannelSettings::Slack(_) | ChannelSettings::Email(_) | ChannelSettings::Webhook(_) => {}
        }
    }
    doors
}

fn read(sources: &[SecretSource]) -> Secrets {
    let mut secrets = Secrets::default();
    for source in sources {
        match source.read() {
            Ok(secret) => secrets.read.push(secret),
            Err(error) => secrets.unread = Some(error.to_string()),
        }
    }
    secrets
}

/// Brings private answers to those who clicked, one after the other.
async fn answer(
    running: watch::Receiver<Arc<Running>>,
    mut waiting: mpsc::Receiver<PrivateAnswer>,
    stop: CancellationToken,
) {
    loop {
        let private = tokio::select! {
            () = stop.cancelled() => return,
            private = waiting.recv() => private,
        };
        let Some(PrivateAnswer { channel, response_url, text }) = private else { return };
        let Some(response_url) = response_url else { continue };
        let channels = running.borrow().channels.clone();
        let given = tokio::select! {
            () = stop.cancelled() => return,
            given = channels.answer_privately(&channel, &response_url, &text) => given,
        };
        if let Err(error) = given {
            warn!(%channel, %error, "a private answer was not given");
        }
    }
}
