//! Watches short conversations until they fall idle. Without it a scan's two packets per port would be reported when
//! their flows end: ten seconds after a reset, and a minute after an unanswered probe.
//!
//! At most one entry per flow; beyond the cap a flow is reported when it ends.

use std::{collections::VecDeque, time::Duration};

/// A flow whose packets all point to an attack but are too few to flag it, or one that is unknown so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdleEntry {
    /// When it counts as idle, nanoseconds of packet time.
    due: i64,
    pub(super) slot: u32,
    pub(super) flow: u64,
}

/// Flows to be checked once they are idle.
#[derive(Debug)]
pub(super) struct IdleWatch {
    /// Idle time after which a flow is due; `None`: never.
    after_nanos: Option<i64>,
    cap: usize,
    queue: VecDeque<IdleEntry>,
}

impl IdleWatch {
    pub(super) fn new(after: Option<Duration>, cap: usize) -> IdleWatch {
        let after_nanos = after.map(|after| i64::try_from(after.as_nanos()).unwrap_or(i64::MAX));
        IdleWatch { after_nanos, cap, queue: VecDeque::new() }
    }

    /// Watches a flow that has been idle since `since_nanos`; it is due after `now_nanos` at the earliest.
    pub(super) fn watch(&mut self, slot: u32, flow: u64, since_nanos: i64, now_nanos: i64) {
        if let Some(after) = self.after_nanos
            && self.queue.len() < self.cap
        {
            let due = since_nanos.saturating_add(after).max(now_nanos.saturating_add(1));
            self.queue.push_back(IdleEntry { due, slot, flow });
        }
    }

    /// The next flow that is due. A clock that was set back makes all of them due.
    #[inline]
    pub(super) fn next_due(&mut self, now_nanos: i64) -> Option<IdleEntry> {
        let (first, after) = (self.queue.front()?, self.after_nanos?);
        let wait = first.due.saturating_sub(now_nanos);
        if wait > 0 && wait <= after.saturating_mul(2) { None } else { self.queue.pop_front() }
    }

    pub(super) fn is_idle(&self, since_nanos: i64, now_nanos: i64) -> bool {
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
    fn a_flow_is_due_once_it_has_been_idle_long_enough() {
        let mut watch = IdleWatch::new(Some(Duration::from_secs(1)), 2);
        watch.watch(3, 30, 0, 0);
        watch.watch(4, 40, SECOND / 2, 0);
        watch.watch(5, 50, SECOND / 2, 0); // beyond the cap
        assert_eq!(watch.next_due(SECOND - 1), None);
        assert_eq!(watch.next_due(SECOND).map(|due| due.flow), Some(30));
        assert_eq!(watch.next_due(SECOND), None);
        assert_eq!(watch.next_due(-3600 * SECOND).map(|due| due.flow), Some(40), "the clock was set back");
        assert_eq!(watch.next_due(3600 * SECOND), None);
    }

    #[test]
    fn without_an_idle_time_nothing_is_watched() {
        let mut watch = IdleWatch::new(None, 2);
        watch.watch(3, 30, 0, 0);
        assert_eq!(watch.next_due(i64::MAX), None);
    }
}
