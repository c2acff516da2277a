//! The models by name: whose they are, and where they run.

use citronella_sensor::feature::schema::Level;

use super::Task;

/// A model as the comparison knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name; of a classical model the name of its [`Method`](crate::zoo::Method), of the LSTM paper's models the
    /// preset's.
    pub name: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    pub(super) kind: Kind,
    tasks: &'static [Task],
    levels: &'static [Level],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Classical,
    Majority,
    OneRule,
    Timestamp,
    Port,
    Paper,
    Sequence,
}

const BOTH: &[Task] = &[Task::Binary, Task::MultiClass];
const BINARY: &[Task] = &[Task::Binary];
const MULTI: &[Task] = &[Task::MultiClass];
const FLOWS: &[Level] = &[Level::Packet, Level::Uniflow, Level::Biflow];
const ALL: &[Level] = &[Level::Packet, Level::Uniflow, Level::Biflow, Level::NslKdd];
const HINDY: &str = "Hindy et al. 2020";
const HINDY_KHAN: &str = "Hindy et al. 2020, Khan et al. 2021";
const PAPER: &str = "Dand & Karimipour";
const RULE: &str = "a rule that any model must beat";

const fn of(
    name: &'static str,
    source: &'static str,
    kind: Kind,
    tasks: &'static [Task],
    levels: &'static [Level],
) -> Model {
    Model { name, source, kind, tasks, levels }
}

/// All models, in the tables' order.
pub const MODELS: [Model; 19] = [
    of("majority", RULE, Kind::Majority, BOTH, ALL),
    of("one-rule", RULE, Kind::OneRule, BOTH, ALL),
    of("timestamp-only", RULE, Kind::Timestamp, BOTH, &[Level::Packet]),
    of("port-only", RULE, Kind::Port, BOTH, FLOWS),
    of("logistic-regression", HINDY, Kind::Classical, MULTI, ALL),
    of("naive-bayes", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("k-nn", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("decision-tree", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("random-forest", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("svm-linear", HINDY, Kind::Classical, MULTI, ALL),
    of("svm-rbf", HINDY, Kind::Classical, MULTI, ALL),
    of("dnn", "Khan et al. 2021", Kind::Classical, BOTH, ALL),
    of("stacked-lstm", "Bashar et al. 2022", Kind::Classical, BOTH, &[Level::NslKdd]),
    of("boosted-trees", "today's tabular baseline", Kind::Classical, BOTH, ALL),
    of("paper-binary", PAPER, Kind::Paper, BINARY, &[Level::Packet]),
    of("paper-binary-no-time", PAPER, Kind::Paper, BINARY, &[Level::Packet]),
    of("paper-multiclass", PAPER, Kind::Paper, MULTI, &[Level::Packet]),
    of("paper-multiclass-no-time", PAPER, Kind::Paper, MULTI, &[Level::Packet]),
    of("sequence", "Citronella's detector", Kind::Sequence, BOTH, &[Level::Sequence]),
];

impl Model {
    /// The model of a name.
    pub fn by_name(name: &str) -> Option<Model> {
        MODELS.into_iter().find(|model| model.name == name)
    }

    /// Whether it runs on rows of a level for a task.
    pub fn runs(&self, level: Level, task: Task) -> bool {
        self.levels.contains(&level) && self.tasks.contains(&task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{Preset, methods};

    #[test]
    fn every_name_stands_for_something_and_nothing_is_left_out() {
        let classical: Vec<_> = MODELS.iter().filter(|m| m.kind == Kind::Classical).map(|m| m.name).collect();
        let methods = methods(1);
        assert_eq!(classical.len(), methods.len());
        assert!(methods.iter().all(|method| classical.contains(&method.name())));
        let papers: Vec<_> = MODELS.iter().filter(|m| m.kind == Kind::Paper).map(|m| m.name).collect();
        assert!(papers.iter().all(|name| Preset::by_name(name).is_some()));
    }
}
