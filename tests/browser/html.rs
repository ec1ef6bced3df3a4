//! Every page as HTML through the routes: it is there, it is whole, nothing in it is inline, every field has a label,
//! and hostile labels are text.

use std::collections::BTreeSet;

use regex::Regex;

use super::house::{HOSTILE, House, REFUSED, Setting};

/// Every page that can be asked for without knowing an id.
const PAGES: [&str; 16] = [
    "/",
    "/incidents",
    "/incidents?state=active",
    "/alerts",
    "/alerts?state=pending&page=7",
    "/rules",
    "/rules?q=cpu&state=firing",
    "/rules?state=fine",
    "/scaling",
    "/capacity",
    "/tenants",
    "/tenants/tenant-001",
    "/tenants/%3Cb%3E",
    "/silences",
    "/silences?matchers=service%3D%22checkout%22",
    "/sign-in",
];

/// Tags that have no end.
const VOID: [&str; 5] = ["meta", "link", "img", "input", "br"];

/// What is wrong with a page.
fn faults(page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let tag =
        Regex::new(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[^<>=\s]+(?:=\x22[^\x22]*\x22|='[^']*')?)*)\s*>")
            .unwrap();
    let mut open: Vec<String> = Vec::new();
    let (mut ids, mut fors, mut last) = (BTreeSet::new(), BTreeSet::new(), 0);
    let id = Regex::new(r#"\sid="([^"]*)""#).unwrap();
    let name = Regex::new(r#"\s(?:for|aria-labelledby)="([^"]*)""#).unwrap();
    let inline = Regex::new(r"\s(style|on[a-z]+)=").unwrap();
    let values = Regex::new(r#""[^"]*"|'[^']*'"#).unwrap();
    for found in tag.captures_iter(page) {
        let whole = found.get(0).unwrap();
        let between = &page[last..whole.start()];
        if between.replace("<!doctype html>", "").contains('<') {
            faults.push(format!("something that is no tag: {between:?}"));
        }
        last = whole.end();
        let (end, tag, attributes) = (&found[1] == "/", found[2].to_lowercase(), &found[3]);
        if VOID.contains(&tag.as_str()) {
            // They have no end.
        } else if end {
            match open.pop() {
                Some(opened) if opened == tag => {}
                other => faults.push(format!("</{tag}> ends {other:?}")),
            }
        } else {
            open.push(tag.clone());
        }
        let names = values.replace_all(attributes, "");
        if inline.is_match(&names)
            || tag == "style"
            || (tag == "script" && !end && !attributes.contains("src=\"/app.js"))
        {
            faults.push(format!("inline: {}", whole.as_str()));
        }
        if let Some(found) = id.captures(attributes)
            && !ids.insert(found[1].to_owned())
        {
            faults.push(format!("the id {} is there twice", &found[1]));
        }
        if let Some(found) = name.captures(attributes) {
            fors.insert(found[1].to_owned());
        }
        if tag == "img" && !attributes.contains("alt=\"") {
            faults.push(format!("a picture without words: {}", whole.as_str()));
        }
        if tag == "form" && !end && attributes.contains("action=\"http") {
            faults.push(format!("a form that leads away: {}", whole.as_str()));
        }
    }
    if !open.is_empty() {
        faults.push(format!("left open: {open:?}"));
    }
    let field = Regex::new(r"<(?:input|select|textarea)\b([^>]*)>").unwrap();
    for found in field.captures_iter(page) {
        let labelled = id.captures(&found[1]).is_some_and(|it| fors.contains(&it[1]));
        if !labelled && !found[1].contains("type=\"hidden\"") {
            faults.push(format!("a field without a label: {}", &found[0]));
        }
    }
    faults.extend(fors.difference(&ids).map(|it| format!("a label for {it}, which is not there")));
    if page.matches("<h1").count() != 1 || !page.contains("<main") || !page.contains("lang=\"en\"") {
        faults.push("no single heading, main part or language".into());
    }
    faults
}

#[test]
fn the_judge_of_pages_finds_what_it_looks_for() {
    let around =
        |inner: &str| format!("<!doctype html><html lang=\"en\"><main><h1>x</h1>{inner}</main></html>");
    assert_eq!(faults(&around("<p>fine &lt;b&gt;</p>")), Vec::<String>::new());
    for wrong in [
        "<p>",
        "</p>",
        "<p style=\"color:red\">x</p>",
        "<a href=\"/\" onclick=\"x()\">x</a>",
        "<script>x</script>",
        "<b id=\"a\">x</b><b id=\"a\">y</b>",
        "<img src=\"/x\">",
        "<input name=\"x\">",
        "<label for=\"nobody\">x</label>",
        "<h1>two</h1>",
        "<p>a < b</p>",
    ] {
        assert!(!faults(&around(wrong)).is_empty(), "{wrong}");
    }
}

#[tokio::test]
async fn every_page_is_whole_in_every_state_and_runs_nothing_inline() {
    let settings = [
        Setting::default(),
        Setting { calm: true, ..Setting::default() },
        Setting { refused: true, tokens: true, ..Setting::default() },
    ];
    let link = Regex::new(r#"href="(/alerts/explain[^"]*)""#).unwrap();
    for setting in settings {
        let house = House::open(setting).await;
        let mut paths: Vec<String> = PAGES.map(str::to_owned).into();
        if !setting.calm {
            for service in ["checkout", "search", HOSTILE] {
                let id = house.incident_of(service).await;
                paths.extend([format!("/incidents/{id}"), format!("/incidents/{id}/explain")]);
            }
            let (_, alerts) = house.get("/alerts").await;
            let links: Vec<String> = link
                .captures_iter(&alerts)
                .map(|it| it[1].replace("&amp;", "&").replace("&#x2f;", "/"))
                .collect();
            assert!(links.len() >= 3, "{links:?}");
            paths.extend(links);
        }
        for path in paths {
            let (code, page) = house.get(&path).await;
            assert_eq!(code, 200, "{path}: {page}");
            assert_eq!(faults(&page), Vec::<String>::new(), "{path}\n{page}");
            assert!(!page.contains("<script>alert") && !page.contains("<img src=x"), "{path} runs a label");
            assert_eq!(
                page.contains("monitoring.yaml:24:20"),
                setting.refused && path != "/sign-in",
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page_that_leads_on() {
    let house = House::open(Setting { calm: true, ..Setting::default() }).await;
    for path in [
        "/incidents/INC-0",
        "/incidents/INC-0/explain",
        "/notices/x/explain",
        "/capacity/outlook.png?model=x",
        "/alerts/explain?rule=x&series=y",
    ] {
        let (code, page) = house.get(path).await;
        assert_eq!(code, 404, "{path}");
        assert_eq!(faults(&page), Vec::<String>::new(), "{path}");
        assert!(page.contains("href=\"/\""), "{path} leads on");
    }
}

#[tokio::test]
async fn the_pages_say_what_an_empty_house_is_waiting_for() {
    let house = House::open(Setting { calm: true, ..Setting::default() }).await;
    let (_, overview) = house.get("/").await;
    assert!(overview.contains("No open incidents") && overview.contains("rules are evaluated"), "{overview}");
    let (_, silences) = house.get("/silences").await;
    assert!(silences.contains("Nothing is silenced"), "{silences}");
}

#[tokio::test]
async fn a_refused_reload_is_told_on_every_page_with_its_place_and_the_line() {
    let house = House::open(Setting { refused: true, ..Setting::default() }).await;
    for path in ["/", "/incidents", "/rules", "/scaling", "/silences"] {
        let (_, page) = house.get(path).await;
        assert!(page.contains("rules&#x2f;monitoring.yaml:24:20: `disk_usage` is a ratio"), "{path}: {page}");
    }
    let (_, rules) = house.get("/rules").await;
    let line = REFUSED.lines().nth(3).unwrap();
    assert!(rules.contains(line) && rules.contains("<details open>"), "{rules}");
}

#[tokio::test]
async fn answers_carry_a_policy_that_allows_nothing_inline() {
    let house = House::open(Setting { calm: true, ..Setting::default() }).await;
    for path in ["/", "/app.js", "/style.css", "/icon.svg", "/incidents/INC-0"] {
        let answer = house.client.get(format!("{}{path}", house.url)).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("x-content-type-options"), "nosniff");
    }
}
