//! PagerDuty's webhooks, version 3, as it sends them when somebody acts on an incident there.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::signature::{Signed, hmac};

/// A webhook that `agent` caused, signed with each of the secrets; a person's name, or nobody's.
pub fn webhook(
    id: &str,
    event_type: &str,
    incident_key: &str,
    agent: Option<&str>,
    secrets: &[&str],
) -> Signed {
    let agent = agent.map_or(Value::Null, |name| {
        json!({
            "html_url": "https://world.pagerduty.example/users/PLH1HKV",
            "id": "PLH1HKV",
            "self": "https://api.pagerduty.example/users/PLH1HKV",
            "summary": name,
            "type": "user_reference",
        })
    });
    let status = event_type.rsplit('.').next().unwrap_or_default();
    let body = json!({
        "event": {
            "id": id,
            "event_type": event_type,
            "resource_type": "incident",
            "occurred_at": Timestamp::now().to_string(),
            "agent": agent,
            "client": null,
            "data": {
                "id": "PGR0VU2",
                "type": "incident",
                "self": "https://api.pagerduty.example/incidents/PGR0VU2",
                "html_url": "https://world.pagerduty.example/incidents/PGR0VU2",
                "number": 2,
                "status": status,
                "incident_key": incident_key,
                "title": "A page",
                "service": {"id": "PF9KMXH", "summary": "shop", "type": "service_reference"},
                "priority": null,
                "urgency": "high",
                "resolve_reason": null,
            },
        },
    });
    signed(id, secrets, body.to_string())
}

/// Any body, signed as PagerDuty signs.
pub fn signed(id: &str, secrets: &[&str], body: String) -> Signed {
    let signatures: Vec<String> =
        secrets.iter().map(|secret| format!("v1={}", hmac(secret, body.as_bytes()))).collect();
    let headers = vec![("X-PagerDuty-Signature", signatures.join(",")), ("X-Webhook-Id", id.to_owned())];
    Signed { headers, kind: "application/json", body }
}
