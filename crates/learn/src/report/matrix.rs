//! Confusion matrices: correct predictions blue, wrong ones orange, stronger with their share of the row.

use super::svg::{Drawing, escape, short};
use super::table::percent;
use crate::evaluate::Confusion;

/// Counts and row shares of true against predicted classes.
#[derive(Debug, Clone)]
pub struct ConfusionPlot {
    /// The title, such as the model and the rows.
    pub title: String,
    /// The counts.
    pub confusion: Confusion,
}

impl ConfusionPlot {
    pub(super) fn draw(&self) -> Drawing {
        let confusion = &self.confusion;
        let mut names: Vec<String> = confusion.classes.iter().map(|name| short(name, 16)).collect();
        let none: u64 = confusion.no_verdict.iter().sum();
        if none > 0 {
            names.push("no verdict".to_owned());
        }
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
        let (left, top, cell) = (longest * 7.2 + 34.0, 64.0, 82.0);
        let (width, height) =
            (left + cell * names.len() as f64 + 8.0, top + 54.0 * confusion.classes.len() as f64 + 8.0);
        let mut drawing = Drawing::new(width, height, &format!("{}: confusion matrix", self.title));
        drawing.text(left + (width - left) / 2.0, 16.0, "mid soft small", "predicted");
        drawing.text(left - 10.0, top - 10.0, "end soft small", "true");
        for (column, name) in names.iter().enumerate() {
            let middle = left + cell * (column as f64 + 0.5);
            let (first, second) = two_lines(name);
            drawing.text(middle, top - 26.0, "mid", &short(first, 11));
            drawing.text(middle, top - 10.0, "mid", &short(second, 11));
        }
        for (row, counts) in confusion.counts.iter().enumerate() {
            let all: Vec<u64> =
                counts.iter().copied().chain([confusion.no_verdict[row]]).take(names.len()).collect();
            let support: u64 = all.iter().sum();
            let y = top + 54.0 * row as f64;
            drawing.text(left - 10.0, y + 31.0, "end", &names[row]);
            for (column, &count) in all.iter().enumerate() {
                let share = if support == 0 { 0.0 } else { count as f64 / support as f64 };
                let x = left + cell * column as f64;
                let (fill, strength) =
                    (usize::from(row != column), if count == 0 { 0.05 } else { 0.12 + 0.88 * share });
                drawing.body += &format!(
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"51\" rx=\"5\" class=\"f{fill}\" \
                     fill-opacity=\"{strength:.3}\"><title>{} predicted as {}: {count}</title></rect>",
                    x + 1.5,
                    y + 1.5,
                    cell - 3.0,
                    escape(&confusion.classes[row]),
                    escape(&names[column]),
                );
                let tone = if strength > 0.78 {
                    "on"
                } else if count == 0 {
                    "soft"
                } else {
                    ""
                };
                drawing.text(x + cell / 2.0, y + 25.0, &format!("mid strong {tone}"), &count.to_string());
                if count > 0 {
                    drawing.text(x + cell / 2.0, y + 41.0, &format!("mid small {tone}"), &percent(share));
                }
            }
        }
        drawing
    }
}

/// Splits a name that is too wide for its column after its first `_`, `-` or space; else all is on the second line.
fn two_lines(name: &str) -> (&str, &str) {
    match name.find(['_', '-', ' ']) {
        Some(at) if name.chars().count() > 11 => name.split_at(at + 1),
        _ => ("", name),
    }
}
