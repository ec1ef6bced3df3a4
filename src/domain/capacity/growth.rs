//! Growth by tenant: who grows how fast, in data or in requests. Owns the list; a few weekly looks are enough for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::trend::{between, median};
use crate::domain::Timestamp;
use crate::domain::quantity::Unit;

/// The label that names a tenant.
pub const TENANT: &str = "tenant";

/// The values of a metric by tenant, at some instants.
#[derive(Debug, Clone, PartialEq)]
pub struct Looks {
    /// The metric's name.
    pub metric: Arc<str>,
    /// Its unit.
    pub unit: Unit,
    /// What was seen at each instant, oldest first.
    pub seen: Vec<(Timestamp, BTreeMap<Arc<str>, f64>)>,
}

/// How one tenant's values grew.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantGrowth {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The newest value.
    pub value: f64,
    /// Growth a day: the median of the slopes between all pairs of looks; `None` with one look.
    pub a_day: Option<f64>,
    /// Growth over the time looked at, as a share of the oldest value; `None` where that was nothing.
    pub share: Option<f64>,
    /// How many days were looked at.
    pub days: f64,
}

impl Looks {
    /// The growth of each tenant that is there now, the one that grew most in a day first.
    pub fn growth(&self) -> Vec<TenantGrowth> {
        let Some((_, newest)) = self.seen.last() else { return Vec::new() };
        let mut list: Vec<TenantGrowth> = newest.keys().map(|tenant| self.of(tenant)).collect();
        list.sort_by(|one, two| {
            let key = |it: &TenantGrowth| it.a_day.unwrap_or(f64::NEG_INFINITY);
            key(two).total_cmp(&key(one)).then_with(|| one.tenant.cmp(&two.tenant))
        });
        list
    }

    fn of(&self, tenant: &Arc<str>) -> TenantGrowth {
        let values: Vec<(Timestamp, f64)> =
            self.seen.iter().filter_map(|(at, values)| Some((*at, *values.get(tenant)?))).collect();
        let mut slopes = Vec::new();
        for (index, (at, value)) in values.iter().enumerate() {
            for (later, other) in &values[index + 1..] {
                let days = between(*at, *later);
                if days > 0.0 {
                    slopes.push((other - value) / days);
                }
            }
        }
        slopes.sort_by(f64::total_cmp);
        let (first, last) = (values.first(), values.last());
        let oldest = first.map_or(0.0, |(_, value)| *value);
        let value = last.map_or(0.0, |(_, value)| *value);
        TenantGrowth {
            tenant: tenant.clone(),
            value,
            a_day: (!slopes.is_empty()).then(|| median(&slopes)),
            share: (values.len() > 1 && oldest > 0.0).then(|| value / oldest - 1.0),
            days: first.zip(last).map_or(0.0, |((from, _), (to, _))| between(*from, *to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(values: &[&[(&str, f64)]]) -> Looks {
        let start: Timestamp = "2026-11-02T00:00:00Z".parse().unwrap();
        let seen = values.iter().enumerate().map(|(week, values)| {
            let hours = i64::try_from(week * 7 * 24).unwrap();
            let at = start.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap();
            (at, values.iter().map(|(tenant, value)| (Arc::from(*tenant), *value)).collect())
        });
        Looks { metric: "tenant_data".into(), unit: Unit::Bytes, seen: seen.collect() }
    }

    #[test]
    fn who_grows_most_is_first_and_who_is_new_has_no_growth_yet() {
        let looks = looks(&[
            &[("acme", 100.0), ("gone", 5.0)],
            &[("acme", 170.0), ("slow", 10.0)],
            &[("acme", 240.0), ("slow", 17.0), ("new", 1e6)],
        ]);
        let list = looks.growth();
        let names: Vec<&str> = list.iter().map(|it| &*it.tenant).collect();
        assert_eq!(names, ["acme", "slow", "new"]);
        assert_eq!(list[0].a_day, Some(10.0));
        assert!((list[0].share.unwrap() - 1.4).abs() < 1e-12);
        assert_eq!((list[1].a_day, list[1].days), (Some(1.0), 7.0));
        assert_eq!((list[2].a_day, list[2].share, list[2].value), (None, None, 1e6));
    }
}
