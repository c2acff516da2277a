//! NSL-KDD: `KDDTrain+` and `KDDTest+` as .txt or .arff, plain or compressed, with or without a header line.
//!
//! A row's scenario is its attack's category (`dos`, `probe`, `r2l`, `u2r`). Its recording is the file's name without
//! extensions, so leaving out the recording `KDDTest+` gives the published split. The published .arff files have
//! `anomaly` in place of the attack's name; such rows have the scenario `attack`.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use citronella_sensor::{
    detect::Value,
    feature::schema::{Column, Level, NSL_KDD, Role},
};

use super::{
    DatasetError, LoadOptions, NORMAL, Problem, Table,
    cell::{self, excerpt},
    class::ATTACK,
    file::{self, Format},
    rows::{RawCell, Row, RowConsumer},
};

/// The 39 attacks by category. The map yields the counts of KDDTest+ in the literature: 7,458 dos, 2,421 probe,
/// 2,754 r2l, 200 u2r.
const CATEGORIES: [(&str, &[&str]); 4] = [
    (
        "dos",
        &[
            "apache2",
            "back",
            "land",
            "mailbomb",
            "neptune",
            "pod",
            "processtable",
            "smurf",
            "teardrop",
            "udpstorm",
        ],
    ),
    ("probe", &["ipsweep", "mscan", "nmap", "portsweep", "saint", "satan"]),
    (
        "r2l",
        &[
            "ftp_write",
            "guess_passwd",
            "imap",
            "multihop",
            "named",
            "phf",
            "sendmail",
            "snmpgetattack",
            "snmpguess",
            "spy",
            "warezclient",
            "warezmaster",
            "worm",
            "xlock",
            "xsnoop",
        ],
    ),
    ("u2r", &["buffer_overflow", "httptunnel", "loadmodule", "perl", "ps", "rootkit", "sqlattack", "xterm"]),
];

/// The name of the training file, without extensions.
pub const NSL_KDD_TRAIN: &str = "KDDTrain+";
/// The name of the test file, without extensions.
pub const NSL_KDD_TEST: &str = "KDDTest+";

/// The category of an attack's name; `normal` for `normal`, `attack` for `anomaly`.
pub fn nsl_kdd_category(attack: &str) -> Option<&'static str> {
    match attack {
        NORMAL => Some(NORMAL),
        "anomaly" => Some(ATTACK),
        _ => CATEGORIES.iter().find(|(_, attacks)| attacks.contains(&attack)).map(|(category, _)| *category),
    }
}

/// Whether a path is a file of NSL-KDD or a folder that holds some.
pub fn is_nsl_kdd(path: &Path) -> bool {
    if path.is_dir() { !files_in(path).is_empty() } else { has_format(path) }
}

/// The complete files of a folder, training first. The published subsets (`_20Percent`, `-21`) are left out, and so is
/// an .arff with a .txt of the same name.
pub(super) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| matches!(stem(path).as_str(), NSL_KDD_TRAIN | NSL_KDD_TEST) && has_format(path));
    let is_arff = |path: &PathBuf| path.to_string_lossy().contains(".arff");
    files.sort_by_key(|path| (stem(path) != NSL_KDD_TRAIN, is_arff(path)));
    files.dedup_by_key(|path| stem(path));
    files
}

fn has_format(path: &Path) -> bool {
    file::recognise(path).is_ok_and(|format| format == Format::NslKdd)
}

fn stem(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// A line's number, from 1, and its cells.
type Line<'l> = (u64, Vec<&'l [u8]>);

/// The lines of a file that hold rows or a header.
struct Lines {
    reader: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines, DatasetError> {
        let reader = BufReader::with_capacity(1 << 18, file::open(path)?);
        Ok(Lines { reader, line: Vec::new(), number: 0 })
    }

    /// The next line. Blank lines, comments and ARFF's declarations are skipped.
    fn next(&mut self) -> std::io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            if self.reader.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !matches!(self.line.trim_ascii().first(), None | Some(b'%' | b'@')) {
                break;
            }
        }
        Ok(Some((self.number, self.line.trim_ascii().split(|b| *b == b',').map(bare).collect())))
    }
}

fn is_header(cells: &[&[u8]]) -> bool {
    cells.first().is_some_and(|cell| cell.eq_ignore_ascii_case(b"duration"))
}

struct CellRow<'a>(&'a [&'a [u8]]);

impl Row for CellRow<'_> {
    fn cell(&self, column: usize) -> RawCell<'_> {
        RawCell::Text(self.0.get(column).copied().unwrap_or_default())
    }
}

/// Hands a file's rows to `consumer` as they are: 41 features, `label` with the attack's name, and `difficulty` where
/// the file has it; named by the header where there is one.
pub(crate) fn read_rows<C: RowConsumer>(path: &Path, consumer: &mut C) -> Result<(), C::Error> {
    let unreadable = |source| file::unreadable(path, source);
    let mut lines = Lines::open(path)?;
    let mut width = None;
    while let Some((number, cells)) = lines.next().map_err(unreadable)? {
        let is_header = is_header(&cells);
        if width.is_none() {
            let text = |cell: &&[u8]| String::from_utf8_lossy(cell).into_owned();
            let names: Vec<String> = match is_header {
                true => cells.iter().map(text).collect(),
                false => {
                    let features = features().map(|column| column.name);
                    features.chain(["label", "difficulty"]).take(cells.len()).map(str::to_owned).collect()
                }
            };
            consumer.columns(&names)?;
            width = Some(names.len());
        } else if is_header {
            consumer.repeated_header();
        }
        let flow = match cells.first() {
            _ if is_header => continue,
            _ if Some(cells.len()) == width => consumer.row(number, &CellRow(&cells)),
            first => consumer.malformed(number, first.copied().unwrap_or_default()),
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Reads a file's rows as a table of [`Level::NslKdd`].
pub(super) fn read(path: &Path, options: &LoadOptions) -> Result<Table, DatasetError> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let recording = stem(path);
    let mut table = Table::new(Level::NslKdd);
    let mut sources: HashMap<&'static str, u32> = HashMap::new();
    let mut lines = Lines::open(path)?;
    let mut read = 0u64;
    while let Some((number, cells)) = lines.next().map_err(|source| file::unreadable(path, source))? {
        if is_header(&cells) {
            table.problems.repeated_headers += u64::from(read > 0);
            continue;
        }
        if read >= options.rows_per_file {
            table.problems.capped_files.push(format!("{name}: {read} rows"));
            break;
        }
        read += 1;
        match row(&cells) {
            Ok((values, category)) => {
                let source =
                    *sources.entry(category).or_insert_with(|| table.add_source(&name, category, &recording));
                table.push_row(source, number, values);
            }
            Err((column, value, expected)) => {
                let problem = || Problem {
                    file: name.clone(),
                    line: number,
                    column: column.to_owned(),
                    value: excerpt(value),
                    expected,
                };
                table.problems.unreadable(problem, &name, column);
            }
        }
    }
    table.add_hash(&name, file::sha256(path)?);
    Ok(table)
}

/// The schema's columns that are features.
fn features() -> impl Iterator<Item = &'static Column> + Clone {
    NSL_KDD.iter().take_while(|column| column.role == Role::Feature)
}

/// A cell without surrounding spaces and quotes, and without the full stop of KDD'99's labels.
fn bare(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    let cell = cell.strip_prefix(b"'").and_then(|cell| cell.strip_suffix(b"'")).unwrap_or(cell);
    cell.strip_suffix(b".").unwrap_or(cell)
}

type Fault<'r> = (&'static str, &'r [u8], &'static str);

/// A line's values in the schema's order, and its category.
fn row<'r>(cells: &[&'r [u8]]) -> Result<(Vec<Value<'r>>, &'static str), Fault<'r>> {
    let count = features().count();
    if !matches!(cells.len().saturating_sub(count), 1 | 2) {
        let first = cells.first().copied().unwrap_or_default();
        return Err((
            "",
            first,
            "the start of a line of 41 features, the attack and, optionally, the difficulty",
        ));
    }
    let parse = |column: &Column, cell: &'r [u8]| {
        cell::parse(cell, column.kind).map_err(|expected| (column.name, cell, expected))
    };
    let mut values = Vec::with_capacity(NSL_KDD.len());
    for (column, cell) in features().zip(cells) {
        values.push(parse(column, cell)?);
    }
    let attack = cells.get(count).copied().unwrap_or_default();
    let named = std::str::from_utf8(attack).ok().and_then(|name| Some((name, nsl_kdd_category(name)?)));
    let (name, category) =
        named.ok_or(("attack", attack, "normal, anomaly or one of NSL-KDD's 39 attacks"))?;
    values.push(Value::Text(name));
    values.push(match (NSL_KDD.iter().find(|c| c.name == "difficulty"), cells.get(count + 1)) {
        (Some(column), Some(cell)) => parse(column, cell)?,
        _ => Value::Empty,
    });
    values.push(Value::Number(f64::from(u8::from(category != NORMAL))));
    Ok((values, category))
}
