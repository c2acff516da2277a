//! Figures per flow, as tables on the terminal and as sections of the report.

mod page;
mod tables;

use citronella_learn::flows::{Baseline, ClassifiedFlows, Figures};
use serde::Serialize;

pub(crate) use page::{report, sections};
pub(crate) use tables::{print, print_table, short};

/// Figures of a recording.
#[derive(Serialize)]
pub(crate) struct RecordingFigures {
    pub(crate) recording: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// Figures of a baseline.
#[derive(Serialize)]
pub(crate) struct BaselineFigures {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

impl BaselineFigures {
    pub(crate) fn of(classified: &ClassifiedFlows, baseline: &Baseline) -> BaselineFigures {
        BaselineFigures {
            name: baseline.name.clone(),
            figures: Figures::of(&classified.classes, &classified.captures, &baseline.flows),
        }
    }
}

/// Figures of each recording, in the order of the captures.
pub(crate) fn by_recording(classified: &ClassifiedFlows) -> Vec<RecordingFigures> {
    let mut names: Vec<&str> = classified.captures.iter().map(|capture| capture.recording.as_str()).collect();
    names.dedup();
    let one = |name: &str| {
        let part = classified.filter(|capture| capture.recording == name);
        RecordingFigures {
            recording: name.to_owned(),
            figures: Figures::of(&part.classes, &part.captures, &part.flows),
        }
    };
    names.into_iter().map(one).collect()
}
