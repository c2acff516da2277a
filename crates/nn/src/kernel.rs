//! The hot loops, written once over [`crate::simd::Vector`]. Each is a [`crate::simd::Op`] that asserts the lengths
//! of its slices, then accesses them by pointer.
//!
//! A *panel* is 16 units: its weights are rows of 64 f32 (gates i, f, g, o of the 16 units), one row for the
//! bias, one per input, one per recurrent unit. A register tile holds all gates of its units, so activations
//! and cell update happen in registers.

// Register tiles are indexed by row and vector on purpose: indices are constants after unrolling.
#![allow(clippy::needless_range_loop)]

mod adam;
mod backward;
mod copy;
mod forward;
mod matmul;
mod outer;
mod panel;
mod peak;
mod prefetch;
mod softmax;

pub(crate) use adam::{AdamStep, BETA1, BETA2};
pub(crate) use backward::CellBackward;
pub(crate) use copy::{CopyRows, RowLayout};
pub(crate) use forward::{Saved, Step};
pub(crate) use matmul::Matmul;
pub(crate) use outer::Outer;
pub(crate) use panel::Panel;
pub(crate) use peak::Peak;
pub(crate) use prefetch::Prefetch;
pub(crate) use softmax::Softmax;

use crate::simd::PANEL;

/// f32 in a row of a panel's weights: 4 gates x 16 units.
pub(crate) const PANEL_ROW: usize = 4 * PANEL;

/// Calls `$tile::<V, R, $n>` with the row count as a constant.
macro_rules! with_rows {
    ($rows:expr, $tile:ident, $n:literal, ($($arg:expr),*)) => {
        match $rows {
            1 => $tile::<V, 1, $n>($($arg),*),
            2 => $tile::<V, 2, $n>($($arg),*),
            3 => $tile::<V, 3, $n>($($arg),*),
            4 if V::ROWS >= 4 => $tile::<V, 4, $n>($($arg),*),
            5 if V::ROWS >= 5 => $tile::<V, 5, $n>($($arg),*),
            6 if V::ROWS >= 6 => $tile::<V, 6, $n>($($arg),*),
            _ => unreachable!("a tile has at most six rows"),
        }
    };
}
pub(crate) use with_rows;
