//! The legal moves of an incident, all of them.

use runbookd::domain::incident::IncidentState;

#[test]
fn an_incident_moves_only_along_its_life() {
    let legal = [
        "open acknowledged",
        "open mitigating",
        "open resolved",
        "acknowledged open",
        "acknowledged mitigating",
        "acknowledged resolved",
        "mitigating open",
        "mitigating acknowledged",
        "mitigating resolved",
        "resolved open",
        "resolved closed",
    ];
    let mut found = Vec::new();
    for from in IncidentState::ALL {
        for to in IncidentState::ALL {
            if from.may_become(to) {
                found.push(format!("{from} {to}"));
            }
        }
    }
    assert_eq!(found, legal);
}
