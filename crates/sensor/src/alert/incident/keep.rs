//! What of incidents outlives the program.

use serde::{Deserialize, Serialize};

use super::{Counters, Incident, Incidents};

/// Open incidents and counters, as they are kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    classes: Vec<String>,
    clock: (u64, Option<i64>),
    open: Vec<Incident>,
    counters: Counters,
}

impl Incidents {
    /// What is to be kept.
    pub fn keep(&self) -> Kept {
        Kept {
            classes: self.classes.clone(),
            clock: self.clock.snapshot(),
            open: self.book.all_open().cloned().collect(),
            counters: self.counters,
        }
    }

    /// Takes up what was kept. Incidents are left out where the model has other classes now; `false` then.
    pub fn take_up(&mut self, kept: Kept) -> bool {
        self.counters = kept.counters;
        if kept.classes != self.classes {
            return false;
        }
        self.clock = crate::flow::clock::Clock::restore(kept.clock);
        kept.open.into_iter().for_each(|incident| self.book.restore(incident));
        true
    }
}
