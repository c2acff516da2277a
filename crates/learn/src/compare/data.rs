//! The rows of each level, prepared once for all models.

use std::path::PathBuf;

use citronella_sensor::feature::schema::Level;

use super::CompareError;
use crate::{
    dataset::{LabelRule, Labels, LoadOptions, NORMAL, Table, is_nsl_kdd, load},
    prepare::{Step, Stream, rng, shuffle},
    sequence::Recording,
    zoo::{distinct_rows, tabular_steps},
};

/// The default cap on the rows of a level that the classical models read.
pub const DEFAULT_MAX_ROWS: usize = 60_000;

/// The data of a comparison.
pub struct Data {
    /// Rows by level.
    pub(super) levels: Vec<Rows>,
    /// Captures for the sequence detector; empty if the data are rows.
    pub(super) recordings: Vec<Recording>,
    /// Levels that the data lack, as text.
    absent: Vec<String>,
}

/// A level's rows.
pub(super) struct Rows {
    pub(super) table: Table,
    pub(super) labels: Labels,
    pub(super) steps: Vec<Step>,
    /// Distinct rows, after the cap.
    pub(super) honest: Vec<u32>,
    /// Of those, all but the benign rows of attack files, which the literature omits.
    pub(super) published: Vec<u32>,
    /// Caps that were applied, as text.
    pub(super) caps: Vec<String>,
}

impl Data {
    /// Reads the requested levels. Levels that the data lack are skipped unless `is_required`. NSL-KDD has one level of its
    /// own. `on_level` receives the name of each level before it is read.
    ///
    /// # Errors
    /// Unreadable data, no rows at any level, or NSL-KDD mixed with other data.
    pub fn load(
        paths: &[PathBuf],
        (levels, is_required): (&[Level], bool),
        max_rows: usize,
        seed: u64,
        mut on_level: impl FnMut(&str),
    ) -> Result<Data, CompareError> {
        let kdd = paths.iter().filter(|path| is_nsl_kdd(path)).count();
        if kdd > 0 && kdd < paths.len() {
            return Err(CompareError::Mixed);
        }
        let levels: Vec<Level> = if kdd > 0 { vec![Level::NslKdd] } else { levels.to_vec() };
        let mut recordings = Vec::new();
        let mut rows = Vec::new();
        let mut absent = Vec::new();
        let mut first = None;
        for level in levels {
            on_level(level.name());
            if level == Level::Sequence {
                let manifests = paths
                    .iter()
                    .map(|path| if path.is_dir() { path.join("manifest.csv") } else { path.clone() });
                for manifest in manifests
                    .filter(|path| path.file_name().is_some_and(|n| n == "manifest.csv") && path.is_file())
                {
                    recordings.push(Recording::open(&manifest)?);
                }
            } else {
                match load(paths, &LoadOptions { level, ..LoadOptions::default() }) {
                    Ok(table) => rows.push(Rows::new(table, max_rows, seed)?),
                    Err(error) if !is_required && error.is_of_another_level() => {
                        absent.push(format!("no rows of the {} level, which is skipped", level.name()));
                        first.get_or_insert(error);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match first {
            Some(error) if rows.is_empty() && recordings.is_empty() => Err(error.into()),
            _ => Ok(Data { levels: rows, recordings, absent }),
        }
    }

    /// Problems of the data, one line each.
    pub fn problems(&self) -> Vec<String> {
        let of_rows = self.levels.iter().flat_map(|rows| rows.table.problems.messages());
        self.absent.iter().cloned().chain(of_rows).collect()
    }

    /// Rows of each level before and after preparation, one line each.
    pub fn summary(&self) -> Vec<String> {
        let line = |rows: &Rows| {
            format!(
                "{}: {} rows, {} distinct and used, {} of them without the benign rows of attack files{}",
                rows.table.level().name(),
                rows.table.len(),
                rows.honest.len(),
                rows.published.len(),
                if rows.caps.is_empty() { String::new() } else { format!(" ({})", rows.caps.join("; ")) }
            )
        };
        self.levels.iter().map(line).collect()
    }
}

impl Rows {
    fn new(table: Table, max_rows: usize, seed: u64) -> Result<Rows, CompareError> {
        let labels = table.labels(LabelRule::Attacker)?;
        let steps = tabular_steps(table.level());
        let all: Vec<u32> = (0..table.len() as u32).collect();
        // NSL-KDD's authors have removed duplicates; its rows stay as published.
        let mut honest =
            if table.level() == Level::NslKdd { all } else { distinct_rows(&table, &all, &steps) };
        let mut caps = Vec::new();
        if max_rows > 0 && honest.len() > max_rows && table.level() != Level::NslKdd {
            caps.push(format!("{max_rows} of {} distinct rows, at random", honest.len()));
            shuffle(&mut rng(seed, Stream::RowCap), &mut honest);
            honest.truncate(max_rows);
            honest.sort_unstable();
        }
        let scenario =
            |row: u32| table.sources().get(table.source_of(row as usize)).map_or("", |s| &s.scenario);
        let benign =
            |row: u32| labels.of_row.get(row as usize).is_some_and(|&class| labels.name(class) == NORMAL);
        let published =
            honest.iter().copied().filter(|&row| !benign(row) || scenario(row) == NORMAL).collect();
        Ok(Rows { labels, steps, honest, published, caps, table })
    }

    /// Recordings with an attack, to be left out in turn; none if there is only one.
    pub(super) fn recordings(&self) -> Vec<String> {
        let mut attacked: Vec<String> = Vec::new();
        let sources =
            self.table.sources().iter().filter(|source| source.scenario != NORMAL && source.rows > 0);
        for source in sources {
            if !attacked.contains(&source.recording) {
                attacked.push(source.recording.clone());
            }
        }
        if attacked.len() < 2 { Vec::new() } else { attacked }
    }
}
