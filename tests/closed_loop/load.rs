//! The shapes of load: requests per second over time, as straight lines between points. Owns what the service is asked;
//! nothing here is drawn at random or computed with more than the four basic operations, so every machine sees the same.

/// A shape of load.
pub(crate) struct Shape {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// What it is, in a line.
    pub(crate) story: &'static str,
    /// Requests per second at minutes, with straight lines between; the last point ends it.
    points: Vec<(f64, f64)>,
    /// How many requests per second the database behind the service bears.
    pub(crate) downstream: f64,
}

/// No database is in the way.
const ENOUGH: f64 = 1e9;

impl Shape {
    /// The six shapes, in the order of the table.
    pub(crate) fn all() -> Vec<Self> {
        let shape = |name, story, points, downstream| Self { name, story, points, downstream };
        vec![
            shape(
                "step",
                "three times the load from one minute to the next",
                vec![(0.0, 300.0), (30.0, 300.0), (31.0, 900.0), (180.0, 900.0)],
                ENOUGH,
            ),
            shape(
                "ramp",
                "four times the load, over three hours",
                vec![(0.0, 300.0), (20.0, 300.0), (200.0, 1_200.0), (240.0, 1_200.0)],
                ENOUGH,
            ),
            shape("daily wave", "a day of a shop: quiet at night, a peak in the evening", day(), ENOUGH),
            shape(
                "spike",
                "three minutes of three times the load, then as before",
                vec![
                    (0.0, 300.0),
                    (60.0, 300.0),
                    (60.5, 900.0),
                    (63.5, 900.0),
                    (64.0, 300.0),
                    (180.0, 300.0),
                ],
                ENOUGH,
            ),
            shape("flapping", "eight minutes high, eight minutes low, for four hours", flapping(), ENOUGH),
            shape(
                "bottleneck",
                "growth that the database behind the service does not bear beyond 800 requests per second",
                vec![(0.0, 300.0), (30.0, 300.0), (150.0, 1_000.0), (300.0, 1_000.0)],
                800.0,
            ),
        ]
    }

    /// How long it lasts, in seconds.
    pub(crate) fn seconds(&self) -> i64 {
        let minutes = self.points.last().map_or(0.0, |point| point.0);
        #[expect(clippy::cast_possible_truncation, reason = "whole minutes of at most a day")]
        let seconds = (minutes * 60.0) as i64;
        seconds
    }

    /// Requests per second at a second.
    pub(crate) fn at(&self, second: i64) -> f64 {
        let minute = seconds(second) / 60.0;
        let after = self.points.partition_point(|point| point.0 <= minute);
        let Some(&(from, low)) = self.points.get(after.saturating_sub(1)) else { return 0.0 };
        let Some(&(to, high)) = self.points.get(after) else { return low };
        low + (high - low) * (minute - from) / (to - from)
    }
}

/// Seconds as a number to compute with.
pub(crate) fn seconds(whole: i64) -> f64 {
    f64::from(i32::try_from(whole).unwrap_or(i32::MAX))
}

fn day() -> Vec<(f64, f64)> {
    let hours = [
        300.0, 240.0, 210.0, 200.0, 210.0, 260.0, 360.0, 500.0, 640.0, 740.0, 800.0, 840.0, 860.0, 820.0,
        780.0, 780.0, 820.0, 920.0, 1_060.0, 1_180.0, 1_200.0, 1_000.0, 700.0, 450.0, 300.0,
    ];
    (0..).map(|hour| f64::from(hour) * 60.0).zip(hours).collect()
}

fn flapping() -> Vec<(f64, f64)> {
    let mut points = vec![(0.0, 300.0), (20.0, 300.0)];
    for turn in 0..15 {
        let start = 20.0 + f64::from(turn) * 16.0;
        points.extend([
            (start + 0.5, 560.0),
            (start + 8.0, 560.0),
            (start + 8.5, 280.0),
            (start + 16.0, 280.0),
        ]);
    }
    points
}
