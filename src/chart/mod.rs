//! Charts: one metric with its thresholds as a PNG, from plain data to bytes. Owns what the picture looks like; asks
//! nothing, reads no clock and draws the same bytes for the same data.
//!
//! The picture has 1120 × 480 pixels and is shown at half of that, so everything in it is drawn twice as large as it
//! looks. The ground is opaque and light, so that it reads the same on a dark page; what a colour says is said by a
//! word or a shape too. The font is part of the program (`font/`), because the image has none.

mod canvas;
mod font;
mod marks;
pub mod outlook;
mod plot;
mod scale;

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::quantity::Unit;
use crate::domain::rule::Direction;

/// The width of a picture, in pixels; it is shown at half of it.
pub const WIDTH: u32 = 1120;
/// The height of a picture, in pixels; it is shown at half of it.
pub const HEIGHT: u32 = 480;

/// What a chart shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it is about: `checkout CPU usage`.
    pub title: Arc<str>,
    /// The unit of values and thresholds.
    pub unit: Unit,
    /// The values over time, oldest first; what is no number is a gap.
    pub points: Vec<Point>,
    /// Which side of a threshold is bad.
    pub direction: Direction,
    /// Where a warning begins.
    pub warning: Option<f64>,
    /// Where it becomes critical.
    pub critical: Option<f64>,
    /// What happened meanwhile, oldest first.
    pub marks: Vec<Mark>,
    /// The left edge.
    pub from: Timestamp,
    /// The right edge: now.
    pub to: Timestamp,
}

/// A value at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// How much, in the base of the chart's unit. NaN is a gap; an infinite value lies at the edge.
    pub value: f64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What kind of thing, which is its shape.
    pub kind: MarkKind,
    /// A word or two: `4 → 6`.
    pub label: Arc<str>,
}

/// The kinds of marks; each has a shape of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// The first breach: a triangle.
    Breach,
    /// A step was taken: a square.
    Step,
    /// It was over: a circle.
    Over,
}

/// Why a chart could not be drawn. Nothing in the data leads to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// No memory for the picture, or a size that is none.
    #[error("no canvas could be made")]
    Canvas,
    /// The font of the program cannot be read.
    #[error("the embedded font cannot be read")]
    Font,
    /// The picture could not be written as PNG.
    #[error("the picture could not be encoded")]
    Encode,
}

impl Chart {
    /// Draws the chart: a PNG of [`WIDTH`] × [`HEIGHT`] pixels.
    pub fn draw(&self) -> Result<Vec<u8>, DrawError> {
        let mut canvas = canvas::Canvas::new(WIDTH, HEIGHT)?;
        plot::plot(self, &mut canvas);
        canvas.png()
    }

    /// Whether there is any value to show.
    pub fn has_data(&self) -> bool {
        self.points.iter().any(|point| !point.value.is_nan())
    }

    /// The last value there is.
    pub fn last(&self) -> Option<Point> {
        self.points.iter().rev().find(|point| !point.value.is_nan()).copied()
    }
}
