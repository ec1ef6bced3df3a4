//! The `OpenAPI` document: it names every route and no other, it is the one under docs/, and whatever is asked by it, however
//! odd, is answered and never with a failure of the daemon's own.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};

use super::room::Room;

const PATH: &str = "/api/runbookd/v1/openapi.json";

/// Each operation of the document: method, path, what stands there.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().iter();
        operations.map(|(method, operation)| (method.clone(), path.clone(), operation.clone()))
    });
    all.collect()
}

fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[tokio::test]
async fn the_document_is_the_one_in_the_docs_and_names_every_route() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let (_, document) = room.get(PATH).await;
    room.close().await;
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = home.join("docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "docs/openapi.json is old: run this test with UPDATE=1 and read the difference");

    let mut code = String::new();
    sources(&home.join("src/api"), &mut code);
    let route = Regex::new(r#"\.route\(\s*"(/api/[^"]+)",\s*((?:[^()]|\([^()]*\))*)\)"#).unwrap();
    let method = Regex::new(r"\b(get|post|put|patch|delete)\(").unwrap();
    let mut served = BTreeSet::new();
    for found in route.captures_iter(&code) {
        for method in method.captures_iter(&found[2]) {
            served.insert((method[1].to_owned(), found[1].to_owned()));
        }
    }
    // Signed callbacks are for Slack and PagerDuty alone.
    served.retain(|(_, path)| !path.contains("/callbacks/"));
    let named: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    assert!(served.len() > 30, "the routes are found: {served:?}");
    assert_eq!(named, served, "what the document names, and what is served");
}

/// Something that may stand where a text belongs.
fn text(random: &mut fastrand::Rng) -> String {
    const ODD: &[&str] = &[
        "",
        "a",
        "0",
        "-1",
        "99999999999999999999",
        "true",
        "null",
        "firing",
        "open",
        "INC-20261123-0001",
        "../..",
        "%",
        "{}",
        "a=b",
        "a=~(",
        "{a=\"b\"}",
        "service=~\".*\"",
        "1h",
        "-1h",
        "1e308h",
        "2026-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "-009999-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "é\u{202e}",
        "\u{0}",
        "((((((((((a{99}){99}){99})",
        "'\"<>&;",
    ];
    match random.u8(0..10) {
        0 => (0..random.usize(0..40)).map(|_| random.char(..)).collect(),
        1 => "x".repeat(random.usize(0..3_000)),
        _ => ODD[random.usize(..ODD.len())].to_owned(),
    }
}

/// A value of a schema, or, one time in eight, of another.
fn value(schema: &Value, random: &mut fastrand::Rng) -> Value {
    if random.u8(0..8) == 0 {
        let odd = [
            json!(null),
            json!(-1),
            json!(1.5e300),
            json!([]),
            json!({}),
            json!([[[]]]),
            json!("x"),
            json!(true),
        ];
        return odd[random.usize(..odd.len())].clone();
    }
    if let Some(words) = schema["enum"].as_array().filter(|_| random.bool()) {
        return words[random.usize(..words.len())].clone();
    }
    match schema["type"].as_str().unwrap_or("string") {
        "integer" => json!(random.i64(-2..2_000)),
        "boolean" => json!(random.bool()),
        "array" => (0..random.usize(0..4)).map(|_| value(&schema["items"], random)).collect(),
        "object" => {
            let mut made = serde_json::Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let is_required = schema_requires(schema, name);
                if is_required || random.u8(0..4) > 0 {
                    made.insert(name.clone(), value(schema, random));
                }
            }
            if schema["additionalProperties"].is_object() {
                for _ in 0..random.usize(0..4) {
                    made.insert(text(random), value(&schema["additionalProperties"], random));
                }
            }
            if random.u8(0..8) == 0 {
                made.insert(text(random), json!(text(random)));
            }
            made.into()
        }
        _ if schema["format"] == "date-time" && random.bool() => json!("2099-01-01T00:00:00Z"),
        _ => json!(text(random)),
    }
}

fn schema_requires(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|one| one == name))
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        out.push_str(&format!("%{byte:02X}"));
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_is_no_failure_of_the_daemon() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    room.cpu_is(&[("a", 0.95), ("b", 0.8)]).await;
    let (_, document) = room.get(PATH).await;
    let (_, incidents) = room.get("/api/runbookd/v1/incidents").await;
    let known = incidents["items"][0]["id"].as_str().unwrap().to_owned();
    let mut codes = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for _ in 0..40 {
            let mut url = path.clone();
            let mut query = Vec::new();
            for parameter in operation["parameters"].as_array().unwrap() {
                let name = parameter["name"].as_str().unwrap();
                if parameter["in"] == "path" {
                    let text = if random.bool() { known.clone() } else { text(&mut random) };
                    url = url.replace(&format!("{{{name}}}"), &encoded(&text));
                } else if random.bool() {
                    let made = value(&parameter["schema"], &mut random);
                    let texts = if let Some(list) = made.as_array() { list.clone() } else { vec![made] };
                    for one in texts {
                        let one = one.as_str().map_or_else(|| one.to_string(), str::to_owned);
                        query.push(format!("{}={}", encoded(name), encoded(&one)));
                    }
                }
            }
            if random.u8(0..8) == 0 {
                query.push(
                    text(&mut random)
                        .bytes()
                        .filter(u8::is_ascii_graphic)
                        .filter(|b| *b != b'#')
                        .map(char::from)
                        .collect(),
                );
            }
            let url = format!("{}{url}?{}", room.url, query.join("&"));
            let what = format!("{method} {url} (SEED={seed})");
            let request = room.client.request(method.to_uppercase().parse().unwrap(), &url);
            let request = request.timeout(Duration::from_secs(20));
            let (request, body) = if method == "post" {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let mut body = value(schema, &mut random).to_string();
                if random.u8(0..10) == 0 {
                    body.truncate(body.floor_char_boundary(random.usize(0..=body.len())));
                }
                (request.header("Content-Type", "application/json").body(body.clone()), body)
            } else {
                (request, String::new())
            };
            let answer = request.send().await.unwrap_or_else(|error| panic!("{what} {body}: {error}"));
            assert!(answer.status().as_u16() < 500, "{what} {body}: {}", answer.status());
            codes.insert((method.clone(), answer.status().as_u16()));
        }
    }
    for code in [("get", 200), ("get", 400), ("get", 404), ("post", 200), ("post", 400), ("delete", 404)] {
        assert!(codes.contains(&(code.0.to_owned(), code.1)), "{code:?} is among {codes:?}");
    }
    assert_eq!(room.get("/healthz").await.0, 200, "it lives");
    room.close().await;
}
