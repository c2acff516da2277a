//! What a path stands for, and its files read side by side.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use citronella_sensor::feature::schema::{self, Level};
use rayon::prelude::*;

use super::{
    DatasetError, Manifest, ManifestEntry, NORMAL, Table,
    capture::{self, Bytes},
    class::class_of_file_name,
    csv, nsl_kdd, parquet,
};

/// The optional column that names each row's scenario in a file of several captures.
pub(crate) const SCENARIO: &str = schema::SCENARIO.name;

/// The scenario of rows of which nobody says what they are.
pub(crate) const UNKNOWN: &str = "";

const MANIFEST: &str = "manifest.csv";

/// The published folder of a level's files.
pub(crate) const fn published_folder(level: Level) -> &'static str {
    match level {
        Level::Packet => "packet_features",
        Level::Uniflow | Level::UniflowExtended => "uniflow_features",
        Level::Biflow | Level::BiflowExtended => "biflow_features",
        Level::Sequence => "sequence_features",
        Level::NslKdd => "nsl-kdd",
    }
}

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// What a row stands for.
    pub level: Level,
    /// Rows read from each file before the rest is left out (and reported).
    pub rows_per_file: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { level: Level::Packet, rows_per_file: u64::MAX }
    }
}

/// How a feature file is called, and what its rows belong to where it does not say so itself.
pub(crate) struct Naming {
    pub(crate) name: String,
    recording: String,
    /// The class that the file's name stands for.
    class: Option<&'static str>,
}

impl Naming {
    fn of(path: &Path, recording: Option<String>) -> Naming {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned());
        let file = text(path.file_name()).unwrap_or_default();
        let stem = text(path.file_stem()).unwrap_or_default();
        let class = class_of_file_name(&file);
        let folder = || path.canonicalize().ok().and_then(|p| text(p.parent()?.file_name()));
        let recording = recording.or_else(|| class.and_then(|_| folder())).unwrap_or(stem);
        Naming { name: format!("{recording}/{file}"), recording, class }
    }
}

/// A feature file's sources: one, or one for each scenario that its rows name.
pub(crate) struct Scenarios<'n> {
    naming: &'n Naming,
    named: HashMap<String, u32>,
    unnamed: Option<u32>,
}

impl<'n> Scenarios<'n> {
    pub(crate) fn new(naming: &'n Naming) -> Self {
        Scenarios { naming, named: HashMap::new(), unnamed: None }
    }

    /// The source of a row that names this scenario, or none.
    pub(crate) fn source(&mut self, table: &mut Table, scenario: Option<&str>) -> u32 {
        let Naming { name, recording, class } = self.naming;
        match scenario {
            Some(scenario) if !scenario.is_empty() => match self.named.get(scenario) {
                Some(&source) => source,
                None => {
                    let source = table.add_source(name, scenario, recording);
                    self.named.insert(scenario.to_owned(), source);
                    source
                }
            },
            _ => *self
                .unnamed
                .get_or_insert_with(|| table.add_source(name, class.unwrap_or(NORMAL), recording)),
        }
    }

    /// Settles the scenario of rows that name none in a file whose name is no class.
    pub(crate) fn finish(self, table: &mut Table) {
        let Some(source) = self.unnamed.filter(|_| self.naming.class.is_none()) else { return };
        let labels = || {
            let rows = (0..table.len()).filter(|&row| table.source_of(row) == source as usize);
            rows.filter_map(|row| table.is_attack(row))
        };
        if labels().any(|attack| attack) {
            table.set_scenario(source, "attack");
        } else if labels().next().is_none() {
            table.set_scenario(source, UNKNOWN);
        }
    }
}

/// One file to read.
enum Job {
    Capture { recording: String, entry: ManifestEntry, path: PathBuf },
    Csv(PathBuf, Naming),
    Parquet(PathBuf, Naming),
    NslKdd(PathBuf),
}

/// Reads data sets into one table, in the order given, files side by side.
///
/// # Errors
/// A path is none of the kinds that can be read, a file is missing or lacks columns, or no row is left. Rows that
/// cannot be read and captures that are cut short are no errors: see [`Table::problems`].
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Result<Table, DatasetError> {
    let mut jobs = Vec::new();
    for path in paths {
        plan(path, options.level, &mut jobs)?;
    }
    let parts: Vec<Table> = jobs.par_iter().map(|job| read(job, options)).collect::<Result<_, _>>()?;
    let name = paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
    join(parts, options, name)
}

/// Reads a recording from memory: a manifest's text, and the bytes of each file that it names.
///
/// # Errors
/// As [`load`]; a file that `bytes_of` does not know counts as missing.
pub fn load_embedded(
    recording: &str,
    manifest: &str,
    bytes_of: &(dyn Fn(&str) -> Option<Cow<'static, [u8]>> + Sync),
    options: &LoadOptions,
) -> Result<Table, DatasetError> {
    let name = format!("{recording}/{MANIFEST}");
    let manifest = Manifest::parse(recording, &name, manifest)?;
    let read = |entry: &ManifestEntry| {
        let bytes = bytes_of(&entry.file).ok_or_else(|| missing(&name, entry))?;
        capture::read(recording, entry, Bytes::Memory(bytes), options)
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
            capture::read(recording, entry, Bytes::File(path), options)
        }
        Job::Csv(path, naming) => csv::read(path, options.level, naming, options),
        Job::Parquet(path, naming) => parquet::read(path, options.level, naming, options),
        Job::NslKdd(path) => nsl_kdd::read(path, options),
    }
}

fn missing(manifest: &str, entry: &ManifestEntry) -> DatasetError {
    DatasetError::Manifest {
        file: manifest.to_owned(),
        line: entry.line,
        column: "file",
        problem: format!("{} does not lie beside the manifest", entry.file),
    }
}

fn plan(path: &Path, level: Level, jobs: &mut Vec<Job>) -> Result<(), DatasetError> {
    let file = path.display().to_string();
    match (level, nsl_kdd::is_nsl_kdd(path)) {
        (Level::NslKdd, true) if path.is_dir() => {
            jobs.extend(nsl_kdd::files_in(path).into_iter().map(Job::NslKdd));
            return Ok(());
        }
        (Level::NslKdd, true) => {
            jobs.push(Job::NslKdd(path.to_owned()));
            return Ok(());
        }
        (Level::NslKdd, false) if path.exists() => {
            return Err(DatasetError::Unknown { file, found: "no file of NSL-KDD".into() });
        }
        (_, true) => {
            let found = "rows of NSL-KDD, which only `citronella compare` and `audit` take".into();
            return Err(DatasetError::Unknown { file, found });
        }
        _ => {}
    }
    if path.is_dir() {
        if path.join(MANIFEST).is_file() {
            return plan_manifest(&path.join(MANIFEST), jobs);
        }
        return plan_published(path, level, jobs);
    }
    let mut head = Vec::new();
    let io_error = |source| DatasetError::Read { file: file.clone(), source };
    let opened = std::fs::File::open(path).map_err(io_error)?;
    BufReader::new(opened.take(4096)).read_until(b'\n', &mut head).map_err(io_error)?;
    if head.starts_with(b"PAR1") {
        jobs.push(Job::Parquet(path.to_owned(), Naming::of(path, None)));
        return Ok(());
    }
    match std::str::from_utf8(&head) {
        Ok("") => Err(DatasetError::NoRows { file, reason: "the file is empty".into() }),
        Ok(line) if Manifest::is_header(line) && !line.contains("is_attack") => plan_manifest(path, jobs),
        Ok(line) if line.contains(',') => {
            jobs.push(Job::Csv(path.to_owned(), Naming::of(path, None)));
            Ok(())
        }
        Ok(_) => {
            Err(DatasetError::Unknown { file, found: "a text file without commas in its first line".into() })
        }
        Err(_) => {
            let found =
                "a binary file; a capture needs a manifest.csv that names its scenario and attacker".into();
            Err(DatasetError::Unknown { file, found })
        }
    }
}

fn plan_manifest(path: &Path, jobs: &mut Vec<Job>) -> Result<(), DatasetError> {
    let manifest = Manifest::open(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    for entry in manifest.entries {
        let capture = folder.join(&entry.file);
        if !capture.is_file() {
            return Err(missing(&path.display().to_string(), &entry));
        }
        jobs.push(Job::Capture { recording: manifest.recording.clone(), entry, path: capture });
    }
    Ok(())
}

/// A folder laid out as the data set is published (or the level's folder of it): files in the classes' order.
fn plan_published(path: &Path, level: Level, jobs: &mut Vec<Job>) -> Result<(), DatasetError> {
    let file = path.display().to_string();
    let inner = path.join(published_folder(level));
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    let entries =
        std::fs::read_dir(&folder).map_err(|source| DatasetError::Read { file: file.clone(), source })?;
    let all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let of_kind = |kind: &str| -> Vec<PathBuf> {
        let is = |path: &&PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(kind));
        all.iter().filter(is).cloned().collect()
    };
    // As published; Parquet only where there is no CSV, so that no row counts twice.
    let mut files = of_kind("csv");
    let parquet = files.is_empty();
    if parquet {
        files = of_kind("parquet");
    }
    files.sort_by_key(|path| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let class = class_of_file_name(&name);
        (super::CLASSES.iter().position(|c| Some(*c) == class).unwrap_or(usize::MAX), name)
    });
    if files.is_empty() {
        return Err(DatasetError::Unknown { file, found: "a folder without any of these".into() });
    }
    let recording =
        path.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    jobs.extend(files.into_iter().map(|path| {
        let naming = Naming::of(&path, recording.clone());
        if parquet { Job::Parquet(path, naming) } else { Job::Csv(path, naming) }
    }));
    Ok(())
}
