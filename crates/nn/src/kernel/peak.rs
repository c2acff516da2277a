//! Peak floating-point rate: independent chains of fused multiply-adds.

use crate::simd::{Op, Vector};

/// Independent chains: at least 8 (latency x throughput of current CPUs); more than 12 spill on AVX2.
const CHAINS: usize = 12;

/// Reiterations the floating-point operations done (two per multiply-add), and a number that depends on all of them.
pub(crate) struct Peak {
    pub(crate) iterations: usize,
}

impl Op for Peak {
    type Out = (f64, f32);

    #[inline(always)]
    fn run<V: Vector>(self, v: V) -> (f64, f32) {
        let (factor, term) = (v.splat(0.999), v.splat(1e-3));
        let mut sums = [v.splat(0.5); CHAINS];
        for _ in 0..self.iterations {
            for i in 0..CHAINS {
                sums[i] = v.fma(sums[i], factor, term);
            }
        }
        let mut total = sums[0];
        for i in 1..CHAINS {
            total = v.add(total, sums[i]);
        }
        let mut out = [0.0; crate::simd::PANEL];
        // SAFETY: LANES divides PANEL.
        unsafe { v.store(out.as_mut_ptr(), total) };
        ((self.iterations * CHAINS * V::LANES * 2) as f64, out[0])
    }
}
