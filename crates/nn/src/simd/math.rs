//! exp, sigmoid and tanh over vectors. tanh is an odd polynomial of degree 13 over an even one of degree 6 (the coefficients of
//! Eigen's `ptanh`). Absolute error at most 3e-7, tested over the whole range; NaN stays NaN.

use super::Vector;

/// tanh(x)
#[inline(always)]
pub(crate) fn tanh<V: Vector>(v: V, x: V::F) -> V::F {
    // Beyond 9 tanh is 1 in f32. x is the second operand, which min and max return for NaN.
    let x = v.min(v.splat(9.0), v.max(v.splat(-9.0), x));
    let x2 = v.mul(x, x);
    let mut p = v.splat(-2.760_768_5e-16);
    for c in [2.000_188e-13, -8.604_672e-11, 5.122_297_1e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3] {
        p = v.fma(p, x2, v.splat(c));
    }
    let mut q = v.splat(1.198_258_4e-6);
    for c in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = v.fma(q, x2, v.splat(c));
    }
    // Rounding may put the quotient beyond 1; the sigmoid must not fall below zero.
    v.min(v.splat(1.0), v.max(v.splat(-1.0), v.div(v.mul(x, p), q)))
}

/// 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2
#[inline(always)]
pub(crate) fn sigmoid<V: Vector>(v: V, x: V::F) -> V::F {
    let half = v.splat(0.5);
    v.fma(half, v.tanh(v.mul(half, x)), half)
}

/// exp(x) for x clamped to [-87, 88]: 2^n by the exponent's bits, the remainder by a polynomial of degree 6. Relative error at
/// most 3e-7; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<V: Vector>(v: V, x: V::F) -> V::F {
    let x = v.min(v.splat(88.0), v.max(v.splat(-87.0), x));
    let magic = v.splat(MAGIC);
    let n = v.sub(v.fma(x, v.splat(std::f32::consts::LOG2_E), magic), magic);
    let r = v.fnma(n, v.splat(0.693_359_4), x);
    let r = v.fnma(n, v.splat(-2.121_944_4e-4), r);
    let mut p = v.splat(1.398_2e-3);
    for c in [8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5, 1.0, 1.0] {
        p = v.fma(p, r, v.splat(c));
    }
    v.scale(p, n)
}

/// 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
pub(crate) const MAGIC: f32 = 12_582_912.0;

#[cfg(test)]
mod tests {
    use super::super::{Op, PANEL, Simd, Vector};

    /// exp, sigmoid and tanh of 16 numbers.
    struct All<'a>(&'a [f32; PANEL], &'a mut [[f32; PANEL]; 3]);

    impl Op for All<'_> {
        type Out = ();
        #[inline(always)]
        fn run<V: Vector>(self, v: V) {
            for at in (0..PANEL).step_by(V::LANES) {
                // SAFETY: LANES divides PANEL.
                unsafe {
                    let x = v.load(self.0.as_ptr().add(at));
                    v.store(self.1[0].as_mut_ptr().add(at), v.exp(x));
                    v.store(self.1[1].as_mut_ptr().add(at), v.gates([x; 4])[3]);
                    v.store(self.1[2].as_mut_ptr().add(at), v.tanh(x));
                }
            }
        }
    }

    fn all(simd: Simd, x: &[f32; PANEL]) -> [[f32; PANEL]; 3] {
        let mut out = [[0.0; PANEL]; 3];
        simd.run(All(x, &mut out));
        out
    }

    #[test]
    fn errors_stay_below_a_millionth() {
        for simd in Simd::available() {
            let (mut worst, mut i) = ([0.0f64; 3], 0);
            while i < 2_000_000 {
                // -25 to 25 in even steps, and everything down to 2^-30 around zero.
                let x: [f32; PANEL] = std::array::from_fn(|lane| {
                    let t = (i + lane) as f32 / 1e6 - 1.0;
                    if lane % 4 == 3 { t.signum() * 2f32.powf(t.abs() * 34.0 - 30.0) } else { t * 25.0 }
                });
                let out = all(simd, &x);
                for (lane, x) in x.iter().map(|&x| f64::from(x)).enumerate() {
                    let found = out.map(|f| f64::from(f[lane]));
                    let wanted = [x.exp(), 1.0 / (1.0 + (-x).exp()), x.tanh()];
                    worst[0] = worst[0].max((found[0] / wanted[0] - 1.0).abs());
                    worst[1] = worst[1].max((found[1] - wanted[1]).abs());
                    worst[2] = worst[2].max((found[2] - wanted[2]).abs());
                }
                i += PANEL;
            }
            println!("{}: {worst:?}", simd.name());
            assert!(worst.iter().all(|w| *w < 6e-7), "{}: {worst:?}", simd.name());
        }
    }

    #[test]
    fn limits_are_exact_and_nan_stays() {
        for simd in Simd::available() {
            let mut x = [0.0; PANEL];
            x[..6].copy_from_slice(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e30, -1e30, -0.0]);
            let [exp, sigmoid, tanh] = all(simd, &x);
            assert!(exp[2].is_nan() && sigmoid[2].is_nan() && tanh[2].is_nan(), "{}", simd.name());
            assert_eq!(
                [sigmoid[0], sigmoid[1], sigmoid[3], sigmoid[4], sigmoid[5]],
                [1.0, 0.0, 1.0, 0.0, 0.5]
            );
            assert_eq!([tanh[0], tanh[1], tanh[3], tanh[4], tanh[5]], [1.0, -1.0, 1.0, -1.0, 0.0]);
            assert_eq!(exp[5], 1.0);
        }
    }
}
