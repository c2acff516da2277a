//! f32 aligned to cache lines: a vector load across two lines costs two.

use std::ops::{Deref, DerefMut};

const LINE_FLOATS: usize = 16;

/// A fixed-length array of f32 aligned to a cache line.
pub(crate) struct Aligned {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// Empty, without an allocation.
    pub(crate) fn empty() -> Aligned {
        Aligned { data: Vec::new(), start: 0, len: 0 }
    }

    pub(crate) fn zeros(len: usize) -> Aligned {
        let data = vec![0.0; len + LINE_FLOATS];
        let start = data.as_ptr().align_offset(LINE_FLOATS * size_of::<f32>()).min(LINE_FLOATS);
        Aligned { data, start, len }
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Aligned {
        let mut copy = Aligned::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Aligned {
    type Target = [f32];
    #[inline]
    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}
