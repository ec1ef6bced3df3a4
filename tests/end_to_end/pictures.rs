//! Charts as people get them: within the mail, on the incident's page, and never at the price of a page.

use std::time::Duration;

use world::smtp::message::Mail;

const PATIENCE: Duration = Duration::from_secs(60);

/// The width and height that a PNG says it has.
fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "a PNG");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_is_in_the_mail_and_on_the_page() {
    let _alone = super::alone().await;
    let (stage, daemon) = super::world().await;
    stage.shop.set_disk("node-1", 0.9).unwrap();
    let page = |mail: &Mail| mail.header("X-Runbookd-Event") == Some("opened");
    let mail = stage.smtp.journal.wait_for(page, PATIENCE).await.unwrap();
    let picture = mail.part("image/png").expect("the page's mail shows the chart");
    assert_eq!(size(&picture.content), (1120, 480));
    assert!(mail.html().unwrap().contains("cid:"));

    let list = daemon.json("/api/runbookd/v1/incidents").await.unwrap();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: String| client.get(format!("{}{path}", daemon.url())).send();
    let chart = get(format!("/incidents/{id}/chart.png")).await.unwrap();
    assert_eq!(
        (chart.status().as_u16(), &chart.headers()["content-type"]),
        (200, &"image/png".parse().unwrap())
    );
    assert!(chart.headers()["content-security-policy"].to_str().unwrap().contains("img-src 'self'"));
    assert_eq!(size(&chart.bytes().await.unwrap()), (1120, 480));
    let page = daemon.text(&format!("/incidents/{id}")).await.unwrap();
    assert!(
        page.contains(&format!("src=\"/incidents/{id}/chart.png\"")) && page.contains("alt=\"disk"),
        "{page}"
    );
    assert_eq!(get("/incidents/INC-0/chart.png".into()).await.unwrap().status(), 404);
}
