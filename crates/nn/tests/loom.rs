//! Models of the invariants that `citronella_nn::parallel` lists, checked by loom over all interleavings with a bounded
//! number of preemptions:
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p citronella-nn --test loom --release --target-dir target/loom`
#![cfg(loom)]
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use citronella_nn::parallel::{BeforeSleep, JobPanicked, Monitor, Team, WorkerPool};
use loom::{
    model::Builder,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Sleep at once, or after one spin: `wait` returns differently.
const BEFORE_SLEEP: [BeforeSleep; 2] =
    [BeforeSleep { spins: 0, yields: 0 }, BeforeSleep { spins: 1, yields: 0 }];

#[test]
fn a_monitor_loses_no_wake_up() {
    for before_sleep in BEFORE_SLEEP {
        check(3, move || {
            let monitor = Arc::new(Monitor::new(0, before_sleep));
            let producers: Vec<_> = (0..2)
                .map(|_| {
                    let monitor = Arc::clone(&monitor);
                    thread::spawn(move || {
                        let mut count = monitor.lock();
                        *count += 1;
                        count.notify_all();
                    })
                })
                .collect();
            let mut count = monitor.lock();
            while *count < 2 {
                count = count.wait();
            }
            drop(count);
            producers.into_iter().for_each(|producer| producer.join().unwrap());
        });
    }
}

#[test]
fn a_panic_wakes_all_waiters() {
    for before_sleep in BEFORE_SLEEP {
        check(3, move || {
            let monitor = Arc::new(Monitor::new((), before_sleep));
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let monitor = Arc::clone(&monitor);
                    thread::spawn(move || {
                        let mut state = monitor.lock();
                        while !monitor.has_panicked() {
                            state = state.wait();
                        }
                    })
                })
                .collect();
            monitor.set_panicked();
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        });
    }
}

/// A pool whose workers count how often each job ran; a job of 100 or more panics.
fn pool(jobs: usize, workers: usize) -> WorkerPool<u32> {
    WorkerPool::new(vec![0; jobs], (0..workers).map(|_| run).collect())
}

fn run(job: &mut u32) {
    if *job >= 100 {
        resume_unwind(Box::new("a job that fails"));
    }
    *job += 1;
}

fn assert_jobs(pool: &WorkerPool<u32>, expected: &[u32]) {
    let jobs: Vec<u32> = (0..pool.jobs()).map(|index| *pool.job(index).unwrap()).collect();
    assert_eq!(jobs, expected);
}

#[test]
fn every_job_runs_once_in_each_batch() {
    for (jobs, workers) in [(2, 1), (1, 2), (2, 2)] {
        check(3, move || {
            let pool = pool(jobs, workers);
            for batch in 1..=2 {
                pool.start(jobs);
                assert_eq!(pool.finish(&mut run), Ok(()));
                assert_jobs(&pool, &vec![batch; jobs]);
            }
        });
    }
}

#[test]
fn a_panic_in_a_job_is_reported_once_and_the_pool_goes_on() {
    check(3, || {
        let pool = pool(2, 1);
        *pool.job(0).unwrap() = 100;
        pool.start(2);
        assert_eq!(pool.finish(&mut run), Err(JobPanicked));
        *pool.job(0).unwrap() = 1;
        pool.start(2);
        assert_eq!(pool.finish(&mut run), Ok(()));
        assert_jobs(&pool, &[2, 2]);
    });
}

#[test]
fn dropping_a_pool_joins_its_workers() {
    for workers in [1, 2] {
        check(3, move || {
            let pool = pool(2, workers);
            pool.start(2);
            drop(pool);
        });
    }
}

#[test]
fn all_members_pass_a_barrier_together() {
    // Two phases show that the barrier can be used again.
    for (threads, phases, preemptions) in [(2, 2, 3), (3, 1, 2)] {
        check(preemptions, move || {
            let team = Arc::new(Team::new(threads));
            let arrived = Arc::new(AtomicUsize::new(0));
            let run = move |team: &Team, arrived: &AtomicUsize, number| {
                let member = team.member(number);
                for phase in 1..=phases {
                    arrived.fetch_add(1, Relaxed);
                    member.barrier();
                    assert_eq!(arrived.load(Relaxed), phase * threads);
                    if phase < phases {
                        member.barrier();
                    }
                }
            };
            let others: Vec<_> = (1..threads)
                .map(|number| {
                    let (team, arrived) = (Arc::clone(&team), Arc::clone(&arrived));
                    thread::spawn(move || run(&team, &arrived, number))
                })
                .collect();
            run(&team, &arrived, 0);
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }
}

#[test]
fn a_panic_in_one_member_ends_the_others_at_the_barrier() {
    std::panic::set_hook(Box::new(|_| ()));
    check(3, || {
        let team = Arc::new(Team::new(3));
        let others: Vec<_> = (1..3)
            .map(|number| {
                let team = Arc::clone(&team);
                thread::spawn(move || {
                    catch_unwind(AssertUnwindSafe(|| team.member(number).barrier())).is_err()
                })
            })
            .collect();
        team.set_panicked();
        others.into_iter().for_each(|other| assert!(other.join().unwrap()));
    });
}
