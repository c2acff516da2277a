//! The models of the literature by name.
//!
//! In: a name. Out: a [`Preset`], the complete recipe of the LSTM paper's model; or a [`Method`] of another paper, which
//! is fitted on training rows and then scores rows.

mod bayes;
mod boosted;
mod lbfgs;
mod linear;
mod method;
mod neighbours;
mod network;
mod paper;
mod registry;
mod scale;
mod svm;
mod tabular;
mod tree;

pub use bayes::GaussianNaiveBayes;
pub use boosted::BoostedTrees;
pub use linear::{LinearSvm, LogisticRegression};
pub(crate) use method::encoder;
pub use method::{Classifier, Fitted, Method, ZooError};
pub use neighbours::NearestNeighbours;
pub use network::{DeepNetwork, StackedLstm};
pub use registry::{method, methods};
pub use svm::RbfSvm;
pub use tabular::{distinct_rows, tabular_steps};
pub(crate) use tree::BinnedTree;
pub use tree::{DecisionTree, RandomForest};

use citronella_sensor::feature::schema::{Level, Role};

use crate::{
    dataset::LabelRule,
    prepare::{Step, Transform},
};

/// The recipe of a model: rows, columns, split, network, training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// A one-line description.
    pub summary: &'static str,
    /// What a row stands for.
    pub level: Level,
    /// The source of a row's class.
    pub labels: LabelRule,
    /// Whether there are two classes, `normal` and `attack`, instead of one for each scenario.
    pub binary: bool,
    /// Rows used of each file.
    pub rows_per_file: Option<u64>,
    /// Columns that are left out, besides the label.
    pub dropped: &'static [&'static str],
    /// Columns that are one-hot encoded. Times are scaled to 0..1 in whole seconds, all others standardised.
    pub one_hot: &'static [&'static str],
    /// Percentage of the rows that is the test.
    pub test_percent: u32,
    /// Percentage of the other rows that is the validation.
    pub validation_percent: u32,
    /// Neighbours of SMOTE; `None` for no SMOTE.
    pub smote_neighbours: Option<usize>,
    /// Units of each LSTM layer.
    pub lstm: &'static [usize],
    /// Training epochs.
    pub epochs: usize,
    /// Rows of a training batch.
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

    /// The transformation of each input column, in the schema's order.
    pub fn steps(&self) -> Vec<Step> {
        let inputs =
            self.level.columns().iter().filter(|c| c.role != Role::Label && !self.dropped.contains(&c.name));
        inputs
            .map(|c| Step {
                column: c.name.to_owned(),
                transform: match c.role {
                    Role::Time => Transform::MinMaxSeconds,
                    _ if self.one_hot.contains(&c.name) => Transform::OneHot,
                    _ => Transform::Standardise,
                },
            })
            .collect()
    }

    /// Columns that must not be empty: all but the label.
    pub fn required(&self) -> Vec<String> {
        let all = self.level.columns().iter();
        all.filter(|c| c.role != Role::Label).map(|c| c.name.to_owned()).collect()
    }

    /// Input columns that identify endpoints or times, which a report must name.
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
