//! Other owners: autoscalers, field managers and deployment tools that decide on the same size. What becomes of the
//! step is the policy's.

use std::fmt::Write as _;

use super::super::amounts::{limited, requested};
use super::super::{Axis, ContainerSize, FIELD_MANAGER, FieldOwner, Scaler, ScalerKind, Surroundings};
use super::{Change, Finding, Limits, OtherOwner};

/// Holds a step against everybody else who decides on the same size.
pub(super) fn check(around: &Surroundings, axis: Axis, change: Change<'_>, limits: Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, why) in &around.unseen_scalers {
        if kind.axis() == axis {
            findings.push(Finding::Unknown(format!("{}s: {}", kind.as_str(), why.words())));
        }
    }
    match change {
        Change::More { to, .. } | Change::Fewer { to, .. } => {
            let raised = scalers(around, matches!(change, Change::More { .. }), to, limits, &mut findings);
            // The number itself is not written then, so who keeps it does not matter.
            if !raised {
                replicas(around, limits, &mut findings);
            }
        }
        Change::InPlace(sizes) | Change::Template(sizes) => {
            resources(around, sizes, matches!(change, Change::Template(_)), limits, &mut findings);
        }
    }
    findings
}

/// Autoscalers of replicas. Tells whether one of them is to be raised instead.
fn scalers(around: &Surroundings, grows: bool, to: u32, limits: Limits, findings: &mut Vec<Finding>) -> bool {
    let horizontal = || around.scalers.iter().filter(|scaler| scaler.kind.axis() == Axis::Horizontal);
    let by_keda = |hpa: &Scaler| {
        let maker = hpa.made_by.as_ref();
        maker.is_some_and(|maker| {
            horizontal().any(|it| it.kind == ScalerKind::ScaledObject && it.name == *maker)
        })
    };
    let deciding: Vec<&Scaler> = horizontal().filter(|scaler| !by_keda(scaler)).collect();
    let [only] = deciding.as_slice() else {
        findings.extend(deciding.into_iter().map(|scaler| by_policy(limits, described(scaler))));
        return false;
    };
    let is_hpa = only.kind == ScalerKind::HorizontalPodAutoscaler && only.made_by.is_none();
    if limits.other_owner != OtherOwner::RaiseHpaMin || !is_hpa || !grows {
        findings.push(by_policy(limits, described(only)));
        return false;
    }
    match only.replicas {
        Some((_, most)) if to > most => {
            let words = format!(
                "{} {} allows at most {most} replicas, {to} are wanted",
                only.kind.as_str(),
                only.name
            );
            findings.push(Finding::Refused(words));
        }
        _ => findings.push(Finding::Raise(only.name.clone())),
    }
    true
}

fn described(scaler: &Scaler) -> String {
    let mut words = format!("{} {}", scaler.kind.as_str(), scaler.name);
    if let Some((least, most)) = scaler.replicas {
        // Writing to text cannot fail.
        let _ = write!(words, " ({least} to {most} replicas)");
    }
    match scaler.kind.axis() {
        Axis::Horizontal => words.push_str(" decides on the number of replicas"),
        Axis::Vertical => words.push_str(" decides on the resources"),
    }
    words
}

/// Who states the number of replicas elsewhere and will put it back.
fn replicas(around: &Surroundings, limits: Limits, findings: &mut Vec<Finding>) {
    if let Some(maker) = &around.made_by {
        findings.push(by_policy(limits, format!("{maker} made it and may put the number back")));
    }
    let owner = around.replicas_by.as_ref().filter(|owner| &*owner.manager != FIELD_MANAGER);
    let tracked = around
        .tracking
        .as_ref()
        .map(|tracking| format!("{} keeps it ({}: {})", tracking.by.as_str(), tracking.mark, tracking.value));
    let is_scaled = |owner: &FieldOwner| owner.subresource.as_deref() == Some("scale");
    match (owner, tracked) {
        (Some(owner), _) if owner.applied => {
            findings.push(by_policy(limits, format!("field manager {owner} applies spec.replicas")));
        }
        (Some(owner), Some(tracked)) if !is_scaled(owner) => {
            findings.push(by_policy(limits, format!("{tracked}, and spec.replicas was written by {owner}")));
        }
        // Who leaves the number out of the repository leaves it to others.
        (_, Some(tracked)) => {
            findings.push(Finding::Warned(format!("{tracked} and may put the number back")));
        }
        (_, None) => {}
    }
    if around.replicas_in_applied {
        let words = "the file that was applied last states spec.replicas: the next `kubectl apply` resets it";
        findings.push(Finding::Warned(words.to_owned()));
    }
}

/// Autoscalers and managers of resources.
fn resources(
    around: &Surroundings,
    sizes: &[ContainerSize],
    by_template: bool,
    limits: Limits,
    findings: &mut Vec<Finding>,
) {
    let vertical = around.scalers.iter().filter(|scaler| scaler.kind.axis() == Axis::Vertical);
    findings.extend(vertical.map(|scaler| by_policy(limits, described(scaler))));
    let named = |resource: &str| {
        sizes
            .iter()
            .any(|size| requested(size).named(resource).is_some() || limited(size).named(resource).is_some())
    };
    for hpa in around.scalers.iter().filter(|scaler| scaler.kind == ScalerKind::HorizontalPodAutoscaler) {
        for resource in hpa.follows.iter().filter(|resource| named(resource)) {
            let words = format!(
                "{} {} follows {resource} in percent of the request, which a vertical step moves",
                hpa.kind.as_str(),
                hpa.name
            );
            findings.push(by_policy(limits, words));
        }
    }
    if !by_template {
        return;
    }
    if let Some(maker) = &around.made_by {
        findings.push(by_policy(limits, format!("{maker} made it and may put the template back")));
    }
    if let Some(owner) = around.resources_by.as_ref().filter(|owner| &*owner.manager != FIELD_MANAGER) {
        findings.push(by_policy(limits, format!("field manager {owner} applies the template's resources")));
    } else if let Some(tracking) = &around.tracking {
        let (by, mark, value) = (tracking.by.as_str(), &tracking.mark, &tracking.value);
        findings.push(by_policy(limits, format!("{by} keeps its template ({mark}: {value})")));
    }
}

fn by_policy(limits: Limits, words: String) -> Finding {
    match limits.other_owner {
        OtherOwner::Warn => Finding::Warned(words),
        OtherOwner::Refuse | OtherOwner::RaiseHpaMin => Finding::Refused(words),
    }
}
