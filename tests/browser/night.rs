//! A night in a browser: an incident is opened, taken, ticked, noted, silenced and resolved; a refused reload is read;
//! and no page has an error in its console or a finding of axe, on a desktop and on a phone, by day and by night.

use serde_json::json;

use super::browser::{Browser, Light, Screen};
use super::house::{House, Setting};

/// Looks a page over.
async fn look(browser: &Browser, what: &str) {
    assert_eq!(browser.violations().await, Vec::<String>::new(), "axe on {what}");
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "the console of {what}");
    let wide = browser.run("return document.documentElement.scrollWidth > innerWidth + 1").await;
    assert_eq!(wide, json!(false), "{what} is wider than the screen");
}

async fn night(screen: Screen) {
    let house = House::open(Setting::default()).await;
    let browser = Browser::open(screen, Light::Day).await;
    let kind = screen.as_str();
    browser.go(&format!("{}/sign-in", house.url)).await;
    browser.write("#name", "Ana").await;
    browser.click("main button.go").await;
    browser.reads("what you do is written down under your name").await;
    look(&browser, "the overview").await;
    browser.keep(&format!("overview-{kind}")).await;

    // Worst first: the first row is the critical one.
    browser.click("#open .row-link").await;
    browser.reads("Who was told").await;
    let first =
        browser.run("return document.querySelector('h1').getBoundingClientRect().bottom < innerHeight").await;
    assert_eq!(first, json!(true), "how bad it is stands on the first screen");
    look(&browser, "the incident").await;
    browser.keep(&format!("incident-{kind}")).await;
    browser.click("#acknowledge").await;
    browser.reads("acknowledged by Ana").await;
    browser.click("#checklist .tick").await;
    browser.reads("1 of 9 done").await;
    browser.write("#note", "the heap is full").await;
    browser.click("form.note button").await;
    browser.reads("Ana the heap is full").await;
    browser.click("#silence").await;
    browser.reads("Nobody is told").await;
    look(&browser, "the incident that is taken").await;
    browser.run("window.confirm = () => true").await;
    browser.click("form[action$='/resolve'] button").await;
    browser.reads("The channels that were told are told so").await;
    look(&browser, "the incident that is over").await;

    browser.go(&format!("{}/silences", house.url)).await;
    browser.write("#matchers", "service=\"search\"").await;
    browser.write("#comment", "known").await;
    browser.click("button[value=preview]").await;
    browser.reads("It fits").await;
    look(&browser, "the preview of a silence").await;
    browser.click("button[value=save]").await;
    browser.reads("The silence holds").await;
    browser.keep(&format!("silences-{kind}")).await;
    for (path, name) in [
        ("/incidents", "incidents"),
        ("/alerts", "alerts"),
        ("/rules", "rules"),
        ("/scaling", "scaling"),
        ("/capacity", "capacity"),
        ("/tenants", "tenants"),
        ("/tenants/tenant-001", "tenant"),
        ("/silences", "silences"),
        ("/sign-in", "sign-in"),
    ] {
        browser.go(&format!("{}{path}", house.url)).await;
        look(&browser, name).await;
        if ["rules", "scaling", "capacity"].contains(&name) {
            browser.keep(&format!("{name}-{kind}")).await;
        }
    }
    let search = house.incident_of("search").await;
    browser.go(&format!("{}/incidents/{search}/explain", house.url)).await;
    browser.reads("does not hear of warning incidents").await;
    look(&browser, "an explanation").await;
    browser.keep(&format!("explain-{kind}")).await;
    if screen == Screen::Phone {
        let small = browser
            .run("return [...document.querySelectorAll('button, .button, .top nav a')].filter(it => it.offsetParent && it.getBoundingClientRect().height < 44).map(it => it.outerHTML)")
            .await;
        assert_eq!(small, json!([]), "what is touched is at least 44 pixels high");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_on_a_desktop() {
    night(Screen::Desktop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_on_a_phone() {
    night(Screen::Phone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reload_is_read_in_the_dark() {
    let house = House::open(Setting { refused: true, ..Setting::default() }).await;
    let browser = Browser::open(Screen::Desktop, Light::Night).await;
    browser.go(&format!("{}/rules", house.url)).await;
    browser.reads("expected a percentage such as 70%").await;
    browser.reads("rules/monitoring.yaml:24:20").await;
    let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
    assert_eq!(dark, json!(true));
    look(&browser, "the rules with a refused reload").await;
    browser.keep("refused-desktop-dark").await;
    let id = house.incident_of("checkout").await;
    for path in [
        "/".to_owned(),
        format!("/incidents/{id}"),
        "/scaling".into(),
        "/capacity".into(),
        "/silences".into(),
    ] {
        browser.go(&format!("{}{path}", house.url)).await;
        look(&browser, &path).await;
    }
    browser.go(&format!("{}/incidents/{id}", house.url)).await;
    browser.keep("incident-desktop-dark").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_appears_by_itself_and_never_under_a_hand() {
    let house = House::open(Setting { calm: true, ..Setting::default() }).await;
    let browser = Browser::open(Screen::Desktop, Light::Day).await;
    browser.go(&house.url).await;
    browser.reads("No open incidents").await;
    house.cpu_is("checkout", 0.95).await;
    browser.reads("CRITICAL checkout").await;
    // A row that has the focus stays where it is; what is new waits until it is left.
    browser
        .run("document.querySelector('#open .row-link').focus(); window.row = document.activeElement")
        .await;
    house.cpu_is("billing", 0.97).await;
    browser.reads("news waits").await;
    let stays = browser.run("return document.activeElement === window.row && row.isConnected").await;
    assert_eq!(stays, json!(true));
    browser.run("document.activeElement.blur()").await;
    browser.reads("CRITICAL billing").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_tabs_are_open_and_the_eighth_still_loads() {
    let house = House::open(Setting::default()).await;
    let browser = Browser::open(Screen::Desktop, Light::Day).await;
    browser.go(&house.url).await;
    for _ in 0..7 {
        let tab = browser.tab.new_window(true).await.unwrap();
        browser.tab.switch_to_window(tab.handle).await.unwrap();
        browser.go(&house.url).await;
    }
    browser.reads("Open incidents").await;
    browser.close().await;
}
