//! Alert groups in Alertmanager's form: the alerts of an incident for each channel that hears of it. Alerts that are part
//! of no incident stand together by what they are about.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;

use crate::core::clock;
use crate::domain::labels::Labels;
use crate::domain::name::IncidentId;
use crate::domain::rule::GroupBy;
use crate::engine::Engine;
use crate::engine::firing::FiringAlert;

use super::alerts::{AlertView, ReceiverView, pairs};
use super::listing::{Listing, Pairs, receivers};
use super::{Api, Refused};

/// The receiver of what nobody is told of.
const NOBODY: &str = "none";

/// A group.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    alerts: Vec<AlertView>,
    labels: BTreeMap<String, String>,
    receiver: ReceiverView,
}

/// What makes a group: who hears of it, what it is about, and its incident.
type Place = (BTreeMap<String, String>, String, Option<IncidentId>);

pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<Pairs>, QueryRejection>,
) -> Result<Json<Vec<GroupView>>, Refused> {
    let Query(pairs) = query.map_err(|error| Refused::bad(error.body_text()))?;
    let listing = Listing::read(&pairs)?;
    let found = api.core.peek(move |engine| {
        let mut groups: BTreeMap<Place, Vec<AlertView>> = BTreeMap::new();
        for alert in engine.firing(clock::now()).into_iter().filter(|alert| listing.wants(engine, alert)) {
            for place in
                places(engine, &alert).into_iter().filter(|(_, name, _)| listing.wants_receiver(name))
            {
                groups.entry(place).or_default().push(AlertView::new(engine, alert.clone()));
            }
        }
        let groups = groups.into_iter().map(|((labels, receiver, _), mut alerts)| {
            alerts.sort_by(|one, two| one.fingerprint().cmp(two.fingerprint()));
            GroupView { alerts, labels, receiver: ReceiverView { name: receiver } }
        });
        groups.collect::<Vec<_>>()
    });
    Ok(Json(found.await?))
}

fn places(engine: &Engine, alert: &FiringAlert) -> Vec<Place> {
    let incident = alert.incident.as_ref().and_then(|id| engine.incident(id));
    let subject: Labels = match incident {
        Some(incident) => incident.subject.clone(),
        None => GroupBy::Subject.subject(&alert.labels),
    };
    let mut names = receivers(engine, alert);
    if names.is_empty() {
        names.push(NOBODY);
    }
    let place = |name: &str| (pairs(&subject), name.to_owned(), incident.map(|incident| incident.id.clone()));
    names.into_iter().map(place).collect()
}
