//! Weight gradients: the sum over rows of an outer product.

use super::with_rows;
use crate::simd::{Op, PANEL, Vector};

/// Rows of `a` and `d` that fit into the L1 cache while all tiles use them.
const BLOCK_ROWS: usize = 64;

/// `out[depth x columns] += sum over rows of a[row][..depth]^T d[row][..columns]`; `columns` in whole panels.
pub(crate) struct Outer<'a> {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) d: &'a [f32],
    pub(crate) d_stride: usize,
    pub(crate) out: &'a mut [f32],
}

impl Op for Outer<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        if self.rows == 0 {
            return;
        }
        assert!(self.columns.is_multiple_of(PANEL));
        assert!(self.a_stride >= self.depth && self.a.len() >= (self.rows - 1) * self.a_stride + self.depth);
        assert!(
            self.d_stride >= self.columns && self.d.len() >= (self.rows - 1) * self.d_stride + self.columns
        );
        assert!(self.out.len() >= self.depth * self.columns);
        let mut first = 0;
        while first < self.rows {
            let block = BLOCK_ROWS.min(self.rows - first);
            let mut column = 0;
            while column < self.columns {
                let vectors = ((self.columns - column) / V::LANES).min(4);
                let mut k = 0;
                while k < self.depth {
                    let n = V::ROWS.min(self.depth - k);
                    // SAFETY: first + block <= rows, k + n <= depth, column + vectors * LANES <= columns; the
                    // asserts bound the rest.
                    unsafe {
                        let t = Tile {
                            rows: block,
                            a: self.a.as_ptr().add(first * self.a_stride + k),
                            a_stride: self.a_stride,
                            d: self.d.as_ptr().add(first * self.d_stride + column),
                            d_stride: self.d_stride,
                            out: self.out.as_mut_ptr().add(k * self.columns + column),
                            out_stride: self.columns,
                        };
                        match vectors {
                            1 => with_rows!(n, outer_tile, 1, (v, t)),
                            2 => with_rows!(n, outer_tile, 2, (v, t)),
                            3 => with_rows!(n, outer_tile, 3, (v, t)),
                            _ => with_rows!(n, outer_tile, 4, (v, t)),
                        }
                    }
                    k += n;
                }
                column += vectors * V::LANES;
            }
            first += block;
        }
    }
}

#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    a: *const f32,
    a_stride: usize,
    d: *const f32,
    d_stride: usize,
    out: *mut f32,
    out_stride: usize,
}

/// R columns of `a` x N vectors of `d`.
///
/// # Safety
/// The pointers must be valid for `rows` rows (`a`, `d`) and R rows (`out`) with their strides.
#[inline(always)]
unsafe fn outer_tile<V: Vector, const R: usize, const N: usize>(v: V, t: Tile) {
    // SAFETY: guaranteed by the caller (see `# Safety`).
    unsafe {
        let mut acc = [[v.splat(0.0); N]; R];
        for r in 0..R {
            for n in 0..N {
                acc[r][n] = v.load(t.out.add(r * t.out_stride + n * V::LANES));
            }
        }
        for row in 0..t.rows {
            let (a, d) = (t.a.add(row * t.a_stride), t.d.add(row * t.d_stride));
            let mut x = [v.splat(0.0); R];
            for r in 0..R {
                x[r] = v.splat(*a.add(r));
            }
            for n in 0..N {
                let d = v.load(d.add(n * V::LANES));
                for r in 0..R {
                    acc[r][n] = v.fma(x[r], d, acc[r][n]);
                }
            }
        }
        for r in 0..R {
            for n in 0..N {
                v.store(t.out.add(r * t.out_stride + n * V::LANES), acc[r][n]);
            }
        }
    }
}
