//! A report a person can read: one HTML page without outside resources, its plots as SVG files, and the
//! figures as JSON. Light and dark follow the reader's setting; the page reads on a phone and on paper.

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

/// A whole report. All texts are plain text; whatever they hold is escaped.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// One line under it.
    pub subtitle: String,
    /// The verdict at the top in plain words, a paragraph each; the first stands out.
    pub findings: Vec<String>,
    /// The sections, in order.
    pub sections: Vec<Section>,
    /// How the figures came about (program version, seed, data hashes): name and value, at the end.
    pub provenance: Vec<(String, String)>,
}

/// A part of a report.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// Paragraphs under the heading.
    pub prose: Vec<String>,
    /// What it shows, in order; plots that follow each other stand side by side where there is room.
    pub blocks: Vec<Block>,
}

/// Something a section shows.
#[derive(Debug, Clone)]
pub enum Block {
    /// A few figures in large type.
    Figures(Vec<KeyFigure>),
    /// A table, such as several models side by side.
    Table(MetricTable),
    /// A confusion matrix.
    Confusion(ConfusionPlot),
    /// Many confusion matrices, small.
    Multiples(Multiples),
    /// Curves: ROC, precision-recall, training history.
    Lines(LinePlot),
    /// Bars of named numbers.
    Bars(BarPlot),
    /// Numbers by row and column.
    Heat(HeatMap),
    /// Texts with a tag each, such as findings by severity.
    List(Vec<ListItem>),
    /// A warning that must not be overlooked.
    Caveat(String),
}

/// A figure in large type.
#[derive(Debug, Clone, Default)]
pub struct KeyFigure {
    /// What it is.
    pub label: String,
    /// The figure, as shown (see [`figure`]).
    pub value: String,
    /// What a reader must know with it; may be empty.
    pub note: String,
}

/// A text of a list.
#[derive(Debug, Clone, Default)]
pub struct ListItem {
    /// What kind of text it is, in a word.
    pub tag: String,
    /// The text.
    pub text: String,
    /// What to do about it; may be empty.
    pub note: String,
    /// Whether it stands out.
    pub strong: bool,
}
