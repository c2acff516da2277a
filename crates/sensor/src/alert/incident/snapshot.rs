//! Snapshots of open incidents.

use serde::{Deserialize, Serialize};

use super::{Counters, Incident, IncidentTracker};
use crate::flow::clock::Clock;

/// Open incidents and counters, for a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    classes: Vec<String>,
    clock: (u64, Option<i64>),
    open: Vec<Incident>,
    counters: Counters,
}

impl IncidentTracker {
    /// The state to restore after a restart.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            classes: self.classes.clone(),
            clock: self.clock.snapshot(),
            open: self.table.all_open().cloned().collect(),
            counters: self.counters,
        }
    }

    /// Restores a snapshot. Returns `false`, and restores no incidents, if the model's classes differ.
    pub fn restore(&mut self, snapshot: Snapshot) -> bool {
        self.counters = snapshot.counters;
        if snapshot.classes != self.classes {
            return false;
        }
        self.clock = Clock::restore(snapshot.clock);
        snapshot.open.into_iter().for_each(|incident| self.table.restore(incident));
        true
    }
}
