//! Response plans: what people (and the daemon) do about an incident. Owns the plan and its checklist.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::scaling::Axis;

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// The runbook's words.
    pub text: Arc<str>,
    /// What the daemon can do about it itself.
    pub run: Option<StepRun>,
}

/// What a step runs. The arguments are texts in which `$label` stands for a label of the incident's subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRun {
    /// Ask Prometheus and attach the answer.
    Query(Arc<str>),
    /// Attach the tail of the pods' logs; the text is a label selector or empty for the subject's pods.
    Logs(Arc<str>),
    /// Attach the answer of an HTTP GET.
    Http(Arc<str>),
    /// Attach the Kubernetes events of the subject.
    Events(Arc<str>),
    /// Offer a link.
    Link(Arc<str>),
    /// Done when a scaling action on this axis was carried out.
    Scale(Axis),
}

/// An alert response of the runbook's 4.2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponsePlan {
    /// Looked at first; results are attached to the incident.
    pub diagnosis: Vec<PlanStep>,
    /// Becomes the checklist.
    pub actions: Vec<PlanStep>,
}

/// One line of an incident's checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecklistItem {
    /// The runbook's words.
    pub text: Arc<str>,
    /// The axis whose scaling action ticks this item by itself.
    pub ticked_by: Option<Axis>,
    /// Who did it and when.
    pub done: Option<(Arc<str>, Timestamp)>,
}
