//! What an audit finds, in plain words, and from where on it says so.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A score on this data says nothing about detection while this stands.
    Fatal,
    /// A score on this data needs this said beside it.
    Warning,
    /// Good to know.
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
    /// How bad it is.
    pub severity: Severity,
    /// The check that found it, such as `time`.
    pub check: &'static str,
    /// The column it is about.
    pub column: Option<String>,
    /// The figure it rests on, between 0 and 1.
    pub figure: f64,
    /// What was found, and what it means.
    pub text: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: String,
}

/// Skill of something that says when, who or where a row is, from which on scores mean nothing.
pub(super) const FATAL: f64 = 0.9;
/// The same, from which on it has to be said.
pub(super) const WARNING: f64 = 0.5;
/// The same, from which on it is noted.
pub(super) const NOTE: f64 = 0.2;
/// Skill of a single column that is the label in other words.
pub(super) const LABEL: f64 = 0.999;
/// Skill that a look-up table of the training rows may have before learning is not needed.
pub(super) const TABLE: f64 = 0.9;
/// Skill that the random split may promise more than an unseen recording keeps.
pub(super) const FALL: f64 = 0.3;
/// The same, from which on it has to be said.
pub(super) const SMALL_FALL: f64 = 0.1;
/// Skill at telling captures apart by their benign rows.
pub(super) const CAPTURE: f64 = 0.8;
/// Share of the rows called an attack that the attacker has no part in.
pub(super) const BYSTANDERS: f64 = 0.2;
/// Share of rows whose twins have another class.
pub(super) const CONTRADICTIONS: f64 = 0.01;

/// `0.9534` as `95.3 %`; what is not quite all or nothing never rounds to it.
pub(super) fn percent(share: f64) -> String {
    match share {
        share if share < 1.0 && share > 0.9995 => "> 99.9 %".to_owned(),
        share if share > 0.0 && share < 0.0005 => "< 0.1 %".to_owned(),
        share => format!("{:.1} %", share * 100.0),
    }
}

/// The severity of a skill by the thresholds of what says when, who or where.
pub(super) fn by_skill(skill: f64) -> Option<Severity> {
    match skill {
        skill if skill >= FATAL => Some(Severity::Fatal),
        skill if skill >= WARNING => Some(Severity::Warning),
        skill if skill >= NOTE => Some(Severity::Note),
        _ => None,
    }
}
