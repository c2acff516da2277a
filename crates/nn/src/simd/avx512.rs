//! AVX-512: 16 lanes, 32 registers. A tile of 6 rows x 4 vectors holds all four gates of 16 units in 24 of them,
//! and leaves room for four vectors of weights and a broadcast.

use std::arch::x86_64::*;

use super::table::SIGMOID;
use super::{Op, Vector};

/// Proof that the CPU has AVX-512 F, DQ, VL and BW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn new() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("fma");
        has.then_some(Avx512(()))
    }

    #[inline]
    pub(crate) fn run<O: Op>(self, op: O) -> O::Out {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
        fn with_features<O: Op>(v: Avx512, op: O) -> O::Out {
            op.run(v)
        }
        // SAFETY: `self` exists, so the CPU has the features.
        unsafe { with_features(self, op) }
    }
}

// SAFETY of every block below: `self` proves the features; loads and stores rest on the caller's promise.
impl Vector for Avx512 {
    type F = __m512;
    const LANES: usize = 16;
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        // SAFETY: guaranteed by the caller (see `# Safety`).
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: __m512) {
        // SAFETY: guaranteed by the caller (see `# Safety`).
        unsafe { _mm512_storeu_ps(p, x) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn fnma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn scale(self, p: __m512, n: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_scalef_ps(p, n) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        // SAFETY: a hint; any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    fn sigmoid(self, x: __m512) -> __m512 {
        self.add(self.splat(0.5), self.half_tanh([x])[0])
    }
    #[inline(always)]
    fn tanh(self, x: __m512) -> __m512 {
        let p = self.half_tanh([self.add(x, x)])[0];
        self.add(p, p)
    }
    #[inline(always)]
    fn gates(self, [i, f, g, o]: [__m512; 4]) -> [__m512; 4] {
        let [i, f, g, o] = self.half_tanh([i, f, self.add(g, g), o]);
        let half = self.splat(0.5);
        [self.add(half, i), self.add(half, f), self.add(g, g), self.add(half, o)]
    }
}

impl Avx512 {
    /// sigmoid(x) - 1/2 = tanh(x / 2) / 2 by table lookup: each coefficient of a segment's polynomial takes one
    /// permutation of two registers, which needs fewer multiply-adds than a rational function and no division.
    #[inline(always)]
    fn half_tanh<const N: usize>(self, x: [__m512; N]) -> [__m512; N] {
        let (mut at, mut r, mut p) = ([x[0]; N], [x[0]; N], [x[0]; N]);
        let (magic, rows) = (self.splat(super::math::MAGIC), &SIGMOID.0);
        for n in 0..N {
            // SAFETY: `self` proves AVX-512F.
            let a = unsafe { _mm512_min_ps(_mm512_set1_ps(15.6), _mm512_abs_ps(x[n])) };
            at[n] = self.fma(a, self.splat(2.0), magic);
            r[n] = self.fnma(self.sub(at[n], magic), self.splat(0.5), a);
        }
        for power in (0..5).rev() {
            // SAFETY: a row of the table is two registers long, and aligned; the index takes the low five bits of the sum, the
            // segment's number, or any for NaN.
            unsafe {
                let low = _mm512_load_ps(rows[power].as_ptr());
                let high = _mm512_load_ps(rows[power].as_ptr().add(16));
                for n in 0..N {
                    let c = _mm512_permutex2var_ps(low, _mm512_castps_si512(at[n]), high);
                    p[n] = if power == 4 { c } else { _mm512_fmadd_ps(p[n], r[n], c) };
                }
            }
        }
        for n in 0..N {
            // SAFETY: `self` proves AVX-512DQ.
            p[n] = unsafe { _mm512_or_ps(p[n], _mm512_and_ps(x[n], _mm512_set1_ps(-0.0))) };
        }
        p
    }
}
