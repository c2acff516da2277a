//! The models by name: their sources, levels and tasks.

use citronella_sensor::feature::schema::Level;

use super::Task;

/// A model as the comparison knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name: that of the [`Method`](crate::zoo::Method) of a classical model, or of the LSTM paper's preset.
    pub name: &'static str,
    /// Its publication.
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
const BASELINE: &str = "baseline";

const fn of(
    name: &'static str,
    source: &'static str,
    kind: Kind,
    tasks: &'static [Task],
    levels: &'static [Level],
) -> Model {
    Model { name, source, kind, tasks, levels }
}

/// All models, in the order of the tables.
pub const MODELS: [Model; 19] = [
    of("majority", BASELINE, Kind::Majority, BOTH, ALL),
    of("one-rule", BASELINE, Kind::OneRule, BOTH, ALL),
    of("timestamp-only", BASELINE, Kind::Timestamp, BOTH, &[Level::Packet]),
    of("port-only", BASELINE, Kind::Port, BOTH, FLOWS),
    of("logistic-regression", HINDY, Kind::Classical, MULTI, ALL),
    of("naive-bayes", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("k-nn", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("decision-tree", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("random-forest", HINDY_KHAN, Kind::Classical, BOTH, ALL),
    of("svm-linear", HINDY, Kind::Classical, MULTI, ALL),
    of("svm-rbf", HINDY, Kind::Classical, MULTI, ALL),
    of("dnn", "Khan et al. 2021", Kind::Classical, BOTH, ALL),
    of("stacked-lstm", "Bashar et al. 2022", Kind::Classical, BOTH, &[Level::NslKdd]),
    of("boosted-trees", "current tabular baseline", Kind::Classical, BOTH, ALL),
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

    /// Whether it runs at a level for a task.
    pub fn runs(&self, level: Level, task: Task) -> bool {
        self.levels.contains(&level) && self.tasks.contains(&task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{Preset, methods};

    #[test]
    fn every_name_has_a_method_or_preset_and_every_method_a_name() {
        let classical: Vec<_> = MODELS.iter().filter(|m| m.kind == Kind::Classical).map(|m| m.name).collect();
        let methods = methods(1);
        assert_eq!(classical.len(), methods.len());
        assert!(methods.iter().all(|method| classical.contains(&method.name())));
        let papers: Vec<_> = MODELS.iter().filter(|m| m.kind == Kind::Paper).map(|m| m.name).collect();
        assert!(papers.iter().all(|name| Preset::by_name(name).is_some()));
    }
}
