//! Which files a path names, and their rows as one sample.
//!
//! Captures take their classes from a manifest; a capture without one is a class of its own. Rows of other files have a
//! label column, or `is_attack` and their file's name as in MQTT-IoT-IDS2020.

use std::path::{Path, PathBuf};

use citronella_sensor::{
    capture::Capture,
    feature::{packet::Attacker, schema::Level},
};

use super::{AuditError, ReadOptions, Rows, file_rows::FileRows, rows::SampledFile};
use crate::dataset::{
    ATTACK, DatasetError, MANIFEST, Manifest, ManifestEntry, NORMAL, canonical_order, capture, csv,
    file::{Format, recognise, sha256},
    nsl_kdd, parquet, published_folder,
};

/// Rows and classes below which there is nothing to audit, and classes beyond which a column is not a label.
const MIN_ROWS: usize = 20;
const MIN_CLASSES: usize = 2;
const MAX_CLASSES: usize = 1 << 16;

/// A file to read.
struct Job {
    path: PathBuf,
    recording: String,
    format: Format,
    /// A capture's entry in its manifest.
    entry: Option<ManifestEntry>,
}

/// Reads training data and, if the data set has it, its own test data.
///
/// # Errors
/// A path is of no readable kind, its rows are not labelled, or too few are usable.
pub fn read(train: &[PathBuf], test: &[PathBuf], options: &ReadOptions) -> Result<Rows, AuditError> {
    let (mut jobs, mut test_jobs) = (Vec::new(), Vec::new());
    for (paths, jobs) in [(train, &mut jobs), (test, &mut test_jobs)] {
        for path in paths {
            plan(path, options, jobs)?;
        }
    }
    let mut rows = Rows { first_test_file: jobs.len(), ..Rows::default() };
    jobs.append(&mut test_jobs);
    let share = options.rows.div_ceil(jobs.len().max(1));
    for (number, job) in (0..).zip(&jobs) {
        let consumer = FileRows::new(&job.path, options, share, options.seed.wrapping_add(number));
        read_file(job, consumer, options, &mut rows)?;
    }
    name_classes(&mut rows, options);
    drop_columns(&mut rows, options)?;
    let classes = rows.classes.len();
    if rows.len() < MIN_ROWS || classes < MIN_CLASSES {
        let reasons = rows.left_out.iter().map(|(reason, count)| format!("{count} rows: {reason}")).collect();
        return Err(AuditError::TooLittle { rows: rows.len(), classes, reasons });
    }
    if classes > MAX_CLASSES {
        return Err(AuditError::TooManyClasses { classes });
    }
    Ok(rows)
}

fn read_file(
    job: &Job,
    mut consumer: FileRows<'_>,
    options: &ReadOptions,
    rows: &mut Rows,
) -> Result<(), AuditError> {
    let Job { path, recording, format, entry } = job;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut file = SampledFile {
        name: format!("{recording}/{name}"),
        recording: recording.clone(),
        rows: 0,
        sampled: 0,
        classes: Vec::new(),
        link: None,
        sha256: String::new(),
    };
    match format {
        Format::Capture => {
            consumer = consumer.of_capture(recording, entry.as_ref());
            refuse_capture(path, options)?;
            let attacker = entry.as_ref().map_or(Attacker::Unknown, |entry| entry.attacker);
            let mut opened = Capture::open(path).map_err(DatasetError::from)?;
            let summary = capture::read_rows(&mut opened, (options.level, attacker), &mut consumer)?;
            file.link = summary.link;
            match summary.cut {
                Some(fault) if consumer.read == 0 => return Err(DatasetError::from(fault).into()),
                Some(_) => rows.leave_out(&format!("after the truncation of {}", file.name), 1),
                None => {}
            }
        }
        Format::Parquet => parquet::read_rows(path, &mut consumer)?,
        Format::NslKdd => nsl_kdd::read_rows(path, &mut consumer)?,
        _ => csv::read_rows(path, &mut consumer)?,
    }
    file.sha256 = sha256(path)?;
    consumer.finish(file, rows);
    Ok(())
}

/// Refuses options that do not fit a capture.
fn refuse_capture(path: &Path, options: &ReadOptions) -> Result<(), AuditError> {
    let problem = if options.label.is_some() {
        "a capture has no label column; leave --label out: its class comes from the manifest, or is its file's name"
    } else if options.level == Level::NslKdd {
        "NSL-KDD's rows cannot be made from a capture; give its own files"
    } else {
        return Ok(());
    };
    Err(AuditError::Unfit { file: path.display().to_string(), problem: problem.into() })
}

/// Gives classes their final names and canonical order.
fn name_classes(rows: &mut Rows, options: &ReadOptions) {
    let is_flag = rows.classes.iter().all(|class| class == "0" || class == "1");
    let name = |class: &String| match class.as_str() {
        "0" if is_flag => NORMAL.to_owned(),
        "1" if is_flag => ATTACK.to_owned(),
        NORMAL => class.clone(),
        _ if options.binary => ATTACK.to_owned(),
        _ => class.clone(),
    };
    let named: Vec<String> = rows.classes.iter().map(name).collect();
    for file in &mut rows.files {
        file.classes = file.classes.iter().map(name).collect();
    }
    let present = rows.truth.iter().filter_map(|&class| named.get(class as usize).map(String::as_str));
    rows.classes = canonical_order(present);
    let index =
        |name: &String| rows.classes.iter().position(|class| class == name).unwrap_or_default() as u32;
    let indices: Vec<u32> = named.iter().map(index).collect();
    for class in &mut rows.truth {
        *class = indices.get(*class as usize).copied().unwrap_or_default();
    }
}

fn drop_columns(rows: &mut Rows, options: &ReadOptions) -> Result<(), AuditError> {
    for name in &options.dropped {
        if !rows.columns.iter().any(|column| column.name == *name) && options.required.is_empty() {
            let columns = rows.columns.iter().map(|column| column.name.clone()).collect();
            return Err(AuditError::NoColumn { name: name.clone(), columns });
        }
    }
    rows.columns.retain(|column| !options.dropped.contains(&column.name));
    Ok(())
}

fn plan(path: &Path, options: &ReadOptions, jobs: &mut Vec<Job>) -> Result<(), AuditError> {
    if !path.is_dir() {
        return plan_file(path, None, jobs);
    }
    if path.join(MANIFEST).is_file() {
        return plan_manifest(&path.join(MANIFEST), jobs);
    }
    let inner = path.join(published_folder(options.level));
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    let name = path.display().to_string();
    let entries =
        std::fs::read_dir(&folder).map_err(|source| DatasetError::Read { file: name.clone(), source })?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| {
        let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        file.is_file() && ["csv", "parquet", "pcap", "pcapng", "gz", "zst"].contains(&extension.as_str())
    });
    files.sort();
    if files.is_empty() {
        let found = "a folder without a manifest.csv, a CSV, a Parquet file or a capture".into();
        return Err(DatasetError::Unknown { file: name, found }.into());
    }
    files.iter().try_for_each(|file| plan_file(file, Some(folder_name(path)), jobs))
}

fn folder_name(path: &Path) -> String {
    let name = path.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "data".into())
}

/// `recording`: the folder's name, if a folder was given; a file by itself is a recording of its own.
fn plan_file(path: &Path, recording: Option<String>, jobs: &mut Vec<Job>) -> Result<(), AuditError> {
    let format = match recognise(path)? {
        Format::Manifest => return plan_manifest(path, jobs),
        format @ (Format::Capture | Format::Parquet | Format::NslKdd | Format::Csv) => format,
        Format::Text | Format::Binary | Format::Empty => {
            let found = "neither a capture, a CSV with a header nor Parquet".into();
            return Err(DatasetError::Unknown { file: path.display().to_string(), found }.into());
        }
    };
    let recording = recording.unwrap_or_else(|| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.split('.').next().unwrap_or("data").to_owned()
    });
    jobs.push(Job { path: path.to_owned(), recording, format, entry: None });
    Ok(())
}

fn plan_manifest(path: &Path, jobs: &mut Vec<Job>) -> Result<(), AuditError> {
    let manifest = Manifest::open(path)?;
    for (path, entry) in manifest.files(path)? {
        let recording = manifest.recording.clone();
        jobs.push(Job { path, recording, format: Format::Capture, entry: Some(entry) });
    }
    Ok(())
}
