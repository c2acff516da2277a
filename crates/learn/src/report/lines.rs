//! Line plots: ROC, precision-recall, training history.

use super::svg::{Drawing, short};
use super::table::figure;
use crate::evaluate::{EpochScores, History, PrCurve, RocCurve};

/// Size and margins (left, right, top) of the plot, in SVG units.
const SIZE: (f64, f64) = (460.0, 300.0);
const MARGINS: (f64, f64, f64) = (56.0, 14.0, 12.0);

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// The quantity with its unit.
    pub label: String,
    /// Lowest value shown.
    pub from: f64,
    /// Highest value shown.
    pub to: f64,
}

/// One line of a plot.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in axis units; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Lines over two axes, with a legend.
#[derive(Debug, Clone)]
pub struct LinePlot {
    /// The title.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
}

fn rate(label: &str) -> Axis {
    Axis { label: label.to_owned(), from: 0.0, to: 1.0 }
}

impl LinePlot {
    /// ROC curves of models or classes; the legend has the areas.
    pub fn roc(title: &str, curves: &[(&str, &RocCurve)]) -> Self {
        let series = |(name, curve): &(&str, &RocCurve)| Series {
            name: format!("{} (AUC {})", short(name, 34), figure(curve.auc)),
            points: curve.points.iter().map(|point| (point.fpr, point.tpr)).collect(),
        };
        Self {
            title: title.to_owned(),
            x: rate("false-positive rate"),
            y: rate("true-positive rate"),
            series: curves.iter().map(series).collect(),
        }
    }

    /// Precision-recall curves; the legend has the average precisions.
    pub fn precision_recall(title: &str, curves: &[(&str, &PrCurve)]) -> Self {
        let series = |(name, curve): &(&str, &PrCurve)| Series {
            name: format!("{} (AP {})", short(name, 34), figure(curve.average_precision)),
            points: curve.points.iter().map(|point| (point.recall, point.precision)).collect(),
        };
        Self {
            title: title.to_owned(),
            x: rate("recall"),
            y: rate("precision"),
            series: curves.iter().map(series).collect(),
        }
    }

    /// Plots of loss, precision and recall of training and validation over the epochs.
    pub fn history(title: &str, history: &History) -> Vec<Self> {
        let of = |name: &str, value: fn(&EpochScores) -> Option<f64>| {
            let epochs = &history.epochs;
            let at = |number: u32, scores: &EpochScores| value(scores).map(|y| (f64::from(number), y));
            let training = epochs.iter().filter_map(|epoch| at(epoch.number, &epoch.training)).collect();
            let validation: Vec<_> =
                epochs.iter().filter_map(|epoch| at(epoch.number, epoch.validation.as_ref()?)).collect();
            let series = [("training", training), ("validation", validation)]
                .map(|(name, points)| Series { name: name.to_owned(), points });
            let last = epochs.last().map_or(1, |epoch| epoch.number).max(2);
            let all = || series.iter().flat_map(|series| &series.points).map(|point| point.1);
            let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
            let (from, to) = match name {
                "loss" => (0.0, if high > 0.0 { high * 1.08 } else { 1.0 }),
                _ if low.is_finite() => (((low - 0.02).max(0.0) * 20.0).floor() / 20.0, 1.0),
                _ => (0.0, 1.0),
            };
            Self {
                title: format!("{title}: {name}"),
                x: Axis { label: "epoch".to_owned(), from: 1.0, to: f64::from(last) },
                y: Axis { label: name.to_owned(), from, to },
                series: series.into(),
            }
        };
        vec![of("loss", |s| s.loss), of("precision", |s| s.precision), of("recall", |s| s.recall)]
    }

    pub(super) fn draw(&self) -> Drawing {
        let (left, right, top) = MARGINS;
        let (wide, high) = (SIZE.0 - left - right, SIZE.1 - top - 52.0);
        let height = SIZE.1 + 12.0 + 20.0 * self.series.len() as f64;
        let mut drawing = Drawing::new(SIZE.0, height, &self.title);
        let span = |axis: &Axis| if axis.to > axis.from { axis.to - axis.from } else { 1.0 };
        let point = |(x, y): (f64, f64)| {
            let along = ((x - self.x.from) / span(&self.x)).clamp(0.0, 1.0);
            let up = ((y - self.y.from) / span(&self.y)).clamp(0.0, 1.0);
            (left + wide * along, top + high * (1.0 - up))
        };
        for y in ticks(&self.y) {
            let at = point((self.x.from, y));
            drawing.line(at, (left + wide, at.1), "grid");
            drawing.text(left - 8.0, at.1 + 4.0, "end soft small", &tick(y, &self.y));
        }
        for x in ticks(&self.x) {
            let at = point((x, self.y.from));
            drawing.line(at, (at.0, at.1 + 4.0), "axis");
            drawing.text(at.0, at.1 + 18.0, "mid soft small", &tick(x, &self.x));
        }
        drawing.line((left, top + high), (left + wide, top + high), "axis");
        drawing.text(left + wide / 2.0, top + high + 36.0, "mid soft", &self.x.label);
        let turned = (16.0, top + high / 2.0);
        drawing.body += &format!("<g transform=\"rotate(-90 {} {})\">", turned.0, turned.1);
        drawing.text(turned.0, turned.1, "mid soft", &self.y.label);
        drawing.body += "</g>";
        for (at, series) in self.series.iter().enumerate() {
            let class = format!("line s{}{}", at % 8, [" ", " dash", " dots"][at % 3]);
            let finite = series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let points: Vec<_> = finite.map(|&at| point(at)).collect();
            let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            drawing.body += &format!("<polyline class=\"{class}\" points=\"{}\"/>", path.join(" "));
            if points.len() <= 20 {
                for (x, y) in points {
                    drawing.body +=
                        &format!("<circle class=\"f{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>", at % 8);
                }
            }
            let y = SIZE.1 + 14.0 + 20.0 * at as f64;
            drawing.line((left, y - 4.0), (left + 30.0, y - 4.0), &class);
            let empty = if series.points.is_empty() { ": no figures" } else { "" };
            drawing.text(left + 38.0, y, "", &format!("{}{empty}", short(&series.name, 52)));
        }
        drawing
    }
}

/// At most six round values along an axis.
fn ticks(axis: &Axis) -> Vec<f64> {
    let step = step(axis);
    let first = (axis.from / step - 1e-9).ceil();
    (0..12).map(|n| (first + f64::from(n)) * step).take_while(|at| *at <= axis.to + step * 1e-6).collect()
}

fn step(axis: &Axis) -> f64 {
    let span = if axis.to > axis.from { axis.to - axis.from } else { 1.0 };
    let rough = 10_f64.powf((span / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * rough);
    let fits = step.into_iter().find(|step| span / step <= 5.5).unwrap_or(span);
    if axis.label == "epoch" { fits.max(1.0) } else { fits }
}

fn tick(value: f64, axis: &Axis) -> String {
    let digits = (-step(axis).log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}
