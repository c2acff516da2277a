//! What a path stands for, and its rows.
//!
//! In: paths. Out: [`Rows`]. Captures take their classes from a manifest; without one each capture is a class, named
//! after its file. Rows take theirs from the label column, or from `is_attack` and the file's name as MQTT-IoT-IDS2020
//! has it.

use std::{
    fs::File as OsFile,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use citronella_sensor::feature::schema::Level;
use sha2::{Digest, Sha256};

use super::{
    AuditError, Rows, capture, parquet,
    rows::{File, Sampler},
    text,
};
use crate::dataset::{DatasetError, LabelRule, Manifest, ManifestEntry, NORMAL, canonical_order};

/// Which rows to look at, and how they are labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// What a row of a capture, or of a folder laid out as MQTT-IoT-IDS2020, stands for.
    pub level: Level,
    /// Where a class comes from where there is no label column.
    pub labels: LabelRule,
    /// The label column.
    pub label: Option<String>,
    /// Two classes instead of one a scenario.
    pub binary: bool,
    /// Rows looked at in all; each file has an equal share.
    pub rows: usize,
    /// Rows read of each file before the rest is left out.
    pub rows_per_file: Option<u64>,
    /// Columns that must not be empty in a row.
    pub required: Vec<String>,
    /// Columns that are left out.
    pub dropped: Vec<String>,
    /// Of the sample.
    pub seed: u64,
}

impl Default for ReadOptions {
    /// The packet level, labels by attacker, 100,000 rows, seed 42.
    fn default() -> ReadOptions {
        ReadOptions {
            level: Level::Packet,
            labels: LabelRule::Attacker,
            label: None,
            binary: false,
            rows: 100_000,
            rows_per_file: None,
            required: Vec::new(),
            dropped: Vec::new(),
            seed: 42,
        }
    }
}

/// A file to read.
pub(super) enum Job {
    /// A capture; without an entry it is a class of its own.
    Capture {
        path: PathBuf,
        recording: String,
        entry: Option<Box<ManifestEntry>>,
    },
    Text {
        path: PathBuf,
        recording: String,
    },
    Parquet {
        path: PathBuf,
        recording: String,
    },
}

const MANIFEST: &str = "manifest.csv";

/// Reads training data and, where it is kept apart, the set's own test data.
///
/// # Errors
/// A path is none of the kinds that can be read, nobody says what its classes are, or too little is left.
pub fn read(train: &[PathBuf], test: &[PathBuf], options: &ReadOptions) -> Result<Rows, AuditError> {
    let (mut jobs, mut test_jobs) = (Vec::new(), Vec::new());
    for (paths, jobs) in [(train, &mut jobs), (test, &mut test_jobs)] {
        for path in paths {
            plan(path, options, jobs)?;
        }
    }
    let mut rows = Rows { first_test_file: jobs.len(), ..Rows::default() };
    jobs.append(&mut test_jobs);
    let cap = options.rows.div_ceil(jobs.len().max(1));
    for (number, job) in (0..).zip(&jobs) {
        let sampler = |width| Sampler::new(width, cap, options.seed.wrapping_add(number));
        match job {
            Job::Capture { path, recording, entry } => {
                capture::read(path, recording, entry.as_deref(), options, &sampler, &mut rows)?;
            }
            Job::Text { path, recording } => text::read(path, recording, options, &sampler, &mut rows)?,
            Job::Parquet { path, recording } => parquet::read(path, recording, options, &sampler, &mut rows)?,
        }
    }
    settle(rows, options)
}

/// How the names of benign rows begin in other data sets, and of captures of benign traffic.
const BENIGN: [&str; 4] = ["normal", "benign", "legitimate", "background"];

/// The class of benign rows under its other names.
pub(super) fn class_name(name: &str) -> &str {
    let name = name.trim().trim_end_matches('.');
    let small = name.to_ascii_lowercase();
    if BENIGN.iter().any(|other| small.starts_with(other)) { NORMAL } else { name }
}

fn settle(mut rows: Rows, options: &ReadOptions) -> Result<Rows, AuditError> {
    if rows.classes.iter().all(|class| class == "0" || class == "1") {
        let name = |class: &String| if class == "0" { "normal" } else { "attack" }.to_owned();
        rows.classes = rows.classes.iter().map(name).collect();
        rows.files.iter_mut().for_each(|file| file.classes = file.classes.iter().map(name).collect());
    }
    let of = |class: &String| match class.as_str() {
        "normal" => class.clone(),
        _ if options.binary => "attack".to_owned(),
        _ => class.clone(),
    };
    let named: Vec<String> = rows.classes.iter().map(of).collect();
    for file in &mut rows.files {
        file.classes = file.classes.iter().map(of).collect();
    }
    let present = rows.truth.iter().filter_map(|&class| named.get(class as usize).map(String::as_str));
    rows.classes = canonical_order(present);
    let place =
        |name: &String| rows.classes.iter().position(|class| class == name).unwrap_or_default() as u32;
    let places: Vec<u32> = named.iter().map(place).collect();
    for class in &mut rows.truth {
        *class = places.get(*class as usize).copied().unwrap_or_default();
    }
    for name in &options.dropped {
        if !rows.columns.iter().any(|column| column.name == *name) && options.required.is_empty() {
            let columns = rows.columns.iter().map(|column| column.name.clone()).collect();
            return Err(AuditError::NoColumn { name: name.clone(), columns });
        }
    }
    rows.columns.retain(|column| !options.dropped.contains(&column.name));
    if rows.len() < 20 || rows.classes.len() < 2 {
        let reasons = rows.left_out.iter().map(|(reason, count)| format!("{count} rows: {reason}")).collect();
        return Err(AuditError::TooLittle { rows: rows.len(), classes: rows.classes.len(), reasons });
    }
    Ok(rows)
}

fn plan(path: &Path, options: &ReadOptions, jobs: &mut Vec<Job>) -> Result<(), AuditError> {
    let name = path.display().to_string();
    let read = |source| DatasetError::Read { file: name.clone(), source };
    if path.is_dir() {
        if path.join(MANIFEST).is_file() {
            return plan_manifest(&path.join(MANIFEST), jobs);
        }
        let inner = path.join(crate::dataset::published_folder(options.level));
        let folder = if inner.is_dir() { inner } else { path.to_owned() };
        let entries = std::fs::read_dir(&folder).map_err(read)?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| {
            let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
            file.is_file() && ["csv", "parquet", "pcap", "pcapng", "gz", "zst"].contains(&ending.as_str())
        });
        files.sort();
        if files.is_empty() {
            let found = "a folder without a manifest.csv, a CSV, a Parquet file or a capture".into();
            return Err(DatasetError::Unknown { file: name, found }.into());
        }
        return files.iter().try_for_each(|file| plan_file(file, Some(folder_name(path)), jobs));
    }
    plan_file(path, None, jobs)
}

fn folder_name(path: &Path) -> String {
    let name = path.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "data".into())
}

fn plan_file(path: &Path, recording: Option<String>, jobs: &mut Vec<Job>) -> Result<(), AuditError> {
    let file = path.display().to_string();
    let mut head = Vec::new();
    let wrong = |source| DatasetError::Read { file: file.clone(), source };
    open(path)?.take(4096).read_to_end(&mut head).map_err(wrong)?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let recording = recording.unwrap_or_else(|| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.split('.').next().unwrap_or("data").to_owned()
    });
    let path = path.to_owned();
    match head.get(..4) {
        Some(
            b"\xd4\xc3\xb2\xa1" | b"\xa1\xb2\xc3\xd4" | b"\x4d\x3c\xb2\xa1" | b"\xa1\xb2\x3c\x4d"
            | b"\x0a\x0d\x0d\x0a",
        ) => jobs.push(Job::Capture { path, recording, entry: None }),
        Some(b"PAR1") => jobs.push(Job::Parquet { path, recording }),
        _ => match std::str::from_utf8(line) {
            Ok(line) if Manifest::is_header(line) && !line.contains("is_attack") => {
                return plan_manifest(&path, jobs);
            }
            Ok(line) if line.contains(',') => jobs.push(Job::Text { path, recording }),
            _ => {
                let found = "neither a capture, a CSV with a header nor Parquet".into();
                return Err(DatasetError::Unknown { file, found }.into());
            }
        },
    }
    Ok(())
}

fn plan_manifest(path: &Path, jobs: &mut Vec<Job>) -> Result<(), AuditError> {
    let manifest = Manifest::open(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    for entry in manifest.entries {
        let (path, recording) = (folder.join(&entry.file), manifest.recording.clone());
        jobs.push(Job::Capture { path, recording, entry: Some(Box::new(entry)) });
    }
    Ok(())
}

/// A file's bytes, unpacked where it is gzip or zstd by its first bytes.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, AuditError> {
    let file = path.display().to_string();
    let wrong = |source| DatasetError::Read { file: file.clone(), source };
    let mut reader = BufReader::with_capacity(1 << 16, OsFile::open(path).map_err(wrong)?);
    let head = reader.fill_buf().map_err(wrong)?;
    if head.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(reader)));
    }
    if head.starts_with(b"\x28\xb5\x2f\xfd") {
        return Ok(Box::new(zstd::Decoder::with_buffer(reader).map_err(wrong)?));
    }
    Ok(Box::new(reader))
}

/// A file's entry, its bytes hashed.
pub(super) fn describe(path: &Path, recording: &str) -> Result<File, AuditError> {
    let wrong = |source| DatasetError::Read { file: path.display().to_string(), source };
    let mut hash = Sha256::new();
    let mut reader = BufReader::with_capacity(1 << 18, OsFile::open(path).map_err(wrong)?);
    loop {
        let bytes = reader.fill_buf().map_err(wrong)?;
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        let len = bytes.len();
        reader.consume(len);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(File {
        name: format!("{recording}/{name}"),
        recording: recording.to_owned(),
        rows: 0,
        sampled: 0,
        classes: Vec::new(),
        link: None,
        sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
