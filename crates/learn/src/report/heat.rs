//! Heat maps: positive values orange, negative blue, stronger the further from 0.

use super::svg::{Drawing, escape, short};

/// Values by row and column as colours.
#[derive(Debug, Clone, Default)]
pub struct HeatMap {
    /// The title.
    pub title: String,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns; if empty, `from` and `to` label the axis.
    pub columns: Vec<String>,
    /// Label of the first column.
    pub from: String,
    /// Label of the last column.
    pub to: String,
    /// Values between -1 and 1 by row and column; one that is not finite counts as 0.
    pub values: Vec<Vec<f64>>,
    /// Tooltips by row and column; may be empty.
    pub hints: Vec<Vec<String>>,
}

/// Width and height of a row, in SVG units.
const SIZE: (f64, f64) = (660.0, 22.0);
/// Width of a cell, at most.
const MAX_CELL: f64 = 28.0;

impl HeatMap {
    pub(super) fn draw(&self) -> Drawing {
        let columns = self.values.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let longest = self.rows.iter().map(|name| name.chars().count().min(40)).max().unwrap_or(0) as f64;
        let (left, top) = (longest * 7.0 + 18.0, 8.0);
        let cell = (SIZE.0 / columns as f64).min(MAX_CELL);
        let bottom = top + SIZE.1 * self.values.len() as f64;
        // The full width even for few columns, so that they are not enlarged.
        let width = left + SIZE.0 + 12.0;
        let mut drawing = Drawing::new(width, bottom + 30.0, &self.title);
        for (row, values) in self.values.iter().enumerate() {
            let y = top + SIZE.1 * row as f64;
            if let Some(name) = self.rows.get(row) {
                drawing.text(left - 8.0, y + 15.5, "end small", &short(name, 40));
            }
            drawing.line((left, y + SIZE.1), (left + cell * columns as f64, y + SIZE.1), "grid");
            for (column, &value) in values.iter().enumerate() {
                let strength = if value.is_finite() { value.abs().min(1.0) } else { 0.0 };
                if strength < 0.005 {
                    continue;
                }
                let hint = self.hints.get(row).and_then(|hints| hints.get(column));
                drawing.body += &format!(
                    "<rect x=\"{:.2}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{:.1}\" class=\"f{}\" fill-opacity=\"{:.3}\">{}</rect>",
                    left + cell * column as f64,
                    y + 1.0,
                    (cell - 0.5).max(0.5),
                    SIZE.1 - 2.0,
                    u8::from(value > 0.0),
                    0.06 + 0.94 * strength,
                    hint.map_or(String::new(), |hint| format!("<title>{}</title>", escape(hint))),
                );
            }
        }
        let middle = |column: usize| left + cell * (column as f64 + 0.5);
        // Names of as many columns as fit.
        let each = (34.0 / cell).ceil().max(1.0) as usize;
        for (column, name) in self.columns.iter().enumerate().step_by(each) {
            drawing.text(middle(column), bottom + 18.0, "mid soft small", &short(name, 8));
        }
        if self.columns.is_empty() {
            drawing.text(left, bottom + 18.0, "soft small", &self.from);
            drawing.text(left + cell * columns as f64, bottom + 18.0, "end soft small", &self.to);
        }
        drawing
    }

    /// A standalone SVG file in light colours.
    pub fn svg(&self) -> String {
        self.draw().standalone()
    }
}
