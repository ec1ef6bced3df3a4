//! Tenants as pages: who there is, who grows, and the onboarding list of one.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::Api;
use crate::api::tenants::{LONGEST, TenantView, view};

use super::door::Visitor;
use super::frame::{Asked, show};
use super::sorry::Sorry;

/// How many tenants the list shows.
const MOST: usize = 200;

#[derive(Serialize)]
struct List {
    tenants: Vec<Line>,
    total: usize,
}

#[derive(Serialize)]
struct Line {
    tenant: String,
    requests: Option<f64>,
    firing: usize,
    overrides: usize,
}

pub(super) async fn list(State(api): State<Api>, visitor: Visitor) -> Result<Response, Sorry> {
    let asked = Asked { section: "tenants", template: "tenants.html", visitor };
    show(&api, asked, String::new, |engine, now| {
        let mut tenants: Vec<Line> = engine
            .tenants(now)
            .into_iter()
            .map(|(tenant, line)| Line {
                tenant: tenant.to_string(),
                requests: line.requests,
                firing: line.firing,
                overrides: line.overrides,
            })
            .collect();
        let total = tenants.len();
        tenants.sort_by_key(|line| std::cmp::Reverse(line.firing));
        tenants.truncate(MOST);
        Some(List { tenants, total })
    })
    .await
}

pub(super) async fn one(
    State(api): State<Api>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    if id.len() > LONGEST {
        return Err(Sorry::new(StatusCode::BAD_REQUEST, "the id is too long"));
    }
    let asked = Asked { section: "tenants", template: "tenant.html", visitor };
    show(&api, asked, String::new, move |engine, now| -> Option<TenantView> { Some(view(engine, &id, now)) })
        .await
}
