//! The Prometheus adapter against servers that are right, wrong, slow, huge and gone, and against a real one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Form;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use futures::stream;
use runbookd::config::secret::SecretSource;
use runbookd::config::settings::PrometheusSettings;
use runbookd::domain::Timestamp;
use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Sample};
use runbookd::prometheus::{ClientError, Prometheus};
use world::loopback::{ANY_PORT, Loopback};
use world::tls::Identity;

/// Long enough for a slow machine, short enough for a person who waits for a test that fails.
const SOON: Duration = Duration::from_secs(60);

const LIMIT: usize = 4 * 1024 * 1024;

fn settings(url: &str) -> PrometheusSettings {
    world::install_crypto();
    PrometheusSettings {
        url: url.into(),
        timeout: Duration::from_secs(20),
        max_answer_bytes: LIMIT,
        bearer_token: None,
        headers: BTreeMap::new(),
        ca_file: None,
    }
}

fn impatient(url: &str) -> PrometheusSettings {
    PrometheusSettings { timeout: Duration::from_millis(300), ..settings(url) }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_123).unwrap()
}

/// A server whose query endpoint answers so.
async fn server(answer: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) -> Loopback {
    let router = Router::new().route("/api/v1/query", post(move || async move { answer() }));
    Loopback::start(ANY_PORT, router).await.unwrap()
}

fn with(status: u16, kind: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).header("content-type", kind).body(body.into()).unwrap()
}

fn vector(elements: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#)
}

async fn failure(server: &Loopback) -> Option<QueryFailure> {
    failure_of(settings(&server.url())).await
}

async fn failure_of(settings: PrometheusSettings) -> Option<QueryFailure> {
    let prometheus = Prometheus::new(&settings).unwrap();
    match tokio::time::timeout(SOON, prometheus.query("up", now())).await.unwrap() {
        Answer::Failed(failure) => Some(failure),
        Answer::Series(_) => None,
    }
}

// === what is asked ===

type Seen = Arc<Mutex<Vec<(HeaderMap, BTreeMap<String, String>)>>>;

async fn recording(path: &str) -> (Loopback, Seen) {
    let seen = Seen::default();
    let record = Arc::clone(&seen);
    let answer = move |headers: HeaderMap, Form(form): Form<Vec<(String, String)>>| async move {
        let count = form.len();
        let form: BTreeMap<_, _> = form.into_iter().collect();
        assert_eq!(form.len(), count, "no parameter twice");
        record.lock().unwrap().push((headers, form));
        with(200, "application/json", vector(""))
    };
    let server = Loopback::start(ANY_PORT, Router::new().route(path, post(answer))).await.unwrap();
    (server, seen)
}

#[tokio::test]
async fn the_question_carries_the_exact_instant_a_server_timeout_the_headers_and_the_token() {
    let (server, seen) = recording("/prom/api/v1/query").await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "first\n").unwrap();
    let settings = PrometheusSettings {
        bearer_token: Some(SecretSource::File(token.path().into())),
        headers: BTreeMap::from([("X-Scope-OrgID".into(), "shop".into())]),
        ..settings(&format!("{}/prom/", server.url()))
    };
    let prometheus = Prometheus::new(&settings).unwrap();
    assert_eq!(prometheus.query("up == 1", now()).await, Answer::Series(vec![]));
    std::fs::write(token.path(), "second\n").unwrap();
    assert_eq!(prometheus.query("up == 1", now()).await, Answer::Series(vec![]));

    let seen = seen.lock().unwrap();
    let (headers, form) = &seen[0];
    assert_eq!(form["query"], "up == 1");
    assert_eq!(form["time"], "1700000000.123");
    assert_eq!(form["timeout"], "20000ms");
    assert_eq!(headers["x-scope-orgid"], "shop");
    assert_eq!(headers["authorization"], "Bearer first");
    assert_eq!(seen[1].0["authorization"], "Bearer second", "the file was rotated");
}

#[tokio::test]
async fn a_token_that_cannot_be_read_asks_nothing_and_tells_no_secret() {
    let (server, seen) = recording("/api/v1/query").await;
    let mut settings = settings(&server.url());
    settings.bearer_token = Some(SecretSource::File("/nowhere/token".into()));
    let error = Prometheus::new(&settings).unwrap().query_vector("up", now()).await.unwrap_err();
    assert_eq!(error.failure, QueryFailure::Unreachable);
    assert!(error.detail.contains("/nowhere/token"), "{error}");

    settings.bearer_token = Some(SecretSource::Inline("hush\nhush".to_owned().into()));
    let error = Prometheus::new(&settings).unwrap().query_vector("up", now()).await.unwrap_err();
    assert!(!error.to_string().contains("hush"), "{error}");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut PrometheusSettings)| {
        let mut settings = settings("http://127.0.0.1:9090");
        change(&mut settings);
        Prometheus::new(&settings).unwrap_err()
    };
    assert!(matches!(refused(&|s| s.url = "prometheus:9090".into()), ClientError::Url { .. }));
    assert!(matches!(refused(&|s| s.url = "".into()), ClientError::Url { .. }));
    let header = refused(&|s| drop(s.headers.insert("X-A".into(), "se\ncret".into())));
    assert!(matches!(header, ClientError::Header { .. }) && !header.to_string().contains("cret"));
    let absent = refused(&|s| s.ca_file = Some("/nowhere/ca.pem".into()));
    assert!(matches!(absent, ClientError::CaUnreadable { .. }));
    let empty = tempfile::NamedTempFile::new().unwrap();
    let empty = refused(&|s| s.ca_file = Some(empty.path().into()));
    assert!(matches!(empty, ClientError::CaInvalid { .. }), "{empty:?}");
}

// === what is answered ===

#[tokio::test]
async fn values_of_every_kind_arrive_as_what_they_are() {
    let body = vector(
        r#"{"metric":{"__name__":"m","s":"nan"},"value":[1700000000.123,"NaN"]},
           {"metric":{"s":"inf"},"value":[1700000000.123,"+Inf"]},
           {"metric":{"s":"old"},"value":[1699999000,"1"]},
           {"metric":{"s":"histogram"},"histogram":[1700000000.123,{"count":"1","sum":"1","buckets":[]}]},
           {"metric":{"s":"one"},"value":[1700000000.123,"1"]}"#,
    );
    let server = server(move || with(200, "application/json", body.clone())).await;
    let Answer::Series(samples) = Prometheus::new(&settings(&server.url())).unwrap().query("m", now()).await
    else {
        panic!("an answer");
    };
    let expected = [
        ("nan", Observation::NotANumber),
        ("inf", Observation::Value(f64::INFINITY)),
        ("old", Observation::Stale),
        ("histogram", Observation::NotANumber),
        ("one", Observation::Value(1.0)),
    ];
    assert_eq!(samples, expected.map(|(name, seen)| Sample { labels: Labels::new([("s", name)]), seen }));
}

#[tokio::test]
async fn what_the_server_says_about_a_failure_decides_its_class_and_reaches_people() {
    let cases: [(u16, &str, &str, QueryFailure, &str); 9] = [
        (
            400,
            "application/json",
            r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#,
            QueryFailure::Rejected,
            "unexpected end",
        ),
        (422, "text/plain", "too many samples", QueryFailure::Rejected, "too many samples"),
        (429, "text/plain", "slow down", QueryFailure::Unavailable, "429"),
        (503, "text/html", "<h1>no healthy  upstream</h1>", QueryFailure::Unavailable, "no healthy upstream"),
        (
            503,
            "application/json",
            r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#,
            QueryFailure::TimedOut,
            "query timed out",
        ),
        (200, "text/html", "<form>log in</form>", QueryFailure::Malformed, "expected value"),
        (200, "application/json", "", QueryFailure::Malformed, ""),
        (
            200,
            "application/json",
            r#"{"status":"success","warnings":["receive series: store-1 is down"],"data":{"resultType":"vector","result":[]}}"#,
            QueryFailure::Partial,
            "store-1 is down",
        ),
        (404, "text/plain", "404 page not found", QueryFailure::Unavailable, "404"),
    ];
    for (status, kind, body, class, words) in cases {
        let server = server(move || with(status, kind, body)).await;
        let prometheus = Prometheus::new(&settings(&server.url())).unwrap();
        let error = prometheus.query_vector("up", now()).await.unwrap_err();
        assert_eq!(error.failure, class, "{status} {body}");
        assert!(error.detail.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, seen) = recording("/api/v1/query").await;
    let to = format!("{}/api/v1/query", elsewhere.url());
    let server = server(move || {
        Response::builder()
            .status(StatusCode::TEMPORARY_REDIRECT)
            .header("location", &to)
            .body(Body::empty())
            .unwrap()
    })
    .await;
    assert_eq!(failure(&server).await, Some(QueryFailure::Unavailable));
    assert!(seen.lock().unwrap().is_empty(), "the token would have gone along");
}

// === bounded in size ===

fn endless(chunk: Bytes) -> Body {
    Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_the_limit() {
    let server =
        server(|| with(200, "application/json", endless(Bytes::from_static(&[b' '; 16 * 1024])))).await;
    assert_eq!(failure(&server).await, Some(QueryFailure::TooLarge));
}

#[tokio::test]
async fn an_answer_that_announces_too_much_is_not_read_at_all() {
    let server = server(|| {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        Response::builder().header("content-length", LIMIT + 1).body(body).unwrap()
    })
    .await;
    assert_eq!(failure(&server).await, Some(QueryFailure::TooLarge));
}

#[tokio::test]
async fn an_answer_just_within_the_limit_is_read() {
    let mut body = vector("");
    body.push_str(&" ".repeat(LIMIT - body.len()));
    let server = server(move || with(200, "application/json", body.clone())).await;
    assert_eq!(failure(&server).await, None);
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_at_the_limit_of_what_it_unpacks_to() {
    let bomb = Bytes::from(gzip_bomb(64 * 1024 * 1024));
    assert!(bomb.len() < LIMIT / 4, "{}", bomb.len());
    let server = server(move || {
        Response::builder().header("content-encoding", "gzip").body(Body::from(bomb.clone())).unwrap()
    })
    .await;
    assert_eq!(failure(&server).await, Some(QueryFailure::TooLarge));
}

#[tokio::test]
async fn rubbish_that_claims_to_be_gzip_is_malformed() {
    let server = server(|| {
        Response::builder().header("content-encoding", "gzip").body(Body::from("not gzip at all")).unwrap()
    })
    .await;
    assert_eq!(failure(&server).await, Some(QueryFailure::Malformed));
}

/// At least so many blanks as one gzip member of fixed Huffman codes: a literal, then copies of 258 at distance 1.
fn gzip_bomb(size: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut put = |code: u32, length: u32| {
        held |= code << bits;
        bits += length;
        while bits >= 8 {
            out.push(held.to_le_bytes()[0]);
            held >>= 8;
            bits -= 8;
        }
    };
    put(0b011, 3); // the last block, fixed codes
    put((0x30_u32 + 0x20).reverse_bits() >> 24, 8); // a blank
    for _ in 0..size / 258 {
        put(0b1100_0101_u32.reverse_bits() >> 24, 8); // length 258
        put(0, 5); // distance 1
    }
    out
}

// === bounded in time ===

#[tokio::test]
async fn a_server_that_never_answers_times_out() {
    let router = Router::new()
        .route("/api/v1/query", post(|| async { std::future::pending::<Response<Body>>().await }));
    let server = Loopback::start(ANY_PORT, router).await.unwrap();
    assert_eq!(failure_of(impatient(&server.url())).await, Some(QueryFailure::TimedOut));
}

#[tokio::test]
async fn a_slow_drip_times_out_however_steadily_it_drips() {
    let server = server(|| {
        let drips = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        with(200, "application/json", Body::from_stream(drips))
    })
    .await;
    let began = Instant::now();
    assert_eq!(failure_of(impatient(&server.url())).await, Some(QueryFailure::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_answer_is_unreachable() {
    let server = server(|| {
        let parts = [Ok(Bytes::from_static(br#"{"status":"succ"#)), Err(std::io::Error::other("cut"))];
        with(200, "application/json", Body::from_stream(stream::iter(parts)))
    })
    .await;
    assert_eq!(failure(&server).await, Some(QueryFailure::Unreachable));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_the_words_carry_no_password() {
    let server = server(|| with(200, "application/json", vector(""))).await;
    let url = server.url().replace("http://", "http://reader:hush@");
    let prometheus = Prometheus::new(&settings(&url)).unwrap();
    assert_eq!(prometheus.query("up", now()).await, Answer::Series(vec![]));
    server.take_down().await;
    let error = prometheus.query_vector("up", now()).await.unwrap_err();
    assert_eq!(error.failure, QueryFailure::Unreachable);
    assert!(!format!("{error:?} {prometheus:?}").contains("hush"), "{error:?}");
    server.bring_up().await.unwrap();
    assert_eq!(prometheus.query("up", now()).await, Answer::Series(vec![]), "it heals by itself");
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_its_file_is_named() {
    let identity = Identity::issue().unwrap();
    let config = identity.server_config().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut answered = 0;
        for _ in 0..2 {
            let (socket, _) = listener.accept().unwrap();
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket);
            let mut request = [0; 4096];
            // The client that does not trust us ends the handshake, which is this read.
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                let body = vector("");
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
                answered += 1;
            }
        }
        answered
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &identity.ca_pem).unwrap();
    assert_eq!(failure_of(settings(&url)).await, Some(QueryFailure::Unreachable));
    let trusting = PrometheusSettings { ca_file: Some(file.path().into()), ..settings(&url) };
    assert_eq!(failure_of(trusting).await, None);
    assert_eq!(served.join().unwrap(), 1);
}

// === the real one ===

#[tokio::test]
async fn a_real_prometheus_answers_with_values_absence_and_refusals() {
    let page = "# TYPE shop_cpu gauge\nshop_cpu{service=\"checkout\"} 0.95\nshop_cpu{service=\"search\"} NaN\nshop_cpu{service=\"cart\"} +Inf\n";
    let shop = Router::new().route("/metrics", get(move || async move { page }));
    let shop = Loopback::start(ANY_PORT, shop).await.unwrap();
    let targets = [shop.address().to_string()];
    let real = world::prometheus::Prometheus::start(&targets, Duration::from_millis(200)).await.unwrap();
    let prometheus = Prometheus::new(&settings(&real.url())).unwrap();

    let scraped = async {
        loop {
            if let Answer::Series(samples) = prometheus.query("shop_cpu", Timestamp::now()).await
                && !samples.is_empty()
            {
                return samples;
            }
        }
    };
    let samples = tokio::time::timeout(SOON, scraped).await.unwrap();
    let seen: BTreeMap<&str, Observation> =
        samples.iter().map(|sample| (sample.labels.get("service").unwrap(), sample.seen)).collect();
    assert_eq!(seen["checkout"], Observation::Value(0.95));
    assert_eq!(seen["search"], Observation::NotANumber);
    assert_eq!(seen["cart"], Observation::Value(f64::INFINITY));
    assert!(samples.iter().all(|sample| sample.labels.get("__name__").is_none()));

    let ask = async |expr: &str| prometheus.query(expr, Timestamp::now()).await;
    let one = Sample { labels: Labels::empty(), seen: Observation::Value(2.0) };
    assert_eq!(ask("1 + 1").await, Answer::Series(vec![one]), "a scalar");
    assert_eq!(ask("no_such_metric").await, Answer::Series(vec![]));
    assert_eq!(ask("shop_cpu >").await, Answer::Failed(QueryFailure::Rejected));
    assert_eq!(ask("shop_cpu[5m]").await, Answer::Failed(QueryFailure::Malformed), "a matrix");
    assert_eq!(ask("\"text\"").await, Answer::Failed(QueryFailure::Malformed), "a string");
    let many = "shop_cpu * on() group_left() shop_cpu";
    assert_eq!(ask(many).await, Answer::Failed(QueryFailure::Rejected), "422");
    let before = Timestamp::from_second(1_700_000_000).unwrap();
    assert_eq!(prometheus.query("shop_cpu", before).await, Answer::Series(vec![]), "asked for the past");
    assert_eq!(
        prometheus.query("time()", now()).await,
        Answer::Series(vec![Sample { labels: Labels::empty(), seen: Observation::Value(1_700_000_000.123) }]),
        "the instant is exact"
    );
}
