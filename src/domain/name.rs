//! Names and ids: one type for each, so that two kinds cannot be mixed up. Owns nothing but the words.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// Identifies a rule over reloads: `monitoring/system/cpu_usage` or `group/alertname/n`.
    RuleId
);
name!(
    /// One distinct (expression, interval): what is asked of Prometheus once per round.
    QueryId
);
name!(
    /// A configured channel, such as `slack-#incidents`.
    ChannelName
);
name!(
    /// An incident type of the runbook, such as `service_outage`.
    IncidentTypeName
);
name!(
    /// An incident's number as people say it: `INC-20261123-0007`.
    IncidentId
);
name!(
    /// Identifies one notice for ever: the same (incident, channel, revision) always has the same id.
    NoticeId
);
name!(
    /// Identifies one scaling action for ever.
    ActionId
);
name!(
    /// Identifies one silence for ever.
    SilenceId
);
name!(
    /// A scale-out trigger, such as `cpu_sustained`.
    TriggerName
);

/// A workload that can be scaled: namespace, kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TargetId {
    /// The Kubernetes namespace.
    pub namespace: Arc<str>,
    /// The kind, such as `Deployment`.
    pub kind: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
