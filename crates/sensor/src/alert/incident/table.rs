//! The incident table: open incidents and candidates by initiator and class, each ordered by idle time.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hashbrown::HashMap;

use super::{Incident, Key};

type Random = foldhash::quality::RandomState;

/// Incidents and candidates.
pub(super) struct IncidentTable {
    by_initiator: HashMap<IpAddr, Vec<Incident>, Random>,
    /// By time of the latest finding: candidates, then open incidents.
    idle: [BTreeSet<(u64, Key)>; 2],
    /// Candidates by the time at which they are due to open.
    due: BTreeSet<(u64, Key)>,
    cap: usize,
}

impl IncidentTable {
    pub(super) fn new(cap: usize) -> IncidentTable {
        IncidentTable {
            by_initiator: HashMap::default(),
            idle: [BTreeSet::new(), BTreeSet::new()],
            due: BTreeSet::new(),
            cap: cap.max(1),
        }
    }

    pub(super) fn set_cap(&mut self, cap: usize) {
        self.cap = cap.max(1);
    }

    /// Number of open incidents.
    pub(super) fn open(&self) -> usize {
        self.idle[1].len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Incident> {
        self.by_initiator.get(&key.initiator)?.iter().find(|incident| incident.key == *key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Incident> {
        self.by_initiator.get_mut(&key.initiator)?.iter_mut().find(|incident| incident.key == *key)
    }

    /// The incident or candidate of a key; adds a candidate if there is none, which may evict another one.
    pub(super) fn entry(
        &mut self,
        key: Key,
        new: impl FnOnce() -> Incident,
        evicted: &mut Option<Incident>,
    ) -> &mut Incident {
        if self.get(&key).is_none() && self.idle[0].len() >= self.cap {
            *evicted = self.pop(0, |_| true);
        }
        let list = self.by_initiator.entry(key.initiator).or_default();
        let at = list.iter().position(|incident| incident.key == key).unwrap_or_else(|| {
            let incident = new();
            self.idle[0].insert((incident.touched, key));
            list.push(incident);
            list.len() - 1
        });
        // Found or pushed: `at` is a valid index.
        &mut list[at]
    }

    /// Marks the incident as active now.
    pub(super) fn touch(&mut self, key: Key, now: u64) {
        let Some(incident) = self.get_mut(&key) else { return };
        let (before, open) = (incident.listed, usize::from(incident.id > 0));
        incident.listed = now;
        self.idle[open].remove(&(before, key));
        self.idle[open].insert((now, key));
    }

    /// Schedules a candidate to open at a time, unless it is scheduled already.
    pub(super) fn schedule(&mut self, key: Key, due: u64) {
        let Some(incident) = self.get_mut(&key) else { return };
        if incident.due.is_none() {
            incident.due = Some(due);
            self.due.insert((due, key));
        }
    }

    /// The next candidate that is due.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Key> {
        let (due, key) = *self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, key));
        if let Some(incident) = self.get_mut(&key) {
            incident.due = None;
        }
        Some(key)
    }

    /// The time at which the last candidate is due.
    pub(super) fn last_due(&self) -> u64 {
        self.due.last().map_or(0, |(due, _)| *due)
    }

    /// The most active other incident of the same initiator: open, or scheduled to open.
    pub(super) fn dominant_other(&mut self, key: &Key, now: u64) -> Option<&mut Incident> {
        let list = self.by_initiator.get_mut(&key.initiator)?;
        let others = list.iter_mut().filter(|incident| incident.key != *key);
        others
            .filter(|incident| incident.id > 0 || incident.due.is_some())
            .max_by(|a, b| a.level_at(now).total_cmp(&b.level_at(now)))
    }

    /// Turns a candidate into an open incident, which may evict another one.
    pub(super) fn open_candidate(
        &mut self,
        key: &Key,
        evicted: &mut Option<Incident>,
    ) -> Option<&mut Incident> {
        if self.idle[1].len() >= self.cap {
            *evicted = self.pop(1, |_| true);
        }
        let listed = self.get(key)?.listed;
        self.idle[0].remove(&(listed, *key));
        self.idle[1].insert((listed, *key));
        self.get_mut(key)
    }

    /// An open incident without a finding for `quiet` nanoseconds.
    pub(super) fn pop_quiet(&mut self, now: u64, quiet: u64) -> Option<Incident> {
        self.pop(1, |touched| now.saturating_sub(touched) >= quiet)
    }

    /// The open incident that has been idle longest.
    pub(super) fn pop_open(&mut self) -> Option<Incident> {
        self.pop(1, |_| true)
    }

    /// Drops candidates without a finding in the window.
    pub(super) fn expire_candidates(&mut self, now: u64, window: u64) {
        while self.pop(0, |touched| now.saturating_sub(touched) > window).is_some() {}
    }

    /// Open incidents, longest idle first.
    pub(super) fn all_open(&self) -> impl Iterator<Item = &Incident> {
        self.idle[1].iter().filter_map(|(_, key)| self.get(key))
    }

    /// Restores an open incident.
    pub(super) fn restore(&mut self, incident: Incident) {
        if self.idle[1].len() < self.cap && self.get(&incident.key).is_none() {
            self.idle[1].insert((incident.listed, incident.key));
            self.by_initiator.entry(incident.key.initiator).or_default().push(incident);
        }
    }

    /// Removes the first entry of an order, if it is due.
    fn pop(&mut self, order: usize, may: impl FnOnce(u64) -> bool) -> Option<Incident> {
        let idle = self.idle.get_mut(order)?;
        let (touched, key) = *idle.first().filter(|(touched, _)| may(*touched))?;
        idle.remove(&(touched, key));
        let list = self.by_initiator.get_mut(&key.initiator)?;
        let at = list.iter().position(|incident| incident.key == key)?;
        let incident = list.swap_remove(at);
        if list.is_empty() {
            self.by_initiator.remove(&key.initiator);
        }
        if let Some(due) = incident.due {
            self.due.remove(&(due, key));
        }
        Some(incident)
    }
}
