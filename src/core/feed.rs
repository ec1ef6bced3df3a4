//! The feed: tells whoever watches that something changed, and not what it is now. Owns the closed list of what can be
//! told; keeps nothing, and waits for nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::domain::change::Change;
use crate::engine::event::Event;

/// How many news a watcher may be behind; then it is told that it missed some.
const BEHIND: usize = 1_024;

/// How many may watch at a time.
const MOST_WATCHERS: usize = 100;

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// An incident.
    Incident {
        /// Which.
        id: Arc<str>,
        /// The revision that it has now; a note or a tick leaves it as it is.
        revision: u32,
        /// Where it is in its life; `forgotten` once it is gone.
        state: &'static str,
    },
    /// Alerts, the daemon's own or others'.
    Alerts,
    /// A silence.
    Silence {
        /// Which.
        id: Arc<str>,
    },
    /// A target, one of its actions or its rest.
    Scaling {
        /// Which target: `shop/checkout`.
        target: Arc<str>,
    },
    /// Rules and settings were taken over anew.
    Config,
}

impl News {
    /// The word for what changed.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Incident { .. } => "incident",
            Self::Alerts => "alerts",
            Self::Silence { .. } => "silence",
            Self::Scaling { .. } => "scaling",
            Self::Config => "config",
        }
    }
}

/// The feed's end in the core.
#[derive(Debug, Clone)]
pub(super) struct Feed(broadcast::Sender<News>);

impl Feed {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }

    /// Watches from now on; nothing where too many do.
    pub(super) fn watch(&self) -> Option<broadcast::Receiver<News>> {
        (self.0.receiver_count() < MOST_WATCHERS).then(|| self.0.subscribe())
    }

    /// Tells what an event changes beside the state.
    pub(super) fn heard(&self, event: &Event) {
        if matches!(event, Event::Reloaded(_)) {
            self.tell(News::Config);
        }
    }

    /// Tells what changed, each thing once.
    pub(super) fn changed(&self, changes: &[Change]) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let news: BTreeSet<News> = changes.iter().filter_map(of).collect();
        for news in news {
            self.tell(news);
        }
    }

    fn tell(&self, news: News) {
        // Nobody may be watching.
        let _ = self.0.send(news);
    }
}

fn of(change: &Change) -> Option<News> {
    let target = |target: &crate::domain::name::TargetId| News::Scaling { target: target.to_string().into() };
    Some(match change {
        Change::Alert(..) | Change::External(..) => News::Alerts,
        Change::Incident(id, incident) => News::Incident {
            id: id.as_str().into(),
            revision: incident.as_ref().map_or(0, |incident| incident.revision),
            state: incident.as_ref().map_or("forgotten", |incident| incident.state.as_str()),
        },
        Change::Action(_, Some(action)) => target(&action.target),
        Change::Cooldown(id, ..) | Change::Target(id, _) => target(id),
        Change::Silence(id, _) => News::Silence { id: id.as_str().into() },
        // What waits for a channel stands on its incident.
        Change::Action(_, None) | Change::Notice(..) | Change::Numbered(..) => return None,
    })
}
