//! A mutex with a condition variable; waiters spin before they sleep.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{
    ops::{Deref, DerefMut},
    sync::PoisonError,
};

use super::sync::{
    AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, lock, spin_loop, yield_now,
};

/// State shared by threads, and the signal that it has changed.
pub struct Monitor<T> {
    state: Mutex<T>,
    changed: Condvar,
    /// Calls of [`Guard::notify_all`] so far; written under the lock.
    notifications: AtomicU64,
    /// Threads in `changed.wait`; written under the lock.
    sleepers: AtomicUsize,
    /// Written under the lock.
    has_panicked: AtomicBool,
    before_sleep: BeforeSleep,
}

/// Iterations of a waiting thread before it sleeps: waking a thread takes longer than many waits.
#[derive(Clone, Copy, Debug)]
pub struct BeforeSleep {
    /// Iterations without giving up the core, 10 to 40 ns each.
    pub spins: u32,
    /// Then iterations that yield the core to other threads.
    pub yields: u32,
}

impl<T> Monitor<T> {
    /// A monitor of `state`.
    pub fn new(state: T, before_sleep: BeforeSleep) -> Monitor<T> {
        Monitor {
            state: Mutex::new(state),
            changed: Condvar::new(),
            notifications: AtomicU64::new(0),
            sleepers: AtomicUsize::new(0),
            has_panicked: AtomicBool::new(false),
            before_sleep,
        }
    }

    /// Locks the state.
    pub fn lock(&self) -> Guard<'_, T> {
        Guard { monitor: self, state: lock(&self.state) }
    }

    /// Whether a thread of [`Monitor::run`] has panicked: the others have to return.
    pub fn has_panicked(&self) -> bool {
        self.has_panicked.load(Ordering::Relaxed)
    }

    /// Marks a thread as panicked and wakes all waiters.
    pub fn set_panicked(&self) {
        let state = self.lock();
        self.has_panicked.store(true, Ordering::Relaxed);
        state.notify_all();
    }

    /// Returns the state.
    pub fn into_inner(self) -> T {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `first` on the calling thread and `other(1)`, `other(2)`, ... on threads of their own, `threads` in all.
    /// Returns the result of `first` once all have returned.
    ///
    /// # Panics
    /// With the first panic of any of them.
    pub fn run<R>(&self, threads: usize, first: impl FnOnce() -> R, other: impl Fn(usize) + Sync) -> R
    where
        T: Send,
    {
        let panic = std::sync::Mutex::new(None);
        let result = std::thread::scope(|scope| {
            for number in 1..threads {
                let (other, panic) = (&other, &panic);
                scope.spawn(move || self.catch(panic, || other(number)));
            }
            self.catch(&panic, first)
        });
        match (result, panic.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            (Some(result), None) => result,
            (_, panic) => resume_unwind(panic.unwrap_or_else(|| Box::new("a thread has panicked"))),
        }
    }

    /// Runs `work`. A panic is reported to the other threads, and stored if it is the first.
    fn catch<R>(&self, panic: &std::sync::Mutex<Option<Panic>>, work: impl FnOnce() -> R) -> Option<R> {
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|payload| {
                panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
                self.set_panicked();
            })
            .ok()
    }
}

/// The payload of a panic.
type Panic = Box<dyn std::any::Any + Send>;

/// The locked state of a [`Monitor`].
pub struct Guard<'a, T> {
    monitor: &'a Monitor<T>,
    state: MutexGuard<'a, T>,
}

impl<'a, T> Guard<'a, T> {
    /// Unlocks, waits for a notification, locks again. May return early: check the condition again.
    pub fn wait(self) -> Guard<'a, T> {
        let Guard { monitor, state } = self;
        let before = monitor.notifications.load(Ordering::Acquire);
        drop(state);
        let BeforeSleep { spins, yields } = monitor.before_sleep;
        for iteration in 0..spins + yields {
            if monitor.notifications.load(Ordering::Acquire) != before {
                return monitor.lock();
            }
            if iteration < spins { spin_loop() } else { yield_now() }
        }
        let state = lock(&monitor.state);
        if monitor.notifications.load(Ordering::Acquire) != before {
            return Guard { monitor, state };
        }
        monitor.sleepers.fetch_add(1, Ordering::Relaxed);
        let state = monitor.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        monitor.sleepers.fetch_sub(1, Ordering::Relaxed);
        Guard { monitor, state }
    }

    /// Wakes all waiters. They see the changes made before the lock is released.
    pub fn notify_all(&self) {
        self.monitor.notifications.fetch_add(1, Ordering::Release);
        // Exact under the lock: a thread counts itself before `Condvar::wait` releases the lock.
        if self.monitor.sleepers.load(Ordering::Relaxed) > 0 {
            self.monitor.changed.notify_all();
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_one_thread_ends_all() {
        for panics in 0..3 {
            let monitor = Monitor::new((), BeforeSleep { spins: 100, yields: 100 });
            let work = |number: usize| {
                assert!(number != panics, "thread {number} fails");
                let mut state = monitor.lock();
                while !monitor.has_panicked() {
                    state = state.wait();
                }
            };
            let caught = catch_unwind(AssertUnwindSafe(|| monitor.run(3, || work(0), work)));
            let text = *caught.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(text, format!("thread {panics} fails"));
        }
    }
}
