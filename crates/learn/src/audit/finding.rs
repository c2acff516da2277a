//! Findings, and the thresholds from which there is one.

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A score on this data says nothing about detection.
    Fatal,
    /// A score on this data needs this caveat.
    Warning,
    /// For information.
    Note,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Fatal => "fatal",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// The check that made it, such as `time`.
    pub check: &'static str,
    /// The column concerned.
    pub column: Option<String>,
    /// The figure it rests on, 0 to 1.
    pub figure: f64,
    /// What was found, and what it means.
    pub text: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

/// Skill of a time, an address, a port or the link layer alone from which a finding is fatal.
pub(super) const FATAL: f64 = 0.9;
/// The same, for a warning.
pub(super) const WARNING: f64 = 0.5;
/// The same, for a note.
pub(super) const NOTE: f64 = 0.2;
/// Skill from which a feature is the label under another name.
pub(super) const LABEL: f64 = 0.999;
/// Share of test rows in training, and skill of a look-up table, from which duplicates are fatal.
pub(super) const TABLE: f64 = 0.9;
/// Fall of the skill from the random split to unseen recordings that is fatal.
pub(super) const FALL: f64 = 0.3;
/// The same, for a warning.
pub(super) const SMALL_FALL: f64 = 0.1;
/// Skill at recognising captures by their benign rows that is fatal with labels by file.
pub(super) const CAPTURE: f64 = 0.8;
/// Share of benign rows among those labelled as an attack that is fatal.
pub(super) const MISLABELLED: f64 = 0.2;
/// Share of rows with an equal row of another class, for a warning.
pub(super) const CONFLICTS: f64 = 0.01;

/// `0.9534` as `95.3 %`. What is less than 1 never rounds to 100 %, what is more than 0 never to 0 %.
pub(super) fn percent(share: f64) -> String {
    match share {
        share if share < 1.0 && share > 0.9995 => "> 99.9 %".to_owned(),
        share if share > 0.0 && share < 0.0005 => "< 0.1 %".to_owned(),
        share => format!("{:.1} %", share * 100.0),
    }
}

/// The severity of a skill that a time, an address, a port or the link layer has alone.
pub(super) fn by_skill(skill: f64) -> Option<Severity> {
    match skill {
        skill if skill >= FATAL => Some(Severity::Fatal),
        skill if skill >= WARNING => Some(Severity::Warning),
        skill if skill >= NOTE => Some(Severity::Note),
        _ => None,
    }
}
