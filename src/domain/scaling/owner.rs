//! Who else decides on a workload's size: autoscalers, deployment tools, the owner of a field, a person who paused it.
//! As it was read; judges nothing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Axis;
use crate::domain::Timestamp;

/// The name under which the daemon writes fields.
pub const FIELD_MANAGER: &str = "runbookd";

/// A kind of autoscaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScalerKind {
    /// Kubernetes' own, of replicas.
    HorizontalPodAutoscaler,
    /// KEDA's, of replicas.
    ScaledObject,
    /// The autoscaler project's, of resources.
    VerticalPodAutoscaler,
}

impl ScalerKind {
    /// All of them.
    pub const ALL: [Self; 3] =
        [Self::HorizontalPodAutoscaler, Self::ScaledObject, Self::VerticalPodAutoscaler];

    /// The kind as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::ScaledObject => "ScaledObject",
            Self::VerticalPodAutoscaler => "VerticalPodAutoscaler",
        }
    }

    /// What it changes.
    pub fn axis(self) -> Axis {
        match self {
            Self::HorizontalPodAutoscaler | Self::ScaledObject => Axis::Horizontal,
            Self::VerticalPodAutoscaler => Axis::Vertical,
        }
    }
}

/// An autoscaler whose target is the workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaler {
    /// Its kind.
    pub kind: ScalerKind,
    /// Its name.
    pub name: Arc<str>,
    /// Its bounds of replicas, where it has some.
    pub replicas: Option<(u32, u32)>,
    /// The resources whose use in percent of the request it follows: a vertical step moves what it aims at.
    pub follows: Vec<Arc<str>>,
    /// The `ScaledObject` that made it, where one did.
    pub made_by: Option<Arc<str>>,
}

/// The last one who wrote a field, as the API server keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldOwner {
    /// The field manager: `kubectl`, `argocd-controller`, `runbookd`.
    pub manager: Arc<str>,
    /// Whether it was applied, and so will be disputed, rather than updated.
    pub applied: bool,
    /// The subresource it was written by, such as `scale`.
    pub subresource: Option<Arc<str>>,
    /// When, where that is kept.
    pub at: Option<Timestamp>,
}

impl fmt::Display for FieldOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.manager)
    }
}

/// A tool that keeps workloads as they are in a repository or a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracker {
    /// Argo CD.
    ArgoCd,
    /// Flux.
    Flux,
    /// Helm.
    Helm,
}

impl Tracker {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
            Self::Helm => "Helm",
        }
    }
}

/// That a workload is kept by a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// The tool.
    pub by: Tracker,
    /// The label or annotation that says so: `argocd.argoproj.io/tracking-id`.
    pub mark: Arc<str>,
    /// What it says: the application's name.
    pub value: Arc<str>,
}

/// The annotation by which a person stops the daemon from scaling a workload: `true`, or until when.
pub const PAUSED: &str = "runbookd.io/paused";
/// The annotation that says why.
pub const PAUSED_REASON: &str = "runbookd.io/paused-reason";

/// That the workload itself says it must not be scaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Until when; without end where it does not say.
    pub until: Option<Timestamp>,
    /// Why, as the person put it.
    pub reason: Option<Arc<str>>,
}

impl Pause {
    /// Reads the annotations. What is neither `false` nor a time pauses without end: a slip of the pen must not scale.
    pub fn read(paused: &str, reason: Option<&str>) -> Option<Self> {
        if matches!(paused, "false" | "False" | "0" | "no") {
            return None;
        }
        Some(Self { until: paused.parse().ok(), reason: reason.map(Arc::from) })
    }

    /// Whether it still holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
