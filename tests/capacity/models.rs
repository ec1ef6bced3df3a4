//! What `resource_requirements` means: units, sources, several models, and the expression that `active_tenants` is
//! measured against.

use runbookd::config::{Sources, parse};
use runbookd::domain::capacity::floor::{Floor, floor_for};
use runbookd::domain::capacity::headroom::{Assessment, Measured, Unknown};
use runbookd::domain::capacity::{Available, Forecasted, ResourceRequirements};
use runbookd::domain::quantity::Unit;
use runbookd::domain::rule::RuleSet;

fn rules(text: &str) -> RuleSet {
    let loaded = parse(&Sources::from_texts(&[], &[("rules.yaml", text)]));
    loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics}")).rules
}

fn mistakes(text: &str) -> String {
    let refused = parse(&Sources::from_texts(&[], &[("rules.yaml", text)]));
    refused.map(drop).expect_err("a mistake").to_string()
}

fn required(set: &RuleSet) -> &ResourceRequirements {
    set.resource_requirements.as_ref().expect("requirements")
}

const MODELS: &str = "
metrics:
  tenant_requests: {query: by_tenant, unit: count}
  seats: {query: by_seat, unit: count}
  pool: {query: pool_size, unit: count}
resource_requirements:
  compute:
    cpu: {base: 2 cores, per_tenant: 0.1 cores, available: 64 cores}
    connections: {base: 10, per_tenant: 2, available: pool}
  storage:
    database: {base: 20GB, per_tenant: 1GB, available: 500GB}
    backup: {multiplier: 3x, retention: 30 days}
  models:
    search:
      tenants: seats
      service: search
      compute: {memory: {per_tenant: 1GB, available: 8GB}}
";

#[test]
fn any_resource_counts_in_its_unit_and_models_count_their_own_tenants() {
    let set = rules(MODELS);
    let platform = required(&set).model("platform").expect("the model stated directly");
    let units: Vec<_> = platform.resources.iter().map(|it| (&*it.name, it.unit)).collect();
    let wanted = [
        ("cpu", Unit::Cores),
        ("connections", Unit::Count),
        ("database", Unit::Bytes),
        ("backup", Unit::Bytes),
    ];
    assert_eq!(units, wanted);
    let backup = &platform.resources[3];
    assert_eq!((backup.need.base, backup.need.per_tenant), (60e9, 3e9));
    assert_eq!(backup.available, Available::Unknown);
    let search = required(&set).model("search").expect("the other model");
    assert_ne!(search.tenants, platform.tenants);
    let asked: Vec<_> = required(&set).histories.iter().map(|it| (&it.of, &*it.expr)).collect();
    assert!(asked.contains(&(&Forecasted::Tenants("search".into()), "count(\nby_seat\n)")), "{asked:?}");
    assert!(set.rules.keys().any(|id| id.as_str() == "capacity/search"));
}

#[test]
fn the_resource_that_fits_fewest_binds_and_what_nobody_says_is_unknown() {
    let set = rules(MODELS);
    let model = required(&set).model("platform").expect("a model");
    let measured = |resource: &runbookd::domain::capacity::Resource| Measured {
        available: match (&*resource.name, &resource.available) {
            ("connections", _) => Some(400.0),
            (_, Available::Configured(number)) => Some(*number),
            _ => None,
        },
        used: None,
    };
    let seen = Assessment::new(model, Some(140.0), measured);
    assert_eq!(seen.binding().map(|(resource, _)| &*resource.name), Some("connections"));
    assert_eq!((seen.fits(), seen.share()), (Some(195.0), Some(140.0 / 195.0)));
    let room = |name: &str| &seen.rooms.iter().find(|(it, _)| &*it.name == name).expect("a room").1;
    assert_eq!((room("cpu").required, room("cpu").headroom), (Some(16.0), Some(480.0)));
    assert_eq!((room("backup").unknown, room("backup").fits), (Some(Unknown::NoSource), None));
    let unseen = Assessment::new(model, None, measured);
    assert_eq!((unseen.fits(), unseen.share()), (Some(195.0), None), "no tenant seen is not zero tenants");
    assert_eq!(unseen.rooms[0].1.unknown, Some(Unknown::NoTenants));
    let blind = Assessment::new(model, Some(140.0), |_| Measured::default());
    assert_eq!((blind.fits(), blind.rooms[1].1.unknown), (None, Some(Unknown::NoAnswer)));
}

#[test]
fn a_model_sets_the_floor_of_its_service_and_the_common_one_only_where_a_service_is_alone() {
    let set = rules(MODELS);
    let tenants = |_: &std::sync::Arc<str>| Some(4.0);
    let floor = |service, alone| floor_for(required(&set), service, alone, tenants);
    assert_eq!(floor("search", false), Some(Floor { cores: None, memory: Some(4e9) }));
    assert_eq!(floor("checkout", false), None);
    assert_eq!(floor("checkout", true).and_then(|floor| floor.cores), Some(2.4));
    assert_eq!(Floor::default().replicas(Some(1.0), Some(1e9)), None, "nothing known is no floor of zero");
}

#[test]
fn the_tenants_that_fit_follow_from_the_model_and_its_sources() {
    let query = |requirements: &str| {
        let text = format!(
            "metrics:\n  active_tenants: {{query: \"count(t) / (min(c) > 0 or $tenants_that_fit)\", unit: ratio}}\n\
             monitoring: {{metrics: {{app: [active_tenants: {{warning: 80%}}]}}}}\n{requirements}"
        );
        let set = rules(&text);
        let rule = set.rules.values().find(|rule| &*rule.name == "active_tenants").expect("the rule");
        set.queries[&rule.query].expr.to_string()
    };
    let one =
        query("resource_requirements: {compute: {cpu: {base: 2, per_tenant: 0.1, available: 64 cores}}}");
    let wanted = "count(t) / (min(c) > 0 or (min(label_replace(floor((vector(64) - 2) / 0.1 + 1e-9), \
                  \"resource\", \"cpu\", \"\", \"\")) > 0))";
    assert_eq!(one, wanted);
    let cluster = query("resource_requirements: {compute: {memory: {base: 4GB, per_tenant: 256MB}}}");
    assert!(cluster.contains("kube_node_status_allocatable{resource=\"memory\"}"), "{cluster}");
    assert!(query("").ends_with("or (vector(0) > 1))"), "without a model nothing is known");
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (block, code) in [
        ("compute: {cpu: {base: 2GB}}", "unit-mismatch"),
        ("compute: {cpu: {base: 2, available: unheard_of}}", "unknown-metric"),
        ("compute: {cpu: {base: 2, available: m}}", "unit-mismatch"),
        ("compute: {cpu: {bases: 2}}", "unknown-key"),
        ("compute: {cpu: {}}", "missing-key"),
        ("tenants: unheard_of", "unknown-metric"),
        ("forecast: {warn_within: 5 days}", "impossible-bounds"),
        ("forecast: {horizon: 20 days}", "impossible-bounds"),
        ("forecast: {look_back: 2 days}", "impossible-bounds"),
        ("growth: [unheard_of]", "unknown-metric"),
        ("models: {platform: {compute: {cpu: {base: 1}}}}, compute: {cpu: {base: 1}}", "duplicate-name"),
    ] {
        let text = format!("metrics: {{m: {{query: up, unit: bytes}}}}\nresource_requirements: {{{block}}}");
        let said = mistakes(&text);
        assert!(said.contains(code), "{block} should be {code}: {said}");
    }
}
