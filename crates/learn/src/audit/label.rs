//! The class of a row of a file, and its cells.

use std::path::Path;

use super::{
    AuditError, ReadOptions,
    role::{Role, may_be_label, role_of},
    rows::{Cell, Sampler},
};
use crate::dataset::{LabelRule, NORMAL, class_of_file_name, parse_timestamp};

/// The names of MQTT-IoT-IDS2020's label and of the scenario that `extract` writes.
const IS_ATTACK: &str = "is_attack";
const SCENARIO: &str = "scenario";

/// What is read of a file by its header.
pub(super) struct Plan {
    pub(super) labeller: Labeller,
    /// Columns to be kept: place, role, name.
    pub(super) columns: Vec<(usize, Role, String)>,
    /// Places of columns without which a row is left out.
    pub(super) required: Vec<usize>,
}

impl Plan {
    pub(super) fn new(path: &Path, header: &[String], options: &ReadOptions) -> Result<Plan, AuditError> {
        let labeller = Labeller::new(path, header, options)?;
        let named = labeller.columns().map(|at| (at, header.get(at).cloned().unwrap_or_default()));
        let columns = named.map(|(at, name)| (at, role_of(&name), name)).collect();
        let place = |name: &String| header.iter().position(|column| column == name);
        let required = options.required.iter().filter_map(place).collect();
        Ok(Plan { labeller, columns, required })
    }

    /// Names and roles of the columns.
    pub(super) fn names(self) -> Vec<(String, Role)> {
        self.columns.into_iter().map(|(_, role, name)| (name, role)).collect()
    }
}

/// Says which class a row is.
pub(super) struct Labeller {
    rule: Rule,
    /// Columns that are no label.
    columns: Vec<usize>,
}

enum Rule {
    /// A column names it.
    Column(usize),
    /// `is_attack`, and the scenario by a column or the file's name.
    Attack { is_attack: usize, scenario: Option<usize>, file: Option<&'static str>, labels: LabelRule },
}

impl Labeller {
    pub(super) fn new(path: &Path, header: &[String], options: &ReadOptions) -> Result<Labeller, AuditError> {
        let place = |name: &str| header.iter().position(|column| column == name);
        let no_label = |problem: String| AuditError::NoLabel {
            file: path.display().to_string(),
            problem,
            columns: header.to_vec(),
        };
        let rule = match (&options.label, place(IS_ATTACK)) {
            (Some(label), _) => {
                Rule::Column(place(label).ok_or_else(|| no_label(format!("there is no column {label:?}")))?)
            }
            (None, Some(is_attack)) => {
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let (scenario, file) = (place(SCENARIO), class_of_file_name(&name));
                Rule::Attack { is_attack, scenario, file, labels: options.labels }
            }
            (None, None) => {
                let may_be: Vec<usize> = (0..header.len()).filter(|&at| may_be_label(&header[at])).collect();
                match may_be.as_slice() {
                    [one] => Rule::Column(*one),
                    [] => return Err(no_label("no column looks like a label".into())),
                    _ => return Err(no_label("several columns look like a label".into())),
                }
            }
        };
        let is_label = |at: usize| match rule {
            Rule::Column(label) => at == label,
            Rule::Attack { is_attack, scenario, .. } => at == is_attack || Some(at) == scenario,
        };
        Ok(Labeller { columns: (0..header.len()).filter(|&at| !is_label(at)).collect(), rule })
    }

    /// The columns that are no label.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().copied()
    }

    /// The columns that are.
    pub(super) fn labels(&self) -> impl Iterator<Item = usize> + use<> {
        match self.rule {
            Rule::Column(label) => [Some(label), None],
            Rule::Attack { is_attack, scenario, .. } => [Some(is_attack), scenario],
        }
        .into_iter()
        .flatten()
    }

    /// A row's class, and whether the attacker takes part; `None` where its label is empty.
    pub(super) fn class<'r>(&self, cell: impl Fn(usize) -> &'r str) -> Option<(String, Option<bool>)> {
        match self.rule {
            Rule::Column(at) => match cell(at) {
                "" => None,
                label => Some((label.to_owned(), None)),
            },
            Rule::Attack { is_attack, scenario, file, labels } => {
                let is_attack = match cell(is_attack) {
                    "" => None,
                    text => Some(text.parse::<f64>().is_ok_and(|number| number != 0.0)),
                };
                let named = scenario.map(&cell).filter(|name| !name.is_empty()).or(file);
                let class = match (labels, is_attack, named) {
                    (LabelRule::File, _, Some(name)) => name,
                    (_, Some(false), _) | (_, None, Some(NORMAL)) => NORMAL,
                    (_, Some(true), named) => named.unwrap_or("attack"),
                    (_, None, _) => return None,
                };
                Some((class.to_owned(), is_attack))
            }
        }
    }
}

/// A cell's value: a number, a time in microseconds, else a text.
pub(super) fn cell_of(cell: &str, role: Role, column: usize, sampler: &mut Sampler) -> Cell {
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return Cell::Empty;
    }
    if let Ok(number) = cell.parse::<f64>() {
        return Cell::Number(number);
    }
    match time(cell).filter(|_| role == Role::Time) {
        Some(micros) => Cell::Number(micros),
        None => sampler.text(column, cell),
    }
}

/// Microseconds since 1970 of a time as the common data sets write it.
fn time(cell: &str) -> Option<f64> {
    if let Some(micros) = parse_timestamp(cell.as_bytes()) {
        return Some(micros as f64);
    }
    if let Ok(time) = cell.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond() as f64);
    }
    let formats = ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S%.f"];
    let parsed = formats.iter().find_map(|format| jiff::civil::DateTime::strptime(format, cell).ok())?;
    Some(jiff::tz::Offset::UTC.to_timestamp(parsed).ok()?.as_microsecond() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_data_sets_write_them() {
        for text in
            ["2020-02-14 16:45:36", "14/02/2020 16:45:36", "2020-02-14T16:45:36Z", "14/02/2020 04:45:36 PM"]
        {
            assert_eq!(time(text), Some(1_581_698_736e6), "{text}");
        }
        assert_eq!(time("tcp"), None);
    }

    #[test]
    fn labels_by_column_by_attacker_and_by_file() {
        let header = ["ttl", "is_attack", "scenario"].map(str::to_owned);
        let class = |options: &ReadOptions, file: &str, cells: [&'static str; 3]| {
            let labeller = Labeller::new(Path::new(file), &header, options).unwrap();
            labeller.class(|at| cells[at]).map(|(class, _)| class)
        };
        let attacker = ReadOptions::default();
        let file = ReadOptions { labels: LabelRule::File, ..ReadOptions::default() };
        assert_eq!(class(&attacker, "flood.csv", ["1", "0", ""]).as_deref(), Some("normal"));
        assert_eq!(class(&attacker, "flood.csv", ["1", "1.0", ""]).as_deref(), Some("flood"));
        assert_eq!(class(&file, "flood.csv", ["1", "0", ""]).as_deref(), Some("flood"));
        assert_eq!(class(&attacker, "x.csv", ["1", "1", "slowite"]).as_deref(), Some("slowite"));
        assert_eq!(class(&attacker, "x.csv", ["1", "1", ""]).as_deref(), Some("attack"));
        assert_eq!(class(&attacker, "x.csv", ["1", "", ""]), None);
        let label = ReadOptions { label: Some("ttl".into()), ..ReadOptions::default() };
        assert_eq!(class(&label, "x.csv", ["7", "1", ""]).as_deref(), Some("7"));
        let options = ReadOptions { label: Some("colour".into()), ..ReadOptions::default() };
        assert!(Labeller::new(Path::new("x.csv"), &header, &options).is_err());
        assert!(Labeller::new(Path::new("x.csv"), &header[..1], &attacker).is_err());
    }
}
