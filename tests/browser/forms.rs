//! The forms without a browser: what each does, who may send it, and what is refused.

use super::house::{House, Setting, TOKEN};

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// An action, its fields, what it is said to have done, and what the page then shows.
type Step = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

fn named(name: &str) -> String {
    format!("runbookd_name={}", hex(name))
}

#[tokio::test]
async fn an_incident_is_taken_ticked_noted_silenced_and_resolved_by_forms() {
    let house = House::open(Setting::default()).await;
    let id = house.incident_of("checkout").await;
    let page = format!("/incidents/{id}");
    let ana = named("Ana");
    let steps: [Step; 7] = [
        ("acknowledge", &[], "acknowledged", "acknowledged by <b>Ana</b>"),
        ("checklist/0", &[("done", "yes")], "ticked", "aria-pressed=\"true\""),
        ("checklist/0", &[("done", "no")], "ticked", "aria-pressed=\"false\""),
        ("notes", &[("text", "heap is <full>")], "noted", "heap is &lt;full&gt;"),
        ("silence", &[("for", "1h")], "silenced", "silenced"),
        ("unacknowledge", &[], "unacknowledged", "not acknowledged"),
        ("resolve", &[], "resolved", "resolved"),
    ];
    for (action, fields, said, shown) in steps {
        let (code, to) = house.form(&format!("{page}/{action}"), fields, &ana).await;
        assert_eq!((code, to.as_str()), (303, format!("{page}?said={said}").as_str()), "{action}");
        let (_, text) = house.get(&to).await;
        assert!(text.contains(shown), "{action}: no `{shown}` in {text}");
        assert!(text.contains("role=\"status\""), "{action} is confirmed");
    }
    let (_, silences) = house.get("/silences").await;
    assert!(silences.contains("service=&quot;checkout&quot;") && silences.contains("by Ana"), "{silences}");
}

#[tokio::test]
async fn a_silence_shows_what_it_would_hold_back_before_it_is_made_and_keeps_what_was_typed() {
    let house = House::open(Setting::default()).await;
    let asked = [("matchers", "service=\"checkout\""), ("for", "2h"), ("comment", "deploy")];
    let post = |fields: Vec<(&'static str, &'static str)>| {
        let request = house.client.post(format!("{}/silences", house.url)).header("Origin", &house.url);
        request.form(&fields)
    };
    let with = |fields: &[(&'static str, &'static str)], action: &'static str| {
        let mut all = fields.to_vec();
        all.push(("do", action));
        post(all)
    };
    let preview = with(&asked, "preview").send().await.unwrap().text().await.unwrap();
    assert!(preview.contains("It fits 3 of") && preview.contains("1 of them firing"), "{preview}");
    assert!(
        preview.contains("value=\"deploy\"") && preview.contains("<option value=\"2h\" selected>"),
        "{preview}"
    );
    assert!(house.get("/silences").await.1.contains("Nothing is silenced"), "a preview makes nothing");
    let wrong = with(&[("matchers", "service=~\"(\""), ("for", "2h"), ("comment", "deploy")], "save");
    let answer = wrong.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    let page = answer.text().await.unwrap();
    assert!(page.contains("role=\"alert\"") && page.contains("value=\"deploy\""), "{page}");
    assert_eq!(with(&asked, "save").send().await.unwrap().status().as_u16(), 303);
    let (_, page) = house.get("/silences").await;
    assert!(page.contains("service=&quot;checkout&quot;"), "{page}");
    let expire = regex::Regex::new(r#"action="(/silences/[^"]+/expire)""#).unwrap();
    let path = expire.captures(&page).unwrap()[1].to_owned();
    assert_eq!(house.form(&path, &[], "").await, (303, "/silences?said=ended".into()));
    assert!(house.get("/silences").await.1.contains("Nothing is silenced"));
}

#[tokio::test]
async fn a_target_is_paused_and_resumed_by_forms() {
    let house = House::open(Setting::default()).await;
    let path = "/scaling/shop/Deployment/checkout";
    let pausing = [("reason", "load test"), ("for", "1h")];
    let (code, _) = house.form(&format!("{path}/pause"), &pausing, &named("Ben")).await;
    assert_eq!(code, 303);
    let (_, page) = house.get("/scaling").await;
    assert!(page.contains("paused by Ben: load test"), "{page}");
    assert_eq!(house.form(&format!("{path}/resume"), &[], "").await.0, 303);
    assert!(!house.get("/scaling").await.1.contains("paused by"));
    assert_eq!(house.form(&format!("{path}/pause"), &[("reason", " ")], "").await.0, 400);
}

#[tokio::test]
async fn forms_of_other_sites_change_nothing() {
    let house = House::open(Setting::default()).await;
    let id = house.incident_of("checkout").await;
    let url = |action: &str| format!("{}/incidents/{id}/{action}", house.url);
    let host = house.url.strip_prefix("http://").unwrap();
    let cases = [
        (Some("https://evil.example"), host),
        (Some("null"), host),
        (None, host),
        (Some("http://evil.example"), "evil.example"),
    ];
    for (origin, host) in cases {
        for action in ["acknowledge", "resolve", "silence"] {
            let mut request = house.client.post(url(action)).header("Host", host).form(&[("for", "1h")]);
            if let Some(origin) = origin {
                request = request.header("Origin", origin);
            }
            let code = request.send().await.unwrap().status().as_u16();
            assert_eq!(code, 403, "{origin:?} {host} {action}");
        }
    }
    for action in ["acknowledge", "resolve", "silence"] {
        let code = house.client.get(url(action)).send().await.unwrap().status().as_u16();
        assert_eq!(code, 405, "a link that is followed changes nothing: {action}");
    }
    let state =
        house.core.ask(|engine| engine.incidents().all(|it| it.acknowledged.is_none())).await.unwrap();
    assert!(state, "nothing was changed");
}

#[tokio::test]
async fn where_tokens_are_configured_a_form_needs_one_and_the_name_is_the_tokens() {
    let house = House::open(Setting { tokens: true, ..Setting::default() }).await;
    let id = house.incident_of("checkout").await;
    let path = format!("/incidents/{id}/acknowledge");
    for cookie in ["", "runbookd_token=00", &format!("runbookd_token={}", hex("wrong")), &named("Ana")] {
        assert_eq!(house.form(&path, &[], cookie).await, (303, "/sign-in?said=sign_in".into()), "{cookie}");
    }
    assert_eq!(house.form("/sign-in", &[("token", "wrong")], "").await.0, 422);
    let request = house.client.post(format!("{}/sign-in", house.url)).header("Origin", &house.url);
    let answer = request.form(&[("token", TOKEN)]).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let (code, to) = house.form(&path, &[], cookie).await;
    assert_eq!(code, 303);
    let (_, page) = house.get(&to).await;
    assert!(page.contains("acknowledged by <b>Ana</b>") && !page.contains(TOKEN), "{page}");
}
