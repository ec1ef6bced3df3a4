//! The probe: it reaches what is listed, as far as it is listed, and brings nothing along.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get;
use runbookd::probe::{AllowedHosts, Lookup, Probe, ProbeFailure};
use tokio::net::TcpListener;

/// A name server that gives another answer each time: the last one for ever.
struct Names {
    answers: Vec<Vec<&'static str>>,
    asked: Arc<AtomicUsize>,
}

impl Lookup for Names {
    fn lookup(&self, _: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let at = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[at].iter().map(|it| it.parse().unwrap()).collect();
        Box::pin(async move { Ok(answer) })
    }
}

fn allowed(entries: &[String]) -> AllowedHosts {
    AllowedHosts::new(&entries.iter().map(|entry| Arc::from(entry.as_str())).collect::<Vec<_>>())
}

/// A probe under which every name has these addresses, one list a question.
fn probe(entries: &[String], answers: &[&[&'static str]]) -> (Probe, Arc<AtomicUsize>) {
    world::install_crypto();
    let asked = Arc::new(AtomicUsize::new(0));
    let names = Names { answers: answers.iter().map(|it| it.to_vec()).collect(), asked: asked.clone() };
    (Probe::with_lookup(allowed(entries), names).unwrap(), asked)
}

/// A server with a page, a long page, a redirect and an answer that never comes; its port.
async fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = |headers: HeaderMap| async move {
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        (StatusCode::SERVICE_UNAVAILABLE, names.join(" "))
    };
    let router = Router::new()
        .route("/seen", get(seen))
        .route("/long", get(|| async { "é".repeat(100_000) }))
        .route("/binary", get(|| async { vec![0_u8, 1, 2] }))
        .route("/away", get(|| async { (StatusCode::FOUND, [("location", "/seen")]).into_response() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test]
async fn what_is_listed_answers_and_nothing_of_the_daemon_goes_along() {
    let port = server().await;
    let (probe, _) = probe(&[format!("127.0.0.1:{port}")], &[&[]]);
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let answer = probe.get(&url("/seen")).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, "accept accept-encoding host user-agent"));
    let long = probe.get(&url("/long")).await.unwrap();
    assert!(long.cut && long.body.len() <= 512 + 2 && long.body.starts_with('é'), "{}", long.body.len());
    assert_eq!(probe.get(&url("/binary")).await.unwrap().body, "");
    let away = probe.get(&url("/away")).await.unwrap();
    assert_eq!(away.status, 302, "a redirect is an answer, not a way");
}

#[tokio::test]
async fn what_is_not_listed_is_refused_before_any_name_is_looked_up() {
    let (probe, asked) = probe(&["status.example.org:8443".into(), "127.0.0.1:1".into()], &[&["8.8.8.8"]]);
    for url in [
        "http://evil.example.org/",
        "https://status.example.org/",
        "https://status.example.org:8443.evil.example.org/",
        "https://user:secret@status.example.org:8443/",
        "http://127.0.0.1/",
        "http://127.1:2/",
        "http://0x7f000001:2/",
        "http://2130706433:2/",
        "http://[::1]:1/",
        "http://[::ffff:127.0.0.1]:2/",
        "http://169.254.169.254/latest/meta-data/",
        "ftp://status.example.org:8443/",
        "file:///etc/passwd",
        "not a url",
    ] {
        let refused = probe.get(url).await.unwrap_err();
        assert!(matches!(refused, ProbeFailure::NotAllowed(_) | ProbeFailure::NoUrl), "{url}: {refused:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_however_it_is_asked() {
    let port = server().await;
    let entries = [format!("inside.example.org:{port}"), "*.tenants.example.org".into()];
    for addresses in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["169.254.169.254"],
        &["64:ff9b::a9fe:a9fe"],
        &["127.0.0.1", "169.254.169.254"],
    ] {
        let (probe, asked) = probe(&entries, &[addresses]);
        for host in ["inside.example.org", "a.tenants.example.org"] {
            let refused = probe.get(&format!("http://{host}:{port}/seen")).await.unwrap_err();
            assert_eq!(refused, ProbeFailure::Misleading(host.into()), "{addresses:?}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
    let (probe, _) = probe(&entries, &[&["10.0.0.1"]]);
    let refused = probe.get(&format!("http://a.tenants.example.org:{port}/seen")).await.unwrap_err();
    assert!(matches!(refused, ProbeFailure::Misleading(_)), "whoever may add a name chooses its address");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_between_two_questions_gains_nothing() {
    let port = server().await;
    let answers: [&[&str]; 3] = [&["127.0.0.1"], &["169.254.169.254"], &["10.0.0.1", "127.0.0.1"]];
    let (probe, asked) = probe(&[format!("localhost:{port}")], &answers);
    let url = format!("http://localhost:{port}/seen");
    assert_eq!(probe.get(&url).await.unwrap().status, 503);
    assert_eq!(probe.get(&url).await, Err(ProbeFailure::Misleading("localhost".into())));
    assert_eq!(probe.get(&url).await.unwrap().status, 503, "only the address that may be reached is tried");
    assert_eq!(
        asked.load(Ordering::SeqCst),
        3,
        "each connection asks, and the answer that is checked is the one used"
    );
}

#[tokio::test]
async fn localhost_is_reached_where_it_is_listed_and_nobody_there_is_unreachable() {
    let port = server().await;
    let (probe, _) = probe(&[format!("localhost:{port}"), "127.0.0.1:1".into()], &[&["127.0.0.1"]]);
    assert_eq!(probe.get(&format!("http://localhost:{port}/seen")).await.unwrap().status, 503);
    let gone = tokio::time::timeout(Duration::from_secs(10), probe.get("http://127.0.0.1:1/")).await.unwrap();
    let gone = gone.unwrap_err();
    assert!(matches!(&gone, ProbeFailure::Unreachable(words) if !words.contains("http")), "{gone:?}");
}
