//! One step of an LSTM layer for a block of rows.

use super::{PANEL_ROW, Panel, with_rows};
use crate::simd::{Op, PANEL, Vector};

/// Activations saved for the backward pass.
pub(crate) struct Saved<'a> {
    /// Gates after their activations, row of a panel: from `panel * stride + row * 64`.
    pub(crate) gates: &'a mut [f32],
    pub(crate) stride: usize,
    /// tanh of the new cell state: rows x hidden.
    pub(crate) tanh_c: &'a mut [f32],
}

/// Equations 1-5 of the paper, fused: z = W [1, x, h]; i, f, o = sigmoid, g = tanh; c' = f c + i g; h' = o tanh c'.
pub(crate) struct Step<'a> {
    /// Weights, depth x 64 each.
    pub(crate) panels: &'a [Panel],
    pub(crate) rows: usize,
    /// Columns of [1, x, h] to use: all, or only [1, x] if h is zero.
    pub(crate) depth: usize,
    /// Rows of `stride`, of which the first `depth` are read.
    pub(crate) xh: &'a [f32],
    pub(crate) stride: usize,
    /// Process the panels in reverse. A single row's step is bound by loading weights; alternating the direction finds the
    /// last panel still in the L1 cache.
    pub(crate) reverse: bool,
    /// rows x hidden.
    pub(crate) c: &'a [f32],
    pub(crate) c_out: &'a mut [f32],
    /// Rows of `h_stride`, of which the first `hidden` are written.
    pub(crate) h_out: &'a mut [f32],
    pub(crate) h_stride: usize,
    pub(crate) saved: Option<Saved<'a>>,
}

impl Op for Step<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let hidden = self.panels.len() * PANEL;
        assert!(self.rows > 0 && self.stride >= self.depth);
        assert!(self.xh.len() >= (self.rows - 1) * self.stride + self.depth);
        assert!(self.c.len() >= self.rows * hidden && self.c_out.len() >= self.rows * hidden);
        assert!(self.h_stride >= hidden && self.h_out.len() >= (self.rows - 1) * self.h_stride + hidden);
        let (mut gates, mut gate_stride, mut tanh_c) = (std::ptr::null_mut(), 0, std::ptr::null_mut());
        if let Some(saved) = self.saved {
            assert!(saved.gates.len() >= (self.panels.len() - 1) * saved.stride + self.rows * PANEL_ROW);
            assert!(saved.tanh_c.len() >= self.rows * hidden);
            (gates, gate_stride, tanh_c) =
                (saved.gates.as_mut_ptr(), saved.stride, saved.tanh_c.as_mut_ptr());
        }
        for step in 0..self.panels.len() {
            let p = if self.reverse { self.panels.len() - 1 - step } else { step };
            let weights = self.panels[p].weights();
            assert!(weights.len() >= self.depth * PANEL_ROW);
            for unit in (0..PANEL).step_by(V::LANES) {
                let mut row = 0;
                while row < self.rows {
                    let n = V::ROWS.min(self.rows - row);
                    let column = p * PANEL + unit;
                    // SAFETY: the asserts above bound every offset: row + n <= rows, column + LANES <= hidden,
                    // unit + LANES <= 16; the saved pointers are used only where they are not null.
                    unsafe {
                        let tile = Tile {
                            weights: weights.as_ptr().add(unit),
                            depth: self.depth,
                            xh: self.xh.as_ptr().add(row * self.stride),
                            stride: self.stride,
                            c: self.c.as_ptr().add(row * hidden + column),
                            c_out: self.c_out.as_mut_ptr().add(row * hidden + column),
                            hidden,
                            h_out: self.h_out.as_mut_ptr().add(row * self.h_stride + column),
                            h_stride: self.h_stride,
                            gates: if gates.is_null() {
                                gates
                            } else {
                                gates.add(p * gate_stride + row * PANEL_ROW + unit)
                            },
                            tanh_c: if gates.is_null() { tanh_c } else { tanh_c.add(row * hidden + column) },
                        };
                        with_rows!(n, forward_tile, 4, (v, tile));
                    }
                    row += n;
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Tile {
    weights: *const f32,
    depth: usize,
    xh: *const f32,
    stride: usize,
    c: *const f32,
    c_out: *mut f32,
    hidden: usize,
    h_out: *mut f32,
    h_stride: usize,
    gates: *mut f32,
    tanh_c: *mut f32,
}

/// R rows x 4 gates of one vector of units.
///
/// # Safety
/// The pointers must be valid for R rows with their strides, and `weights` for `depth` rows of a panel.
#[inline(always)]
unsafe fn forward_tile<V: Vector, const R: usize, const G: usize>(v: V, t: Tile) {
    // SAFETY: guaranteed by the caller (see `# Safety`).
    unsafe {
        let bias: [V::F; G] = std::array::from_fn(|g| v.load(t.weights.add(g * PANEL)));
        let mut acc = [bias; R];
        for k in 1..t.depth {
            let w = t.weights.add(k * PANEL_ROW);
            if V::ROWS > 3 {
                let mut weights = bias;
                for g in 0..G {
                    weights[g] = v.load(w.add(g * PANEL));
                }
                for r in 0..R {
                    let x = v.splat(*t.xh.add(r * t.stride + k));
                    for g in 0..G {
                        acc[r][g] = v.fma(x, weights[g], acc[r][g]);
                    }
                }
            } else {
                let mut x = [bias[0]; R];
                for r in 0..R {
                    x[r] = v.splat(*t.xh.add(r * t.stride + k));
                }
                for g in 0..G {
                    let weights = v.load(w.add(g * PANEL));
                    for r in 0..R {
                        acc[r][g] = v.fma(x[r], weights, acc[r][g]);
                    }
                }
            }
        }
        for r in 0..R {
            let [i, f, g, o] = v.gates(std::array::from_fn(|g| acc[r][g]));
            let c = v.fma(f, v.load(t.c.add(r * t.hidden)), v.mul(i, g));
            let tanh_c = v.tanh(c);
            v.store(t.c_out.add(r * t.hidden), c);
            v.store(t.h_out.add(r * t.h_stride), v.mul(o, tanh_c));
            if !t.gates.is_null() {
                let at = t.gates.add(r * PANEL_ROW);
                v.store(at, i);
                v.store(at.add(PANEL), f);
                v.store(at.add(2 * PANEL), g);
                v.store(at.add(3 * PANEL), o);
                v.store(t.tanh_c.add(r * t.hidden), tanh_c);
            }
        }
    }
}
