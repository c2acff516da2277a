//! Small multiples of confusion matrices: blue on the diagonal, orange elsewhere, stronger with the share of the row.

use super::svg::{Drawing, escape, short};
use super::table::percent;
use crate::evaluate::Confusion;

/// Small confusion matrices of the same classes.
#[derive(Debug, Clone)]
pub struct Multiples {
    /// The title: level, task and protocol.
    pub title: String,
    /// Name and counts of each matrix.
    pub matrices: Vec<(String, Confusion)>,
}

/// Side of a matrix, size of its tile with the name, and tiles of a line, in SVG units.
const SIDE: f64 = 118.0;
const TILE: (f64, f64) = (150.0, 156.0);
const PER_LINE: usize = 6;

impl Multiples {
    pub(super) fn draw(&self) -> Drawing {
        let across = self.matrices.len().clamp(1, PER_LINE);
        let down = self.matrices.len().div_ceil(across);
        let (width, height) = (TILE.0 * across as f64 + 8.0, TILE.1 * down as f64 + 40.0);
        let mut drawing =
            Drawing::new(width.max(460.0), height, &format!("{}: confusion matrices", self.title));
        for (at, (name, confusion)) in self.matrices.iter().enumerate() {
            let (x, y) = (8.0 + TILE.0 * (at % across) as f64, 4.0 + TILE.1 * (at / across) as f64);
            drawing.text(x, y + 14.0, "strong small", &short(name, 24));
            square(&mut drawing, confusion, (x, y + 22.0));
        }
        let names = self.matrices.first().map(|(_, c)| c.classes.join(", ")).unwrap_or_default();
        let foot = height - 22.0;
        drawing.text(8.0, foot, "soft small", &short(&format!("Rows, from the top: {names}."), 130));
        drawing.text(8.0, foot + 16.0, "soft small", "Columns: predicted classes, in the same order.");
        drawing
    }
}

fn square(drawing: &mut Drawing, confusion: &Confusion, (left, top): (f64, f64)) {
    let cell = SIDE / confusion.classes.len().max(1) as f64;
    let support = confusion.support();
    for (row, (counts, &of)) in confusion.counts.iter().zip(&support).enumerate() {
        for (column, &count) in counts.iter().enumerate() {
            let share = if of == 0 { 0.0 } else { count as f64 / of as f64 };
            let strength = if count == 0 { 0.05 } else { 0.14 + 0.86 * share };
            let class = |at: usize| confusion.classes.get(at).map(|name| escape(name)).unwrap_or_default();
            drawing.body += &format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" class=\"f{}\" fill-opacity=\"{strength:.3}\">\
                 <title>{} predicted as {}: {count} ({})</title></rect>",
                left + cell * column as f64,
                top + cell * row as f64,
                cell - 1.0,
                cell - 1.0,
                usize::from(row != column),
                class(row),
                class(column),
                escape(&percent(share)),
            );
        }
    }
}
