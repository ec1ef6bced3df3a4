//! Charts as pictures: what people see, held against pictures that were looked at. `UPDATE=1` writes
//! `tests/golden/chart/` anew; look at the pictures before committing them.
#![expect(clippy::expect_used, reason = "a test may fail")]

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use runbookd::chart::{Chart, HEIGHT, Mark, MarkKind, Point, WIDTH};
use runbookd::domain::quantity::Unit;
use runbookd::domain::rule::Direction;

/// The largest picture that still leaves a mail light, in bytes.
const LARGEST: usize = 60_000;

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}Z").parse().expect("a time")
}

/// A value every 15 seconds, made by `value` of the minutes since the left edge.
fn points(from: Timestamp, minutes: u32, value: impl Fn(f64) -> f64) -> Vec<Point> {
    let every = |step: u32| Point {
        at: from + SignedDuration::from_secs(i64::from(step) * 15),
        value: value(f64::from(step) / 4.0),
    };
    (0..=minutes * 4).map(every).collect()
}

fn mark(time: &str, kind: MarkKind, label: &str) -> Mark {
    Mark { at: at(time), kind, label: label.into() }
}

/// CPU of the shop: it rises, two steps are taken, it falls.
fn story() -> Chart {
    let value = |minute: f64| {
        let noise = 0.012 * (minute * 2.1).sin() + 0.008 * (minute * 5.3).cos();
        let rise = 0.42 + 0.55 / (1.0 + (-(minute - 46.0) / 3.0).exp());
        let relief = 0.19 / (1.0 + (-(minute - 55.0) / 0.8).exp());
        rise - relief + noise
    };
    Chart {
        title: "checkout CPU usage".into(),
        unit: Unit::Ratio,
        points: points(at("02:21:00"), 60, value),
        direction: Direction::Above,
        warning: Some(0.7),
        critical: Some(0.9),
        marks: vec![
            mark("03:07:00", MarkKind::Breach, "first breach"),
            mark("03:12:00", MarkKind::Step, "4 → 6"),
            mark("03:17:00", MarkKind::Step, "6 → 8"),
        ],
        from: at("02:21:00"),
        to: at("03:21:00"),
    }
}

/// Queue consumers die: below is bad, one threshold, a gap while nothing could be seen.
fn below_with_a_gap() -> Chart {
    let value = |minute: f64| {
        if (20.0..28.0).contains(&minute) { f64::NAN } else { 12.0 - (minute / 6.0).floor() }
    };
    Chart {
        title: "search consumers".into(),
        unit: Unit::Count,
        points: points(at("02:21:00"), 60, value),
        direction: Direction::Below,
        warning: Some(5.0),
        critical: None,
        marks: vec![
            mark("02:57:00", MarkKind::Breach, "first breach"),
            mark("03:20:00", MarkKind::Over, "over"),
        ],
        ..story()
    }
}

fn bytes() -> Chart {
    Chart {
        title: "Memory of the payment gateway's session cache in the namespace shop-production-eu-west-1 and more".into(),
        unit: Unit::Bytes,
        points: points(at("02:21:00"), 60, |minute| 3.1e9 + 2.2e7 * minute),
        warning: Some(4e9),
        critical: Some(4.2e9),
        marks: (0..12)
            .map(|step| mark(&format!("03:{step:02}:00"), MarkKind::Step, &format!("{step} → {}", step + 1)))
            .collect(),
        ..story()
    }
}

fn no_data() -> Chart {
    Chart { title: "tenant acme error rate".into(), points: Vec::new(), marks: Vec::new(), ..story() }
}

struct Picture {
    rgb: Vec<u8>,
}

fn decoded(png: &[u8]) -> Picture {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    let mut rgb = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut rgb).expect("a picture");
    assert_eq!((info.width, info.height, info.color_type), (WIDTH, HEIGHT, png::ColorType::Rgb));
    Picture { rgb }
}

#[test]
fn pictures_look_as_they_were_looked_at() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chart");
    let mut differing = Vec::new();
    for (name, chart) in [
        ("story", story()),
        ("below_with_a_gap", below_with_a_gap()),
        ("bytes", bytes()),
        ("no_data", no_data()),
    ] {
        let path = folder.join(format!("{name}.png"));
        let is = chart.draw().expect("a picture");
        assert!(is.len() < LARGEST, "{name} has {} bytes", is.len());
        assert_eq!(is, chart.draw().expect("a picture"), "{name}: the same data, the same bytes");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &is).expect("a file of this repository");
        }
        let should = decoded(&std::fs::read(&path).unwrap_or_default()).rgb;
        // Another processor may round an edge of a letter the other way.
        let off =
            decoded(&is).rgb.iter().zip(&should).filter(|(is, should)| is.abs_diff(**should) > 8).count();
        if off > should.len() / 10_000 {
            differing.push(format!("{name}: {off} of {} differ", should.len()));
        }
    }
    assert!(
        differing.is_empty(),
        "run with UPDATE=1 and look at the pictures if meant:\n{}",
        differing.join("\n")
    );
}
