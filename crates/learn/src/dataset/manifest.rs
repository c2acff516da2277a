//! A recording: `manifest.csv` with a line for each of its captures, which are in the same folder.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use citronella_sensor::feature::packet::{Attacker, Attackers, MAX_ATTACKERS};

use super::DatasetError;

/// The name of the file that lists a recording's captures.
pub(crate) const MANIFEST: &str = "manifest.csv";

const SCENARIO: &str = "scenario";
const FILE: &str = "file";
const ATTACKER: &str = "attacker";
const BROKER: &str = "broker";
const BEGIN: &str = "begin";
const END: &str = "end";
const HONEST_PORTS: &str = "honest_ports";

/// One capture of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestEntry {
    /// `normal`, or the attack's name.
    pub scenario: String,
    /// The capture's file name, relative to the manifest.
    pub file: String,
    /// The attacker; [`Attacker::Nobody`] if the cell is empty.
    pub attacker: Attacker,
    /// The broker's address, if given.
    pub broker: Option<IpAddr>,
    /// Begin and end in epoch seconds, if both are given.
    pub span: Option<(f64, f64)>,
    /// The entry's line in the manifest, from 1.
    pub line: u64,
}

/// A recording's captures in the manifest's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The folder's name, such as `run-1`.
    pub recording: String,
    /// The captures.
    pub entries: Vec<ManifestEntry>,
}

impl Manifest {
    /// Whether a line is the header of a manifest.
    pub(crate) fn is_header(line: &str) -> bool {
        let names: Vec<&str> = line.trim_start_matches('\u{feff}').trim().split(',').map(str::trim).collect();
        names.contains(&SCENARIO) && names.contains(&FILE)
    }

    /// Reads a manifest; its folder's name is the recording's.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, or has a malformed line.
    pub fn open(path: &Path) -> Result<Manifest, DatasetError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| DatasetError::Read { file, source })?;
        let folder = path
            .canonicalize()
            .ok()
            .and_then(|p| Some(p.parent()?.file_name()?.to_string_lossy().into_owned()));
        Manifest::parse(&folder.unwrap_or_else(|| "recording".into()), &path.display().to_string(), &text)
    }

    /// The captures' paths with their entries; `path` is the manifest's.
    ///
    /// # Errors
    /// A capture is missing.
    pub(crate) fn files(&self, path: &Path) -> Result<Vec<(PathBuf, ManifestEntry)>, DatasetError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = |entry: &ManifestEntry| {
            let capture = folder.join(&entry.file);
            if !capture.is_file() {
                return Err(missing_file(&path.display().to_string(), entry));
            }
            Ok((capture, entry.clone()))
        };
        self.entries.iter().map(file).collect()
    }

    /// Parses a manifest; errors refer to it by `name`.
    ///
    /// # Errors
    /// A column is missing, or a line is malformed.
    pub fn parse(recording: &str, name: &str, text: &str) -> Result<Manifest, DatasetError> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let wrong = |source| DatasetError::Csv { file: name.to_owned(), source };
        let header = reader.headers().map_err(wrong)?.clone();
        let index = |column| header.iter().position(|h| h == column);
        let (Some(scenario), Some(file), Some(attacker)) = (index(SCENARIO), index(FILE), index(ATTACKER))
        else {
            let missing =
                [SCENARIO, FILE, ATTACKER].into_iter().filter(|c| index(c).is_none()).map(String::from);
            return Err(DatasetError::MissingColumns {
                file: name.to_owned(),
                missing: missing.collect(),
                found: header.iter().map(String::from).collect(),
            });
        };
        let mut entries = Vec::new();
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |at: usize| record.get(at).unwrap_or_default();
            let fault =
                |column, problem| DatasetError::Manifest { file: name.to_owned(), line, column, problem };
            let address = |column, at: Option<usize>| match at.map(cell).unwrap_or_default() {
                "" => Ok(None),
                text => text
                    .parse()
                    .map(Some)
                    .map_err(|_| fault(column, format!("{text:?} is not an IP address"))),
            };
            // A cell may list several attackers, separated by spaces or semicolons.
            let named = cell(attacker).split([' ', ';']).filter(|text| !text.is_empty());
            let parsed = named.map(|text| {
                text.parse().map_err(|_| fault(ATTACKER, format!("{text:?} is not an IP address")))
            });
            let attackers: Vec<IpAddr> = parsed.collect::<Result<_, _>>()?;
            if attackers.len() > MAX_ATTACKERS {
                let problem = format!("{} attackers; at most {MAX_ATTACKERS} are supported", attackers.len());
                return Err(fault(ATTACKER, problem));
            }
            let honest_ports = match index(HONEST_PORTS).map(cell).unwrap_or_default() {
                "" => None,
                text => Some(ports(text).ok_or_else(|| {
                    fault(HONEST_PORTS, format!("{text:?} is not a range of ports such as 20000-29999"))
                })?),
            };
            let attacker = match attackers.as_slice() {
                [] => Attacker::Nobody,
                [one] if honest_ports.is_none() => Attacker::One(*one),
                all => {
                    let mut hosts = [None; MAX_ATTACKERS];
                    hosts.iter_mut().zip(all).for_each(|(slot, host)| *slot = Some(*host));
                    Attacker::Several(Attackers { hosts, benign_ports: honest_ports })
                }
            };
            for (column, at) in [(SCENARIO, scenario), (FILE, file)] {
                if cell(at).is_empty() {
                    return Err(fault(column, "is empty; every capture needs a scenario and a file".into()));
                }
            }
            let seconds = |column| index(column).and_then(|at| cell(at).parse::<f64>().ok());
            entries.push(ManifestEntry {
                scenario: cell(scenario).to_owned(),
                file: cell(file).to_owned(),
                attacker,
                broker: address(BROKER, index(BROKER))?,
                span: seconds(BEGIN).zip(seconds(END)),
                line,
            });
        }
        if entries.is_empty() {
            let reason = "the manifest names no capture".into();
            return Err(DatasetError::NoRows { file: name.to_owned(), reason });
        }
        Ok(Manifest { recording: recording.to_owned(), entries })
    }
}

/// The error of an entry whose capture does not exist.
pub(super) fn missing_file(manifest: &str, entry: &ManifestEntry) -> DatasetError {
    DatasetError::Manifest {
        file: manifest.to_owned(),
        line: entry.line,
        column: FILE,
        problem: format!("{} is missing from the manifest's folder", entry.file),
    }
}

/// Parses an inclusive range such as `20000-29999`.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> (IpAddr, u16) {
        (host.parse().unwrap(), port)
    }

    #[test]
    fn honest_ports_of_an_attacker_are_benign() {
        let text = "scenario,file,attacker,honest_ports\nsparta,a.pcap,10.0.0.7,20000-29999\nsparta,b.pcap,10.0.0.8,\n";
        let manifest = Manifest::parse("r", "m.csv", text).unwrap();
        let label = |port, to| {
            manifest.entries[0].attacker.label(endpoint("10.0.0.7", port), endpoint("10.0.0.1", to))
        };
        assert_eq!(
            [label(40_000, 22), label(20_000, 1_883), label(29_999, 1_883)],
            [Some(true), Some(false), Some(false)]
        );
        // The port of another host does not count.
        assert_eq!(label(40_000, 25_000), Some(true));
        assert_eq!(manifest.entries[1].attacker, Attacker::One("10.0.0.8".parse().unwrap()));
        let message =
            Manifest::parse("r", "m.csv", &text.replace("20000-", "30000-")).unwrap_err().to_string();
        assert!(
            message.starts_with("m.csv, line 2, column honest_ports: \"30000-29999\" is not a range"),
            "{message}"
        );
    }

    #[test]
    fn columns_in_any_order_and_an_empty_attacker() {
        let text = "file,scenario,attacker\nnormal.pcap,normal,\nflood.pcap,flood,10.0.0.9\n";
        let manifest = Manifest::parse("run-9", "manifest.csv", text).unwrap();
        assert_eq!(manifest.entries[0].attacker, Attacker::Nobody);
        assert_eq!(manifest.entries[1].attacker, Attacker::One("10.0.0.9".parse().unwrap()));
    }

    #[test]
    fn several_attackers_in_one_cell() {
        let text = "scenario,file,attacker\nsparta,a.pcap,10.0.0.7 10.0.0.8;fd00::9\n";
        let manifest = Manifest::parse("r", "m.csv", text).unwrap();
        let attacker = manifest.entries[0].attacker;
        let attacks = |src: &str| attacker.label(endpoint(src, 50_000), endpoint("10.0.0.1", 1_883));
        assert_eq!(["10.0.0.7", "10.0.0.8", "10.0.0.9"].map(attacks), [Some(true), Some(true), Some(false)]);
        assert_eq!(attacker.label(endpoint("fd00::1", 22), endpoint("fd00::9", 40_000)), Some(true));
        let many = ["10.0.0.7"; MAX_ATTACKERS + 1].join(" ");
        let text = format!("scenario,file,attacker\nsparta,a.pcap,{many}\n");
        let message = Manifest::parse("r", "m.csv", &text).unwrap_err().to_string();
        assert!(message.starts_with("m.csv, line 2, column attacker: 9 attackers; at most 8"), "{message}");
    }

    #[test]
    fn errors_name_line_and_column() {
        let text = "scenario,file,attacker\nnormal,a.pcap,\nflood,b.pcap,bob\n";
        let message = Manifest::parse("r", "m.csv", text).unwrap_err().to_string();
        assert_eq!(message, "m.csv, line 3, column attacker: \"bob\" is not an IP address");
        let message = Manifest::parse("r", "m.csv", "scenario,file\n").unwrap_err().to_string();
        assert_eq!(message, "m.csv: the header lacks attacker; it has scenario, file; add what is missing");
    }
}
