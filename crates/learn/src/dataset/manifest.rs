//! A recording: `manifest.csv` with a line for each of its captures, which lie beside it.

use std::{net::IpAddr, path::Path};

use citronella_sensor::feature::packet::{Attacker, MOST_ATTACKERS};

use super::DatasetError;

const SCENARIO: &str = "scenario";
const FILE: &str = "file";
const ATTACKER: &str = "attacker";
const BROKER: &str = "broker";
const BEGIN: &str = "begin";
const END: &str = "end";

/// One capture of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestEntry {
    /// What went on: `normal` or an attack's name.
    pub scenario: String,
    /// The capture's file name, relative to the manifest.
    pub file: String,
    /// Who attacked, the first of several; nobody where the cell is empty.
    pub attacker: Option<IpAddr>,
    /// Who else attacked.
    pub more_attackers: Vec<IpAddr>,
    /// The broker's address, where it is given.
    pub broker: Option<IpAddr>,
    /// Begin and end in epoch seconds, where both are given.
    pub span: Option<(f64, f64)>,
    /// The entry's line in the manifest, from 1.
    pub line: u64,
}

impl ManifestEntry {
    /// The attacker as the packet level takes it.
    pub fn attacker(&self) -> Attacker {
        let Some(first) = self.attacker else { return Attacker::Nobody };
        if self.more_attackers.is_empty() {
            return Attacker::Is(first);
        }
        let mut all = [None; MOST_ATTACKERS];
        all.iter_mut().zip(self.attackers()).for_each(|(place, attacker)| *place = Some(attacker));
        Attacker::OneOf(all)
    }

    /// All who attacked.
    pub fn attackers(&self) -> impl Iterator<Item = IpAddr> {
        self.attacker.into_iter().chain(self.more_attackers.iter().copied())
    }
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
    /// Whether a CSV header is a manifest's.
    pub(crate) fn is_header(line: &str) -> bool {
        let names: Vec<&str> = line.trim_start_matches('\u{feff}').trim().split(',').map(str::trim).collect();
        names.contains(&SCENARIO) && names.contains(&FILE)
    }

    /// Reads a manifest; the recording is called after the folder it lies in.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, or a line of it contradicts the format.
    pub fn open(path: &Path) -> Result<Manifest, DatasetError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| DatasetError::Read { file, source })?;
        let folder = path
            .canonicalize()
            .ok()
            .and_then(|p| Some(p.parent()?.file_name()?.to_string_lossy().into_owned()));
        Manifest::parse(&folder.unwrap_or_else(|| "recording".into()), &path.display().to_string(), &text)
    }

    /// Reads a manifest's text; `name` stands for it in errors.
    ///
    /// # Errors
    /// A column is missing, or a line contradicts the format.
    pub fn parse(recording: &str, name: &str, text: &str) -> Result<Manifest, DatasetError> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let wrong = |source| DatasetError::Csv { file: name.to_owned(), source };
        let header = reader.headers().map_err(wrong)?.clone();
        let place = |column| header.iter().position(|h| h == column);
        let (Some(scenario), Some(file), Some(attacker)) = (place(SCENARIO), place(FILE), place(ATTACKER))
        else {
            let missing =
                [SCENARIO, FILE, ATTACKER].into_iter().filter(|c| place(c).is_none()).map(String::from);
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
            // Several attackers stand in one cell, with spaces or semicolons between them.
            let named = cell(attacker).split([' ', ';']).filter(|text| !text.is_empty());
            let parsed = named.map(|text| {
                text.parse().map_err(|_| fault(ATTACKER, format!("{text:?} is not an IP address")))
            });
            let mut attackers: Vec<IpAddr> = parsed.collect::<Result<_, _>>()?;
            if attackers.len() > MOST_ATTACKERS {
                let problem =
                    format!("{} attackers; at most {MOST_ATTACKERS} are told apart", attackers.len());
                return Err(fault(ATTACKER, problem));
            }
            let more_attackers = attackers.split_off(attackers.len().min(1));
            for (column, at) in [(SCENARIO, scenario), (FILE, file)] {
                if cell(at).is_empty() {
                    return Err(fault(column, "is empty; every capture needs a scenario and a file".into()));
                }
            }
            let seconds = |column| place(column).and_then(|at| cell(at).parse::<f64>().ok());
            entries.push(ManifestEntry {
                scenario: cell(scenario).to_owned(),
                file: cell(file).to_owned(),
                attacker: attackers.pop(),
                more_attackers,
                broker: address(BROKER, place(BROKER))?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_any_order_and_an_empty_attacker() {
        let text = "file,scenario,attacker\nnormal.pcap,normal,\nflood.pcap,flood,10.0.0.9\n";
        let manifest = Manifest::parse("run-9", "manifest.csv", text).unwrap();
        assert_eq!(manifest.entries[0].attacker(), Attacker::Nobody);
        assert_eq!(manifest.entries[1].attacker(), Attacker::Is("10.0.0.9".parse().unwrap()));
    }

    #[test]
    fn several_attackers_in_one_cell() {
        let text = "scenario,file,attacker\nsparta,a.pcap,10.0.0.7 10.0.0.8;fd00::9\n";
        let manifest = Manifest::parse("r", "m.csv", text).unwrap();
        let attacker = manifest.entries[0].attacker();
        let attacks = |src: &str| attacker.label(src.parse().unwrap(), "10.0.0.1".parse().unwrap());
        assert_eq!(["10.0.0.7", "10.0.0.8", "10.0.0.9"].map(attacks), [Some(true), Some(true), Some(false)]);
        assert_eq!(attacker.label("fd00::1".parse().unwrap(), "fd00::9".parse().unwrap()), Some(true));
        let many = ["10.0.0.7"; MOST_ATTACKERS + 1].join(" ");
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
