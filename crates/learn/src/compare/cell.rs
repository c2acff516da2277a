//! The cells of a comparison: one model on one level, task and protocol.

use citronella_sensor::feature::schema::Level;
use serde_json::json;

use super::{Model, Protocol, Task, registry::Kind};
use crate::{
    sequence,
    zoo::{Preset, method},
};

/// Options of a comparison.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folds of k-fold cross-validation.
    pub folds: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads; 0 takes all. Figures do not depend on them, times do.
    pub threads: usize,
    /// Training of the sequence detector.
    pub sequence: sequence::Options,
}

/// One model on one level, task and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The model.
    pub model: Model,
    /// What a row stands for.
    pub level: Level,
    /// The classes that are predicted.
    pub task: Task,
    /// How training and test are separated.
    pub protocol: Protocol,
}

impl Cell {
    /// Its name in progress and messages.
    pub fn name(&self) -> String {
        let (level, task) = (self.level.name(), self.task.name());
        format!("{} on {level}, {task}, {}", self.model.name, self.protocol.name())
    }

    /// A rough measure of its run time, for estimates of the time left.
    pub fn weight(&self, options: &Options) -> u64 {
        let fit = match self.model.kind {
            Kind::Sequence => 400,
            Kind::Paper => 40,
            Kind::Classical => match self.model.name {
                "boosted-trees" => 40,
                "k-nn" | "svm-rbf" | "stacked-lstm" => 15,
                _ => 6,
            },
            _ => 1,
        };
        let fits = match self.protocol {
            Protocol::Folds => options.folds.into(),
            Protocol::Recordings => 4,
            Protocol::Split | Protocol::Given => 1,
        };
        fit * fits
    }

    /// Everything that decides what training does.
    pub(super) fn parameters(&self, options: &Options) -> serde_json::Value {
        match self.model.kind {
        Kind::Classical => method(self.model.name, options.seed).map(|m| m.parameters()).unwrap_or_default(),
        Kind::Sequence => json!(options.sequence),
        Kind::Paper => Preset::by_name(self.model.name)
            .map(|p| json!({ "lstm": p.lstm, "epochs": p.epochs, "batch": p.batch, "smote_neighbours": p.smote_neighbours,
                "seed": options.seed, "reads": p.identity_and_time_columns() }))
            .unwrap_or_default(),
        Kind::Majority | Kind::OneRule | Kind::Timestamp | Kind::Port => json!({}),
    }
    }
}
