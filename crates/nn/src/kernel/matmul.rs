//! Small row-major matrix products: out = a b or out += a b.

use super::with_rows;
use crate::simd::{Op, PANEL, Vector};

/// `out[rows x columns] (+)= a[rows x depth] b[depth x columns]`; `columns` in whole panels.
pub(crate) struct Matmul<'a> {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) b: &'a [f32],
    pub(crate) b_stride: usize,
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
    /// Add to `out` rather than overwrite it.
    pub(crate) add: bool,
}

impl Op for Matmul<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        assert!(self.columns.is_multiple_of(PANEL) && self.depth > 0);
        assert!(self.a_stride >= self.depth && self.a.len() >= (self.rows - 1) * self.a_stride + self.depth);
        assert!(
            self.b_stride >= self.columns && self.b.len() >= (self.depth - 1) * self.b_stride + self.columns
        );
        assert!(self.out_stride >= self.columns);
        assert!(self.out.len() >= (self.rows - 1) * self.out_stride + self.columns);
        let mut column = 0;
        while column < self.columns {
            let vectors = ((self.columns - column) / V::LANES).min(4);
            let mut row = 0;
            while row < self.rows {
                let n = V::ROWS.min(self.rows - row);
                // SAFETY: row + n <= rows and column + vectors * LANES <= columns; the asserts bound the rest.
                unsafe {
                    let t = Tile {
                        depth: self.depth,
                        a: self.a.as_ptr().add(row * self.a_stride),
                        a_stride: self.a_stride,
                        b: self.b.as_ptr().add(column),
                        b_stride: self.b_stride,
                        out: self.out.as_mut_ptr().add(row * self.out_stride + column),
                        out_stride: self.out_stride,
                        add: self.add,
                    };
                    match vectors {
                        1 => with_rows!(n, matmul_tile, 1, (v, t)),
                        2 => with_rows!(n, matmul_tile, 2, (v, t)),
                        3 => with_rows!(n, matmul_tile, 3, (v, t)),
                        _ => with_rows!(n, matmul_tile, 4, (v, t)),
                    }
                }
                row += n;
            }
            column += vectors * V::LANES;
        }
    }
}

#[derive(Clone, Copy)]
struct Tile {
    depth: usize,
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    out: *mut f32,
    out_stride: usize,
    add: bool,
}

/// R rows x N vectors.
///
/// # Safety
/// The pointers must be valid for R rows (`a`, `out`) and `depth` rows (`b`) of N vectors with their strides.
#[inline(always)]
unsafe fn matmul_tile<V: Vector, const R: usize, const N: usize>(v: V, t: Tile) {
    // SAFETY: guaranteed by the caller (see `# Safety`).
    unsafe {
        let mut acc = [[v.splat(0.0); N]; R];
        if t.add {
            for r in 0..R {
                for n in 0..N {
                    acc[r][n] = v.load(t.out.add(r * t.out_stride + n * V::LANES));
                }
            }
        }
        let mut k = 0;
        if N == 1 {
            // One vector per row gives too few independent sums to hide the latency: use four partial sums, added in
            // a fixed order.
            let mut parts = [[v.splat(0.0); 4]; R];
            while k + 4 <= t.depth {
                for part in 0..4 {
                    let b = v.load(t.b.add((k + part) * t.b_stride));
                    for r in 0..R {
                        let x = v.splat(*t.a.add(r * t.a_stride + k + part));
                        parts[r][part] = v.fma(x, b, parts[r][part]);
                    }
                }
                k += 4;
            }
            for r in 0..R {
                let sum = v.add(v.add(parts[r][0], parts[r][1]), v.add(parts[r][2], parts[r][3]));
                acc[r][0] = v.add(acc[r][0], sum);
            }
        }
        while k < t.depth {
            let b = t.b.add(k * t.b_stride);
            let mut x = [v.splat(0.0); R];
            for r in 0..R {
                x[r] = v.splat(*t.a.add(r * t.a_stride + k));
            }
            for n in 0..N {
                let b = v.load(b.add(n * V::LANES));
                for r in 0..R {
                    acc[r][n] = v.fma(x[r], b, acc[r][n]);
                }
            }
            k += 1;
        }
        for r in 0..R {
            for n in 0..N {
                v.store(t.out.add(r * t.out_stride + n * V::LANES), acc[r][n]);
            }
        }
    }
}
