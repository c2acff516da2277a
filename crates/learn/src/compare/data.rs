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

/// Rows of a level that the classical models read, at most, unless told otherwise.
pub const DEFAULT_MAX_ROWS: usize = 60_000;

/// The data of a comparison.
pub struct Data {
    /// Rows by level, in the levels' order.
    pub(super) levels: Vec<Rows>,
    /// Captures for the sequence detector; none where the data are rows already.
    pub(super) recordings: Vec<Recording>,
    /// Levels that the data do not have, in words.
    absent: Vec<String>,
}

/// A level's rows.
pub(super) struct Rows {
    pub(super) table: Table,
    pub(super) labels: Labels,
    pub(super) steps: Vec<Step>,
    /// Distinct rows, after the cap.
    pub(super) honest: Vec<u32>,
    /// Of those, all but the benign rows of attack files, which the literature leaves out.
    pub(super) published: Vec<u32>,
    /// What became of the rows, in words.
    pub(super) caps: Vec<String>,
}

impl Data {
    /// Reads the levels that are asked for; those that the data do not have are left out unless `must_have` them all.
    /// NSL-KDD has its own.
    ///
    /// # Errors
    /// Data that cannot be read, nothing of it in any level, or NSL-KDD among other data.
    pub fn load(
        paths: &[PathBuf],
        (levels, must_have): (&[Level], bool),
        max_rows: usize,
        seed: u64,
        mut heard: impl FnMut(&str),
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
            heard(level.name());
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
                    Err(error) if !must_have && error.is_of_another_level() => {
                        absent.push(format!("no rows of the {} level, which is left out", level.name()));
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

    /// What the data lack, a line each.
    pub fn problems(&self) -> Vec<String> {
        let of_rows = self.levels.iter().flat_map(|rows| rows.table.problems.messages());
        self.absent.iter().cloned().chain(of_rows).collect()
    }

    /// Rows of each level before and after the preparation, a line each.
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
            caps.push(format!("{max_rows} of {} distinct rows, by chance", honest.len()));
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

    /// Recordings that hold an attack: those that are left out in turn. None where only one recording does.
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
