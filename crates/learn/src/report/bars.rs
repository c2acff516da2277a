//! Bar plots.

use super::svg::{Drawing, short};

/// Named numbers as bars.
#[derive(Debug, Clone, Default)]
pub struct BarPlot {
    /// The title.
    pub title: String,
    /// The quantity of the axis.
    pub axis: String,
    /// Name and value of each bar; no bar is drawn for a value that is not finite.
    pub bars: Vec<(String, f64)>,
    /// The value of a bar of full width.
    pub max: f64,
}

/// Width of the longest bar and height of a line, in SVG units.
const SIZE: (f64, f64) = (380.0, 24.0);

impl BarPlot {
    pub(super) fn draw(&self) -> Drawing {
        let longest =
            self.bars.iter().map(|(name, _)| name.chars().count().min(40)).max().unwrap_or(0) as f64;
        let (left, top) = (longest * 7.2 + 18.0, 8.0);
        let bottom = top + SIZE.1 * self.bars.len() as f64;
        let mut drawing = Drawing::new(left + SIZE.0 + 60.0, bottom + 30.0, &self.title);
        let max = if self.max > 0.0 { self.max } else { 1.0 };
        for part in 0..=4 {
            let share = f64::from(part) / 4.0;
            let x = left + SIZE.0 * share;
            drawing.line((x, top), (x, bottom), "grid");
            drawing.text(x, bottom + 18.0, "mid soft small", &format!("{:.2}", max * share));
        }
        for (index, (name, value)) in self.bars.iter().enumerate() {
            let y = top + SIZE.1 * index as f64;
            drawing.text(left - 8.0, y + 16.0, "end small", &short(name, 40));
            let Some(value) = Some(*value).filter(|value| value.is_finite()) else { continue };
            let length = SIZE.0 * (value / max).clamp(0.0, 1.0);
            drawing.body += &format!(
                "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" rx=\"3\" class=\"f0\"/>",
                y + 3.0,
                SIZE.1 - 6.0
            );
            drawing.text(left + length + 6.0, y + 16.0, "small", &format!("{value:.3}"));
        }
        drawing
    }
}
