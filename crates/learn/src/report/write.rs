//! Writing the files of a report, each atomically.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use askama::Template;
use citronella_sensor::output::{OutputError, write_file};

use super::{Block, Report, Section, svg};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder cannot be created, or a file in it cannot be written.
    #[error("cannot write the report to {}: {source}; name a folder you can write to", path.display())]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The page cannot be rendered.
    #[error("cannot render the report's page: {0}")]
    Page(#[from] askama::Error),
    /// The figures cannot be written as JSON.
    #[error("cannot write the report's figures as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<OutputError> for ReportError {
    fn from(OutputError { path, source }: OutputError) -> Self {
        Self::Write { path, source }
    }
}

/// The files of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// The figures.
    pub metrics: PathBuf,
    /// The plots.
    pub plots: Vec<PathBuf>,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    light: String,
    dark: String,
    plot_style: String,
}

impl Page<'_> {
    /// A section's blocks; adjacent plots form one group.
    fn groups<'s>(&self, section: &'s Section) -> Vec<&'s [Block]> {
        section.blocks.chunk_by(|a, b| a.is_plot() && b.is_plot()).collect()
    }
}

impl Block {
    fn is_plot(&self) -> bool {
        matches!(
            self,
            Self::Confusion(_) | Self::Lines(_) | Self::Multiples(_) | Self::Bars(_) | Self::Heat(_)
        )
    }

    fn drawing(&self) -> Option<svg::Drawing> {
        match self {
            Self::Confusion(plot) => Some(plot.draw()),
            Self::Lines(plot) => Some(plot.draw()),
            Self::Multiples(plot) => Some(plot.draw()),
            Self::Bars(plot) => Some(plot.draw()),
            Self::Heat(plot) => Some(plot.draw()),
            _ => None,
        }
    }

    /// Whether the plot takes a whole line.
    fn is_wide(&self) -> bool {
        self.drawing().is_some_and(|drawing| drawing.width > 600.0)
    }

    fn inline(&self) -> String {
        self.drawing().map(|drawing| drawing.inline()).unwrap_or_default()
    }
}

impl Report {
    /// The page as HTML.
    ///
    /// # Errors
    /// [`ReportError::Page`] where the template fails.
    pub fn html(&self) -> Result<String, ReportError> {
        let (light, dark) = svg::properties();
        Ok(Page { report: self, light, dark, plot_style: svg::page_style() }.render()?)
    }

    /// Writes report.html, metrics.json (`metrics` as given) and the plots as .svg files into `dir`, which is created if
    /// missing. Each file is written atomically.
    ///
    /// # Errors
    /// [`ReportError::Write`] with the path where the folder cannot be written.
    pub fn write(&self, dir: &Path, metrics: &serde_json::Value) -> Result<Written, ReportError> {
        let html = self.html()?;
        let mut json = serde_json::to_string_pretty(metrics)?;
        json.push('\n');
        fs::create_dir_all(dir).map_err(|source| ReportError::Write { path: dir.to_owned(), source })?;
        let (mut used, mut plots) = (HashSet::new(), Vec::new());
        for drawing in self.sections.iter().flat_map(|section| &section.blocks).filter_map(Block::drawing) {
            let slug = slug(&drawing.title);
            let names = std::iter::once(slug.clone()).chain((2..).map(|n| format!("{slug}-{n}")));
            if let Some(name) = names.into_iter().find(|name| !used.contains(name)) {
                plots.push(put(dir, &format!("{name}.svg"), &drawing.standalone())?);
                used.insert(name);
            }
        }
        let metrics = put(dir, "metrics.json", &json)?;
        Ok(Written { page: put(dir, "report.html", &html)?, metrics, plots })
    }
}

fn put(dir: &Path, name: &str, text: &str) -> Result<PathBuf, ReportError> {
    let path = dir.join(name);
    write_file(&path, text.as_bytes())?;
    Ok(path)
}

/// A title as a file name of at most 60 lower-case letters, digits and dashes.
fn slug(title: &str) -> String {
    let words: Vec<String> = title
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let name: String = words.join("-").chars().take(60).collect();
    if name.is_empty() { "plot".to_owned() } else { name }
}
