//! Secrets: everything a run of the daemon wrote or said anywhere is searched for the secrets it was given.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use world::smtp::{self, Security};

use super::daemon::{Home, ROUTING_KEY};
use super::patience::until;
use super::script::{Level, Load, Script};
use super::sinks::{Channel, Ill, Sinks};
use super::source::Source;

const PASSWORD: &str = "fixture-password-4711";
const SCRAPE_TOKEN: &str = "fixture-scrape-token-0815";
const HEADER: &str = "fixture-tenant-header-2342";
const API_TOKEN: &str = "fixture-api-token-of-ana-93745";
const HEARTBEAT: &str = "/ping/fixture-heartbeat-path-1138";
const SIGNING: &str = "fixture-slack-signing-secret-77";
const CALLBACK: &str = "fixture-pagerduty-webhook-secret-88";
const INLINE: &str = "fixtureinlinewebhook0042";
const HOOK: &str = "/hook/fixture-hook-path-5150";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// Runs a daemon with every secret there is, makes every channel work once and fail in every way, and gives back what
/// it wrote and said, by where, and the secrets.
pub(crate) async fn everything_said() -> anyhow::Result<(BTreeMap<String, Vec<u8>>, Vec<String>)> {
    world::install_crypto();
    let mut source = Source::start(Script::new(1, Load { at_once: 0, critical: 0 })).await?;
    let login = Some(("runbookd".to_owned(), PASSWORD.to_owned()));
    let options = smtp::Options { security: Security::StartTls, login };
    let sinks = Sinks::start(Duration::ZERO, options).await?;
    let home = Home::new(&source.url(), &sinks, "data/runbookd.db")?.talkative();
    let slack = sinks.slack.webhook_url();
    let pairs = [
        ("secrets/slack", slack.as_str()),
        ("secrets/password", PASSWORD),
        ("secrets/routing", ROUTING_KEY),
        ("secrets/scrape", SCRAPE_TOKEN),
        ("secrets/bot", world::slack::BOT_TOKEN),
        ("secrets/signing", SIGNING),
        ("secrets/callback", CALLBACK),
        ("secrets/hook", &format!("{}{HOOK}", sinks.hook.door.url())),
        ("secrets/heartbeat", &format!("{}{HEARTBEAT}", sinks.hook.door.url())),
        ("secrets/tokens", &format!("ana {API_TOKEN}\n")),
        ("secrets/ca.pem", sinks.smtp.ca_pem()),
    ];
    for (path, text) in pairs {
        home.write(path, text)?;
    }
    home.write("config/runbookd.yaml", &configuration(&source, &sinks, &home))?;
    source.listen_to(home.asker());
    let mut life = home.begin()?;
    home.ready(&mut life).await?;

    let mut said = BTreeMap::new();
    let ills = [Ill::Down, Ill::Failing, Ill::Limiting, Ill::Lying, Ill::Hanging];
    for (round, ill) in (0..).zip(ills) {
        for channel in Channel::ALL {
            sinks.infect(channel, ill).await;
        }
        source.script().burst(1, &[Level::Critical, Level::Clear]);
        // Hanging ends by itself only after ten seconds; that one attempt began is enough.
        let failed = async || {
            let metrics = home.text("/metrics").await?;
            let refused = ill != Ill::Lying || metrics.contains("outcome=\"refused\"");
            Ok((attempts(&metrics) > round * 3 && refused) || ill == Ill::Hanging)
        };
        until(PATIENCE, failed).await?;
        if ill == Ill::Hanging {
            sinks.hook.journal.wait_for(|said| said.event == "opened", PATIENCE).await?;
        }
        ask_everything(&home, &format!("while {ill:?}"), &mut said).await?;
        sinks.heal().await?;
    }
    sinks.smtp.journal.wait_for(|mail| mail.user.is_some(), PATIENCE).await?;
    for method in ["webhook", "chat.postMessage"] {
        sinks.slack.journal.wait_for(|call| call.method == method, PATIENCE).await?;
    }
    let by_ana = home.acknowledge_one(API_TOKEN).await?;
    ensure!(by_ana.contains("ana"), "the token is known: {by_ana}");
    home.silence(API_TOKEN).await?;
    source.script().end_burst();
    sinks.hook.journal.wait_for(|said| said.event == "resolved", PATIENCE).await?;
    sinks.pagerduty.journal.wait_for(|event| event["event_action"] == "resolve", PATIENCE).await?;
    ask_everything(&home, "at the end", &mut said).await?;
    // A mistake in the configuration is shown with the line it is in; a secret that cannot be read is told of.
    let inline = format!("https://hooks.slack.com/services/T1/B1/{INLINE}");
    let mistake = format!("channels: {{extra: {{slack: {{webhook_url: '{inline}', colour: red}}}}}}\n");
    home.write("config/extra.yaml", &mistake)?;
    home.reload(None).await.err().context("a reload without a token is refused")?;
    home.reload(Some(API_TOKEN)).await?;
    let refused = async || Ok(home.text("/api/runbookd/v1/config").await?.contains("colour"));
    until(PATIENCE, refused).await?;
    ask_everything(&home, "with a mistake", &mut said).await?;
    life.kill().await?;
    files(&home.file(""), &mut said)?;
    let token = slack.rsplit('/').next().unwrap_or_default();
    let path = slack.split_once("/services/").map(|(_, path)| path).unwrap_or_default();
    let secrets = [
        path,
        token,
        PASSWORD,
        ROUTING_KEY,
        SCRAPE_TOKEN,
        HEADER,
        API_TOKEN,
        HEARTBEAT,
        HOOK,
        INLINE,
        world::slack::BOT_TOKEN,
        SIGNING,
        CALLBACK,
        // As a login over SMTP writes it.
        "AHJ1bmJvb2tkAGZpeHR1cmUtcGFzc3dvcmQtNDcxMQ==",
    ];
    // What searches has to find them where they belong.
    for secret in secrets.iter().filter(|secret| !secret.ends_with('=')) {
        let is_there = |text: &Vec<u8>| String::from_utf8_lossy(text).contains(secret);
        ensure!(said.values().any(is_there), "{secret} is nowhere, not even in the files that hold it");
    }
    said.retain(|name, _| !name.contains("/secrets/") && !name.contains("/config/"));
    Ok((said, secrets.map(str::to_owned).into()))
}

/// How many attempts did not get through.
fn attempts(metrics: &str) -> u64 {
    let failed = metrics.lines().filter(|line| {
        line.starts_with("runbookd_notices_total{") && !line.contains("accepted") && !line.contains("nothing")
    });
    failed.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Every page that can be read.
async fn ask_everything(home: &Home, when: &str, said: &mut BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    let mut paths: Vec<String> = READABLE.iter().map(|path| (*path).to_owned()).collect();
    let silences: Value = home.json("/api/runbookd/v1/silences?state=all").await?;
    let ids = silences["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str());
    paths.extend(ids.map(|id| format!("/api/runbookd/v1/silences/{id}")));
    let list: Value = home.json("/api/runbookd/v1/incidents").await?;
    for id in list["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str()) {
        paths.push(format!("/api/runbookd/v1/incidents/{id}"));
        paths.push(format!("/api/runbookd/v1/incidents/{id}/timeline"));
        paths.push(format!("/api/runbookd/v1/explain/{id}"));
        paths.push(format!("/incidents/{id}"));
        paths.push(format!("/incidents/{id}/chart.png"));
        paths.push(format!("/incidents/{id}/explain"));
    }
    for path in paths {
        let text = home.asker().any(&path).await?;
        said.insert(format!("{path} {when}"), text.into_bytes());
    }
    Ok(())
}

/// The routes of `src/api` that answer GET and end; those with an id are asked for every incident.
pub(crate) const READABLE: &[&str] = &[
    "/healthz",
    "/readyz",
    "/metrics",
    "/",
    "/style.css",
    "/app.js",
    "/icon.svg",
    "/sign-in",
    "/incidents",
    "/alerts",
    "/rules",
    "/scaling",
    "/capacity",
    "/tenants",
    "/silences",
    "/api/runbookd/v1/incidents",
    "/api/runbookd/v1/silences",
    "/api/runbookd/v1/scaling",
    "/api/runbookd/v1/capacity?series=true",
    "/api/runbookd/v1/capacity",
    "/api/runbookd/v1/tenants",
    "/api/runbookd/v1/config",
    "/api/runbookd/v1/alerts",
    "/api/runbookd/v1/rules",
    "/api/runbookd/v1/openapi.json",
    "/api/v1/rules",
    "/api/v1/alerts",
    "/api/v1/status/buildinfo",
    "/api/v2/status",
    "/api/v2/receivers",
    "/api/v2/alerts",
    "/api/v2/alerts/groups",
    "/api/v2/silences",
    "/no-such-page",
];

/// Every file below a folder.
fn files(folder: &Path, said: &mut BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, said)?;
        } else {
            said.insert(path.display().to_string(), std::fs::read(&path)?);
        }
    }
    Ok(())
}

fn configuration(source: &Source, sinks: &Sinks, home: &Home) -> String {
    let secrets = home.file("secrets");
    let secrets = secrets.display();
    format!(
        "\
prometheus:
  url: {}
  bearer_token_file: {secrets}/scrape
  headers: {{X-Scope-OrgID: {HEADER}}}
evaluation: {{interval: 1s, blind_after: 10m}}
reload: {{poll: 1h}}
kubernetes: {{mode: 'off'}}
api: {{tokens_file: {secrets}/tokens}}
heartbeat: {{url_file: {secrets}/heartbeat, every: 10s}}
channels:
  hook: {{webhook: {{url_file: {secrets}/hook}}}}
  slack: {{slack: {{webhook_url_file: {secrets}/slack}}}}
  bot:
    slack:
      bot_token_file: {secrets}/bot
      channel: '#incidents'
      api_url: '{}'
      signing_secret_file: {secrets}/signing
  mail:
    email:
      smtp_url: smtp://runbookd@{}
      ca_file: {secrets}/ca.pem
      password_file: {secrets}/password
      from: runbookd@example.org
      to: [oncall@example.org]
  pager:
    pagerduty:
      routing_key_file: {secrets}/routing
      webhook_secret_file: {secrets}/callback
      url: '{}'
communication:
  channels: {{primary: slack, secondary: mail, emergency: pager}}
  notify: {{critical: [hook, bot, primary, secondary, emergency]}}
",
        source.url(),
        sinks.slack.door.url(),
        sinks.smtp.address(),
        sinks.pagerduty.url(),
    )
}
