//! Copies of rows; a call of `memcpy` for each would cost more than the copy.

use crate::simd::{Op, Vector};

/// Positions of rows in a slice.
#[derive(Clone, Copy)]
pub(crate) enum RowLayout<'a> {
    /// Row r is at r * stride.
    Strided(usize),
    /// Row r is at slots[r] * stride + offset.
    Slots { slots: &'a [u32], stride: usize, offset: usize },
}

impl RowLayout<'_> {
    #[inline(always)]
    pub(crate) fn of(&self, row: usize) -> usize {
        match *self {
            RowLayout::Strided(stride) => row * stride,
            RowLayout::Slots { slots, stride, offset } => slots[row] as usize * stride + offset,
        }
    }
}

/// Copies `len` f32 of each of `rows` rows.
pub(crate) struct CopyRows<'a> {
    pub(crate) rows: usize,
    pub(crate) len: usize,
    pub(crate) from: &'a [f32],
    pub(crate) from_at: RowLayout<'a>,
    pub(crate) to: &'a mut [f32],
    pub(crate) to_at: RowLayout<'a>,
}

impl Op for CopyRows<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let whole = self.len - self.len % V::LANES;
        for row in 0..self.rows {
            let from = &self.from[self.from_at.of(row)..][..self.len];
            let to = &mut self.to[self.to_at.of(row)..][..self.len];
            for at in (0..whole).step_by(V::LANES) {
                // SAFETY: at + LANES <= len, the length of both.
                unsafe { v.store(to.as_mut_ptr().add(at), v.load(from.as_ptr().add(at))) };
            }
            to[whole..].iter_mut().zip(&from[whole..]).for_each(|(to, from)| *to = *from);
        }
    }
}
