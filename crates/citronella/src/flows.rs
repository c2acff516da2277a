//! A detector judged flow by flow, for people: tables on the terminal and sections of the report.

mod page;
mod tables;

use citronella_learn::flows::{Baseline, Figures, Judged};
use serde::Serialize;

pub(crate) use page::{report, sections};
pub(crate) use tables::{print, print_table, short};

/// A recording's figures.
#[derive(Serialize)]
pub(crate) struct Recording {
    pub(crate) recording: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// A rule or classifier beside the model.
#[derive(Serialize)]
pub(crate) struct Beside {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

impl Beside {
    pub(crate) fn of(judged: &Judged, baseline: &Baseline) -> Beside {
        Beside {
            name: baseline.name.clone(),
            figures: Figures::of(&judged.classes, &judged.captures, &baseline.flows),
        }
    }
}

/// The recordings in the order in which they were given.
pub(crate) fn by_recording(judged: &Judged) -> Vec<Recording> {
    let mut names: Vec<&str> = judged.captures.iter().map(|capture| capture.recording.as_str()).collect();
    names.dedup();
    let one = |name: &str| {
        let part = judged.part(|capture| capture.recording == name);
        Recording {
            recording: name.to_owned(),
            figures: Figures::of(&part.classes, &part.captures, &part.flows),
        }
    };
    names.into_iter().map(one).collect()
}
