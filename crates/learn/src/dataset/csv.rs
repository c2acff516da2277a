//! The published CSV files and those of `extract`.

use std::{fs::File, io::BufReader, path::Path};

use citronella_sensor::{
    detect::Value,
    feature::schema::{Kind, Level},
};
use csv::ByteRecord;

use super::{
    DatasetError, LoadOptions, Problem, Table,
    hash::Hashing,
    source::{Naming, SCENARIO, Scenarios},
    time::parse_timestamp,
};

/// How much of a value an error message shows, in characters.
const SHOWN: usize = 40;

/// Where the level's columns stand in a file's lines.
struct Layout {
    places: Vec<usize>,
    scenario: Option<usize>,
    width: usize,
}

/// A CSV file's rows.
pub(crate) fn read(
    path: &Path,
    level: Level,
    naming: &Naming,
    options: &LoadOptions,
) -> Result<Table, DatasetError> {
    let file_name = path.display().to_string();
    let file = File::open(path).map_err(|source| DatasetError::Read { file: file_name.clone(), source })?;
    let mut hashing = Hashing::new(BufReader::with_capacity(1 << 18, file));
    let mut table = Table::new(level);
    let wrong = |source| DatasetError::Csv { file: file_name.clone(), source };
    {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(1 << 18)
            .from_reader(&mut hashing);
        let (mut header, mut record) = (ByteRecord::new(), ByteRecord::new());
        if !reader.read_byte_record(&mut header).map_err(wrong)? {
            return Err(DatasetError::NoRows { file: file_name, reason: "the file is empty".into() });
        }
        let layout = layout(&header, level, &file_name)?;
        let mut scenarios = Scenarios::new(naming);
        let mut read = 0u64;
        while reader.read_byte_record(&mut record).map_err(wrong)? {
            if is_header(&record, &header) {
                table.problems.repeated_headers += 1;
                continue;
            }
            if read >= options.rows_per_file {
                table.problems.capped_files.push(format!("{file_name}: {read} rows"));
                break;
            }
            read += 1;
            let line = record.position().map_or(0, csv::Position::line);
            match parse(&record, &layout, level) {
                Ok(values) => {
                    let scenario = layout.scenario.and_then(|at| std::str::from_utf8(record.get(at)?).ok());
                    let source = scenarios.source(&mut table, scenario);
                    table.push_row(source, line, values);
                }
                Err((column, value, expected)) => {
                    let problem = || Problem {
                        file: naming.name.clone(),
                        line,
                        column: column.to_owned(),
                        value: String::from_utf8_lossy(value).chars().take(SHOWN).collect(),
                        expected,
                    };
                    table.problems.unreadable(problem, &naming.name, column);
                }
            }
        }
        scenarios.finish(&mut table);
    }
    let sha256 = hashing.finish().map_err(|source| DatasetError::Read { file: file_name, source })?;
    table.add_hash(&naming.name, sha256);
    Ok(table)
}

/// The bytes of a name without a byte-order mark and spaces.
fn bare(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name).trim_ascii()
}

fn layout(header: &ByteRecord, level: Level, file: &str) -> Result<Layout, DatasetError> {
    let place = |name: &str| header.iter().position(|cell| bare(cell) == name.as_bytes());
    let missing: Vec<String> =
        level.columns().iter().filter(|c| place(c.name).is_none()).map(|c| c.name.to_owned()).collect();
    if !missing.is_empty() {
        let found = header.iter().map(|cell| String::from_utf8_lossy(bare(cell)).into_owned()).collect();
        return Err(DatasetError::MissingColumns { file: file.to_owned(), missing, found });
    }
    let places = level.columns().iter().filter_map(|c| place(c.name)).collect();
    Ok(Layout { places, scenario: place(SCENARIO), width: header.len() })
}

/// Whether a line is the header again. The index column's cell, unnamed in the first line, may hold anything.
fn is_header(record: &ByteRecord, header: &ByteRecord) -> bool {
    let last = header.len().saturating_sub(1);
    record.len() == header.len()
        && record.get(last).map(bare) == header.get(last).map(bare)
        && record.iter().zip(header).skip(1).all(|(cell, name)| bare(cell) == bare(name))
}

type Fault<'r> = (&'static str, &'r [u8], &'static str);

fn parse<'r>(
    record: &'r ByteRecord,
    layout: &Layout,
    level: Level,
) -> Result<[Value<'r>; MAX_COLUMNS], Fault<'r>> {
    if record.len() != layout.width {
        return Err((
            "",
            record.get(0).unwrap_or_default(),
            "the begin of a line with as many cells as the header",
        ));
    }
    let mut values = [Value::Empty; MAX_COLUMNS];
    for ((column, &place), value) in level.columns().iter().zip(&layout.places).zip(&mut values) {
        let cell = record.get(place).unwrap_or_default();
        *value = parse_cell(cell, column.kind).map_err(|expected| (column.name, cell, expected))?;
    }
    Ok(values)
}

/// Room for the widest level's columns.
const MAX_COLUMNS: usize = 64;

/// A cell of a kind. An empty cell, `nan` and `NaN` are empty.
pub(super) fn parse_cell(cell: &[u8], kind: Kind) -> Result<Value<'_>, &'static str> {
    let cell = cell.trim_ascii();
    if cell.is_empty() || cell.eq_ignore_ascii_case(b"nan") {
        return Ok(Value::Empty);
    }
    match kind {
        Kind::Timestamp => match parse_timestamp(cell) {
            Some(micros) => Ok(Value::Number(micros as f64)),
            None => Err("a time such as 2020-02-14 16:45:36.818127 or 02/14/2020, 16:45:36:818127"),
        },
        Kind::Text => std::str::from_utf8(cell).map(Value::Text).map_err(|_| "UTF-8 text"),
        Kind::Flag => match number(cell) {
            Some(number) if number == 0.0 || number == 1.0 => Ok(Value::Number(number)),
            _ => Err("0 or 1"),
        },
        Kind::UInt => match number(cell) {
            Some(number) if (0.0..4_294_967_296.0).contains(&number) && number.fract() == 0.0 => {
                Ok(Value::Number(number))
            }
            _ => Err("an integer below 2^32"),
        },
        Kind::Float => number(cell).map(Value::Number).ok_or("a finite number"),
    }
}

fn number(cell: &[u8]) -> Option<f64> {
    if cell.len() <= 9 && cell.iter().all(u8::is_ascii_digit) {
        return Some(f64::from(cell.iter().fold(0u32, |sum, b| sum * 10 + u32::from(b - b'0'))));
    }
    std::str::from_utf8(cell).ok()?.parse().ok().filter(|n: &f64| n.is_finite())
}
