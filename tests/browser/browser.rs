//! A browser: Debian's chromium, driven through its `chromedriver` by the `WebDriver` protocol. Owns starting and ending both,
//! the sizes looked at, what the console said, and what axe finds.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long anything in a browser may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A size to look at pages in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desktop,
    Phone,
}

impl Screen {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Phone => "phone",
        }
    }
}

/// Whether the system asks for dark colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Light {
    Day,
    Night,
}

/// A browser with one tab; end it with [`Browser::close`].
pub(crate) struct Browser {
    pub(crate) tab: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

/// What the console said since it was last asked.
#[derive(Debug)]
struct Said;

impl WebDriverCompatibleCommand for Said {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

impl Browser {
    pub(crate) async fn open(screen: Screen, light: Light) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is missing: run `make setup`");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Nobody may be left writing to a pipe that nobody reads.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut args = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--hide-scrollbars".into(),
            "--no-proxy-server".into(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
            "--window-size=1280,900".into(),
        ];
        if light == Light::Night {
            args.push("--blink-settings=preferredColorScheme=0".into());
        }
        let mut options = json!({"args": args});
        if screen == Screen::Phone {
            let metrics = json!({"width": 360, "height": 740, "pixelRatio": 2.0, "touch": true});
            options["mobileEmulation"] = json!({"deviceMetrics": metrics});
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
        let tab = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromium starts");
        Self { tab, driver, _profile: profile }
    }

    pub(crate) async fn go(&self, url: &str) {
        self.tab.goto(url).await.unwrap();
    }

    /// Clicks what a selector finds first.
    pub(crate) async fn click(&self, selector: &str) {
        let found = self.tab.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        let Ok(found) = found else {
            panic!("{selector} is not on the page: {}", self.tab.source().await.unwrap());
        };
        found.click().await.unwrap();
    }

    pub(crate) async fn write(&self, selector: &str, text: &str) {
        self.tab.find(Locator::Css(selector)).await.unwrap().send_keys(text).await.unwrap();
    }

    /// Waits until the page says something.
    pub(crate) async fn reads(&self, text: &str) {
        let xpath = format!("//body[contains(normalize-space(.), \"{text}\")]");
        let found = self.tab.wait().at_most(PATIENCE).for_element(Locator::XPath(&xpath)).await;
        let page = self.tab.source().await.unwrap();
        assert!(found.is_ok(), "the page does not say `{text}`: {page}");
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.tab.execute(script, Vec::new()).await.unwrap()
    }

    /// What the console said that is worth a look; a 404 of a picture that is not there yet is not.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let said = self.tab.issue_cmd(Said).await.unwrap();
        let lines = said.as_array().cloned().unwrap_or_default();
        let bad = lines.iter().filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING");
        bad.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What axe finds wrong with the page as it stands, one line a finding.
    pub(crate) async fn violations(&self) -> Vec<String> {
        // Given by the driver, so the page's policy does not apply to it.
        self.run(&axe()).await;
        let script = "const done = arguments[arguments.length - 1]; axe.run().then(found => done(found.violations), \
                      error => done([{id: String(error), nodes: []}]));";
        let found = self.tab.execute_async(script, Vec::new()).await.unwrap();
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(|it| format!("{}: {} {}", it["id"], it["help"], it["nodes"][0]["html"])).collect()
    }

    /// Keeps a picture under docs/screenshots/ where that is asked for by `UPDATE=1`; looks at it in any case.
    pub(crate) async fn keep(&self, name: &str) {
        let png = self.tab.screenshot().await.unwrap();
        assert!(png.len() > 5_000, "{name} is an empty picture");
        if std::env::var_os("UPDATE").is_some() {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
        }
    }

    pub(crate) async fn close(mut self) {
        self.tab.close().await.unwrap();
        self.driver.kill().await.unwrap();
    }
}

/// The text of axe, which `make setup` puts beside what is built.
fn axe() -> String {
    let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../axe/axe.min.js");
    let file = std::env::var_os("AXE").map_or(built, PathBuf::from);
    std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}: run `make setup`, or name the file by AXE", file.display())
    })
}
