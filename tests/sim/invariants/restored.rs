//! I13: what is restored is what was committed, and what is committed is what was decided. Owns the comparison of an
//! engine with the record.

use runbookd::domain::alert::Alert;
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::engine::Engine;
use runbookd::engine::plan::Plan;
use runbookd::engine::state::State;

/// Whether a restored engine goes on as the record says. What the plan of today no longer has is ended at once, so that
/// such a restart is left out.
pub(crate) fn went_on(engine: &Engine, image: &State, plan: &Plan) -> Result<(), String> {
    if image.alerts.keys().any(|rule| !plan.rules.rules.contains_key(rule)) {
        return Ok(());
    }
    // A storm that waits is told in a digest at once.
    let digests =
        |notice: &Notice| notice.event == NoticeEvent::Digest && !image.outbox.contains_key(&notice.id);
    if engine.outbox().any(|(_, notice)| digests(notice)) {
        return Ok(());
    }
    // What waits for a mend is tried at once: a restart may be it.
    let mut image = image.clone();
    for notice in image.outbox.values_mut().filter(|notice| notice.parked) {
        notice.rest = None;
    }
    is_recorded(engine, &image).map_err(|what| format!("after a restart {what}"))
}

/// Whether the record holds what the engine decided.
pub(crate) fn is_recorded(engine: &Engine, image: &State) -> Result<(), String> {
    if engine.incidents().count() != image.incidents.len() {
        return Err("the record holds other incidents".into());
    }
    for incident in engine.incidents() {
        let known = image.incidents.get(&incident.id);
        // A value that is no number equals nothing, itself included.
        if known != Some(incident) && format!("{known:?}") != format!("{:?}", Some(incident)) {
            return Err(format!("the record tells {} otherwise", incident.id));
        }
    }
    if engine.outbox().count() != image.outbox.len() {
        return Err("the record holds other notices".into());
    }
    for (id, notice) in engine.outbox() {
        // Whether it may have left is a matter of this life.
        let known = image.outbox.get(id);
        let same = known.is_some_and(|known| {
            let known = Notice { possibly_sent: notice.possibly_sent, ..known.clone() };
            *notice == known || format!("{notice:?}") == format!("{known:?}")
        });
        if !same {
            return Err(format!("the record tells notice {id} otherwise"));
        }
    }
    let mut durable = 0;
    for (rule, labels, alert) in engine.alerts() {
        let Some(plan) = engine.rule(rule).filter(|plan| alert.is_durable(plan)) else { continue };
        durable += 1;
        let known: Option<&Alert> =
            image.alerts.get(rule).and_then(|series| series.get(labels)).map(|it| &it.alert);
        if !known.is_some_and(|known| known.durable(plan) == alert.durable(plan)) {
            return Err(format!("the record tells the alert {rule} {labels} otherwise"));
        }
    }
    let recorded: usize = image.alerts.values().map(std::collections::BTreeMap::len).sum();
    if durable == recorded {
        Ok(())
    } else {
        Err(format!("the record holds {recorded} alerts, {durable} are"))
    }
}
