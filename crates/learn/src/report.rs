//! Reports: a self-contained HTML page, its plots as SVG files, and the figures as JSON. The page has a light and a dark
//! theme, and suits narrow screens and print.

mod bars;
mod heat;
mod lines;
mod matrix;
mod multiples;
mod svg;
mod table;
mod write;

pub use bars::BarPlot;
pub use heat::HeatMap;
pub use lines::{Axis, LinePlot, Series};
pub use matrix::ConfusionPlot;
pub use multiples::Multiples;
pub use table::{MetricRow, MetricTable, figure};
pub use write::{ReportError, Written};

/// A report. All texts are plain text, and are escaped.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// One line under the title.
    pub subtitle: String,
    /// The main findings at the top, one paragraph each; the first is emphasised.
    pub findings: Vec<String>,
    /// The sections, in order.
    pub sections: Vec<Section>,
    /// What the figures depend on (program version, seed, data hashes), as name and value; at the end.
    pub provenance: Vec<(String, String)>,
}

/// A section of a report.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// Paragraphs under the heading.
    pub prose: Vec<String>,
    /// Its content in order; adjacent plots share a line if there is space.
    pub blocks: Vec<Block>,
}

/// A block of a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// A few figures in large type.
    Figures(Vec<KeyFigure>),
    /// A table.
    Table(MetricTable),
    /// A confusion matrix.
    Confusion(ConfusionPlot),
    /// Many confusion matrices, small.
    Multiples(Multiples),
    /// Curves: ROC, precision-recall, training history.
    Lines(LinePlot),
    /// Bars of named numbers.
    Bars(BarPlot),
    /// Values by row and column as colours.
    Heat(HeatMap),
    /// Tagged texts, such as findings by severity.
    List(Vec<ListItem>),
    /// A highlighted warning.
    Caveat(String),
}

/// A figure in large type.
#[derive(Debug, Clone, Default)]
pub struct KeyFigure {
    /// What it is.
    pub label: String,
    /// The figure, as shown (see [`figure`]).
    pub value: String,
    /// A necessary remark; may be empty.
    pub note: String,
}

/// An item of a list.
#[derive(Debug, Clone, Default)]
pub struct ListItem {
    /// Its kind, in a word.
    pub tag: String,
    /// The text.
    pub text: String,
    /// What to do about it; may be empty.
    pub note: String,
    /// Whether it is emphasised.
    pub strong: bool,
}
