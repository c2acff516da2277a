//! CSV and Parquet files of a feature level as a typed table.

use std::{collections::HashMap, ops::ControlFlow, path::Path};

use citronella_sensor::{
    detect::Value,
    feature::schema::{self, Kind, Level},
};

use super::{
    DatasetError, LoadOptions, NORMAL, Problem, Table,
    cell::{excerpt, parse},
    class::{ATTACK, UNKNOWN, class_of_file_name},
    csv,
    file::{self, Format},
    parquet,
    rows::{RawCell, ReadAs, Row, RowConsumer},
};

/// The optional column with each row's scenario, in a file of several captures.
pub(crate) const SCENARIO: &str = schema::SCENARIO.name;

/// At least the columns of the widest level.
const MAX_COLUMNS: usize = 64;

/// A feature file's name, recording and class.
pub(super) struct Naming {
    name: String,
    recording: String,
    /// The class that the file's name gives.
    class: Option<&'static str>,
}

impl Naming {
    /// `recording`: the folder that the file belongs to, if the folder was given.
    pub(super) fn new(path: &Path, recording: Option<String>) -> Naming {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned());
        let file = text(path.file_name()).unwrap_or_default();
        let stem = text(path.file_stem()).unwrap_or_default();
        let class = class_of_file_name(&file);
        let folder = || path.canonicalize().ok().and_then(|p| text(p.parent()?.file_name()));
        let recording = recording.or_else(|| class.and_then(|_| folder())).unwrap_or(stem);
        Naming { name: format!("{recording}/{file}"), recording, class }
    }
}

/// Reads a file's rows.
pub(super) fn read(
    path: &Path,
    format: Format,
    naming: &Naming,
    options: &LoadOptions,
) -> Result<Table, DatasetError> {
    let mut rows = TableRows {
        file: path.display().to_string(),
        naming,
        level: options.level,
        cap: options.rows_per_file,
        read: 0,
        columns: Vec::new(),
        scenario: None,
        sources: Sources::new(naming),
        table: Table::new(options.level),
    };
    match format {
        Format::Parquet => parquet::read_rows(path, &mut rows)?,
        _ => csv::read_rows(path, &mut rows)?,
    }
    let mut table = rows.table;
    rows.sources.finish(&mut table);
    table.add_hash(&naming.name, file::sha256(path)?);
    Ok(table)
}

struct TableRows<'n> {
    file: String,
    naming: &'n Naming,
    level: Level,
    cap: u64,
    /// Rows so far, readable or not.
    read: u64,
    /// For each column of the level its index in the file.
    columns: Vec<usize>,
    scenario: Option<usize>,
    sources: Sources<'n>,
    table: Table,
}

impl TableRows<'_> {
    /// Counts a row; `Break` where the cap is reached.
    fn count(&mut self) -> ControlFlow<()> {
        if self.read >= self.cap {
            self.table.problems.capped_files.push(format!("{}: {} rows", self.naming.name, self.read));
            return ControlFlow::Break(());
        }
        self.read += 1;
        ControlFlow::Continue(())
    }

    fn unreadable(&mut self, line: u64, column: &'static str, cell: &[u8], expected: &'static str) {
        let file = &self.naming.name;
        let problem = || Problem {
            file: file.clone(),
            line,
            column: column.to_owned(),
            value: excerpt(cell),
            expected,
        };
        self.table.problems.unreadable(problem, file, column);
    }
}

impl RowConsumer for TableRows<'_> {
    type Error = DatasetError;

    fn columns(&mut self, names: &[String]) -> Result<Vec<ReadAs>, DatasetError> {
        let index = |name: &str| names.iter().position(|known| known == name);
        let columns = self.level.columns();
        let missing: Vec<String> =
            columns.iter().filter(|c| index(c.name).is_none()).map(|c| c.name.to_owned()).collect();
        if !missing.is_empty() {
            return Err(DatasetError::MissingColumns {
                file: self.file.clone(),
                missing,
                found: names.to_vec(),
            });
        }
        self.columns = columns.iter().filter_map(|c| index(c.name)).collect();
        self.scenario = index(SCENARIO);
        let mut read_as = vec![ReadAs::Skip; names.len()];
        let of_level = self.columns.iter().copied().zip(columns.iter().map(|c| c.kind));
        for (at, kind) in of_level.chain(self.scenario.map(|at| (at, Kind::Text))) {
            if let Some(read_as) = read_as.get_mut(at) {
                *read_as = ReadAs::Kind(kind);
            }
        }
        Ok(read_as)
    }

    #[inline]
    fn row(&mut self, number: u64, row: &impl Row) -> ControlFlow<()> {
        self.count()?;
        let mut values = [Value::Empty; MAX_COLUMNS];
        for ((column, &at), value) in self.level.columns().iter().zip(&self.columns).zip(&mut values) {
            *value = match row.cell(at) {
                RawCell::Value(value) => value,
                RawCell::Text(cell) => match parse(cell, column.kind) {
                    Ok(value) => value,
                    Err(expected) => {
                        self.unreadable(number, column.name, cell, expected);
                        return ControlFlow::Continue(());
                    }
                },
            };
        }
        let scenario = self.scenario.and_then(|at| match row.cell(at) {
            RawCell::Value(Value::Text(text)) => Some(text),
            RawCell::Value(_) => None,
            RawCell::Text(cell) => std::str::from_utf8(cell).ok(),
        });
        let source = self.sources.index(&mut self.table, scenario);
        self.table.push_row(source, number, values);
        ControlFlow::Continue(())
    }

    fn malformed(&mut self, number: u64, first_cell: &[u8]) -> ControlFlow<()> {
        self.count()?;
        self.unreadable(number, "", first_cell, "the start of a line with as many cells as the header");
        ControlFlow::Continue(())
    }

    fn repeated_header(&mut self) {
        self.table.problems.repeated_headers += 1;
    }
}

/// The sources of a feature file: one, or one for each scenario among its rows.
struct Sources<'n> {
    naming: &'n Naming,
    by_scenario: HashMap<String, u32>,
    unnamed: Option<u32>,
}

impl<'n> Sources<'n> {
    fn new(naming: &'n Naming) -> Self {
        Sources { naming, by_scenario: HashMap::new(), unnamed: None }
    }

    /// The source of a row with this scenario, or without one.
    fn index(&mut self, table: &mut Table, scenario: Option<&str>) -> u32 {
        let Naming { name, recording, class } = self.naming;
        match scenario {
            Some(scenario) if !scenario.is_empty() => match self.by_scenario.get(scenario) {
                Some(&source) => source,
                None => {
                    let source = table.add_source(name, scenario, recording);
                    self.by_scenario.insert(scenario.to_owned(), source);
                    source
                }
            },
            _ => *self
                .unnamed
                .get_or_insert_with(|| table.add_source(name, class.unwrap_or(NORMAL), recording)),
        }
    }

    /// Decides the scenario of rows without one, in a file whose name is not a class.
    fn finish(self, table: &mut Table) {
        let Some(source) = self.unnamed.filter(|_| self.naming.class.is_none()) else { return };
        let labels = || {
            let rows = (0..table.len()).filter(|&row| table.source_of(row) == source as usize);
            rows.filter_map(|row| table.is_attack(row))
        };
        if labels().any(|is_attack| is_attack) {
            table.set_scenario(source, ATTACK);
        } else if labels().next().is_none() {
            table.set_scenario(source, UNKNOWN);
        }
    }
}
