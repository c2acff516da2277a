//! Incidents by initiator and kind, those that are open and those that may become one, each with its order of silence.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hashbrown::HashMap;

use super::{Incident, Key};

type Random = foldhash::quality::RandomState;

/// The table.
pub(super) struct Book {
    by_initiator: HashMap<IpAddr, Vec<Incident>, Random>,
    /// By the time of the latest call: candidates, then what is open.
    silence: [BTreeSet<(u64, Key)>; 2],
    /// Candidates that are to begin at a time.
    due: BTreeSet<(u64, Key)>,
    cap: usize,
}

impl Book {
    pub(super) fn new(cap: usize) -> Book {
        Book {
            by_initiator: HashMap::default(),
            silence: [BTreeSet::new(), BTreeSet::new()],
            due: BTreeSet::new(),
            cap: cap.max(1),
        }
    }

    pub(super) fn set_cap(&mut self, cap: usize) {
        self.cap = cap.max(1);
    }

    /// Incidents that are open.
    pub(super) fn open(&self) -> usize {
        self.silence[1].len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Incident> {
        self.by_initiator.get(&key.initiator)?.iter().find(|incident| incident.key == *key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Incident> {
        self.by_initiator.get_mut(&key.initiator)?.iter_mut().find(|incident| incident.key == *key)
    }

    /// The incident or candidate of a key, new where there is none; then another candidate may have to go.
    pub(super) fn entry(
        &mut self,
        key: Key,
        new: impl FnOnce() -> Incident,
        evicted: &mut Option<Incident>,
    ) -> &mut Incident {
        if self.get(&key).is_none() && self.silence[0].len() >= self.cap {
            *evicted = self.pop(0, |_| true);
        }
        let list = self.by_initiator.entry(key.initiator).or_default();
        let at = list.iter().position(|incident| incident.key == key).unwrap_or_else(|| {
            let incident = new();
            self.silence[0].insert((incident.touched, key));
            list.push(incident);
            list.len() - 1
        });
        // Found or pushed: `at` is a place of the list.
        &mut list[at]
    }

    /// The incident was called now: it stands last in its order.
    pub(super) fn touch(&mut self, key: Key, now: u64) {
        let Some(incident) = self.get_mut(&key) else { return };
        let (before, open) = (incident.listed, usize::from(incident.id > 0));
        incident.listed = now;
        self.silence[open].remove(&(before, key));
        self.silence[open].insert((now, key));
    }

    /// A candidate is to begin at a time, unless it is expected already.
    pub(super) fn expect(&mut self, key: Key, due: u64) {
        let Some(incident) = self.get_mut(&key) else { return };
        if incident.due.is_none() {
            incident.due = Some(due);
            self.due.insert((due, key));
        }
    }

    /// The next candidate whose time has come.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Key> {
        let (due, key) = *self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, key));
        if let Some(incident) = self.get_mut(&key) {
            incident.due = None;
        }
        Some(key)
    }

    /// When the last candidate is due.
    pub(super) fn last_due(&self) -> u64 {
        self.due.last().map_or(0, |(due, _)| *due)
    }

    /// The open incident, or the candidate that is expected, of the same initiator that has the most calls of late.
    pub(super) fn main_beside(&mut self, key: &Key, now: u64) -> Option<&mut Incident> {
        let list = self.by_initiator.get_mut(&key.initiator)?;
        let others = list.iter_mut().filter(|incident| incident.key != *key);
        others
            .filter(|incident| incident.id > 0 || incident.due.is_some())
            .max_by(|a, b| a.level_at(now).total_cmp(&b.level_at(now)))
    }

    /// A candidate becomes an open incident; then another may have to go.
    pub(super) fn open_candidate(
        &mut self,
        key: &Key,
        evicted: &mut Option<Incident>,
    ) -> Option<&mut Incident> {
        if self.silence[1].len() >= self.cap {
            *evicted = self.pop(1, |_| true);
        }
        let listed = self.get(key)?.listed;
        self.silence[0].remove(&(listed, *key));
        self.silence[1].insert((listed, *key));
        self.get_mut(key)
    }

    /// An open incident that has been silent for so long.
    pub(super) fn pop_quiet(&mut self, now: u64, quiet: u64) -> Option<Incident> {
        self.pop(1, |touched| now.saturating_sub(touched) >= quiet)
    }

    /// The open incident that has been silent longest.
    pub(super) fn pop_open(&mut self) -> Option<Incident> {
        self.pop(1, |_| true)
    }

    /// Candidates that were silent for longer than the window that calls are counted in.
    pub(super) fn forget_candidates(&mut self, now: u64, window: u64) {
        while self.pop(0, |touched| now.saturating_sub(touched) > window).is_some() {}
    }

    /// All that are open, in the order of their silence.
    pub(super) fn all_open(&self) -> impl Iterator<Item = &Incident> {
        self.silence[1].iter().filter_map(|(_, key)| self.get(key))
    }

    /// Puts an open incident back.
    pub(super) fn restore(&mut self, incident: Incident) {
        if self.silence[1].len() < self.cap && self.get(&incident.key).is_none() {
            self.silence[1].insert((incident.listed, incident.key));
            self.by_initiator.entry(incident.key.initiator).or_default().push(incident);
        }
    }

    /// Takes the first of an order out, if its time allows.
    fn pop(&mut self, order: usize, may: impl FnOnce(u64) -> bool) -> Option<Incident> {
        let silence = self.silence.get_mut(order)?;
        let (touched, key) = *silence.first().filter(|(touched, _)| may(*touched))?;
        silence.remove(&(touched, key));
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
