//! Short conversations that have fallen silent: a scan's two packets a port would else be told of at their flows' ends,
//! ten seconds after a reset and a minute where nobody answers.
//!
//! At most one entry a flow, for as long as the silence takes; where there are more than the table has flows, the flow
//! is told of at its end as it would be without.

use std::{collections::VecDeque, time::Duration};

/// A flow all of whose packets speak for an attack, but are too few yet to call it, or one that is unknown so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// When it has been silent for long enough, in nanoseconds of packet time.
    due: i64,
    pub(super) slot: u32,
    pub(super) flow: u64,
}

/// Flows to be looked at when they have been silent for a while.
#[derive(Debug)]
pub(super) struct Silences {
    /// `None`: never.
    after_nanos: Option<i64>,
    cap: usize,
    queue: VecDeque<Silence>,
}

impl Silences {
    pub(super) fn new(after: Option<Duration>, cap: usize) -> Silences {
        let after_nanos = after.map(|after| i64::try_from(after.as_nanos()).unwrap_or(i64::MAX));
        Silences { after_nanos, cap, queue: VecDeque::new() }
    }

    /// Looks at a flow when it has been silent since `since_nanos` for long enough, and not before `now_nanos`.
    pub(super) fn watch(&mut self, slot: u32, flow: u64, since_nanos: i64, now_nanos: i64) {
        if let Some(after) = self.after_nanos
            && self.queue.len() < self.cap
        {
            let due = since_nanos.saturating_add(after).max(now_nanos.saturating_add(1));
            self.queue.push_back(Silence { due, slot, flow });
        }
    }

    /// The next flow whose time has come. A clock that was set back makes all of them due.
    #[inline]
    pub(super) fn next_due(&mut self, now_nanos: i64) -> Option<Silence> {
        let (first, after) = (self.queue.front()?, self.after_nanos?);
        let wait = first.due.saturating_sub(now_nanos);
        if wait > 0 && wait <= after.saturating_mul(2) { None } else { self.queue.pop_front() }
    }

    pub(super) fn is_silent(&self, since_nanos: i64, now_nanos: i64) -> bool {
        self.after_nanos.is_some_and(|after| now_nanos.abs_diff(since_nanos) >= after.unsigned_abs())
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_flow_is_due_when_it_has_been_silent_for_long_enough() {
        let mut silences = Silences::new(Some(Duration::from_secs(1)), 2);
        silences.watch(3, 30, 0, 0);
        silences.watch(4, 40, SECOND / 2, 0);
        silences.watch(5, 50, SECOND / 2, 0); // beyond the cap
        assert_eq!(silences.next_due(SECOND - 1), None);
        assert_eq!(silences.next_due(SECOND).map(|due| due.flow), Some(30));
        assert_eq!(silences.next_due(SECOND), None);
        assert_eq!(silences.next_due(-3600 * SECOND).map(|due| due.flow), Some(40), "the clock was set back");
        assert_eq!(silences.next_due(3600 * SECOND), None);
    }

    #[test]
    fn without_a_silence_nothing_is_watched() {
        let mut silences = Silences::new(None, 2);
        silences.watch(3, 30, 0, 0);
        assert_eq!(silences.next_due(i64::MAX), None);
    }
}
