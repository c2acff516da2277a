//! Tables: rows of one feature level, stored by column, with the source of each row.

use std::collections::HashMap;

use citronella_sensor::{
    detect::Value,
    feature::schema::{Column, Kind, Level},
};

use super::{
    DatasetError, FileHash, LabelRule, Labels, NORMAL, Problems,
    class::{UNKNOWN, canonical_order},
};

/// The name of the label column.
pub(crate) const IS_ATTACK: &str = "is_attack";

const NO_FLAG: u8 = 2;
const NO_TEXT: u32 = u32::MAX;

/// A file, or its rows of one scenario.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Source {
    /// Recording and file name, such as `run-1/normal.pcap.zst`.
    pub name: String,
    /// `normal`, or the name of the attack that was recorded.
    pub scenario: String,
    /// The recording it belongs to.
    pub recording: String,
    /// Its number of rows.
    pub rows: u64,
}

#[derive(Clone, Debug)]
enum Cells {
    /// 0, 1 or [`NO_FLAG`].
    Flags(Vec<u8>),
    /// Integers, floats, microseconds (exact below 2^53); NaN if empty.
    Numbers(Vec<f64>),
    /// Indices into `names`, [`NO_TEXT`] if empty.
    Text { codes: Vec<u32>, names: Vec<String>, index: HashMap<String, u32> },
}

impl Cells {
    fn new(kind: Kind) -> Cells {
        match kind {
            Kind::Flag => Cells::Flags(Vec::new()),
            Kind::Timestamp | Kind::UInt | Kind::Float => Cells::Numbers(Vec::new()),
            Kind::Text => Cells::Text { codes: Vec::new(), names: Vec::new(), index: HashMap::new() },
        }
    }

    fn get(&self, row: usize) -> Value<'_> {
        match self {
            Cells::Flags(flags) => match flags.get(row) {
                Some(&flag) if flag != NO_FLAG => Value::Number(flag.into()),
                _ => Value::Empty,
            },
            Cells::Numbers(numbers) => match numbers.get(row) {
                Some(&number) if !number.is_nan() => Value::Number(number),
                _ => Value::Empty,
            },
            Cells::Text { codes, names, .. } => codes
                .get(row)
                .and_then(|&code| names.get(code as usize))
                .map_or(Value::Empty, |n| Value::Text(n)),
        }
    }

    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Cells::Flags(flags), Value::Number(number)) => flags.push(u8::from(number != 0.0)),
            (Cells::Flags(flags), _) => flags.push(NO_FLAG),
            (Cells::Numbers(numbers), Value::Number(number)) => numbers.push(number),
            (Cells::Numbers(numbers), _) => numbers.push(f64::NAN),
            (Cells::Text { codes, names, index }, Value::Text(text)) => {
                codes.push(intern(names, index, text))
            }
            (Cells::Text { codes, names, index }, Value::Address(address)) => {
                codes.push(intern(names, index, &address.to_string()));
            }
            (Cells::Text { codes, .. }, _) => codes.push(NO_TEXT),
        }
    }

    fn append(&mut self, other: Cells) {
        match (self, other) {
            (Cells::Flags(mine), Cells::Flags(theirs)) => mine.extend(theirs),
            (Cells::Numbers(mine), Cells::Numbers(theirs)) => mine.extend(theirs),
            (Cells::Text { codes, names, index }, Cells::Text { codes: theirs, names: their_names, .. }) => {
                let map: Vec<u32> = their_names.iter().map(|name| intern(names, index, name)).collect();
                codes.extend(theirs.iter().map(|&code| map.get(code as usize).copied().unwrap_or(NO_TEXT)));
            }
            _ => unreachable!("tables of one level have the same kinds of columns"),
        }
    }
}

fn intern(names: &mut Vec<String>, index: &mut HashMap<String, u32>, text: &str) -> u32 {
    if let Some(&code) = index.get(text) {
        return code;
    }
    let code = names.len() as u32;
    names.push(text.to_owned());
    index.insert(text.to_owned(), code);
    code
}

/// Rows of one feature level, from any number of files.
#[derive(Clone, Debug)]
pub struct Table {
    level: Level,
    cells: Vec<Cells>,
    sources: Vec<Source>,
    source_of: Vec<u32>,
    row_in_file: Vec<u64>,
    hashes: Vec<FileHash>,
    /// Problems of the files.
    pub problems: Problems,
}

impl Table {
    pub(crate) fn new(level: Level) -> Table {
        Table {
            level,
            cells: level.columns().iter().map(|c| Cells::new(c.kind)).collect(),
            sources: Vec::new(),
            source_of: Vec::new(),
            row_in_file: Vec::new(),
            hashes: Vec::new(),
            problems: Problems::default(),
        }
    }

    /// Adds a source without rows and returns its index.
    pub(crate) fn add_source(&mut self, name: &str, scenario: &str, recording: &str) -> u32 {
        let (name, scenario, recording) = (name.to_owned(), scenario.to_owned(), recording.to_owned());
        self.sources.push(Source { name, scenario, recording, rows: 0 });
        self.sources.len() as u32 - 1
    }

    pub(crate) fn add_hash(&mut self, file: &str, sha256: String) {
        self.hashes.push(FileHash { file: file.to_owned(), sha256 });
    }

    /// Adds a row: a value for each column of the level; missing ones are empty.
    pub(crate) fn push_row<'v>(
        &mut self,
        source: u32,
        row_in_file: u64,
        values: impl IntoIterator<Item = Value<'v>>,
    ) {
        let mut values = values.into_iter();
        for cells in &mut self.cells {
            cells.push(values.next().unwrap_or(Value::Empty));
        }
        if let Some(source) = self.sources.get_mut(source as usize) {
            source.rows += 1;
        }
        self.source_of.push(source);
        self.row_in_file.push(row_in_file);
    }

    pub(crate) fn set_scenario(&mut self, source: u32, scenario: &str) {
        if let Some(source) = self.sources.get_mut(source as usize) {
            scenario.clone_into(&mut source.scenario);
        }
    }

    /// Appends the rows of `other`.
    pub(crate) fn append(&mut self, other: Table) {
        let base = self.sources.len() as u32;
        for (mine, theirs) in self.cells.iter_mut().zip(other.cells) {
            mine.append(theirs);
        }
        self.sources.extend(other.sources);
        self.source_of.extend(other.source_of.iter().map(|source| base + source));
        self.row_in_file.extend(other.row_in_file);
        self.hashes.extend(other.hashes);
        self.problems.merge(other.problems);
    }

    /// The feature level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The schema of the columns.
    pub fn columns(&self) -> &'static [Column] {
        self.level.columns()
    }

    /// The index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns().iter().position(|c| c.name == name)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.source_of.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.source_of.is_empty()
    }

    /// A cell; empty if out of range.
    #[inline]
    pub fn value(&self, row: usize, column: usize) -> Value<'_> {
        self.cells.get(column).map_or(Value::Empty, |cells| cells.get(row))
    }

    /// The distinct texts of a text column, in order of appearance; empty for other kinds.
    pub fn texts(&self, column: usize) -> &[String] {
        match self.cells.get(column) {
            Some(Cells::Text { names, .. }) => names,
            _ => &[],
        }
    }

    /// The files, in the order given.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The index of a row's file in [`Table::sources`].
    #[inline]
    pub fn source_of(&self, row: usize) -> usize {
        self.source_of.get(row).map_or(usize::MAX, |&source| source as usize)
    }

    /// A row's number in its file, from 1: packet of a capture, line of a CSV file, row of a Parquet file.
    pub fn row_in_file(&self, row: usize) -> u64 {
        self.row_in_file.get(row).copied().unwrap_or_default()
    }

    /// Whether the attacker is the row's source or destination; `None` if unknown.
    pub fn is_attack(&self, row: usize) -> Option<bool> {
        match self.value(row, self.column(IS_ATTACK)?) {
            Value::Number(number) => Some(number != 0.0),
            _ => None,
        }
    }

    /// SHA-256 of each file.
    pub fn hashes(&self) -> &[FileHash] {
        &self.hashes
    }

    /// The class of each row.
    ///
    /// # Errors
    /// A file has no scenario; or, by attacker, a row of an attack file has no `is_attack`.
    pub fn labels(&self, rule: LabelRule) -> Result<Labels, DatasetError> {
        let unknown = |source: &Source| source.rows > 0 && source.scenario == UNKNOWN;
        if let Some(at) = self.sources.iter().position(unknown) {
            let row = self.source_of.iter().position(|&source| source as usize == at).unwrap_or_default();
            let file = self.sources.get(at).map(|source| source.name.clone()).unwrap_or_default();
            return Err(DatasetError::Unlabelled { file, row: self.row_in_file(row) });
        }
        let label_column = self.column(IS_ATTACK).unwrap_or(usize::MAX);
        let class_of = |row: usize| {
            let is_attack = match self.value(row, label_column) {
                Value::Number(number) => Some(number != 0.0),
                _ => None,
            };
            let source = self.sources.get(self.source_of(row));
            let scenario = source.map_or(NORMAL, |source| &source.scenario);
            rule.class_of(is_attack, Some(scenario)).ok_or_else(|| DatasetError::Unlabelled {
                file: source.map(|source| source.name.clone()).unwrap_or_default(),
                row: self.row_in_file(row),
            })
        };
        let names: Vec<&str> = (0..self.len()).map(class_of).collect::<Result<_, _>>()?;
        let classes = canonical_order(names.iter().copied());
        let index: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let of_row = names.iter().map(|name| index.get(name).copied().unwrap_or_default()).collect();
        Ok(Labels { classes, of_row })
    }
}
