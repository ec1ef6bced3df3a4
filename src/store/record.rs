//! Records: how a change is written as a row (kind, key, body) and read back. Owns the record form only.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::Timestamp;
use crate::domain::change::Change;
use crate::domain::name::TargetId;
use crate::domain::rest::Rest;
use crate::domain::scaling::{Axis, Direction};

use super::StoreError;

/// A row to put, or to delete where there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) key: String,
    pub(super) body: Option<String>,
}

impl Row {
    pub(super) fn from_change(change: &Change) -> Result<Self, StoreError> {
        match change {
            Change::Alert(key, alert) => row("alert", &json("alert", key)?, alert.as_ref()),
            Change::Incident(id, incident) => row("incident", id.as_str(), incident.as_ref()),
            Change::Notice(id, notice) => row("notice", id.as_str(), notice.as_ref()),
            Change::Action(id, action) => row("action", id.as_str(), action.as_ref()),
            Change::Cooldown(target, axis, direction, rest) => {
                let kind = match direction {
                    Direction::Out => "cooldown",
                    Direction::In => "cooldown_in",
                };
                row(kind, &json(kind, &(target, axis))?, rest.as_ref())
            }
            Change::Target(target, record) => row("target", &json("target", target)?, record.as_ref()),
            Change::Silence(id, silence) => row("silence", id.as_str(), silence.as_ref()),
            Change::External(labels, alert) => row("external", &json("external", labels)?, alert.as_ref()),
            Change::Numbered(day, count) => row("numbered", &day.to_string(), Some(count)),
        }
    }

    /// The change that a stored row stands for; `None` for a kind that an older version no longer wrote.
    pub(super) fn into_change(kind: &str, key: &str, body: &str) -> Result<Option<Change>, StoreError> {
        Ok(Some(match kind {
            "alert" => Change::Alert(parse(kind, key)?, Some(parse(kind, body)?)),
            "incident" => Change::Incident(key.into(), Some(parse(kind, body)?)),
            "notice" => Change::Notice(key.into(), Some(parse(kind, body)?)),
            "action" => Change::Action(key.into(), Some(parse(kind, body)?)),
            "cooldown" | "cooldown_in" => {
                let (target, axis): (TargetId, Axis) = parse(kind, key)?;
                let direction = if kind == "cooldown" { Direction::Out } else { Direction::In };
                Change::Cooldown(target, axis, direction, Some(rest(kind, body)?))
            }
            "target" => Change::Target(parse(kind, key)?, Some(parse(kind, body)?)),
            "silence" => Change::Silence(key.into(), Some(parse(kind, body)?)),
            "external" => Change::External(parse(kind, key)?, Some(parse(kind, body)?)),
            "numbered" => Change::Numbered(parse(kind, key)?, parse(kind, body)?),
            _ => return Ok(None),
        }))
    }
}

/// A rest; an older version wrote its end alone, and when it began is not known.
fn rest(kind: &str, body: &str) -> Result<Rest, StoreError> {
    match serde_json::from_str::<Timestamp>(body) {
        Ok(until) => Ok(Rest { since: Timestamp::MIN, until }),
        Err(_) => parse(kind, body),
    }
}

fn row<T: Serialize>(kind: &'static str, key: &str, value: Option<&T>) -> Result<Row, StoreError> {
    let body = value.map(|value| json(kind, value)).transpose()?;
    Ok(Row { kind, key: key.to_owned(), body })
}

fn json<T: Serialize>(kind: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Record { kind: kind.into(), source })
}

fn parse<T: DeserializeOwned>(kind: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Record { kind: kind.into(), source })
}
