//! One source for every instruction set: kernels are written once over [`Vector`] and compiled for each
//! implementation. It is selected at run time by the CPU's features, or by `CITRONELLA_SIMD`.

mod aligned;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_bf16;
mod math;
mod portable;
#[cfg(target_arch = "x86_64")]
mod table;

use std::sync::OnceLock;

pub(crate) use aligned::Aligned;

/// Units of a panel: a cache line of f32. Every packed buffer pads its rows to a multiple of it.
pub(crate) const PANEL: usize = 16;

/// `n` rounded up to whole panels.
pub(crate) fn padded(n: usize) -> usize {
    n.div_ceil(PANEL) * PANEL
}

/// A vector instruction set. A value proves that the CPU supports it.
pub(crate) trait Vector: Copy {
    /// A register of `LANES` f32.
    type F: Copy;
    /// f32 in a register; divides [`PANEL`].
    const LANES: usize;
    /// Rows of a register tile of four vectors: as many as fit without spilling.
    const ROWS: usize;

    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// `p` must be valid for reading `LANES` f32.
    unsafe fn load(self, p: *const f32) -> Self::F;
    /// # Safety
    /// `p` must be valid for writing `LANES` f32.
    unsafe fn store(self, p: *mut f32, x: Self::F);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b + c
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// c - a * b
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The smaller; `b` if `a` is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger; `b` if `a` is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    /// p * 2^n for integers n in -126..=127.
    fn scale(self, p: Self::F, n: Self::F) -> Self::F;
    /// Prefetches the cache line at `p`, which need not be valid.
    #[inline(always)]
    fn prefetch(self, _p: *const f32) {}

    /// exp(x) for x in [-87, 88].
    #[inline(always)]
    fn exp(self, x: Self::F) -> Self::F {
        math::exp(self, x)
    }
    /// 1 / (1 + exp(-x)), within 1e-6.
    #[inline(always)]
    fn sigmoid(self, x: Self::F) -> Self::F {
        math::sigmoid(self, x)
    }
    /// tanh(x), within 1e-6.
    #[inline(always)]
    fn tanh(self, x: Self::F) -> Self::F {
        math::tanh(self, x)
    }
    /// The activations of i, f, g, o.
    #[inline(always)]
    fn gates(self, [i, f, g, o]: [Self::F; 4]) -> [Self::F; 4] {
        [self.sigmoid(i), self.sigmoid(f), self.tanh(g), self.sigmoid(o)]
    }
}

/// A computation written once for all instruction sets.
pub(crate) trait Op {
    type Out;
    /// Must be `#[inline(always)]`, or it is compiled without the instruction set's features.
    fn run<V: Vector>(self, v: V) -> Self::Out;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

/// An instruction set that this CPU supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(Kind);

impl Simd {
    /// All instruction sets of this CPU, slowest first.
    pub fn available() -> Vec<Simd> {
        let mut all = vec![Simd(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(avx2::Avx2::new().map(|v| Simd(Kind::Avx2(v))));
            all.extend(avx512::Avx512::new().map(|v| Simd(Kind::Avx512(v))));
        }
        all
    }

    /// The default of networks: the one in the environment variable `CITRONELLA_SIMD` (`portable`, `avx2`, `avx512`) if this
    /// CPU supports it, else the fastest. Selected once per process.
    pub fn detect() -> Simd {
        static CHOSEN: OnceLock<Simd> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let all = Simd::available();
            let fastest = all.last().copied().unwrap_or(Simd(Kind::Portable));
            let wanted = std::env::var("CITRONELLA_SIMD").unwrap_or_default();
            all.into_iter().find(|s| s.name() == wanted).unwrap_or(fastest)
        })
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    #[inline]
    pub(crate) fn run<O: Op>(self, op: O) -> O::Out {
        match self.0 {
            Kind::Portable => op.run(portable::Portable),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(v) => v.run(op),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(v) => v.run(op),
        }
    }
}
