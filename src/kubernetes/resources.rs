//! Resources: Kubernetes quantities and container sizes, read and written. Owns the spelling; does no arithmetic of
//! steps.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::scaling::ContainerSize;

/// Below this a difference is the binary fraction's, not the writer's.
const NOISE: f64 = 1e-6;

/// Reads a quantity as cores or bytes: `500m`, `2`, `1.5Gi`, `128974848`, `1e3`.
/// Source: the Kubernetes API reference, "Quantity".
pub fn parse_quantity(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10.0_f64.powi(exponent)
        }
    };
    let value = if factor == 1e-3 { number / 1e3 } else { number * factor };
    value.is_finite().then_some(value)
}

/// Writes cores as a quantity: `2`, `625m`. Kubernetes knows nothing finer than a millicore: a fraction of one is
/// rounded up.
pub fn cpu_quantity(cores: f64) -> String {
    let millis = whole(cores * 1000.0);
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// Writes bytes as a quantity, in the largest binary unit that keeps it whole: `640Mi`, `1Gi`, `1000001`.
pub fn memory_quantity(bytes: f64) -> String {
    let bytes = whole(bytes);
    for (size, word) in [(1_u64 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")] {
        if bytes != 0 && bytes.is_multiple_of(size) {
            return format!("{}{word}", bytes / size);
        }
    }
    bytes.to_string()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, NaN is 0")]
fn whole(value: f64) -> u64 {
    (value - NOISE).ceil() as u64
}

/// A container of a pod or a template, as far as its size goes.
#[derive(Debug, Deserialize)]
pub(super) struct SizedContainer {
    pub(super) name: String,
    #[serde(default)]
    pub(super) resources: Option<ResourceRequirements>,
}

/// The size that a container's resources give it; what cannot be read is not there.
pub(super) fn size_of(name: &str, resources: Option<&ResourceRequirements>) -> ContainerSize {
    let read = |part: fn(&ResourceRequirements) -> Option<&BTreeMap<String, Quantity>>, resource: &str| {
        parse_quantity(&part(resources?)?.get(resource)?.0)
    };
    ContainerSize {
        name: name.into(),
        cpu_request: read(|r| r.requests.as_ref(), "cpu"),
        cpu_limit: read(|r| r.limits.as_ref(), "cpu"),
        memory_request: read(|r| r.requests.as_ref(), "memory"),
        memory_limit: read(|r| r.limits.as_ref(), "memory"),
    }
}

/// The containers as a strategic merge patch spells them; what the size does not name stays as it is.
pub(super) fn patch_of(sizes: &[ContainerSize]) -> Value {
    let part = |cpu: Option<f64>, memory: Option<f64>| {
        let cpu = cpu.map(|cores| ("cpu".to_owned(), cpu_quantity(cores).into()));
        let memory = memory.map(|bytes| ("memory".to_owned(), memory_quantity(bytes).into()));
        Value::Object(cpu.into_iter().chain(memory).collect::<Map<_, _>>())
    };
    let container = |size: &ContainerSize| {
        json!({
            "name": &*size.name,
            "resources": {
                "requests": part(size.cpu_request, size.memory_request),
                "limits": part(size.cpu_limit, size.memory_limit),
            },
        })
    };
    sizes.iter().map(container).collect()
}

/// Whether `found` has every size that `wanted` names, to the precision that Kubernetes keeps.
pub(super) fn has_sizes(found: &[ContainerSize], wanted: &[ContainerSize]) -> bool {
    wanted.iter().all(|wanted| {
        found.iter().find(|found| found.name == wanted.name).is_some_and(|found| {
            is_same(found.cpu_request, wanted.cpu_request, 1000.0)
                && is_same(found.cpu_limit, wanted.cpu_limit, 1000.0)
                && is_same(found.memory_request, wanted.memory_request, 1.0)
                && is_same(found.memory_limit, wanted.memory_limit, 1.0)
        })
    })
}

fn is_same(found: Option<f64>, wanted: Option<f64>, grains: f64) -> bool {
    let Some(wanted) = wanted else { return true };
    found.is_some_and(|found| whole(found * grains) == whole(wanted * grains))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_read_as_the_api_server_does() {
        let cases = [
            ("500m", 0.5),
            ("2", 2.0),
            ("0.1", 0.1),
            ("1500000n", 0.0015),
            ("250u", 0.00025),
            ("128974848", 128_974_848.0),
            ("129e6", 129e6),
            ("129M", 129e6),
            ("123Mi", 123.0 * 1024.0 * 1024.0),
            ("1.5Gi", 1.5 * 1024.0 * 1024.0 * 1024.0),
            ("1E", 1e18),
            ("1E3", 1000.0),
            ("128974848000m", 128_974_848.0),
            ("-1", -1.0),
        ];
        for (text, value) in cases {
            let read = parse_quantity(text).unwrap();
            assert!((read - value).abs() <= value.abs() * 1e-12, "{text}: {read}");
        }
        for text in ["", "m", "1 Gi", "1gi", "1e", "1ex", "..", "1e999", "one"] {
            assert_eq!(parse_quantity(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_written_without_noise() {
        assert_eq!(cpu_quantity(0.5 * 1.25), "625m");
        assert_eq!(cpu_quantity(0.1 + 0.2), "300m");
        assert_eq!(cpu_quantity(2.0), "2");
        assert_eq!(cpu_quantity(0.0001), "1m");
        assert_eq!(memory_quantity(640.0 * 1024.0 * 1024.0), "640Mi");
        assert_eq!(memory_quantity(2.0 * 1024.0 * 1024.0 * 1024.0), "2Gi");
        assert_eq!(memory_quantity(1_000_001.0), "1000001");
        assert_eq!(memory_quantity(0.0), "0");
        for odd in [f64::NAN, f64::NEG_INFINITY, -1.0] {
            assert_eq!((cpu_quantity(odd).as_str(), memory_quantity(odd).as_str()), ("0", "0"));
        }
    }

    #[test]
    fn a_patch_names_only_what_the_size_names() {
        let size = ContainerSize {
            name: "app".into(),
            cpu_request: Some(0.625),
            cpu_limit: None,
            memory_request: None,
            memory_limit: Some(1024.0 * 1024.0),
        };
        let expected =
            json!([{"name": "app", "resources": {"requests": {"cpu": "625m"}, "limits": {"memory": "1Mi"}}}]);
        assert_eq!(patch_of(std::slice::from_ref(&size)), expected);
        let mut found = size.clone();
        found.cpu_limit = Some(9.0);
        assert!(
            has_sizes(&[found.clone()], std::slice::from_ref(&size)),
            "a limit that is not asked for may stay"
        );
        found.cpu_request = Some(0.624);
        assert!(!has_sizes(&[found], std::slice::from_ref(&size)));
        assert!(!has_sizes(&[], &[size]));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_at_least_as_much(millis in 1..10_000_000_u32, bytes in 1..u64::from(u32::MAX) * 8) {
            let cores = f64::from(millis) / 1000.0;
            prop_assert_eq!(parse_quantity(&cpu_quantity(cores)), Some(cores));
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let bytes = bytes as f64;
            prop_assert_eq!(parse_quantity(&memory_quantity(bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,12}") {
            let _ = parse_quantity(&text);
        }
    }
}
