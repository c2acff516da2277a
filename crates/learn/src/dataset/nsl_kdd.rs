//! NSL-KDD: `KDDTrain+` and `KDDTest+` as .txt or .arff, plain or zstd-compressed, with or without a header line.
//!
//! A row's scenario is its attack's category (`dos`, `probe`, `r2l`, `u2r`), its recording the file's name without
//! endings, so that the published split is to leave the recording `KDDTest+` out. The published .arff files say `anomaly`
//! instead of the attack's name; such rows are of the scenario `attack`.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use citronella_sensor::{
    detect::Value,
    feature::schema::{Column, Level, NSL_KDD, Role},
};

use super::{DatasetError, LoadOptions, NORMAL, Problem, Table, csv::parse_cell, hash::Hashing};

/// The 39 attacks by category. The counts of KDDTest+ in the literature (7,458 dos, 2,421 probe, 2,754 r2l, 200 u2r) are
/// those of this map.
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

/// Names of the training and of the test file, without endings.
pub const NSL_KDD_TRAIN: &str = "KDDTrain+";
/// See [`NSL_KDD_TRAIN`].
pub const NSL_KDD_TEST: &str = "KDDTest+";

/// The category of an attack's name; `normal` for `normal`, `attack` for `anomaly`.
pub fn nsl_kdd_category(attack: &str) -> Option<&'static str> {
    match attack {
        NORMAL => Some(NORMAL),
        "anomaly" => Some("attack"),
        _ => CATEGORIES.iter().find(|(_, attacks)| attacks.contains(&attack)).map(|(category, _)| *category),
    }
}

/// Whether a path is a file of NSL-KDD or a folder that holds some.
pub fn is_nsl_kdd(path: &Path) -> bool {
    if path.is_dir() { !files_in(path).is_empty() } else { looks_like_it(path) }
}

/// The whole files of a folder, training first; the published subsets (`_20Percent`, `-21`) are left out, and an .arff
/// beside its .txt.
pub(super) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| matches!(stem(path).as_str(), NSL_KDD_TRAIN | NSL_KDD_TEST) && looks_like_it(path));
    let is_arff = |path: &PathBuf| path.to_string_lossy().contains(".arff");
    files.sort_by_key(|path| (stem(path) != NSL_KDD_TRAIN, is_arff(path)));
    files.dedup_by_key(|path| stem(path));
    files
}

fn stem(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

fn looks_like_it(path: &Path) -> bool {
    let head = || -> Option<String> {
        let mut head = String::new();
        let mut lines = BufReader::new(text(File::open(path).ok()?).ok()?.take(4096));
        while head.trim().is_empty() || head.starts_with('%') {
            head.clear();
            if lines.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    };
    let Some(line) = head() else { return false };
    let cells: Vec<&str> = line.trim().split(',').map(str::trim).collect();
    let protocol = cells.get(1).is_some_and(|cell| ["tcp", "udp", "icmp", "protocol_type"].contains(cell));
    let relation = line.to_ascii_lowercase();
    (matches!(cells.len(), 42 | 43) && protocol)
        || (relation.starts_with("@relation") && relation.contains("kdd"))
}

/// The bytes of a file, decompressed where they are zstd's.
fn text<R: Read + 'static>(file: R) -> std::io::Result<Box<dyn Read>> {
    let mut reader = BufReader::new(file);
    let packed = reader.fill_buf()?.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    Ok(if packed { Box::new(zstd::Decoder::with_buffer(reader)?) } else { Box::new(reader) })
}

/// A file's rows.
pub(super) fn read(path: &Path, options: &LoadOptions) -> Result<Table, DatasetError> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let recording = stem(path);
    let wrong = |source| DatasetError::Read { file: path.display().to_string(), source };
    let mut table = Table::new(Level::NslKdd);
    let mut sources: HashMap<&'static str, u32> = HashMap::new();
    let mut reader =
        BufReader::with_capacity(1 << 18, text(File::open(path).map_err(wrong)?).map_err(wrong)?);
    let (mut line, mut number, mut read) = (Vec::new(), 0u64, 0u64);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(wrong)? == 0 {
            break;
        }
        number += 1;
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() || matches!(trimmed.first(), Some(b'%' | b'@')) {
            continue;
        }
        let cells: Vec<&[u8]> = trimmed.split(|b| *b == b',').map(bare).collect();
        if cells.first().is_some_and(|cell| cell.eq_ignore_ascii_case(b"duration")) {
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
                    value: String::from_utf8_lossy(value).chars().take(40).collect(),
                    expected,
                };
                table.problems.unreadable(problem, &name, column);
            }
        }
    }
    let sha256 = File::open(path).and_then(|file| Hashing::new(file).finish()).map_err(wrong)?;
    table.add_hash(&name, sha256);
    Ok(table)
}

/// A cell without spaces, quotes, and the full stop of KDD'99's labels.
fn bare(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    let cell = cell.strip_prefix(b"'").and_then(|cell| cell.strip_suffix(b"'")).unwrap_or(cell);
    cell.strip_suffix(b".").unwrap_or(cell)
}

type Fault<'r> = (&'static str, &'r [u8], &'static str);

/// The values of a line in the schema's order, and its category.
fn row<'r>(cells: &[&'r [u8]]) -> Result<(Vec<Value<'r>>, &'static str), Fault<'r>> {
    let features = NSL_KDD.iter().take_while(|c| c.role == Role::Feature);
    let count = features.clone().count();
    if !matches!(cells.len().saturating_sub(count), 1 | 2) {
        let first = cells.first().copied().unwrap_or_default();
        return Err(("", first, "the begin of a line of 41 features, the attack and, maybe, the difficulty"));
    }
    let parse = |column: &Column, cell: &'r [u8]| {
        parse_cell(cell, column.kind).map_err(|expected| (column.name, cell, expected))
    };
    let mut values = Vec::with_capacity(NSL_KDD.len());
    for (column, cell) in features.zip(cells) {
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
