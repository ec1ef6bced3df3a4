//! The canvas: lines, areas and texts in pixels, and the PNG they become. Owns colours; knows no value and no time.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};

use super::DrawError;
use super::font::{Fonts, Weight};

/// A colour and how much it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ink(pub(super) u8, pub(super) u8, pub(super) u8, pub(super) u8);

/// The ground; opaque, so that a dark page does not shine through.
pub(super) const GROUND: Ink = Ink(0xff, 0xff, 0xff, 0xff);
/// Words: 16:1 on the ground.
pub(super) const TEXT: Ink = Ink(0x1b, 0x1f, 0x24, 0xff);
/// Lesser words: 6:1.
pub(super) const MUTED: Ink = Ink(0x57, 0x60, 0x6a, 0xff);
/// Lines of the grid.
pub(super) const GRID: Ink = Ink(0xdd, 0xe2, 0xe7, 0xff);
/// The values: 6:1.
pub(super) const VALUES: Ink = Ink(0x0b, 0x57, 0xd0, 0xff);
/// A warning: 5.5:1.
pub(super) const WARNING: Ink = Ink(0x85, 0x64, 0x00, 0xff);
/// Critical: 8:1.
pub(super) const CRITICAL: Ink = Ink(0xa1, 0x00, 0x1a, 0xff);
/// What is over: 6.5:1.
pub(super) const OVER: Ink = Ink(0x1f, 0x6b, 0x2f, 0xff);

impl Ink {
    /// The same colour, covering less.
    pub(super) fn thin(self, alpha: u8) -> Self {
        Self(self.0, self.1, self.2, alpha)
    }
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) ink: Ink,
    pub(super) width: f32,
    /// The lengths of a dash and of the gap behind it.
    pub(super) dash: Option<(f32, f32)>,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) ink: Ink,
    pub(super) size: f32,
    pub(super) weight: Weight,
}

/// Which point of a text `x` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture while it is drawn.
pub(super) struct Canvas {
    pixels: Pixmap,
    pub(super) fonts: Fonts,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Result<Self, DrawError> {
        let mut pixels = Pixmap::new(width, height).ok_or(DrawError::Canvas)?;
        pixels.fill(colour(GROUND));
        Ok(Self { pixels, fonts: Fonts::new()? })
    }

    /// A line through points; a single point is a dot.
    pub(super) fn line(&mut self, points: &[(f32, f32)], line: Line) {
        if let [(x, y)] = points {
            self.dot(*x, *y, line.width, line.ink);
            return;
        }
        let Some(path) = path(points, false) else { return };
        let stroke = Stroke {
            width: line.width,
            line_cap: if line.dash.is_some() { LineCap::Butt } else { LineCap::Round },
            line_join: LineJoin::Round,
            dash: line.dash.and_then(|(on, off)| StrokeDash::new(vec![on, off], 0.0)),
            ..Stroke::default()
        };
        self.pixels.stroke_path(&path, &paint(line.ink), &stroke, Transform::identity(), None);
    }

    /// The area within points.
    pub(super) fn area(&mut self, points: &[(f32, f32)], ink: Ink) {
        if let Some(path) = path(points, true) {
            self.fill(&path, ink);
        }
    }

    /// A disc.
    pub(super) fn dot(&mut self, x: f32, y: f32, radius: f32, ink: Ink) {
        if let Some(path) = PathBuilder::from_circle(x, y, radius) {
            self.fill(&path, ink);
        }
    }

    /// A rectangle.
    pub(super) fn block(&mut self, x: f32, y: f32, width: f32, height: f32, ink: Ink) {
        if let Some(rect) = Rect::from_xywh(x, y, width, height) {
            self.fill(&PathBuilder::from_rect(rect), ink);
        }
    }

    /// A text on the line `y`.
    pub(super) fn text(&mut self, text: &str, x: f32, y: f32, anchor: Anchor, style: Style) {
        let width = self.width(text, style);
        let x = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        if let Some(path) = self.fonts.outline(text, style.size, style.weight, x, y) {
            self.fill(&path, style.ink);
        }
    }

    /// How wide a text is.
    pub(super) fn width(&self, text: &str, style: Style) -> f32 {
        self.fonts.width(text, style.size, style.weight)
    }

    fn fill(&mut self, path: &Path, ink: Ink) {
        self.pixels.fill_path(path, &paint(ink), FillRule::Winding, Transform::identity(), None);
    }

    /// The picture as PNG, without transparency: every pixel of it is covered.
    pub(super) fn png(&self) -> Result<Vec<u8>, DrawError> {
        let rgb: Vec<u8> = self
            .pixels
            .pixels()
            .iter()
            .flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()])
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.pixels.width(), self.pixels.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        let mut writer = encoder.write_header().map_err(|_| DrawError::Encode)?;
        writer.write_image_data(&rgb).map_err(|_| DrawError::Encode)?;
        writer.finish().map_err(|_| DrawError::Encode)?;
        Ok(bytes)
    }
}

fn colour(ink: Ink) -> Color {
    Color::from_rgba8(ink.0, ink.1, ink.2, ink.3)
}

fn paint(ink: Ink) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(colour(ink));
    paint
}

fn path(points: &[(f32, f32)], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    let mut points = points.iter();
    let (x, y) = points.next()?;
    path.move_to(*x, *y);
    for (x, y) in points {
        path.line_to(*x, *y);
    }
    if closed {
        path.close();
    }
    path.finish()
}
