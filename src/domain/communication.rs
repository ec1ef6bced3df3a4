//! The communication plan of the runbook's 2.2: who is told in which words and how often, how each channel takes
//! notices, and when a storm is told in digests.

use std::sync::Arc;
use std::time::Duration;

use super::name::ChannelName;
use super::severity::Severity;

/// How a channel takes notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePolicy {
    /// How many notices may be in flight at once, of different incidents: its number of lanes, at least 1.
    pub lanes: u32,
    /// The shortest time between two notices.
    pub pace: Duration,
    /// Whether a storm is told in digests: programs want each incident, and so does a pager.
    pub digests: bool,
}

impl Default for LanePolicy {
    fn default() -> Self {
        Self { lanes: 1, pace: Duration::ZERO, digests: false }
    }
}

/// Above which rate the incidents of a channel are told in digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// This many notices within `per` are told one by one; so many may wait.
    pub above: usize,
    /// The span they are counted over, and the shortest between two digests.
    pub per: Duration,
}

impl Default for Storm {
    fn default() -> Self {
        Self { above: 30, per: Duration::from_secs(60) }
    }
}

/// The runbook's communication plan: who is told, in which words, how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Communication {
    /// The ladder of the runbook's 2.2: primary, secondary, emergency.
    pub primary: ChannelName,
    /// The second rung.
    pub secondary: ChannelName,
    /// The last rung.
    pub emergency: ChannelName,
    /// The template `initial_alert`, word for word.
    pub initial_alert: Arc<str>,
    /// The template `status_update`, word for word.
    pub status_update: Arc<str>,
    /// The channels told about a warning.
    pub warning: Vec<ChannelName>,
    /// The channels told about a critical incident.
    pub critical: Vec<ChannelName>,
    /// How often people hear that an incident goes on.
    pub status_every: Duration,
    /// How long a channel may fail before the next rung is used.
    pub failover_after: Duration,
    /// Above which rate incidents are told in digests.
    pub storm: Storm,
}

impl Communication {
    /// The rungs of the ladder below a channel, the next first; the whole ladder below a channel that is no rung.
    pub fn below(&self, channel: &ChannelName) -> Vec<ChannelName> {
        let ladder = [&self.primary, &self.secondary, &self.emergency];
        let from = ladder.iter().position(|rung| *rung == channel).map_or(0, |at| at + 1);
        ladder[from..].iter().map(|rung| (*rung).clone()).collect()
    }

    /// The channels told about an incident of `severity`.
    pub fn channels(&self, severity: Severity) -> &[ChannelName] {
        match severity {
            Severity::Warning => &self.warning,
            Severity::Critical => &self.critical,
        }
    }
}
