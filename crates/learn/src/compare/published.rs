//! Figures from the literature, shown only with results on the same data.

use citronella_sensor::feature::schema::Level;
use serde::{Deserialize, Serialize};

use super::{Protocol, Task};
use crate::dataset::{NSL_KDD_TEST, NSL_KDD_TRAIN, Table};

/// A published figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The publication.
    pub source: String,
    /// Accuracy.
    pub accuracy: f64,
    /// Precision, recall and F1 as printed; the papers do not always name the average over classes.
    pub precision_recall_f1: Option<[f64; 3]>,
}

/// Khan et al. 2021: model, then packet binary and multi-class, biflow, uniflow; accuracy, precision, recall, F1 in percent.
const KHAN: [(&str, [[f64; 4]; 6]); 5] = [
    (
        "dnn",
        [
            [94.94, 93.85, 86.82, 90.19],
            [90.80, 89.41, 81.64, 85.35],
            [99.75, 99.88, 88.70, 93.96],
            [98.13, 95.11, 86.72, 90.72],
            [99.14, 98.40, 98.98, 98.69],
            [97.08, 94.76, 86.44, 90.61],
        ],
    ),
    (
        "decision-tree",
        [
            [90.97, 91.21, 89.11, 90.15],
            [90.54, 89.83, 79.20, 84.18],
            [98.70, 99.47, 84.38, 91.30],
            [97.04, 95.48, 81.00, 87.64],
            [99.11, 99.35, 97.93, 98.63],
            [96.17, 96.14, 75.90, 84.83],
        ],
    ),
    (
        "random-forest",
        [
            [89.99, 90.35, 88.98, 89.66],
            [89.87, 88.99, 81.33, 84.99],
            [99.54, 99.63, 84.12, 91.22],
            [97.98, 96.39, 84.37, 89.98],
            [99.06, 99.11, 98.00, 98.55],
            [95.30, 95.12, 74.00, 83.24],
        ],
    ),
    (
        "k-nn",
        [
            [83.98, 80.64, 78.65, 79.64],
            [81.33, 78.99, 77.99, 78.49],
            [99.00, 99.67, 81.99, 89.97],
            [96.98, 88.32, 82.33, 85.22],
            [99.13, 99.12, 98.02, 98.57],
            [96.99, 96.97, 76.11, 85.28],
        ],
    ),
    (
        "naive-bayes",
        [
            [49.78, 45.50, 50.00, 47.65],
            [48.79, 70.33, 49.16, 57.87],
            [94.19, 94.01, 80.69, 86.84],
            [91.19, 92.00, 79.38, 85.22],
            [90.07, 88.21, 70.00, 78.06],
            [70.77, 69.19, 70.99, 70.08],
        ],
    ),
];

/// Rows of each published file, attack + benign, by which the data set is recognised.
const PACKETS: [(&str, u64); 3] =
    [("scan_A", 40_624 + 70_768), ("scan_sU", 22_436 + 210_819), ("mqtt_bruteforce", 10_013_142 + 32_164)];
const UNIFLOWS: [(&str, u64); 5] = [
    ("normal", 171_836),
    ("scan_A", 39_797 + 11_561),
    ("scan_sU", 22_436 + 34_409),
    ("sparta", 28_232 + 154_175),
    ("mqtt_bruteforce", 28_874 + 4_205),
];
const BIFLOWS: [(&str, u64); 5] = [
    ("normal", 86_008),
    ("scan_A", 19_907 + 5_786),
    ("scan_sU", 22_434 + 17_230),
    ("sparta", 14_116 + 77_202),
    ("mqtt_bruteforce", 14_544 + 2_152),
];
const NSL_KDD_ROWS: [(&str, u64); 2] = [(NSL_KDD_TRAIN, 125_973), (NSL_KDD_TEST, 22_544)];

/// Whether the table is the published data set, by the number of rows of each file.
fn is_published(table: &Table) -> bool {
    let by_scenario =
        |name: &str| table.sources().iter().filter(|s| s.scenario == name).map(|s| s.rows).sum::<u64>();
    let by_recording =
        |name: &str| table.sources().iter().filter(|s| s.recording == name).map(|s| s.rows).sum::<u64>();
    match table.level() {
        Level::Packet => PACKETS.iter().all(|(name, rows)| by_scenario(name) == *rows),
        Level::Uniflow | Level::UniflowExtended => {
            UNIFLOWS.iter().all(|(name, rows)| by_scenario(name) == *rows)
        }
        Level::Biflow | Level::BiflowExtended => {
            BIFLOWS.iter().all(|(name, rows)| by_scenario(name) == *rows)
        }
        Level::NslKdd => NSL_KDD_ROWS.iter().all(|(name, rows)| by_recording(name) == *rows),
        Level::Sequence => false,
    }
}

/// The published figures of a model on exactly this data.
pub(super) fn reference(table: &Table, model: &str, task: Task, protocol: Protocol) -> Option<Reference> {
    if !protocol.is_published() || !is_published(table) {
        return None;
    }
    let level = match table.level() {
        Level::Packet => 0,
        Level::Biflow | Level::BiflowExtended => 1,
        Level::Uniflow | Level::UniflowExtended => 2,
        Level::NslKdd if model == "stacked-lstm" => {
            let accuracy = if task == Task::Binary { 0.95 } else { 0.96 };
            return Some(Reference {
                source: "Bashar et al. 2022".into(),
                accuracy,
                precision_recall_f1: None,
            });
        }
        _ => return None,
    };
    let (_, figures) = KHAN.iter().find(|(name, _)| *name == model)?;
    let [accuracy, rest @ ..] =
        figures.get(2 * level + usize::from(task == Task::MultiClass))?.map(|p| p / 100.0);
    Some(Reference { source: "Khan et al. 2021".into(), accuracy, precision_recall_f1: Some(rest) })
}
