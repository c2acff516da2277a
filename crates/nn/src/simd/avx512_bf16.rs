//! AVX-512 with BF16: one instruction multiplies and adds pairs, so a step takes half the multiply-adds and loads half the
//! weights. For streaming only (docs/adr/0013).

// Register tiles are indexed by row on purpose: indices are constants after unrolling.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::avx512::Avx512;
use super::{PANEL, Vector};

/// Rows of a register tile.
const ROWS: usize = 6;
/// 32-bit words in a row of a panel: 4 gates x 16 units, each word a pair of bf16 weights.
const PANEL_ROW: usize = 4 * PANEL;

/// f32 per conversion.
pub(crate) const CONVERTED: usize = 16;

/// Proof that the CPU has AVX-512 with BF16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512Bf16(Avx512);

/// One step of an LSTM layer with products in bf16 and everything else in f32.
pub(crate) struct StepBf16<'a> {
    /// Panels of 16 units: bias (64 f32), then `pairs` rows of 64 words.
    pub(crate) panels: &'a [super::Aligned],
    pub(crate) rows: usize,
    /// Pairs of [x, h] in a row.
    pub(crate) pairs: usize,
    /// rows x pairs, each word two bf16.
    pub(crate) xh: &'a [f32],
    /// rows x units, in place.
    pub(crate) c: &'a mut [f32],
    /// The new h in f32: rows of `h_stride`.
    pub(crate) h: &'a mut [f32],
    pub(crate) h_stride: usize,
    /// The new h in bf16: rows x units / 2 words.
    pub(crate) h16: &'a mut [f32],
}

impl Avx512Bf16 {
    pub(crate) fn new() -> Option<Avx512Bf16> {
        let has = is_x86_feature_detected!("avx512bf16");
        Avx512::new().filter(|_| has).map(Avx512Bf16)
    }

    /// Rounds f32 (a multiple of [`CONVERTED`]) to bf16, two per word.
    pub(crate) fn convert(self, x: &[f32], words: &mut [f32]) {
        #[target_feature(enable = "avx512f,avx512bf16")]
        fn run(v: Avx512, x: &[f32], words: &mut [f32]) {
            for (x, words) in x.chunks_exact(CONVERTED).zip(words.chunks_exact_mut(CONVERTED / 2)) {
                // SAFETY: 16 f32 are read, 8 words written: the chunks' lengths.
                unsafe {
                    let pairs =
                        std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v.load(x.as_ptr())));
                    _mm256_storeu_si256(words.as_mut_ptr().cast(), pairs);
                }
            }
        }
        // SAFETY: `self` proves the features.
        unsafe { run(self.0, x, words) }
    }

    pub(crate) fn step(self, step: StepBf16<'_>) {
        let units = step.panels.len() * PANEL;
        assert!(step.rows > 0 && step.xh.len() >= step.rows * step.pairs);
        assert!(step.c.len() >= step.rows * units && step.h16.len() >= step.rows * units / 2);
        assert!(step.h_stride >= units && step.h.len() >= (step.rows - 1) * step.h_stride + units);
        assert!(step.panels.iter().all(|p| p.len() >= (1 + step.pairs) * PANEL_ROW));
        // SAFETY: `self` proves the features; the slices are as long as asserted.
        unsafe { self.run(step, units) }
    }

    /// # Safety
    /// The slices must be as long as `step` asserts.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512bf16")]
    unsafe fn run(self, step: StepBf16<'_>, units: usize) {
        for (p, panel) in step.panels.iter().enumerate() {
            let mut row = 0;
            while row < step.rows {
                let n = ROWS.min(step.rows - row);
                let column = p * PANEL;
                // SAFETY: row + n <= rows and column + 16 <= units; the lengths follow from the asserts.
                unsafe {
                    let tile = Tile {
                        panel: panel.as_ptr(),
                        pairs: step.pairs,
                        xh: step.xh.as_ptr().add(row * step.pairs),
                        c: step.c.as_mut_ptr().add(row * units + column),
                        units,
                        h: step.h.as_mut_ptr().add(row * step.h_stride + column),
                        h_stride: step.h_stride,
                        h16: step.h16.as_mut_ptr().add((row * units + column) / 2),
                    };
                    match n {
                        1 => self.tile::<1>(tile),
                        2 => self.tile::<2>(tile),
                        3 => self.tile::<3>(tile),
                        4 => self.tile::<4>(tile),
                        5 => self.tile::<5>(tile),
                        _ => self.tile::<6>(tile),
                    }
                }
                row += n;
            }
        }
    }

    /// # Safety
    /// The pointers must be valid for R rows with their strides, and `panel` for a bias and `pairs` rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512bf16")]
    unsafe fn tile<const R: usize>(self, t: Tile) {
        let v = self.0;
        // SAFETY: guaranteed by the caller (see `# Safety`). Each word is one f32 or two bf16, and is used as the type that
        // was stored.
        unsafe {
            let bias: [__m512; 4] = std::array::from_fn(|g| v.load(t.panel.add(g * PANEL)));
            let mut acc = [bias; R];
            for k in 0..t.pairs {
                let row = t.panel.add((1 + k) * PANEL_ROW);
                let weights: [__m512; 4] = std::array::from_fn(|g| v.load(row.add(g * PANEL)));
                for r in 0..R {
                    let x = _mm512_castps_si512(_mm512_set1_ps(*t.xh.add(r * t.pairs + k)));
                    for g in 0..4 {
                        let w = _mm512_castps_si512(weights[g]);
                        acc[r][g] = _mm512_dpbf16_ps(acc[r][g], bf16(w), bf16(x));
                    }
                }
            }
            for r in 0..R {
                let [i, f, g, o] = v.gates(acc[r]);
                let c = v.fma(f, v.load(t.c.add(r * t.units)), v.mul(i, g));
                let h = v.mul(o, v.tanh(c));
                v.store(t.c.add(r * t.units), c);
                v.store(t.h.add(r * t.h_stride), h);
                let pairs = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(h));
                _mm256_storeu_si256(t.h16.add(r * t.units / 2).cast(), pairs);
            }
        }
    }
}

/// 32 bf16 in a register's bits.
#[inline(always)]
fn bf16(x: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without invalid values.
    unsafe { std::mem::transmute(x) }
}

#[derive(Clone, Copy)]
struct Tile {
    panel: *const f32,
    pairs: usize,
    xh: *const f32,
    c: *mut f32,
    units: usize,
    h: *mut f32,
    h_stride: usize,
    h16: *mut f32,
}
