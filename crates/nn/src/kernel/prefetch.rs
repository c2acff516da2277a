//! Prefetching.

use crate::simd::{Op, PANEL, Vector};

/// Prefetches a slice into the cache.
pub(crate) struct Prefetch<'a>(pub(crate) &'a [f32]);

impl Op for Prefetch<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        for line in self.0.chunks(PANEL) {
            v.prefetch(line.as_ptr());
        }
    }
}
