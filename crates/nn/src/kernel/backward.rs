//! Backward pass of an LSTM step, from the gradient of its output to that of its gates before the activations.

use super::PANEL_ROW;
use crate::simd::{Op, PANEL, Vector};

/// One step backwards through activations and cell, in place: the saved gates become their gradients,
/// `dc` becomes the gradient of the previous cell state.
pub(crate) struct CellBackward<'a> {
    pub(crate) rows: usize,
    pub(crate) hidden: usize,
    /// In: gates; out: their gradients before the activations. Row of a panel: from `panel * stride + row * 64`.
    pub(crate) gates: &'a mut [f32],
    pub(crate) stride: usize,
    /// rows x hidden each.
    pub(crate) tanh_c: &'a [f32],
    pub(crate) c_prev: &'a [f32],
    pub(crate) dh: &'a [f32],
    pub(crate) dc: &'a mut [f32],
}

impl Op for CellBackward<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let (rows, hidden, panels) = (self.rows, self.hidden, self.hidden / PANEL);
        let n = rows * hidden;
        assert!(rows > 0 && hidden == panels * PANEL);
        assert!(self.tanh_c.len() >= n && self.c_prev.len() >= n && self.dh.len() >= n && self.dc.len() >= n);
        assert!(self.gates.len() >= (panels - 1) * self.stride + rows * PANEL_ROW);
        let one = v.splat(1.0);
        for p in 0..panels {
            for row in 0..rows {
                for unit in (0..PANEL).step_by(V::LANES) {
                    let at = row * hidden + p * PANEL + unit;
                    // SAFETY: at + LANES <= rows * hidden, and the gates' offset ends within the panel's row; both asserted.
                    unsafe {
                        let gates = self.gates.as_mut_ptr().add(p * self.stride + row * PANEL_ROW + unit);
                        let (i, f) = (v.load(gates), v.load(gates.add(PANEL)));
                        let (g, o) = (v.load(gates.add(2 * PANEL)), v.load(gates.add(3 * PANEL)));
                        let (dh, tanh_c) =
                            (v.load(self.dh.as_ptr().add(at)), v.load(self.tanh_c.as_ptr().add(at)));
                        let dh_o = v.mul(dh, o);
                        let dc = v.fma(dh_o, v.fnma(tanh_c, tanh_c, one), v.load(self.dc.as_ptr().add(at)));
                        let d_o = v.mul(v.mul(dh_o, tanh_c), v.sub(one, o));
                        let dc_i = v.mul(dc, i);
                        let d_i = v.mul(v.mul(dc_i, g), v.sub(one, i));
                        let d_g = v.mul(dc_i, v.fnma(g, g, one));
                        let dc_f = v.mul(dc, f);
                        let c_prev = v.load(self.c_prev.as_ptr().add(at));
                        let d_f = v.mul(v.mul(dc_f, c_prev), v.sub(one, f));
                        v.store(gates, d_i);
                        v.store(gates.add(PANEL), d_f);
                        v.store(gates.add(2 * PANEL), d_g);
                        v.store(gates.add(3 * PANEL), d_o);
                        v.store(self.dc.as_mut_ptr().add(at), dc_f);
                    }
                }
            }
        }
    }
}
