//! The plot: where everything of a chart stands. Owns the layout; how ink gets onto pixels is the canvas' business.

use crate::domain::Timestamp;
use crate::domain::rule::Direction;

use super::canvas::{Anchor, CRITICAL, Canvas, GRID, GROUND, Ink, Line, MUTED, Style, TEXT, VALUES, WARNING};
use super::font::Weight;
use super::scale::{TimeScale, ValueScale};
use super::{Chart, HEIGHT, Point, WIDTH};

/// The margin around everything, in pixels.
pub(super) const MARGIN: f32 = 28.0;
/// The upper and lower edge of the frame, in pixels.
pub(super) const TOP: f32 = 138.0;
pub(super) const BOTTOM: f32 = 416.0;
/// The most a label beside the frame may take of the width.
pub(super) const WIDEST_LABEL: f32 = 280.0;

const TITLE: Style = Style { ink: TEXT, size: 36.0, weight: Weight::Bold };
const AXIS: Style = Style { ink: MUTED, size: 26.0, weight: Weight::Regular };
const NOW: Style = Style { ink: TEXT, size: 26.0, weight: Weight::Bold };
const LIMIT: Style = Style { ink: TEXT, size: 25.0, weight: Weight::Bold };
const LAST: Style = Style { ink: VALUES, size: 36.0, weight: Weight::Bold };

/// Draws a chart.
pub(super) fn plot(chart: &Chart, canvas: &mut Canvas) {
    let frame = Frame::of(chart, canvas);
    title(chart, canvas);
    frame.axes(chart, canvas);
    frame.values(chart, canvas);
    frame.limits(chart, canvas);
    frame.marks(chart, canvas);
    if !chart.has_data() {
        let x = f32::midpoint(frame.left, frame.right);
        let style = Style { ink: MUTED, ..TITLE };
        let width = canvas.width("no data", style);
        canvas.block(x - width / 2.0 - 16.0, 252.0, width + 32.0, 56.0, GROUND);
        canvas.text("no data", x, 292.0, Anchor::Middle, style);
    }
}

/// A threshold with its looks: each severity has a word, a colour and a rhythm of dashes.
struct Limit {
    value: f64,
    text: String,
    ink: Ink,
    dash: (f32, f32),
}

/// The words of a chart's thresholds: the warning's, the critical one's.
type Words = [&'static str; 2];

fn limits(chart: &Chart, [warning, critical]: Words) -> Vec<Limit> {
    let limit = |word: &str, value: Option<f64>, ink, dash| {
        let value = value.filter(|value| value.is_finite())?;
        Some(Limit { value, text: format!("{word} {}", chart.unit.show(value)), ink, dash })
    };
    let warning = limit(warning, chart.warning, WARNING, (10.0, 8.0));
    let critical = limit(critical, chart.critical, CRITICAL, (28.0, 8.0));
    warning.into_iter().chain(critical).collect()
}

/// Where values and times stand.
pub(super) struct Frame {
    left: f32,
    right: f32,
    words: Words,
    values: ValueScale,
    pub(super) times: TimeScale,
}

impl Frame {
    fn of(chart: &Chart, canvas: &Canvas) -> Self {
        Self::with(chart, &[], ["warning", "critical"], canvas)
    }

    /// A frame in which more values have to find their place than the chart's own, with other words for its thresholds.
    pub(super) fn with(chart: &Chart, more: &[f64], words: Words, canvas: &Canvas) -> Self {
        let limits = limits(chart, words);
        let shown = chart.points.iter().map(|point| point.value).chain(more.iter().copied());
        let values = ValueScale::of(shown.chain(limits.iter().map(|limit| limit.value)), chart.unit);
        let times = TimeScale::of(chart.from, chart.to);
        let widest = |widths: &mut dyn Iterator<Item = f32>| widths.fold(0.0, f32::max).min(WIDEST_LABEL);
        let ticks = widest(&mut values.ticks.iter().map(|tick| canvas.width(&chart.unit.show(*tick), AXIS)));
        let last = chart.last().map(|point| canvas.width(&chart.unit.show(point.value), LAST));
        let labels = widest(&mut limits.iter().map(|limit| canvas.width(&limit.text, LIMIT)).chain(last));
        // Half of the words under "now" stand to the right of the frame.
        let labels = labels.max(canvas.width(&edge(times.from, times.to), NOW) / 2.0 - 16.0);
        Self { left: MARGIN + ticks + 16.0, right: width() - MARGIN - labels - 20.0, words, values, times }
    }

    pub(super) fn x(&self, at: Timestamp) -> f32 {
        self.left + (self.right - self.left) * narrow(self.times.share(at))
    }

    pub(super) fn y(&self, value: f64) -> f32 {
        BOTTOM - (BOTTOM - TOP) * narrow(self.values.share(value))
    }

    pub(super) fn axes(&self, chart: &Chart, canvas: &mut Canvas) {
        let mut shown = String::new();
        for tick in &self.values.ticks {
            let y = self.y(*tick);
            canvas.line(&[(self.left, y), (self.right, y)], Line { ink: GRID, width: 2.0, dash: None });
            let text = canvas.fonts.fitting(&chart.unit.show(*tick), AXIS.size, AXIS.weight, WIDEST_LABEL);
            // Ticks closer than their numbers tell apart have one number.
            if text != shown {
                canvas.text(&text, self.left - 16.0, y + 9.0, Anchor::End, AXIS);
            }
            shown = text;
        }
        let now = edge(self.times.from, self.times.to);
        let reserved = self.right - canvas.width(&now, NOW) / 2.0 - 16.0;
        let form =
            if self.times.to.duration_since(self.times.from).as_hours() > 24 { "%m-%d" } else { "%H:%M" };
        for tick in &self.times.ticks {
            let x = self.x(*tick);
            canvas.line(&[(x, BOTTOM), (x, BOTTOM + 8.0)], Line { ink: MUTED, width: 2.0, dash: None });
            let text = tick.strftime(form).to_string();
            let half = canvas.width(&text, AXIS) / 2.0;
            if x + half < reserved && x - half > MARGIN {
                canvas.text(&text, x, BOTTOM + 42.0, Anchor::Middle, AXIS);
            }
        }
        let axis = Line { ink: MUTED, width: 2.0, dash: None };
        canvas.line(&[(self.left, BOTTOM), (self.right, BOTTOM)], axis);
        canvas
            .line(&[(self.right, TOP), (self.right, BOTTOM + 12.0)], Line { ink: TEXT, width: 3.0, ..axis });
        canvas.text(&now, self.right, BOTTOM + 42.0, Anchor::Middle, NOW);
    }

    /// The values, in pieces between the gaps, over what lies beyond each threshold.
    pub(super) fn values(&self, chart: &Chart, canvas: &mut Canvas) {
        let pieces: Vec<Vec<(f32, f32)>> = chart
            .points
            .split(|point| point.value.is_nan())
            .filter(|piece| !piece.is_empty())
            .map(|piece| piece.iter().map(|point| self.place(point)).collect())
            .collect();
        for piece in &pieces {
            shade(piece, BOTTOM, VALUES.thin(20), canvas);
            for limit in limits(chart, self.words) {
                let edge = self.y(limit.value);
                let beyond: Vec<(f32, f32)> = piece
                    .iter()
                    .map(|(x, y)| match chart.direction {
                        Direction::Above => (*x, y.min(edge)),
                        Direction::Below => (*x, y.max(edge)),
                    })
                    .collect();
                shade(&beyond, edge, limit.ink.thin(46), canvas);
            }
        }
        for piece in &pieces {
            canvas.line(piece, Line { ink: VALUES, width: 5.0, dash: None });
        }
    }

    fn place(&self, point: &Point) -> (f32, f32) {
        (self.x(point.at), self.y(point.value))
    }

    /// The thresholds and the last value, each with its words to the right of the frame.
    pub(super) fn limits(&self, chart: &Chart, canvas: &mut Canvas) {
        let mut labels = Vec::new();
        for limit in limits(chart, self.words) {
            let y = self.y(limit.value);
            let line = Line { ink: limit.ink, width: 4.0, dash: Some(limit.dash) };
            canvas.line(&[(self.left, y), (self.right, y)], line);
            labels.push((y, limit.text, Style { ink: limit.ink, ..LIMIT }));
        }
        if let Some(point) = chart.last() {
            let (x, y) = self.place(&point);
            canvas.dot(x, y, 11.0, GROUND);
            canvas.dot(x, y, 8.0, VALUES);
            labels.push((y, chart.unit.show(point.value), LAST));
        }
        labels.sort_by(|one, two| one.0.total_cmp(&two.0));
        let wanted: Vec<(f32, f32)> = labels.iter().map(|(y, _, style)| (*y, style.size + 8.0)).collect();
        for ((_, text, style), y) in labels.into_iter().zip(apart(&wanted, TOP - 20.0, BOTTOM + 8.0)) {
            let text = canvas.fonts.fitting(&text, style.size, style.weight, width() - self.right - 24.0);
            canvas.text(&text, self.right + 20.0, y + style.size * 0.36, Anchor::Start, style);
        }
    }
}

/// The picture's edge and its title.
pub(super) fn title(chart: &Chart, canvas: &mut Canvas) {
    for (from, to) in
        [((1.0, 1.0), (width() - 1.0, 1.0)), ((1.0, height() - 1.0), (width() - 1.0, height() - 1.0))]
    {
        canvas.line(&[from, to], Line { ink: GRID, width: 2.0, dash: None });
    }
    for x in [1.0, width() - 1.0] {
        canvas.line(&[(x, 1.0), (x, height() - 1.0)], Line { ink: GRID, width: 2.0, dash: None });
    }
    let title = one_line(&chart.title);
    let title = canvas.fonts.fitting(&title, TITLE.size, TITLE.weight, width() - 2.0 * MARGIN);
    canvas.text(&title, MARGIN, 54.0, Anchor::Start, TITLE);
}

/// The area between a line and a level.
fn shade(piece: &[(f32, f32)], level: f32, ink: Ink, canvas: &mut Canvas) {
    if let (Some((first, _)), Some((last, _))) = (piece.first(), piece.last())
        && last > first
    {
        let ends = [(*last, level), (*first, level)];
        let area: Vec<(f32, f32)> = piece.iter().copied().chain(ends).collect();
        canvas.area(&area, ink);
    }
}

/// Places of labels that want to stand at `(y, height)`, the topmost first, so that none covers another.
fn apart(wanted: &[(f32, f32)], top: f32, bottom: f32) -> Vec<f32> {
    let mut placed: Vec<f32> = Vec::with_capacity(wanted.len());
    let mut free = top;
    for (y, height) in wanted {
        let at = y.max(free + height / 2.0);
        placed.push(at);
        free = at + height / 2.0;
    }
    let mut floor = bottom;
    for (at, (_, height)) in placed.iter_mut().zip(wanted).rev() {
        *at = at.min(floor - height / 2.0);
        floor = *at - height / 2.0;
    }
    placed
}

/// What stands under the right edge: now, or the date where weeks are shown, which end somewhere ahead.
fn edge(from: Timestamp, to: Timestamp) -> String {
    if to.duration_since(from).as_hours() > 7 * 24 {
        return to.strftime("%Y-%m-%d").to_string();
    }
    format!("now {} UTC", to.strftime("%H:%M"))
}

pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a thousand pixels are exact")]
pub(super) fn width() -> f32 {
    WIDTH as f32
}

#[expect(clippy::cast_precision_loss, reason = "a thousand pixels are exact")]
fn height() -> f32 {
    HEIGHT as f32
}

#[expect(clippy::cast_possible_truncation, reason = "a share of 0 to 1")]
fn narrow(share: f64) -> f32 {
    share as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{Mark, MarkKind};
    use crate::domain::quantity::Unit;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn chart(values: &[f64]) -> Chart {
        let points = values.iter().zip(0..).map(|(value, step)| Point { at: at(step * 15), value: *value });
        Chart {
            title: "checkout CPU usage".into(),
            unit: Unit::Ratio,
            points: points.collect(),
            direction: Direction::Above,
            warning: Some(0.7),
            critical: Some(0.9),
            marks: Vec::new(),
            from: at(0),
            to: at(3_600),
        }
    }

    fn drawn(chart: &Chart) -> Vec<[u8; 3]> {
        let png = chart.draw().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!((info.width, info.height), (WIDTH, HEIGHT));
        rgb.chunks_exact(3).map(|it| [it[0], it[1], it[2]]).collect()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the picture")]
    fn whole(place: f32) -> usize {
        place.round() as usize
    }

    fn count(pixels: &[[u8; 3]], row: f32, ink: Ink) -> usize {
        let row = whole(row) * WIDTH as usize;
        pixels[row..row + WIDTH as usize].iter().filter(|it| **it == [ink.0, ink.1, ink.2]).count()
    }

    #[test]
    fn thresholds_stand_at_their_values_in_dashes_of_their_own() {
        let chart = chart(&[]);
        let pixels = drawn(&chart);
        let frame = Frame::of(&chart, &Canvas::new(WIDTH, HEIGHT).unwrap());
        // 90 % of a frame from 0 to 100 %.
        assert_eq!(frame.y(0.9).round(), (BOTTOM - 0.9 * (BOTTOM - TOP)).round());
        for (value, ink, least) in [(0.9, CRITICAL, 500), (0.7, WARNING, 350)] {
            let there = count(&pixels, frame.y(value), ink);
            assert!(there > least, "{there} pixels of {ink:?}");
            assert!(count(&pixels, frame.y(value) + 40.0, ink) < 60, "only there");
        }
        let longest = |value: f64, ink: Ink| {
            let row = whole(frame.y(value)) * WIDTH as usize;
            let line = &pixels[row + whole(frame.left)..row + whole(frame.right)];
            line.split(|it| *it != [ink.0, ink.1, ink.2]).map(<[_]>::len).max()
        };
        assert!(
            longest(0.9, CRITICAL) > longest(0.7, WARNING).map(|dash| dash * 2),
            "told apart without colour"
        );
    }

    #[test]
    fn a_gap_stays_a_gap_and_a_single_value_is_seen() {
        let chart = chart(&[0.5, f64::NAN, f64::NAN, 0.5, f64::NAN, f64::NAN, f64::NAN]);
        let frame = Frame::of(&chart, &Canvas::new(WIDTH, HEIGHT).unwrap());
        let pixels = drawn(&Chart { to: at(120), ..chart.clone() });
        let frame = Frame { times: TimeScale::of(at(0), at(120)), ..frame };
        let is_drawn = |second: i64| {
            let (x, y) = (whole(frame.x(at(second))), whole(frame.y(0.5)));
            pixels[y * WIDTH as usize + x] == [VALUES.0, VALUES.1, VALUES.2]
        };
        assert!(is_drawn(0) && is_drawn(45), "values");
        assert!(!is_drawn(15) && !is_drawn(30) && !is_drawn(75), "gaps");
    }

    #[test]
    fn no_data_says_so() {
        let words = |values: &[f64]| {
            let pixels = drawn(&chart(values));
            (262..292).map(|row: u16| count(&pixels, f32::from(row), MUTED)).sum::<usize>()
        };
        assert!(words(&[]) > words(&[0.2]) + 500);
        assert_eq!(words(&[]), words(&[f64::NAN, f64::NAN]));
    }

    #[test]
    fn hostile_data_is_drawn_all_the_same() {
        let one = |value| Chart { warning: None, critical: None, ..chart(&[value]) };
        let mut charts: Vec<Chart> =
            [0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324].map(one).to_vec();
        charts.push(chart(&[f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, 0.5]));
        charts.push(chart(&[0.5; 240]));
        charts.push(Chart { warning: Some(f64::NAN), critical: Some(f64::INFINITY), ..chart(&[0.5]) });
        charts.push(Chart { from: at(9), to: at(3), ..chart(&[0.5, 0.6]) });
        charts.push(Chart { from: Timestamp::MIN, to: Timestamp::MAX, ..chart(&[0.5, 0.6]) });
        let long = "\u{202e}\n<script>漢字 ".repeat(5_000);
        let marks: Vec<Mark> = (0..500)
            .map(|step| Mark { at: at(step), kind: MarkKind::Step, label: long.as_str().into() })
            .collect();
        charts.push(Chart { title: long.as_str().into(), marks, ..chart(&[0.5, 0.6]) });
        for unit in [Unit::Ratio, Unit::Seconds, Unit::Bytes, Unit::Cores, Unit::Count] {
            charts.push(Chart { unit, ..chart(&[1e18, 3e18]) });
        }
        for chart in charts {
            let pixels = drawn(&chart);
            assert!(pixels.contains(&[TEXT.0, TEXT.1, TEXT.2]), "{:?}", chart.points);
            // The margin stays free: no label leaves the picture.
            let edge = |x: usize| {
                (4..HEIGHT as usize - 4).all(|y| pixels[y * WIDTH as usize + x] == [255, 255, 255])
            };
            assert!(edge(4) && edge(WIDTH as usize - 5), "{:?} {:?}", chart.unit, chart.points.first());
        }
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        assert_eq!(apart(&[(10.0, 30.0), (200.0, 30.0)], 0.0, 400.0), [15.0, 200.0]);
        assert_eq!(apart(&[(100.0, 30.0), (101.0, 30.0), (102.0, 30.0)], 0.0, 400.0), [100.0, 130.0, 160.0]);
        assert_eq!(apart(&[(395.0, 30.0), (399.0, 30.0)], 0.0, 400.0), [355.0, 385.0]);
    }
}
