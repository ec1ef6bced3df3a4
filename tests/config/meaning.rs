//! What right files mean: the defaults, the order of things, and the translation of Prometheus rule files.

use std::time::Duration;

use runbookd::config::secret::SecretSource;
use runbookd::config::settings::{ChannelSettings, SlackAllow, SmtpTls, StoreSettings};
use runbookd::config::{Loaded, Sources, parse};
use runbookd::domain::labels::Labels;
use runbookd::domain::name::{ChannelName, RuleId};
use runbookd::domain::quantity::Unit;
use runbookd::domain::rule::{Condition, Direction, GroupBy, OnNoData, Rule};
use runbookd::domain::scaling::{Axis, AxisChoice, ScalingMode, VerticalMode};
use runbookd::domain::severity::Severity;

const METRICS: &str = "metrics:
  cpu_usage: {query: cpu, unit: ratio}
  free_space: {query: free, unit: bytes}
  memory_usage: {query: memory, unit: ratio}
  response_time: {query: latency, unit: seconds}
";

fn loaded(config: &str, rules: &str) -> Loaded {
    let rules = format!("{METRICS}{rules}");
    let sources = Sources::from_texts(&[("all.yaml", config)], &[("all.yaml", &rules)]);
    parse(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn rule<'l>(loaded: &'l Loaded, id: &str) -> &'l Rule {
    loaded
        .rules
        .rules
        .get(&RuleId::from(id))
        .unwrap_or_else(|| panic!("no {id} in {:?}", loaded.rules.rules.keys()))
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn nothing_written_means_the_defaults() {
    let settings = loaded("", "").settings;
    assert_eq!(settings.prometheus.url.as_ref(), "http://127.0.0.1:9090");
    assert_eq!(settings.prometheus.timeout, Duration::from_secs(10));
    assert_eq!(settings.evaluation.interval, Duration::from_secs(15));
    assert_eq!((settings.evaluation.concurrency, settings.evaluation.blind_after), (8, 2 * MINUTE));
    assert_eq!(settings.reload_poll, Duration::from_secs(30));
    assert_eq!(settings.store, StoreSettings::Sqlite("data/runbookd.db".into()));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:9095");
    assert_eq!(settings.kubernetes_mode, ScalingMode::DryRun);
    let plan = &settings.communication;
    assert_eq!(plan.warning, [ChannelName::from("slack-#incidents")]);
    assert_eq!(plan.critical, ["slack-#incidents", "email", "pagerduty"].map(ChannelName::from));
    assert_eq!((plan.status_every, plan.failover_after), (30 * MINUTE, MINUTE));
    let outage = settings.incident_types.values().next().expect("the built-in type");
    assert_eq!((outage.name.as_str(), outage.severity), ("service_outage", Severity::Critical));
    assert_eq!((outage.response_team.as_ref(), outage.escalate_after), ("operations", 15 * MINUTE));
}

#[test]
fn a_threshold_rule_has_the_defaults_of_its_format() {
    let loaded = loaded(
        "",
        "monitoring:
  metrics:
    system:
      - cpu_usage: {warning: 70%, critical: 90%}
      - free_space: {warning: 10GB, critical: 1GB, for: {warning: 10m, critical: 2m}, interval: 1m}
alert_responses:
  high_cpu: {actions: [Optimize workloads]}
",
    );
    let cpu = rule(&loaded, "monitoring/system/cpu_usage");
    let Condition::Threshold(own) = cpu.condition else { panic!("{cpu:?}") };
    assert_eq!((own.direction, own.clear), (Direction::Above, 0.7));
    assert_eq!(own.critical.map(|critical| (critical.value, critical.hold)), Some((0.9, Duration::ZERO)));
    assert_eq!((cpu.on_no_data, cpu.no_data_after), (OnNoData::Keep, 5 * MINUTE));
    assert_eq!(cpu.group_by, GroupBy::Subject);
    assert_eq!(cpu.response.as_deref(), Some("high_cpu"));
    assert_eq!(cpu.incident_type.as_str(), "service_outage");
    assert_eq!((cpu.query.as_str(), cpu.source.as_ref()), ("15s|cpu", "all.yaml:9"));
    let space = rule(&loaded, "monitoring/system/free_space");
    let Condition::Threshold(own) = space.condition else { panic!("{space:?}") };
    assert_eq!((own.direction, own.clear), (Direction::Below, 10e9));
    assert_eq!(own.warning.map(|warning| warning.hold), Some(10 * MINUTE));
    assert_eq!(own.critical.map(|critical| critical.hold), Some(2 * MINUTE));
    assert_eq!((space.query.as_str(), space.response.as_deref()), ("1m|free", None));
}

#[test]
fn an_override_inherits_what_it_does_not_say() {
    let loaded = loaded(
        "",
        "monitoring:
  metrics:
    system:
      - cpu_usage:
          warning: 70%
          critical: 90%
          clear: 65%
          for: 5m
          overrides:
            - {match: {tenant: acme}, warning: 85%}
            - {match: {tenant: small}, warning: 50%, critical: 60%, for: 1m}
",
    );
    let cpu = rule(&loaded, "monitoring/system/cpu_usage");
    let of = |tenant| cpu.thresholds_for(&Labels::new([("tenant", tenant)])).expect("thresholds");
    let acme = of("acme");
    assert_eq!(acme.warning.map(|one| (one.value, one.hold)), Some((0.85, 5 * MINUTE)));
    assert_eq!((acme.critical.map(|one| one.value), acme.clear), (Some(0.9), 0.65));
    let small = of("small");
    // 65 % is no level to clear at when 50 % already warns.
    assert_eq!((small.warning.map(|one| one.hold), small.clear), (Some(MINUTE), 0.5));
    assert_eq!(of("other").warning.map(|one| one.value), Some(0.7));
}

#[test]
fn anchors_and_merge_keys_repeat_what_stands_elsewhere() {
    let loaded = loaded(
        "",
        "x-usual: &usual {warning: 70%, critical: 90%, for: 5m}
monitoring:
  metrics:
    system:
      - cpu_usage: *usual
      - memory_usage: {<<: *usual, critical: 95%}
",
    );
    let of = |id: &str| match rule(&loaded, id).condition {
        Condition::Threshold(own) => own,
        Condition::Presence { .. } => panic!("{id} compares nothing"),
    };
    assert_eq!(of("monitoring/system/cpu_usage").critical.map(|one| one.value), Some(0.9));
    let memory = of("monitoring/system/memory_usage");
    assert_eq!(memory.critical.map(|one| (one.value, one.hold)), Some((0.95, 5 * MINUTE)));
}

#[test]
fn a_summary_is_filled_with_labels_value_and_threshold() {
    let loaded = loaded(
        "",
        "monitoring:
  metrics:
    system:
      - cpu_usage: {warning: 70%, summary: 'CPU of {service} at {value}, over {threshold}'}
",
    );
    let cpu = rule(&loaded, "monitoring/system/cpu_usage");
    let summary = cpu.summary.as_ref().expect("a summary");
    let labels = Labels::new([("service", "checkout")]);
    assert_eq!(summary.fill(&labels, Unit::Ratio, 0.95, Some(0.7)), "CPU of checkout at 95 %, over 70 %");
}

#[test]
fn prometheus_rule_files_load_as_they_are() {
    let loaded = loaded(
        "",
        r#"groups:
  - name: kubernetes-apps
    interval: 30s
    limit: 100
    query_offset: 0s
    labels: {cluster: eu, team: none}
    rules:
      - alert: KubePodCrashLooping
        annotations:
          description: 'Pod {{ $labels.namespace }}/{{ $labels.pod }} restarts.'
          runbook_url: https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping
          summary: '{{ $value | humanizePercentage }} of {{ .Labels.pod }}'
          dashboard: '{{ anything }}'
        expr: |
          max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1
        for: 15m
        keep_firing_for: 2m
        labels: {severity: warning, team: apps}
      - alert: KubePodCrashLooping
        expr: up == 0
        labels: {severity: page}
      - record: a:b
        expr: up
"#,
    );
    assert_eq!(loaded.rules.rules.len(), 2);
    let first = rule(&loaded, "kubernetes-apps/KubePodCrashLooping");
    let hold = 15 * MINUTE;
    assert_eq!(first.condition, Condition::Presence { severity: Severity::Warning, hold });
    assert_eq!(first.keep_firing_for, 2 * MINUTE);
    assert_eq!((first.labels.get("team"), first.labels.get("cluster")), (Some("apps"), Some("eu")));
    assert!(first.query.as_str().starts_with("30s|max_over_time("));
    let labels = Labels::new([("namespace", "shop"), ("pod", "checkout-1")]);
    let fill = |template: &Option<_>| -> String {
        let template: &runbookd::domain::rule::SummaryTemplate = template.as_ref().expect("a template");
        template.fill(&labels, Unit::Count, 0.25, None)
    };
    assert_eq!(fill(&first.summary), "25% of checkout-1");
    assert_eq!(fill(&first.impact), "Pod shop/checkout-1 restarts.");
    assert!(first.runbook_url.as_deref().is_some_and(|url| url.starts_with("https://runbooks.")));
    let second = rule(&loaded, "kubernetes-apps/KubePodCrashLooping/2");
    let Condition::Presence { severity, .. } = second.condition else { panic!("{second:?}") };
    assert_eq!(severity, Severity::Critical);
    let codes: Vec<_> = loaded.warnings.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["default-used", "recording-rule"]);
}

#[test]
fn rules_of_one_expression_share_a_query() {
    let loaded = loaded(
        "",
        "monitoring:
  metrics:
    one: [{cpu_usage: {warning: 70%}}]
    two: [{cpu_usage: {warning: 80%}}]
scale_out_strategy:
  triggers:
    cpu_sustained: 70%
    memory_sustained: 80%
    slow: {metric: response_time, threshold: 300ms, axis: vertical}
  actions:
    horizontal: {step: +2 replicas, cool_down: 10m}
    vertical: {step: +25% resources, cool_down: 1h}
  targets:
    - service: checkout
",
    );
    let queries: Vec<_> = loaded.rules.queries.keys().map(ToString::to_string).collect();
    assert_eq!(queries, ["15s|cpu", "15s|latency", "15s|memory"]);
    let policy = loaded.rules.policy.as_ref().expect("a policy");
    let triggers: Vec<_> =
        policy.triggers.iter().map(|one| (one.metric.as_ref(), one.threshold, one.axis)).collect();
    assert_eq!(
        triggers,
        [
            ("cpu_usage", 0.7, AxisChoice::Only(Axis::Horizontal)),
            ("memory_usage", 0.8, AxisChoice::Only(Axis::Vertical)),
            ("response_time", 0.3, AxisChoice::Only(Axis::Vertical)),
        ]
    );
    let target = &policy.targets[0];
    assert_eq!((target.id.kind.as_ref(), target.id.to_string().as_str()), ("Deployment", "default/checkout"));
    assert_eq!((target.min_replicas, target.max_replicas, target.ready_within), (1, 10, 5 * MINUTE));
    assert_eq!((policy.sustained, target.limits.vertical), (5 * MINUTE, VerticalMode::InPlaceThenTemplate));
}

#[test]
fn mail_goes_to_people_behind_roles_over_tls() {
    let settings = loaded(
        "emergency_contacts:
  primary: {role: DevOps Lead, contact: lead@example.org}
channels:
  email:
    email:
      smtp_url: smtp://me%40example.org@mail.example.org
      password_env: SMTP_PASSWORD
      from: Runbook <runbookd@example.org>
      to: [devops lead, primary, other@example.org]
  local:
    email: {smtp_url: 'smtp://127.0.0.1:2525', tls: none, from: a@b, to: c@d}
",
        "",
    )
    .settings;
    let email = |name: &str| match settings.channels.get(&ChannelName::from(name)) {
        Some(ChannelSettings::Email(email)) => email.clone(),
        other => panic!("{other:?}"),
    };
    let mail = email("email");
    assert_eq!((mail.host.as_ref(), mail.port, mail.tls), ("mail.example.org", 587, SmtpTls::StartTls));
    assert_eq!(mail.user.as_deref(), Some("me@example.org"));
    assert_eq!(
        mail.to.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["lead@example.org", "other@example.org"]
    );
    let local = email("local");
    assert_eq!((local.port, local.tls), (2525, SmtpTls::None));
    // No plan is written: the channels in the order written are the ladder.
    let plan = &settings.communication;
    let ladder = [&plan.primary, &plan.secondary, &plan.emergency].map(ChannelName::as_str);
    assert_eq!(ladder, ["email", "local", "local"]);
}

#[test]
fn a_slack_bot_and_a_pager_take_callbacks_signed_with_either_secret() {
    let settings = loaded(
        "channels:
  chat:
    slack:
      bot_token_file: /run/secrets/bot
      channel: '#incidents'
      signing_secret_file: [/run/secrets/new, /run/secrets/old]
      allow: mapped
      users: {U0123456789: Ana}
  plain:
    slack: {bot_token_env: BOT, channel: C0123456789}
  pager:
    pagerduty: {routing_key_env: KEY, webhook_secret_env: SIGNING}
",
        "",
    )
    .settings;
    let bot = |name: &str| match settings.channels.get(&ChannelName::from(name)) {
        Some(ChannelSettings::SlackBot(bot)) => bot.clone(),
        other => panic!("{other:?}"),
    };
    let file = |path: &str| SecretSource::File(path.into());
    let chat = bot("chat");
    assert_eq!((chat.bot_token, chat.channel.as_ref()), (file("/run/secrets/bot"), "#incidents"));
    assert_eq!(chat.signing_secrets, [file("/run/secrets/new"), file("/run/secrets/old")]);
    assert_eq!(chat.allow, SlackAllow::Mapped);
    assert_eq!(chat.users.into_iter().collect::<Vec<_>>(), [("U0123456789".into(), "Ana".into())]);
    let plain = bot("plain");
    assert_eq!((plain.api_url.as_ref(), plain.allow), ("https://slack.com", SlackAllow::Channel));
    assert_eq!(plain.signing_secrets, []);
    match settings.channels.get(&ChannelName::from("pager")) {
        Some(ChannelSettings::PagerDuty(pager)) => {
            assert_eq!(pager.webhook_secrets, [SecretSource::Env("SIGNING".into())]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rule_reaches_only_the_hosts_that_are_allowed() {
    let response = |url: &str| {
        format!("alert_responses:\n  high_cpu:\n    diagnosis:\n      - {{step: Ask, http: '{url}'}}\n")
    };
    let config = "allowed_hosts: [grafana.example.org, 'status.example.org:8443', '*.shop.svc']\n";
    let verdict = |url: &str| {
        let rules = response(url);
        parse(&Sources::from_texts(&[("a.yaml", config)], &[("b.yaml", &rules)])).is_ok()
    };
    for url in [
        "https://grafana.example.org/d/shop?var-service=$service",
        "https://GRAFANA.example.org:3000/",
        "https://status.example.org:8443/",
        "http://$service.shop.svc:8080/health",
        "http://checkout.shop.svc/health",
    ] {
        assert!(verdict(url), "{url}");
    }
    for url in [
        "https://status.example.org/",
        "https://evilgrafana.example.org/",
        "https://grafana.example.org.evil.org/",
        "https://grafana.example.org@evil.org/",
        "https://evil.org\\\\@grafana.example.org/",
        "http://shop.svc/",
        "http://checkout.$service/",
        "http://evil.org#.shop.svc/",
        "http://evil.org/.shop.svc",
        "file:///etc/passwd",
    ] {
        assert!(!verdict(url), "{url}");
    }
}
