//! Threads that walk through the same phases together.
//!
//! A training step lasts a few hundred microseconds and has a handful of phases: to be woken for each would cost a good
//! part of it. The team's threads live for an epoch and wait for each other by spinning, then by giving way.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Spins before a waiting thread offers its core to others: a few microseconds. On a quiet machine nobody takes it and the
/// wait goes on at once; on a busy one the thread that is waited for may be the one to take it.
const SPINS: u32 = 100;

/// A meeting point for a fixed number of threads.
pub(crate) struct Team {
    threads: usize,
    arrived: AtomicUsize,
    meetings: AtomicUsize,
    broken: AtomicBool,
}

/// One thread of a team; number 0 leads.
pub(crate) struct Member<'a> {
    team: &'a Team,
    pub(crate) number: usize,
}

impl Team {
    pub(crate) fn new(threads: usize) -> Team {
        let (arrived, meetings) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Team { threads, arrived, meetings, broken: AtomicBool::new(false) }
    }

    /// Runs `follow` on every thread but the calling one, which leads.
    pub(crate) fn run<T>(
        &self,
        follow: impl Fn(&Member<'_>) + Sync,
        lead: impl FnOnce(&Member<'_>) -> T,
    ) -> T {
        std::thread::scope(|scope| {
            for number in 1..self.threads {
                let follow = &follow;
                scope.spawn(move || follow(&Member { team: self, number }));
            }
            lead(&Member { team: self, number: 0 })
        })
    }
}

impl Member<'_> {
    /// This thread's share of `n` things: every `threads`-th.
    pub(crate) fn share(&self, n: usize) -> impl Iterator<Item = usize> + use<> {
        (self.number..n).step_by(self.team.threads)
    }

    /// Waits until all have come here. What they did before is seen by all afterwards.
    pub(crate) fn meet(&self) {
        let team = self.team;
        if team.threads == 1 {
            return;
        }
        let meeting = team.meetings.load(Ordering::Acquire);
        if team.arrived.fetch_add(1, Ordering::AcqRel) + 1 == team.threads {
            team.arrived.store(0, Ordering::Relaxed);
            team.meetings.store(meeting.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while team.meetings.load(Ordering::Acquire) == meeting {
            assert!(!team.broken.load(Ordering::Relaxed), "another thread of the team has panicked");
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Lets the leader do what none may see half done.
    pub(crate) fn led(&self, work: impl FnOnce()) {
        self.meet();
        if self.number == 0 {
            work();
        }
        self.meet();
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.team.broken.store(true, Ordering::Relaxed);
        }
    }
}

// A thread that panics takes the whole team with it, so a poisoned lock is never used again.

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
