//! The LSTM states of all conversations, and the threads that step them.
//!
//! With workers, [`Scorer::hand_out`] copies the states that a batch needs into its parts, workers step the parts, and
//! [`Scorer::collect`] steps those that no worker has taken and copies the states back. Without workers,
//! [`Scorer::step`] steps the batch in place.

use std::mem::{swap, take};
use std::sync::{Arc, MutexGuard};

use citronella_nn::parallel::WorkerPool;
use citronella_nn::{Error, States, Stepper};

use super::batch::Batch;
use super::batch_part::{BatchPart, PARTS_PER_THREAD, SharedBatch};
use super::{Detector, Reason};

pub(super) struct Scorer {
    stepper: Stepper,
    states: States,
    pool: Option<WorkerPool<SharedBatch>>,
    threads: usize,
    /// The inputs of the parts that are handed out.
    x: Arc<Vec<f32>>,
    /// Number of parts that are handed out.
    handed_out: usize,
}

impl Scorer {
    /// A scorer of up to `capacity` conversations with `threads` threads, the caller's included.
    ///
    /// # Errors
    /// This CPU or this network does not support the precision.
    pub(super) fn new(detector: &Detector, capacity: usize, threads: usize) -> Result<Scorer, Error> {
        let stepper = detector.stepper()?;
        let worker =
            |_| detector.stepper().map(|mut stepper| move |batch: &mut SharedBatch| batch.step(&mut stepper));
        let workers = (1..threads).map(worker).collect::<Result<Vec<_>, Error>>()?;
        let job = |_| SharedBatch {
            part: BatchPart::default(),
            states: stepper.states(0),
            x: Arc::default(),
            result: Ok(()),
        };
        let jobs = || (0..threads * PARTS_PER_THREAD).map(job).collect();
        let pool = (threads > 1).then(|| WorkerPool::new(jobs(), workers));
        let pool = pool.filter(|pool| pool.workers() > 0);
        let states = stepper.states(capacity);
        Ok(Scorer { states, stepper, pool, threads, x: Arc::default(), handed_out: 0 })
    }

    /// Lays out a batch for the threads that will step it.
    pub(super) fn prepare(&self, batch: &mut Batch) {
        batch.lay_out(self.threads, self.pool.is_none());
    }

    /// Hands a prepared batch out to the workers, with copies of the states that it needs; the scorer's states remain those
    /// that the previous batch left, which must have been collected. Does nothing without workers.
    pub(super) fn hand_out(&mut self, batch: &mut Batch) {
        let Some(pool) = &self.pool else { return };
        let mut jobs: Vec<MutexGuard<'_, SharedBatch>> =
            (0..batch.parts().len()).filter_map(|at| pool.job(at)).collect();
        self.x = Arc::new(take(&mut batch.x));
        for (job, part) in jobs.iter_mut().zip(batch.parts()) {
            swap(&mut job.part, part);
            if job.states.capacity() < job.part.chains() {
                job.states = self.stepper.states(job.part.chains().next_power_of_two());
            }
            job.x = Arc::clone(&self.x);
        }
        for chain in batch.chains().iter().filter(|chain| !chain.is_reset) {
            if let Some(job) = jobs.get_mut(usize::from(chain.part)) {
                job.states.copy(chain.row.into(), &self.states, chain.slot);
            }
        }
        self.handed_out = jobs.len();
        drop(jobs);
        pool.start(self.handed_out);
    }

    /// Steps a prepared batch on this thread. Does nothing with workers.
    ///
    /// # Errors
    /// The network cannot step.
    pub(super) fn step(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let Scorer { stepper, states, pool: None, .. } = self else { return Ok(()) };
        let (parts, x) = batch.parts_and_x();
        parts.iter_mut().try_for_each(|part| part.step(stepper, states, x))
    }

    /// Waits until the batch that was handed out has been stepped, and takes it and its states back. Does nothing without
    /// workers.
    ///
    /// # Errors
    /// The network cannot step.
    ///
    /// # Panics
    /// If a step has panicked, on any thread.
    pub(super) fn collect(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let Scorer { stepper, states, pool: Some(pool), x, handed_out, .. } = self else { return Ok(()) };
        if pool.finish(&mut |job: &mut SharedBatch| job.step(stepper)).is_err() {
            std::panic::resume_unwind(Box::new("a step has panicked"));
        }
        let mut jobs: Vec<MutexGuard<'_, SharedBatch>> =
            (0..take(handed_out)).filter_map(|at| pool.job(at)).collect();
        for chain in batch.chains() {
            if let Some(job) = jobs.get(usize::from(chain.part)) {
                states.copy(chain.slot, &job.states, chain.row.into());
            }
        }
        for (job, part) in jobs.iter_mut().zip(batch.parts()) {
            swap(&mut job.part, part);
        }
        batch.x = Arc::try_unwrap(take(x)).unwrap_or_else(|x| x.to_vec());
        jobs.iter_mut().try_for_each(|job| std::mem::replace(&mut job.result, Ok(())))
    }

    /// Waits for the batch that was handed out and discards it.
    pub(super) fn abandon(&mut self) {
        if let Scorer { stepper, pool: Some(pool), .. } = self {
            let _ = pool.finish(&mut |job: &mut SharedBatch| job.step(stepper));
        }
        self.handed_out = 0;
    }

    /// The features that contributed most to a conversation's verdict, by its current state.
    pub(super) fn reasons(&mut self, detector: &Detector, slot: u32, x: &[f32], class: u32) -> Vec<Reason> {
        detector.reasons((&mut self.stepper, &mut self.states), slot, x, class)
    }

    /// Bytes of state per conversation.
    pub(super) fn state_bytes(&self) -> usize {
        self.states.state_bytes()
    }
}
