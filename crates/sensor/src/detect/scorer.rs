//! The network's part of detection: the states of all conversations, and the threads that step them.
//!
//! With helpers the states that a batch needs go out with its bundles; helpers begin with them, the caller takes what
//! they have not come to when it asks for the batch, and the states come back. Without, it is stepped where it is.

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
    crew: Option<WorkerPool<SharedBatch>>,
    threads: usize,
    /// With the bundles that are out.
    x: Arc<Vec<f32>>,
    /// Bundles that are out.
    out: usize,
}

impl Scorer {
    /// With room for so many conversations, and so many threads.
    ///
    /// # Errors
    /// This CPU or this network does not allow the precision.
    pub(super) fn new(detector: &Detector, capacity: usize, threads: usize) -> Result<Scorer, Error> {
        let stepper = detector.stepper()?;
        let helper = |_| {
            detector.stepper().map(|mut stepper| move |parcel: &mut SharedBatch| parcel.step(&mut stepper))
        };
        let helpers = (1..threads).map(helper).collect::<Result<Vec<_>, Error>>()?;
        let parcel = |_| SharedBatch {
            part: BatchPart::default(),
            states: stepper.states(0),
            x: Arc::default(),
            result: Ok(()),
        };
        let parcels = || (0..threads * PARTS_PER_THREAD).map(parcel).collect();
        let crew = (threads > 1).then(|| WorkerPool::new(parcels(), helpers));
        let crew = crew.filter(|crew| crew.workers() > 0);
        let states = stepper.states(capacity);
        Ok(Scorer { states, stepper, crew, threads, x: Arc::default(), out: 0 })
    }

    /// Lays out what waits for those who step it.
    pub(super) fn prepare(&self, batch: &mut Batch) {
        batch.lay_out(self.threads, self.crew.is_none());
    }

    /// Gives a batch that is prepared to the helpers, with the states that it needs; the states here stay what the batch
    /// before it left. That has to be back. Without helpers this does nothing.
    pub(super) fn hand_out(&mut self, batch: &mut Batch) {
        let Some(crew) = &self.crew else { return };
        let mut parcels: Vec<MutexGuard<'_, SharedBatch>> =
            (0..batch.bundles().len()).filter_map(|at| crew.job(at)).collect();
        self.x = Arc::new(take(&mut batch.x));
        for (parcel, bundle) in parcels.iter_mut().zip(batch.bundles()) {
            swap(&mut parcel.part, bundle);
            if parcel.states.capacity() < parcel.part.chains() {
                parcel.states = self.stepper.states(parcel.part.chains().next_power_of_two());
            }
            parcel.x = Arc::clone(&self.x);
        }
        for chain in batch.chains().iter().filter(|chain| !chain.anew) {
            if let Some(parcel) = parcels.get_mut(usize::from(chain.bundle)) {
                parcel.states.copy(chain.row.into(), &self.states, chain.slot);
            }
        }
        self.out = parcels.len();
        drop(parcels);
        crew.begin(self.out);
    }

    /// Steps a batch that is prepared, where there are no helpers to do it.
    ///
    /// # Errors
    /// The network cannot step.
    pub(super) fn step(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let Scorer { stepper, states, crew: None, .. } = self else { return Ok(()) };
        let (bundles, x) = batch.bundles_and_x();
        bundles.iter_mut().try_for_each(|bundle| bundle.step(stepper, states, x))
    }

    /// Has back what was handed out, stepped.
    ///
    /// # Errors
    /// The network cannot step.
    ///
    /// # Panics
    /// Where a step has panicked, on whatever thread.
    pub(super) fn collect(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let Scorer { stepper, states, crew: Some(crew), x, out, .. } = self else { return Ok(()) };
        if crew.finish(&mut |parcel: &mut SharedBatch| parcel.step(stepper)).is_err() {
            std::panic::resume_unwind(Box::new("a step has panicked"));
        }
        let mut parcels: Vec<MutexGuard<'_, SharedBatch>> =
            (0..take(out)).filter_map(|at| crew.job(at)).collect();
        for chain in batch.chains() {
            if let Some(parcel) = parcels.get(usize::from(chain.bundle)) {
                states.copy(chain.slot, &parcel.states, chain.row.into());
            }
        }
        for (parcel, bundle) in parcels.iter_mut().zip(batch.bundles()) {
            swap(&mut parcel.part, bundle);
        }
        batch.x = Arc::try_unwrap(take(x)).unwrap_or_else(|x| x.to_vec());
        parcels.iter_mut().try_for_each(|parcel| std::mem::replace(&mut parcel.result, Ok(())))
    }

    /// Waits for what is out and throws it away.
    pub(super) fn abandon(&mut self) {
        if let Scorer { stepper, crew: Some(crew), .. } = self {
            let _ = crew.finish(&mut |parcel: &mut SharedBatch| parcel.step(stepper));
        }
        self.out = 0;
    }

    /// Why the network says what it said of a conversation, by its state as it is.
    pub(super) fn reasons(&mut self, detector: &Detector, slot: u32, x: &[f32], class: u32) -> Vec<Reason> {
        detector.reasons((&mut self.stepper, &mut self.states), slot, x, class)
    }

    /// Bytes of state a conversation.
    pub(super) fn state_bytes(&self) -> usize {
        self.states.state_bytes()
    }
}
