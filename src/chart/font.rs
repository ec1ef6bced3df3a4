//! The font: two weights of Inter that are part of the program, and the outlines of a text. Owns what a missing
//! character looks like; places nothing.

use tiny_skia::{Path, PathBuilder, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::DrawError;

const REGULAR: &[u8] = include_bytes!("font/Inter-Regular.otf");
const BOLD: &[u8] = include_bytes!("font/Inter-SemiBold.otf");

/// A weight of the font.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// Both weights, read.
pub(super) struct Fonts {
    regular: Face<'static>,
    bold: Face<'static>,
}

impl Fonts {
    pub(super) fn new() -> Result<Self, DrawError> {
        let read = |bytes| Face::parse(bytes, 0).map_err(|_| DrawError::Font);
        Ok(Self { regular: read(REGULAR)?, bold: read(BOLD)? })
    }

    fn face(&self, weight: Weight) -> &Face<'static> {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    /// The width of a text in pixels.
    pub(super) fn width(&self, text: &str, size: f32, weight: Weight) -> f32 {
        let face = self.face(weight);
        let units: f32 = text.chars().map(|c| advance(face, glyph(face, c))).sum();
        units * size / f32::from(face.units_per_em())
    }

    /// The outlines of a text that begins at `x` and stands on the line `y`; none where it has no ink.
    pub(super) fn outline(&self, text: &str, size: f32, weight: Weight, x: f32, y: f32) -> Option<Path> {
        let face = self.face(weight);
        let mut pen = Pen { path: PathBuilder::new(), x: 0.0 };
        for c in text.chars() {
            let glyph = glyph(face, c);
            face.outline_glyph(glyph, &mut pen);
            pen.x += advance(face, glyph);
        }
        let scale = size / f32::from(face.units_per_em());
        pen.path.finish()?.transform(Transform::from_row(scale, 0.0, 0.0, -scale, x, y))
    }

    /// The text as far as it fits into `room` pixels: where it is longer its end becomes an ellipsis.
    pub(super) fn fitting(&self, text: &str, size: f32, weight: Weight, room: f32) -> String {
        if self.width(text, size, weight) <= room {
            return text.to_owned();
        }
        let mut room = room - self.width("…", size, weight);
        let mut kept = String::new();
        for c in text.chars() {
            room -= self.width(c.encode_utf8(&mut [0; 4]), size, weight);
            if room < 0.0 {
                break;
            }
            kept.push(c);
        }
        format!("{}…", kept.trim_end())
    }
}

/// A character that the font does not have is the font's own sign for that: a box.
fn glyph(face: &Face<'_>, c: char) -> GlyphId {
    face.glyph_index(c).unwrap_or(GlyphId(0))
}

fn advance(face: &Face<'_>, glyph: GlyphId) -> f32 {
    f32::from(face.glyph_hor_advance(glyph).unwrap_or_default())
}

/// Draws glyphs one after the other, in the font's own units.
struct Pen {
    path: PathBuilder,
    x: f32,
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.x + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.x + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.path.quad_to(self.x + x1, y1, self.x + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.path.cubic_to(self.x + x1, y1, self.x + x2, y2, self.x + x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_equally_wide_and_every_sign_of_a_label_is_there() {
        let fonts = Fonts::new().unwrap();
        let width = |text: &str| fonts.width(text, 26.0, Weight::Regular);
        assert_eq!(width("0123456789"), width("1111111111"));
        for c in "Aaz09 %→…–—µ≥≤·éß".chars() {
            assert_ne!(glyph(fonts.face(Weight::Regular), c), GlyphId(0), "{c}");
            assert_ne!(glyph(fonts.face(Weight::Bold), c), GlyphId(0), "{c}");
        }
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis_within_the_room() {
        let fonts = Fonts::new().unwrap();
        let cut = fonts.fitting(&"checkout ".repeat(40), 26.0, Weight::Bold, 300.0);
        assert!(cut.ends_with('…') && fonts.width(&cut, 26.0, Weight::Bold) <= 300.0, "{cut}");
        assert_eq!(fonts.fitting("checkout", 26.0, Weight::Bold, 300.0), "checkout");
        assert_eq!(fonts.fitting("checkout", 26.0, Weight::Bold, 0.0), "…");
    }
}
