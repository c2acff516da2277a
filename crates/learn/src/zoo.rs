//! The models by name: what each reads, how it is built and trained.
//!
//! In: a name. Out: a [`Preset`] of the paper's LSTM, complete but for the data; or one of the literature's other
//! models, a [`Method`] that is fitted on training rows and then asked for scores.

mod bayes;
mod boosted;
mod lbfgs;
mod linear;
mod method;
mod neighbours;
mod network;
mod paper;
mod scale;
mod svm;
mod tabular;
mod tree;

pub use bayes::GaussianNaiveBayes;
pub use boosted::BoostedTrees;
pub use linear::{LinearSvm, LogisticRegression};
pub(crate) use method::encoder;
pub use method::{Classifier, Fitted, Method, ZooError, method, methods};
pub use neighbours::NearestNeighbours;
pub use network::{DeepNetwork, StackedLstm};
pub use svm::RbfSvm;
pub use tabular::{distinct_rows, tabular_steps};
pub(crate) use tree::BinnedTree;
pub use tree::{DecisionTree, RandomForest};

use citronella_sensor::feature::schema::{Level, Role};

use crate::{
    dataset::LabelRule,
    prepare::{Step, Transform},
};

/// How a model is made: rows, columns, split, network, training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What a row stands for.
    pub level: Level,
    /// Where a row's class comes from.
    pub labels: LabelRule,
    /// Two classes (`normal`, `attack`) instead of one a scenario.
    pub binary: bool,
    /// Rows taken of each file.
    pub rows_per_file: Option<u64>,
    /// Columns that are left out; the label always is.
    pub dropped: &'static [&'static str],
    /// Columns that become an input for each value. Times become whole seconds in 0..1; all else is standardised.
    pub one_hot: &'static [&'static str],
    /// Percent of the rows that are the test.
    pub test_percent: u32,
    /// Percent of the other rows that are the validation.
    pub validation_percent: u32,
    /// SMOTE's neighbours; no SMOTE without.
    pub smote_neighbours: Option<usize>,
    /// Units of each LSTM layer.
    pub lstm: &'static [usize],
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows a training step.
    pub batch: usize,
    /// Adam's learning rate, in millionths.
    pub learning_rate_millionths: u32,
}

impl Preset {
    /// All presets.
    pub const ALL: [&'static Preset; 4] =
        [&paper::BINARY, &paper::MULTICLASS, &paper::BINARY_NO_TIME, &paper::MULTICLASS_NO_TIME];

    /// The preset of a name.
    pub fn by_name(name: &str) -> Option<&'static Preset> {
        Preset::ALL.into_iter().find(|preset| preset.name == name)
    }

    /// The names of all presets.
    pub fn names() -> Vec<&'static str> {
        Preset::ALL.iter().map(|preset| preset.name).collect()
    }

    /// What becomes of each column that the model reads, in the schema's order.
    pub fn steps(&self) -> Vec<Step> {
        let read =
            self.level.columns().iter().filter(|c| c.role != Role::Label && !self.dropped.contains(&c.name));
        read.map(|c| Step {
            column: c.name.to_owned(),
            transform: match c.role {
                Role::Time => Transform::MinMaxSeconds,
                _ if self.one_hot.contains(&c.name) => Transform::OneHot,
                _ => Transform::Standardise,
            },
        })
        .collect()
    }

    /// Columns that must not be empty in a row: all but the label.
    pub fn required(&self) -> Vec<String> {
        let all = self.level.columns().iter();
        all.filter(|c| c.role != Role::Label).map(|c| c.name.to_owned()).collect()
    }

    /// Columns that the model reads though they say who or when, not what: a report has to name them.
    pub fn identity_and_time_columns(&self) -> Vec<&'static str> {
        let all = self.level.columns().iter().filter(|c| matches!(c.role, Role::Identity | Role::Time));
        all.map(|c| c.name).filter(|name| !self.dropped.contains(name)).collect()
    }

    /// Adam's learning rate.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate_millionths as f32 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_reads_25_columns_and_the_timestamp_first() {
        let preset = Preset::by_name("paper-multiclass").unwrap();
        assert_eq!(preset.steps().len(), 25);
        assert_eq!(preset.steps()[0].transform, Transform::MinMaxSeconds);
        assert_eq!(preset.identity_and_time_columns(), ["timestamp", "dst_port"]);
        assert_eq!(preset.required().len(), 30);
        let without = Preset::by_name("paper-multiclass-no-time").unwrap();
        assert_eq!(without.steps().len(), 24);
        assert!(without.steps().iter().all(|step| step.column != "timestamp"));
    }
}
