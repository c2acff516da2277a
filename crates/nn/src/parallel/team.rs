//! A fixed number of threads that go through the same phases.

use super::monitor::{BeforeSleep, Monitor};

/// Spins for a few microseconds, then yields: on a busy machine the member waited for may need the core.
const BEFORE_SLEEP: BeforeSleep =
    if cfg!(loom) { BeforeSleep { spins: 1, yields: 0 } } else { BeforeSleep { spins: 100, yields: 5_000 } };

/// Threads with a common barrier.
pub struct Team {
    threads: usize,
    barrier: Monitor<Barrier>,
}

#[derive(Default)]
struct Barrier {
    /// Members that wait.
    waiting: usize,
    /// How often all have passed.
    passed: u64,
}

/// One thread of a [`Team`]; number 0 leads.
pub struct Member<'a> {
    team: &'a Team,
    number: usize,
}

impl Team {
    /// A team of `threads` threads, at least 1.
    pub fn new(threads: usize) -> Team {
        Team { threads: threads.max(1), barrier: Monitor::new(Barrier::default(), BEFORE_SLEEP) }
    }

    /// Runs `lead` on the calling thread and `follow` on every other; all must pass the same barriers. Returns the result of
    /// `lead` once all have returned.
    ///
    /// # Panics
    /// With the first panic of any member.
    pub fn run<T>(&self, follow: impl Fn(&Member<'_>) + Sync, lead: impl FnOnce(&Member<'_>) -> T) -> T {
        self.barrier.run(self.threads, || lead(&self.member(0)), |number| follow(&self.member(number)))
    }

    /// Member `number`, for a thread that [`Team::run`] did not start.
    pub fn member(&self, number: usize) -> Member<'_> {
        Member { team: self, number }
    }

    /// Makes the barrier panic in all members that wait or arrive later. [`Team::run`] does so if a member panics.
    pub fn set_panicked(&self) {
        self.barrier.set_panicked();
    }
}

impl Member<'_> {
    /// This member's share of the indices below `n`: every `threads`-th.
    pub fn share(&self, n: usize) -> impl Iterator<Item = usize> + use<> {
        (self.number..n).step_by(self.team.threads)
    }

    /// Waits until all members have arrived. Their earlier writes are visible to all afterwards.
    ///
    /// # Panics
    /// Another member has panicked.
    pub fn barrier(&self) {
        let Team { threads, barrier } = self.team;
        if *threads == 1 {
            return;
        }
        let mut state = barrier.lock();
        state.waiting += 1;
        if state.waiting == *threads {
            state.waiting = 0;
            state.passed += 1;
            state.notify_all();
            return;
        }
        let passed = state.passed;
        while state.passed == passed {
            if barrier.has_panicked() {
                drop(state);
                panic!("another thread of the team has panicked");
            }
            state = state.wait();
        }
    }

    /// Runs `work` on the leader while the others wait.
    pub fn leader_only(&self, work: impl FnOnce()) {
        self.barrier();
        if self.number == 0 {
            work();
        }
        self.barrier();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn the_first_panic_surfaces_whichever_member_it_is() {
        for panics in 0..3 {
            let work = |member: &Member<'_>| {
                assert!(member.number != panics, "member {panics} fails");
                member.barrier();
            };
            let caught = catch_unwind(AssertUnwindSafe(|| Team::new(3).run(work, |member| work(member))));
            let text = *caught.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(text, format!("member {panics} fails"));
        }
    }
}
