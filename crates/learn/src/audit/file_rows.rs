//! The rows of one file on their way into the sample: which columns are read, and which rows are used.

use std::{ops::ControlFlow, path::Path};

use citronella_sensor::{detect::Value, feature::schema::Level};

use super::{
    AuditError, ReadOptions, Rows,
    label::{LabelSource, class_name},
    role::{Role, role_of},
    rows::SampledFile,
    sampler::{Cell, Sampler},
};
use crate::dataset::{
    LabelRule, ManifestEntry,
    cell::infer,
    rows::{RawCell, ReadAs, Row, RowConsumer},
};

/// Samples the rows of one file.
pub(super) struct FileRows<'a> {
    path: &'a Path,
    options: &'a ReadOptions,
    /// Where the classes of a capture's rows come from; of other files the columns decide.
    scenario: Option<(String, LabelRule)>,
    layout: Layout,
    sampler: Sampler,
    seed: u64,
    /// Rows read, without malformed ones.
    pub(super) read: u64,
    malformed: u64,
    incomplete: u64,
    unlabelled: u64,
}

/// The columns that are read from a file.
#[derive(Default)]
struct Layout {
    labels: LabelSource,
    /// Columns of the sample: index in the file, role, name.
    columns: Vec<(usize, Role, String)>,
    /// Indices of columns without which a row is left out.
    required: Vec<usize>,
}

impl<'a> FileRows<'a> {
    /// `rows`: rows of the sample, at most.
    pub(super) fn new(path: &'a Path, options: &'a ReadOptions, rows: usize, seed: u64) -> FileRows<'a> {
        FileRows {
            path,
            options,
            scenario: None,
            layout: Layout::default(),
            sampler: Sampler::new(0, rows, seed),
            seed,
            read: 0,
            malformed: 0,
            incomplete: 0,
            unlabelled: 0,
        }
    }

    /// Of a capture: rows have the manifest's scenario; without a manifest the recording's name is their class.
    pub(super) fn of_capture(self, recording: &str, entry: Option<&ManifestEntry>) -> FileRows<'a> {
        let scenario = match entry {
            Some(entry) => (entry.scenario.clone(), self.options.labels),
            None => (recording.to_owned(), LabelRule::File),
        };
        FileRows { scenario: Some(scenario), ..self }
    }

    /// Adds the sample to `rows`.
    pub(super) fn finish(self, file: SampledFile, rows: &mut Rows) {
        for (reason, count) in [
            ("not as many cells as the header", self.malformed),
            ("an empty cell", self.incomplete),
            ("no label", self.unlabelled),
        ] {
            rows.leave_out(reason, count);
        }
        let columns = self.layout.columns.into_iter().map(|(_, role, name)| (name, role));
        self.sampler.finish(file, &columns.collect::<Vec<_>>(), rows);
    }

    fn is_capped(&self) -> bool {
        self.options.rows_per_file.is_some_and(|cap| self.read >= cap)
    }
}

impl RowConsumer for FileRows<'_> {
    type Error = AuditError;

    fn columns(&mut self, names: &[String]) -> Result<Vec<ReadAs>, AuditError> {
        let labels = match self.scenario.take() {
            Some((scenario, rule)) => LabelSource::of_capture(names, scenario, rule),
            None => LabelSource::new(self.path, names, self.options)?,
        };
        let has_roles = self.options.level != Level::Sequence || !labels.is_of_capture();
        let role = |name: &str| if has_roles { role_of(name) } else { Role::Feature };
        let features = names.iter().enumerate().filter(|(at, _)| !labels.reads(*at));
        let columns: Vec<_> = features.map(|(at, name)| (at, role(name), name.clone())).collect();
        let index = |name: &String| names.iter().position(|column| column == name);
        let required = self.options.required.iter().filter_map(index).collect();
        self.sampler = Sampler::new(columns.len(), self.sampler.cap(), self.seed);
        self.layout = Layout { labels, columns, required };
        Ok(vec![ReadAs::Stored; names.len()])
    }

    fn row(&mut self, _number: u64, row: &impl Row) -> ControlFlow<()> {
        if self.is_capped() {
            return ControlFlow::Break(());
        }
        self.read += 1;
        if self.layout.required.iter().any(|&at| row.cell(at).is_missing()) {
            self.incomplete += 1;
            return ControlFlow::Continue(());
        }
        let Some((class, is_attack)) = self.layout.labels.class(row) else {
            self.unlabelled += 1;
            return ControlFlow::Continue(());
        };
        let Some((slot, meta)) = self.sampler.draw(class_name(&class), is_attack) else {
            return ControlFlow::Continue(());
        };
        let mut cells = Vec::with_capacity(self.layout.columns.len());
        for (at, (column, role, _)) in self.layout.columns.iter().enumerate() {
            let value = match row.cell(*column) {
                RawCell::Value(value) => value,
                RawCell::Text(text) => infer(text, *role == Role::Time),
            };
            cells.push(match value {
                Value::Empty => Cell::Empty,
                Value::Number(number) => Cell::Number(number),
                Value::Text(text) => self.sampler.text(at, text),
                Value::Address(address) => self.sampler.text(at, &address.to_string()),
            });
        }
        self.sampler.put(slot, &cells, meta);
        ControlFlow::Continue(())
    }

    fn malformed(&mut self, _number: u64, _first_cell: &[u8]) -> ControlFlow<()> {
        if self.is_capped() {
            return ControlFlow::Break(());
        }
        self.malformed += 1;
        ControlFlow::Continue(())
    }
}
