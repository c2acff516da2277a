//! Where threads that share work meet: one state under a lock, and a bell that rings when it has changed.
//!
//! Who waits looks for a moment before it sleeps: most often another thread is about to be done (a chunk of rows takes
//! some 300 microseconds), and to be woken takes longer than that.
//!
//! A panic in one of them is told by [`Desk::is_lost`] to those that wait, and goes on in the thread that called
//! [`together`]: nobody waits for what will not come.

use std::{
    hint::spin_loop,
    panic::resume_unwind,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// Looks before sleep: some 200 microseconds.
const LOOKS: u32 = 8000;

pub(crate) struct Desk<T> {
    state: Mutex<T>,
    bell: Condvar,
    /// How often it rang, and how many sleep.
    rung: AtomicU64,
    asleep: AtomicU64,
    lost: AtomicBool,
}

impl<T> Desk<T> {
    pub(crate) fn new(state: T) -> Desk<T> {
        Desk {
            state: Mutex::new(state),
            bell: Condvar::new(),
            rung: AtomicU64::new(0),
            asleep: AtomicU64::new(0),
            lost: AtomicBool::new(false),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the bell rings, or less long.
    pub(crate) fn wait<'a>(&'a self, state: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let before = self.rung.load(Ordering::Acquire);
        drop(state);
        for _ in 0..LOOKS {
            if self.rung.load(Ordering::Acquire) != before {
                return self.lock();
            }
            spin_loop();
        }
        let state = self.lock();
        if self.rung.load(Ordering::Acquire) != before {
            return state;
        }
        self.asleep.fetch_add(1, Ordering::Relaxed);
        let state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        self.asleep.fetch_sub(1, Ordering::Relaxed);
        state
    }

    /// The state has changed; to be called under its lock.
    pub(crate) fn ring(&self, _state: &MutexGuard<'_, T>) {
        self.rung.fetch_add(1, Ordering::Release);
        // Who counts as asleep, or not yet, did so under the lock.
        if self.asleep.load(Ordering::Relaxed) > 0 {
            self.bell.notify_all();
        }
    }

    /// Whether a thread has panicked, so that the others have to stop.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn into_inner(self) -> T {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the others when its thread panics.
struct Alarm<'a, T>(&'a Desk<T>);

impl<T> Drop for Alarm<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            // Under the lock: who is about to wait has not looked yet, or is waiting already.
            let state = self.0.lock();
            self.0.lost.store(true, Ordering::Relaxed);
            self.0.ring(&state);
        }
    }
}

/// Runs `first` here and `other(1)`, `other(2)`, ... beside it, `threads` in all. What `first` returns, when all are
/// done; a panic of any of them goes on here.
pub(crate) fn together<T: Send, R>(
    desk: &Desk<T>,
    threads: usize,
    first: impl FnOnce() -> R,
    other: impl Fn(usize) + Sync,
) -> R {
    thread::scope(|scope| {
        let other = &other;
        let others: Vec<_> = (1..threads)
            .map(|number| {
                scope.spawn(move || {
                    let _alarm = Alarm(desk);
                    other(number);
                })
            })
            .collect();
        let result = {
            let _alarm = Alarm(desk);
            first()
        };
        for thread in others {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_of_one_ends_all() {
        for panics in 0..3 {
            let desk = Desk::new(());
            let work = |number: usize| {
                assert!(number != panics, "thread {number} gives up");
                let mut state = desk.lock();
                while !desk.is_lost() {
                    state = desk.wait(state);
                }
            };
            let caught = catch_unwind(AssertUnwindSafe(|| together(&desk, 3, || work(0), work)));
            let text = *caught.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(text, format!("thread {panics} gives up"));
        }
    }
}
