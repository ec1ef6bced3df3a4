//! Reading what a namespace allows: quotas, limit ranges and disruption budgets into the domain's words.

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, ResourceQuota, ScopedResourceSelectorRequirement,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::Selector;

use super::demand::amounts;
use super::resources::parse_quantity;
use crate::domain::scaling::{Amounts, DisruptionBudget, Quota, Range, RangeOf, Scope};

/// A quota.
pub(super) fn quota(read: &ResourceQuota) -> Vec<Quota> {
    let spec = read.spec.as_ref();
    let mut scopes: Vec<Scope> =
        spec.into_iter().flat_map(|spec| spec.scopes.iter().flatten()).map(|name| plain(name)).collect();
    let selector = spec.and_then(|spec| spec.scope_selector.as_ref());
    scopes.extend(selector.into_iter().flat_map(|it| it.match_expressions.iter().flatten()).map(selected));
    vec![Quota {
        name: read.metadata.name.as_deref().unwrap_or_default().into(),
        scopes,
        hard: amounts(spec.and_then(|spec| spec.hard.as_ref())),
        used: read.status.as_ref().and_then(|status| status.used.as_ref()).map(|used| amounts(Some(used))),
    }]
}

fn plain(name: &str) -> Scope {
    match name {
        "Terminating" => Scope::Terminating,
        "NotTerminating" => Scope::NotTerminating,
        "BestEffort" => Scope::BestEffort,
        "NotBestEffort" => Scope::NotBestEffort,
        "PriorityClass" => Scope::HasPriority,
        other => Scope::Other(other.into()),
    }
}

fn selected(read: &ScopedResourceSelectorRequirement) -> Scope {
    let values = || read.values.iter().flatten().map(|value| value.as_str().into()).collect();
    match (read.scope_name.as_str(), read.operator.as_str()) {
        ("PriorityClass", "In") => Scope::PriorityIn(values()),
        ("PriorityClass", "NotIn") => Scope::PriorityNotIn(values()),
        ("PriorityClass", "Exists") => Scope::HasPriority,
        ("PriorityClass", "DoesNotExist") => Scope::HasNoPriority,
        (name, "Exists") => plain(name),
        (name, _) => Scope::Other(name.into()),
    }
}

/// The items of a limit range that speak of pods.
pub(super) fn ranges(read: &LimitRange) -> Vec<Range> {
    let items = read.spec.iter().flat_map(|spec| &spec.limits);
    items.filter_map(|item| range(read.metadata.name.as_deref().unwrap_or_default(), item)).collect()
}

fn range(name: &str, item: &LimitRangeItem) -> Option<Range> {
    let of = match item.type_.as_str() {
        "Container" => RangeOf::Container,
        "Pod" => RangeOf::Pod,
        _ => return None,
    };
    let ratios = item.max_limit_request_ratio.iter().flatten();
    Some(Range {
        name: name.into(),
        of,
        max: amounts(item.max.as_ref()),
        min: amounts(item.min.as_ref()),
        default: amounts(item.default.as_ref()),
        default_request: amounts(item.default_request.as_ref()),
        max_ratio: Amounts::new(
            ratios.filter_map(|(name, ratio)| Some((name.as_str(), thousandths(&ratio.0)?))),
        ),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
fn thousandths(ratio: &str) -> Option<i64> {
    Some((parse_quantity(ratio)? * 1000.0).floor() as i64)
}

/// A disruption budget and the pods it covers; none where its selector cannot be read.
pub(super) fn budget(read: &PodDisruptionBudget) -> Vec<(Selector, DisruptionBudget)> {
    let Some(selector) = read.spec.as_ref().and_then(|spec| spec.selector.clone()) else { return Vec::new() };
    let Ok(selector) = Selector::try_from(selector) else { return Vec::new() };
    let status = read.status.as_ref();
    let count = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let budget = DisruptionBudget {
        name: read.metadata.name.as_deref().unwrap_or_default().into(),
        allowed: count(status.map(|status| status.disruptions_allowed)),
        healthy: count(status.map(|status| status.current_healthy)),
        desired_healthy: count(status.map(|status| status.desired_healthy)),
    };
    vec![(selector, budget)]
}
