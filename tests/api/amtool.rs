//! amtool, Alertmanager's own command, as a client: Debian's binary, or the one that `AMTOOL` names.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::room::{Room, answer};

/// What amtool says to these words; panics where it fails.
async fn amtool(room: &Room, words: &[&str]) -> String {
    let (fine, said, wrong) = attempt(room, words).await;
    assert!(fine, "amtool {words:?}: {said}{wrong}");
    said
}

async fn attempt(room: &Room, words: &[&str]) -> (bool, String, String) {
    let program = std::env::var("AMTOOL").unwrap_or_else(|_| "amtool".to_owned());
    let output = Command::new(&program)
        .arg(format!("--alertmanager.url={}", room.url))
        .args(words)
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program} cannot be started ({error}); `make setup` installs it"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn amtool_adds_and_queries_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room::open(folder.path()).await;
    amtool(
        &room,
        &["alert", "add", "Down", "service=checkout", "severity=page", "--annotation=summary=it is down"],
    )
    .await;
    assert_eq!(room.left().await, ["chat opened checkout", "mail opened checkout"]);
    room.cpu_is(&[("cart", 0.95)]).await;

    let table = amtool(&room, &["alert"]).await;
    assert!(table.contains("Down") && table.contains("it is down") && table.contains("cpu_usage"), "{table}");
    let found =
        json_of(&amtool(&room, &["-o", "json", "alert", "query", "service=~c.*", "severity=page"]).await);
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    assert_eq!(found[0]["labels"], json!({"alertname": "Down", "service": "checkout", "severity": "page"}));
    let found = json_of(&amtool(&room, &["-o", "json", "alert", "query", "cpu_usage"]).await);
    assert_eq!(found[0]["labels"]["service"], "cart");
    let extended = amtool(&room, &["-o", "extended", "alert"]).await;
    assert!(extended.contains("active") || extended.contains("checkout"), "{extended}");

    amtool(
        &room,
        &["alert", "add", "Down", "service=checkout", "severity=page", "--end=2026-01-01T00:00:00Z"],
    )
    .await;
    let found = json_of(&amtool(&room, &["-o", "json", "alert", "query", "Down"]).await);
    assert_eq!(found, json!([]), "its end was said");
    room.close().await;
}

#[tokio::test]
async fn amtool_adds_queries_updates_expires_and_imports_silences() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room::open(folder.path()).await;
    let words = [
        "silence",
        "add",
        "--author=Ana",
        "--comment=deploy",
        "--duration=2h",
        "service=cart",
        "alertname=~cpu_.*",
    ];
    let id = amtool(&room, &words).await.trim().to_owned();
    room.cpu_is(&[("cart", 0.95)]).await;
    assert_eq!(room.left().await, [""; 0], "it holds");
    let held = json_of(&amtool(&room, &["-o", "json", "alert", "query", "--silenced"]).await);
    assert_eq!(held[0]["status"]["silencedBy"], json!([id]));

    let list = json_of(&amtool(&room, &["-o", "json", "silence", "query", "service=cart"]).await);
    assert_eq!((list.as_array().map(Vec::len), &list[0]["id"]), (Some(1), &json!(id)));
    assert!(amtool(&room, &["silence", "query"]).await.contains(&id));
    assert_eq!(amtool(&room, &["silence", "query", "-q"]).await.trim(), id);
    amtool(&room, &["silence", "update", "--duration=4h", &id]).await;
    // What it says of the id is an address in its memory.
    let updated = amtool(&room, &["silence", "query", "-q"]).await.trim().to_owned();

    let export = folder.path().join("silences.json");
    std::fs::write(&export, amtool(&room, &["-o", "json", "silence", "query"]).await).unwrap();
    amtool(&room, &["silence", "expire", &updated]).await;
    assert_eq!(room.left().await, ["chat opened cart", "mail opened cart"], "it ended");
    let none = json_of(&amtool(&room, &["-o", "json", "silence", "query"]).await);
    assert_eq!(none, json!([]));
    assert!(amtool(&room, &["silence", "query", "--expired"]).await.contains(&updated));

    amtool(&room, &["silence", "import", export.to_str().unwrap()]).await;
    let list = json_of(&amtool(&room, &["-o", "json", "silence", "query"]).await);
    let matchers = |silence: &Value| silence["matchers"].clone();
    assert_eq!(
        (list.as_array().map(Vec::len), matchers(&list[0])),
        (Some(1), matchers(&json_of(&std::fs::read_to_string(&export).unwrap())[0]))
    );
    let (fine, _, wrong) =
        attempt(&room, &["silence", "expire", "00000000-0000-0000-0000-000000000000"]).await;
    assert!(!fine && !wrong.is_empty(), "an unknown one is told");
    room.close().await;

    // Into a daemon that does not know the ids.
    let elsewhere = tempfile::tempdir().unwrap();
    let room = Room::open(elsewhere.path()).await;
    amtool(&room, &["silence", "import", export.to_str().unwrap()]).await;
    let list = json_of(&amtool(&room, &["-o", "json", "silence", "query"]).await);
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    room.close().await;
}

#[tokio::test]
async fn amtool_shows_the_configuration_and_needs_a_token_where_one_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = "ana fixture-token-of-ana responder\nbob fixture-token-of-bob viewer\n";
    let room = Room::furnished(folder.path(), super::room::CONFIG, super::room::RULES, Some(tokens)).await;
    let shown = amtool(&room, &["config", "show"]).await;
    assert!(shown.contains("receivers") && shown.contains("chat"), "{shown}");
    let cluster = amtool(&room, &["cluster", "show"]).await;
    assert!(cluster.contains("disabled"), "{cluster}");
    assert!(!attempt(&room, &["alert", "add", "Down", "service=a"]).await.0, "no token");
    let http = |token: &str| {
        let file = folder.path().join(format!("{token}.yml"));
        std::fs::write(&file, format!("authorization: {{credentials: {token}}}\n")).unwrap();
        format!("--http.config.file={}", file.display())
    };
    let (ana, bob) = (http("fixture-token-of-ana"), http("fixture-token-of-bob"));
    assert!(!attempt(&room, &[&bob, "alert", "add", "Down", "service=a"]).await.0, "a viewer");
    amtool(&room, &[&ana, "alert", "add", "Down", "service=a"]).await;
    let words = [&ana, "silence", "add", "--author=Bob", "--comment=x", "service=a"];
    let id = amtool(&room, &words).await;
    let (_, silence) = answer(room.client.get(format!("{}/api/v2/silence/{}", room.url, id.trim()))).await;
    assert_eq!(silence["createdBy"], "ana", "whose token it is");
    room.close().await;
}
