//! Scaling over HTTP: the targets with their cooldowns, what is held and why, and the last actions.

use axum::Json;
use axum::extract::State;

use super::Api;
use super::problem::Problem;
use super::view::{Page, TargetView};

pub(super) async fn targets(State(api): State<Api>) -> Result<Json<Page<TargetView>>, Problem> {
    let items = api
        .core
        .peek(|engine| {
            let targets = engine.plan().rules.policy.iter().flat_map(|policy| &policy.targets);
            targets.map(|target| TargetView::new(engine, target)).collect()
        })
        .await?;
    Ok(Json(Page { items, next: None }))
}
