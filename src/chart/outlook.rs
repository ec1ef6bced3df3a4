//! Outlooks: a past, what is expected to follow with its band, and the limit, as one picture. Owns how the band and the
//! line ahead look; the frame around them is a chart's.

use crate::domain::Timestamp;

use super::canvas::{Canvas, Line, VALUES};
use super::plot::{Frame, title};
use super::{Chart, DrawError, HEIGHT, WIDTH};

/// A chart whose right edge lies ahead. Its points are the past, its critical threshold is the limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The past, its limit and its marks.
    pub chart: Chart,
    /// What is expected, soonest first.
    pub ahead: Vec<Ahead>,
}

/// What is expected at an instant, in the base of the chart's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// When.
    pub at: Timestamp,
    /// The lower end of the band.
    pub low: f64,
    /// The value expected.
    pub value: f64,
    /// The upper end of the band.
    pub high: f64,
}

impl Outlook {
    /// Draws the picture: a PNG of [`WIDTH`] × [`HEIGHT`] pixels.
    pub fn draw(&self) -> Result<Vec<u8>, DrawError> {
        let mut canvas = Canvas::new(WIDTH, HEIGHT)?;
        let chart = &self.chart;
        let finite = |it: &&Ahead| [it.low, it.value, it.high].iter().all(|value| value.is_finite());
        let ahead: Vec<&Ahead> = self.ahead.iter().filter(finite).collect();
        let more: Vec<f64> = ahead.iter().flat_map(|it| [it.low, it.high]).collect();
        let frame = Frame::with(chart, &more, ["warning", "fits"], &canvas);
        title(chart, &mut canvas);
        frame.axes(chart, &mut canvas);
        let place = |at: Timestamp, value: f64| (frame.x(at), frame.y(value));
        let upper = ahead.iter().map(|it| place(it.at, it.high));
        let lower = ahead.iter().rev().map(|it| place(it.at, it.low));
        let band: Vec<(f32, f32)> = upper.chain(lower).collect();
        if ahead.len() > 1 {
            canvas.area(&band, VALUES.thin(40));
        }
        let line: Vec<(f32, f32)> = ahead.iter().map(|it| place(it.at, it.value)).collect();
        canvas.line(&line, Line { ink: VALUES, width: 4.0, dash: Some((10.0, 8.0)) });
        frame.values(chart, &mut canvas);
        frame.limits(chart, &mut canvas);
        frame.marks(chart, &mut canvas);
        canvas.png()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Point;
    use crate::domain::quantity::Unit;
    use crate::domain::rule::Direction;

    const DAY: i64 = 86_400;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + days * DAY).unwrap()
    }

    fn outlook(band: f64) -> Outlook {
        let chart = Chart {
            title: "platform tenants".into(),
            unit: Unit::Count,
            points: (0..30).zip(1_u8..).map(|(day, it)| Point { at: at(day), value: it.into() }).collect(),
            direction: Direction::Above,
            warning: None,
            critical: Some(50.0),
            marks: Vec::new(),
            from: at(0),
            to: at(60),
        };
        let ahead = (30..60).zip(31_u8..).map(|(day, it)| Ahead {
            at: at(day),
            low: f64::from(it) - band,
            value: it.into(),
            high: f64::from(it) + band,
        });
        Outlook { chart, ahead: ahead.collect() }
    }

    /// How many pixels have the colour of the band on white.
    fn shaded(outlook: &Outlook) -> usize {
        let png = outlook.draw().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut rgb).unwrap();
        let thin = |ink: u8| {
            let share = u16::from(255 - ink) * 40 / 255;
            u8::try_from(255 - share).unwrap()
        };
        let band = [thin(VALUES.0), thin(VALUES.1), thin(VALUES.2)];
        rgb.chunks_exact(3).filter(|it| it.iter().zip(band).all(|(one, two)| one.abs_diff(two) < 3)).count()
    }

    #[test]
    fn the_band_is_as_wide_as_it_is_uncertain() {
        let (narrow, wide) = (shaded(&outlook(2.0)), shaded(&outlook(8.0)));
        assert!(narrow > 500 && wide > narrow * 2, "{narrow} and {wide} pixels");
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut odd = outlook(2.0);
        odd.ahead[3].high = f64::INFINITY;
        odd.ahead[4].value = f64::NAN;
        odd.ahead.truncate(6);
        assert!(odd.draw().is_ok());
        odd.ahead.clear();
        assert!(odd.draw().is_ok());
    }
}
