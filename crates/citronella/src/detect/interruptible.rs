//! Ending live sources on a signal.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use citronella_sensor::capture::{CaptureCounters, CaptureError, Next, Source};

/// A source that ends when a flag is set. All shards of a run share the flag: if one ends, the others do.
pub(super) struct Interruptible<S> {
    source: S,
    stop: Arc<AtomicBool>,
}

impl<S> Interruptible<S> {
    pub(super) fn new(source: S, stop: &Arc<AtomicBool>) -> Interruptible<S> {
        Interruptible { source, stop: Arc::clone(stop) }
    }
}

impl<S: Source> Source for Interruptible<S> {
    #[inline]
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        if self.stop.load(Relaxed) { Ok(Next::End) } else { self.source.next() }
    }

    fn counters(&mut self) -> CaptureCounters {
        self.source.counters()
    }
}

impl<S> Drop for Interruptible<S> {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
