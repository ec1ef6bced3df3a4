//! The marks: what happened meanwhile, above the frame. Owns their shapes and where their words fit; draws no value.

use super::canvas::{Anchor, CRITICAL, Canvas, GROUND, Line, MUTED, OVER, Style, TEXT, VALUES};
use super::font::Weight;
use super::plot::{BOTTOM, Frame, MARGIN, TOP, WIDEST_LABEL, one_line, width};
use super::{Chart, Mark, MarkKind};

/// The lines on which the words of marks stand, the first tried first.
const ROWS: [f32; 2] = [120.0, 88.0];
/// How many marks are drawn; the first ones and the last ones are the telling ones.
const MOST_MARKS: usize = 8;

const MARK: Style = Style { ink: TEXT, size: 24.0, weight: Weight::Regular };

impl Frame {
    /// The marks above the frame, each with a line down to the axis. Where there is no room for the words the shape
    /// stands alone.
    pub(super) fn marks(&self, chart: &Chart, canvas: &mut Canvas) {
        let within = |mark: &&Mark| mark.at >= self.times.from && mark.at <= self.times.to;
        let mut marks: Vec<&Mark> = chart.marks.iter().filter(within).collect();
        if marks.len() > MOST_MARKS {
            marks.drain(MOST_MARKS / 2..marks.len() - MOST_MARKS / 2);
        }
        let mut taken = [f32::NEG_INFINITY; ROWS.len()];
        let mut words = Vec::new();
        for mark in marks {
            let x = self.x(mark.at);
            let label = one_line(&mark.label);
            let label = canvas.fonts.fitting(&label, MARK.size, MARK.weight, WIDEST_LABEL);
            let room = canvas.width(&label, MARK);
            // To the right of its shape; to the left where the picture ends.
            let (begin, end) = if x + 20.0 + room < width() - MARGIN {
                (x - 14.0, x + 20.0 + room)
            } else {
                (x - 20.0 - room, x + 14.0)
            };
            let row = taken.iter().position(|until| begin > until + 16.0);
            let y = row.map_or(TOP - 4.0, |row| ROWS[row] - 9.0);
            let line = Line { ink: MUTED, width: 2.0, dash: Some((4.0, 6.0)) };
            canvas.line(&[(x, y), (x, BOTTOM)], line);
            shape(mark.kind, x, y, canvas);
            if let Some(row) = row {
                taken[row] = end;
                let begin = if begin < x - 14.0 { begin } else { x + 20.0 };
                words.push((label, begin, room, ROWS[row]));
            }
        }
        // Over the lines of the marks, which would go through them.
        for (label, x, room, y) in words {
            canvas.block(x - 4.0, y - 21.0, room + 8.0, 28.0, GROUND);
            canvas.text(&label, x, y, Anchor::Start, MARK);
        }
    }
}

fn shape(kind: MarkKind, x: f32, y: f32, canvas: &mut Canvas) {
    match kind {
        MarkKind::Breach => {
            canvas.area(&[(x - 12.0, y + 10.0), (x, y - 12.0), (x + 12.0, y + 10.0)], CRITICAL);
        }
        MarkKind::Step => canvas.block(x - 9.0, y - 9.0, 18.0, 18.0, VALUES),
        MarkKind::Over => canvas.dot(x, y, 11.0, OVER),
    }
}
