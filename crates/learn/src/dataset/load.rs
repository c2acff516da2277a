//! From paths to a table: which files a path names, read in parallel.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use citronella_sensor::feature::schema::Level;
use rayon::prelude::*;

use super::{
    CLASSES, DatasetError, LoadOptions, Manifest, ManifestEntry, Table,
    capture_table::{self, Bytes},
    class::class_of_file_name,
    feature_file::{self, Naming},
    file::{self, Format},
    manifest::{self, MANIFEST},
    nsl_kdd,
    options::published_folder,
};

/// One file to read.
enum Job {
    Capture { recording: String, entry: ManifestEntry, path: PathBuf },
    FeatureFile { path: PathBuf, format: Format, naming: Naming },
    NslKdd(PathBuf),
}

/// Reads data sets into one table: files in parallel, rows in the order of the paths.
///
/// # Errors
/// A path is of no readable kind, a file is missing or lacks columns, or no row is left. Unreadable rows and captures
/// that are cut short are not errors: see [`Table::problems`].
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Result<Table, DatasetError> {
    let mut jobs = Vec::new();
    for path in paths {
        plan(path, options.level, &mut jobs)?;
    }
    let parts: Vec<Table> = jobs.par_iter().map(|job| read(job, options)).collect::<Result<_, _>>()?;
    let name = paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
    join(parts, options, name)
}

/// Reads a recording from memory: the text of its manifest, and the bytes of the files that it lists.
///
/// # Errors
/// As [`load`]; a file without bytes counts as missing.
pub fn load_embedded(
    recording: &str,
    manifest: &str,
    bytes_of: &(dyn Fn(&str) -> Option<Cow<'static, [u8]>> + Sync),
    options: &LoadOptions,
) -> Result<Table, DatasetError> {
    let name = format!("{recording}/{MANIFEST}");
    let manifest = Manifest::parse(recording, &name, manifest)?;
    let read = |entry: &ManifestEntry| {
        let bytes = bytes_of(&entry.file).ok_or_else(|| manifest::missing_file(&name, entry))?;
        capture_table::read(recording, entry, Bytes::Memory(bytes), options)
    };
    let parts: Vec<Table> = manifest.entries.par_iter().map(read).collect::<Result<_, _>>()?;
    join(parts, options, name)
}

fn join(parts: Vec<Table>, options: &LoadOptions, file: String) -> Result<Table, DatasetError> {
    let mut table = Table::new(options.level);
    for part in parts {
        table.append(part);
    }
    if table.is_empty() {
        let reason = match table.problems.messages().as_slice() {
            [] => "it holds no TCP or UDP packet, or no line after its header".into(),
            lines => lines.join("; "),
        };
        return Err(DatasetError::NoRows { file, reason });
    }
    Ok(table)
}

fn read(job: &Job, options: &LoadOptions) -> Result<Table, DatasetError> {
    match job {
        Job::Capture { recording, entry, path } => {
            capture_table::read(recording, entry, Bytes::File(path), options)
        }
        Job::FeatureFile { path, format, naming } => feature_file::read(path, *format, naming, options),
        Job::NslKdd(path) => nsl_kdd::read(path, options),
    }
}

fn plan(path: &Path, level: Level, jobs: &mut Vec<Job>) -> Result<(), DatasetError> {
    let unknown = |found: &str| {
        Err(DatasetError::Unknown { file: path.display().to_string(), found: found.to_owned() })
    };
    const NOT_HERE: &str = "rows of NSL-KDD, which only `citronella compare` and `audit` take";
    const NO_NSL_KDD: &str = "no file of NSL-KDD";
    if path.is_dir() {
        let files = nsl_kdd::files_in(path);
        return match (level, files.is_empty()) {
            (Level::NslKdd, true) => unknown(NO_NSL_KDD),
            (Level::NslKdd, false) => {
                jobs.extend(files.into_iter().map(Job::NslKdd));
                Ok(())
            }
            (_, false) => unknown(NOT_HERE),
            _ if path.join(MANIFEST).is_file() => plan_manifest(&path.join(MANIFEST), jobs),
            _ => plan_published(path, level, jobs),
        };
    }
    match (file::recognise(path)?, level) {
        (Format::NslKdd, Level::NslKdd) => jobs.push(Job::NslKdd(path.to_owned())),
        (_, Level::NslKdd) => return unknown(NO_NSL_KDD),
        (Format::NslKdd, _) => return unknown(NOT_HERE),
        (format @ (Format::Parquet | Format::Csv), _) => {
            let naming = Naming::new(path, None);
            jobs.push(Job::FeatureFile { path: path.to_owned(), format, naming });
        }
        (Format::Manifest, _) => return plan_manifest(path, jobs),
        (Format::Empty, _) => {
            let reason = "the file is empty".into();
            return Err(DatasetError::NoRows { file: path.display().to_string(), reason });
        }
        (Format::Text, _) => return unknown("a text file without commas in its first line"),
        (Format::Capture | Format::Binary, _) => {
            return unknown(
                "a binary file; a capture needs a manifest.csv that names its scenario and attacker",
            );
        }
    }
    Ok(())
}

fn plan_manifest(path: &Path, jobs: &mut Vec<Job>) -> Result<(), DatasetError> {
    let manifest = Manifest::open(path)?;
    for (path, entry) in manifest.files(path)? {
        jobs.push(Job::Capture { recording: manifest.recording.clone(), entry, path });
    }
    Ok(())
}

/// The files of a folder in MQTT-IoT-IDS2020's layout (or of the level's folder in it), in the order of their classes.
fn plan_published(path: &Path, level: Level, jobs: &mut Vec<Job>) -> Result<(), DatasetError> {
    let inner = path.join(published_folder(level));
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    let entries = std::fs::read_dir(&folder).map_err(|source| file::unreadable(path, source))?;
    let all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let with_extension = |extension: &str| -> Vec<PathBuf> {
        let has = |path: &&PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
        all.iter().filter(has).cloned().collect()
    };
    // As published; Parquet only where there is no CSV, so that no row counts twice.
    let (mut files, mut format) = (with_extension("csv"), Format::Csv);
    if files.is_empty() {
        (files, format) = (with_extension("parquet"), Format::Parquet);
    }
    files.sort_by_key(|path| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let class = class_of_file_name(&name);
        (CLASSES.iter().position(|c| Some(*c) == class).unwrap_or(usize::MAX), name)
    });
    if files.is_empty() {
        let (file, found) = (path.display().to_string(), "a folder without any of these".into());
        return Err(DatasetError::Unknown { file, found });
    }
    let recording =
        path.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    jobs.extend(files.into_iter().map(|path| {
        let naming = Naming::new(&path, recording.clone());
        Job::FeatureFile { path, format, naming }
    }));
    Ok(())
}
