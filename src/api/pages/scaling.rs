//! Scaling as a page: each target with its size, its bounds, why it rests, and the last actions with their way.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::Api;
use crate::api::target::TargetView;
use crate::domain::scaling::ScalingAction;

use super::door::Visitor;
use super::frame::{Asked, show};
use super::sorry::Sorry;

#[derive(Serialize)]
struct Scaling {
    targets: Vec<Line>,
    mode: &'static str,
}

#[derive(Serialize)]
struct Line {
    namespace: String,
    name: String,
    /// The last size that an action led to, in words.
    last: Option<String>,
    #[serde(flatten)]
    view: TargetView,
}

pub(super) async fn page(State(api): State<Api>, visitor: Visitor) -> Result<Response, Sorry> {
    let asked = Asked { section: "scaling", template: "scaling.html", visitor };
    show(&api, asked, String::new, |engine, _| {
        let targets = engine.plan().rules.policy.iter().flat_map(|policy| &policy.targets);
        let lines = targets.map(|target| {
            let own = engine.actions().filter(|action| action.target == target.id);
            let last = own.max_by_key(|action| action.planned_at);
            Line {
                namespace: target.id.namespace.to_string(),
                name: target.id.name.to_string(),
                last: last.map(ScalingAction::change),
                view: TargetView::new(engine, target),
            }
        });
        Some(Scaling { targets: lines.collect(), mode: engine.plan().scaling.as_str() })
    })
    .await
}
