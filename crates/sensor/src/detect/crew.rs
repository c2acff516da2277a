//! Threads that share out jobs.
//!
//! In: jobs, each behind a lock that is free when it is taken, and what each helper does with one. [`Crew::begin`] hands
//! some of them out; helpers take the first that nobody has, the caller ([`Crew::finish`]) the last: the largest are to
//! come first. Who has nothing to do spins for some tens of microseconds, then sleeps. A panic ends in the job that it came
//! from and is told by [`Crew::finish`]; the crew goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// Looks before a thread that waits goes to sleep: some tens of microseconds. It does not offer its core to others before:
/// where there are any, it would have it back after milliseconds.
const SPINS: u32 = 2_000;

/// A job's work has panicked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Jobs and their helpers, who end with it.
pub(super) struct Crew<L> {
    shared: Arc<Shared<L>>,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared<L> {
    jobs: Vec<Mutex<L>>,
    /// Jobs that nobody has taken: the first of them, and in the upper half the one after the last.
    free: AtomicU64,
    /// Jobs that are handed out, and those of them that are done.
    given: AtomicUsize,
    done: AtomicUsize,
    broken: AtomicBool,
    ends: AtomicBool,
    asleep: Vec<AtomicBool>,
    /// The thread that sleeps until all jobs are done.
    caller: Mutex<Option<Thread>>,
    caller_sleeps: AtomicBool,
}

impl<L: Send + 'static> Crew<L> {
    /// A thread for each helper that the system gives one.
    pub(super) fn new<H: FnMut(&mut L) + Send + 'static>(jobs: Vec<L>, helpers: Vec<H>) -> Crew<L> {
        let shared = Arc::new(Shared {
            given: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            jobs: jobs.into_iter().map(Mutex::new).collect(),
            free: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            asleep: helpers.iter().map(|_| AtomicBool::new(false)).collect(),
            caller: Mutex::new(None),
            caller_sleeps: AtomicBool::new(false),
        });
        let spawn = |(at, mut work): (usize, H)| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("steps".to_owned()).spawn(move || shared.help(at, &mut work)).ok()
        };
        let helpers = helpers.into_iter().enumerate().filter_map(spawn).collect();
        Crew { shared, helpers }
    }
}

impl<L> Crew<L> {
    /// Threads beside the caller's.
    pub(super) fn helpers(&self) -> usize {
        self.helpers.len()
    }

    /// A job; nobody else has it while nothing is handed out.
    pub(super) fn job(&self, at: usize) -> Option<MutexGuard<'_, L>> {
        self.shared.jobs.get(at).map(lock)
    }

    /// Jobs that can be handed out at a time.
    pub(super) fn len(&self) -> usize {
        self.shared.jobs.len()
    }

    /// Hands out the first so many jobs. What was handed out before has to be finished.
    pub(super) fn begin(&self, jobs: usize) {
        let jobs = jobs.min(self.len());
        self.shared.done.store(0, SeqCst);
        self.shared.given.store(jobs, SeqCst);
        self.shared.free.store((jobs as u64) << 32, SeqCst);
        self.wake();
    }

    /// Takes jobs that nobody has, then waits until all are done.
    ///
    /// # Errors
    /// The work of one has panicked, here or in a helper.
    pub(super) fn finish(&self, work: &mut impl FnMut(&mut L)) -> Result<(), Broken> {
        let shared = &*self.shared;
        while let Some(at) = shared.take(End::Last) {
            shared.work(at, work);
        }
        wait(|| shared.all_done(), || shared.sleep());
        if shared.broken.swap(false, SeqCst) { Err(Broken) } else { Ok(()) }
    }

    fn wake(&self) {
        for (helper, asleep) in self.helpers.iter().zip(&self.shared.asleep) {
            if asleep.load(SeqCst) {
                helper.thread().unpark();
            }
        }
    }
}

impl<L> Drop for Crew<L> {
    fn drop(&mut self) {
        self.shared.ends.store(true, SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            // Its panics ended in its jobs.
            let _ = helper.join();
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

impl<L> Shared<L> {
    /// A helper's thread.
    fn help(&self, at: usize, work: &mut impl FnMut(&mut L)) {
        let Some(asleep) = self.asleep.get(at) else { return };
        let called = || self.ends.load(SeqCst) || self.has_free();
        loop {
            while let Some(at) = self.take(End::First) {
                self.work(at, work);
            }
            if self.ends.load(SeqCst) {
                return;
            }
            wait(called, || {
                // Whoever hands out sees the one or this thread the other.
                asleep.store(true, SeqCst);
                if !called() {
                    thread::park();
                }
                asleep.store(false, SeqCst);
            });
        }
    }

    fn has_free(&self) -> bool {
        let free = self.free.load(SeqCst);
        (free as u32) < (free >> 32) as u32
    }

    fn take(&self, end: End) -> Option<usize> {
        let less = |free: u64| {
            let (first, after) = (free as u32, (free >> 32) as u32);
            let (first, after) = match end {
                _ if first >= after => return None,
                End::First => (first + 1, after),
                End::Last => (first, after - 1),
            };
            Some(u64::from(after) << 32 | u64::from(first))
        };
        let before = self.free.fetch_update(SeqCst, SeqCst, less).ok()?;
        Some(match end {
            End::First => before as u32 as usize,
            End::Last => (before >> 32) as usize - 1,
        })
    }

    fn work(&self, at: usize, work: &mut impl FnMut(&mut L)) {
        if let Some(job) = self.jobs.get(at) {
            let mut job = lock(job);
            // What a panic leaves behind is thrown away by whoever hears of it.
            if catch_unwind(AssertUnwindSafe(|| work(&mut job))).is_err() {
                self.broken.store(true, SeqCst);
            }
        }
        let done = self.done.fetch_add(1, SeqCst) + 1;
        if done == self.given.load(SeqCst) && self.caller_sleeps.load(SeqCst) {
            lock(&self.caller).iter().for_each(Thread::unpark);
        }
    }

    fn all_done(&self) -> bool {
        self.done.load(SeqCst) >= self.given.load(SeqCst)
    }

    /// The caller's sleep.
    fn sleep(&self) {
        *lock(&self.caller) = Some(thread::current());
        self.caller_sleeps.store(true, SeqCst);
        if !self.all_done() {
            thread::park();
        }
        self.caller_sleeps.store(false, SeqCst);
    }
}

/// Until it is `ready`; may wake too early from `sleep`.
fn wait(ready: impl Fn() -> bool, mut sleep: impl FnMut()) {
    let mut looks = 0;
    while !ready() {
        looks += 1;
        if looks < SPINS {
            std::hint::spin_loop();
        } else {
            sleep();
        }
    }
}

/// Panics do not reach a guard: no lock is poisoned.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(jobs: usize, helpers: usize) -> Crew<u64> {
        Crew::new(vec![0; jobs], (0..helpers).map(|_| step).collect())
    }

    fn step(job: &mut u64) {
        assert!(*job != 1_000, "a job that fails");
        *job += 1;
    }

    #[test]
    fn every_job_is_worked_once_each_time_whoever_takes_it() {
        for (jobs, helpers) in [(1, 0), (1, 3), (5, 1), (8, 3), (64, 2)] {
            let crew = crew(jobs, helpers);
            assert_eq!(crew.helpers(), helpers);
            for time in 1..=300 {
                crew.begin(jobs);
                // Helpers that slept, that spin, and that are in the middle of it.
                if time % 100 == 0 {
                    thread::sleep(std::time::Duration::from_millis(2));
                }
                assert_eq!(crew.finish(&mut step), Ok(()));
                let all = || (0..jobs).filter_map(|at| crew.job(at).map(|job| *job));
                assert!(all().eq(std::iter::repeat_n(time, jobs)), "{:?}", all().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_panic_is_told_once_and_the_crew_goes_on() {
        for helpers in [0, 1, 3] {
            let (jobs, crew) = (6, crew(6, helpers));
            for broken in [0, 5] {
                *crew.job(broken).unwrap() = 1_000;
                crew.begin(jobs);
                thread::sleep(std::time::Duration::from_millis(1));
                assert_eq!(crew.finish(&mut step), Err(Broken));
                *crew.job(broken).unwrap() = 0;
                crew.begin(jobs);
                assert_eq!(crew.finish(&mut step), Ok(()));
            }
        }
    }

    #[test]
    fn a_crew_that_nobody_finishes_ends_with_its_owner() {
        let crew = crew(4, 2);
        crew.begin(4);
        drop(crew);
    }
}
