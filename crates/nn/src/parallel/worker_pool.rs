//! Threads that take jobs from a list, batch after batch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    monitor::{BeforeSleep, Guard, Monitor},
    sync::{Arc, Builder, JoinHandle, Mutex, MutexGuard, lock},
};

/// Spins for some tens of microseconds. Does not yield: on a busy machine it would get the core back after milliseconds.
const BEFORE_SLEEP: BeforeSleep = BeforeSleep { spins: if cfg!(loom) { 1 } else { 2_000 }, yields: 0 };

/// The work of a job has panicked.
#[derive(Debug, PartialEq, Eq)]
pub struct JobPanicked;

/// A list of jobs and the threads that work on them; dropping it ends the threads.
///
/// A batch is the first n jobs. Workers take from the front of it, the thread that calls [`WorkerPool::finish`] from the
/// back: put the largest jobs first.
pub struct WorkerPool<J> {
    shared: Arc<Shared<J>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<J> {
    /// Locked by the thread that works on the job, or by the owner of the pool between batches.
    jobs: Vec<Mutex<J>>,
    batch: Monitor<Batch>,
}

/// The batch under way.
#[derive(Default)]
struct Batch {
    /// Jobs `first..end` are free.
    first: usize,
    end: usize,
    /// Jobs that are free or being worked on.
    unfinished: usize,
    has_panicked: bool,
    is_closed: bool,
}

impl<J: Send + 'static> WorkerPool<J> {
    /// Starts a thread for each of `workers`; fewer if the system refuses.
    pub fn new<W: FnMut(&mut J) + Send + 'static>(jobs: Vec<J>, workers: Vec<W>) -> WorkerPool<J> {
        let jobs = jobs.into_iter().map(Mutex::new).collect();
        let shared = Arc::new(Shared { jobs, batch: Monitor::new(Batch::default(), BEFORE_SLEEP) });
        let spawn = |mut work: W| {
            let shared = Arc::clone(&shared);
            Builder::new().name("worker".to_owned()).spawn(move || shared.run_worker(&mut work)).ok()
        };
        let workers = workers.into_iter().filter_map(spawn).collect();
        WorkerPool { shared, workers }
    }
}

impl<J> WorkerPool<J> {
    /// Threads of the pool, without the caller's.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Jobs in the list.
    pub fn jobs(&self) -> usize {
        self.shared.jobs.len()
    }

    /// Locks a job; no worker holds it between [`WorkerPool::finish`] and [`WorkerPool::start`].
    pub fn job(&self, index: usize) -> Option<MutexGuard<'_, J>> {
        self.shared.jobs.get(index).map(lock)
    }

    /// Starts a batch: the first `jobs` jobs. The previous batch must be finished.
    pub fn start(&self, jobs: usize) {
        let jobs = jobs.min(self.jobs());
        let mut batch = self.shared.batch.lock();
        (batch.first, batch.end, batch.unfinished) = (0, jobs, jobs);
        batch.notify_all();
    }

    /// Works on free jobs, then waits until the batch is done.
    ///
    /// # Errors
    /// The work of at least one job has panicked, here or in a worker. The pool can be used again.
    pub fn finish(&self, work: &mut impl FnMut(&mut J)) -> Result<(), JobPanicked> {
        let mut batch = self.shared.batch.lock();
        loop {
            if let Some(index) = batch.take_last() {
                batch = self.shared.work(batch, index, work);
            } else if batch.unfinished > 0 {
                batch = batch.wait();
            } else {
                let has_panicked = std::mem::take(&mut batch.has_panicked);
                return if has_panicked { Err(JobPanicked) } else { Ok(()) };
            }
        }
    }
}

impl<J> Drop for WorkerPool<J> {
    fn drop(&mut self) {
        let mut batch = self.shared.batch.lock();
        batch.is_closed = true;
        batch.notify_all();
        drop(batch);
        for worker in self.workers.drain(..) {
            // Panics of jobs were caught.
            let _ = worker.join();
        }
    }
}

impl<J> Shared<J> {
    fn run_worker(&self, work: &mut impl FnMut(&mut J)) {
        let mut batch = self.batch.lock();
        while !batch.is_closed {
            batch = match batch.take_first() {
                Some(index) => self.work(batch, index, work),
                None => batch.wait(),
            };
        }
    }

    /// Works on a job that was taken, without the lock on the batch.
    fn work<'a>(
        &'a self,
        batch: Guard<'a, Batch>,
        index: usize,
        work: &mut impl FnMut(&mut J),
    ) -> Guard<'a, Batch> {
        drop(batch);
        let has_panicked = self.jobs.get(index).is_some_and(|job| {
            let mut job = lock(job);
            // The owner of the pool discards the results of a batch with a panic.
            catch_unwind(AssertUnwindSafe(|| work(&mut job))).is_err()
        });
        let mut batch = self.batch.lock();
        batch.has_panicked |= has_panicked;
        batch.unfinished -= 1;
        if batch.unfinished == 0 {
            batch.notify_all();
        }
        batch
    }
}

impl Batch {
    fn take_first(&mut self) -> Option<usize> {
        let index = self.first;
        (index < self.end).then(|| {
            self.first += 1;
            index
        })
    }

    fn take_last(&mut self) -> Option<usize> {
        (self.first < self.end).then(|| {
            self.end -= 1;
            self.end
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{thread::sleep, time::Duration};

    use super::*;

    fn pool(jobs: usize, workers: usize) -> WorkerPool<u64> {
        WorkerPool::new(vec![0; jobs], (0..workers).map(|_| run).collect())
    }

    fn run(job: &mut u64) {
        assert!(*job != 1_000, "a job that fails");
        *job += 1;
    }

    #[test]
    fn every_job_runs_once_per_batch_with_workers_that_sleep_spin_or_work() {
        for (jobs, workers) in [(1, 0), (1, 3), (5, 1), (8, 3), (64, 2)] {
            let pool = pool(jobs, workers);
            assert_eq!(pool.workers(), workers);
            for batch in 1..=300 {
                pool.start(jobs);
                if batch % 100 == 0 {
                    sleep(Duration::from_millis(2));
                }
                assert_eq!(pool.finish(&mut run), Ok(()));
                let all = || (0..jobs).filter_map(|index| pool.job(index).map(|job| *job));
                assert!(all().eq(std::iter::repeat_n(batch, jobs)), "{:?}", all().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_panic_is_reported_once_and_the_pool_goes_on() {
        for workers in [0, 1, 3] {
            let pool = pool(6, workers);
            for broken in [0, 5] {
                *pool.job(broken).unwrap() = 1_000;
                pool.start(6);
                sleep(Duration::from_millis(1));
                assert_eq!(pool.finish(&mut run), Err(JobPanicked));
                *pool.job(broken).unwrap() = 0;
                pool.start(6);
                assert_eq!(pool.finish(&mut run), Ok(()));
            }
        }
    }

    #[test]
    fn an_unfinished_batch_ends_with_the_pool() {
        let pool = pool(4, 2);
        pool.start(4);
        drop(pool);
    }
}
