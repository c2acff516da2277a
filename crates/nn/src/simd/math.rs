//! exp, sigmoid and tanh over vectors. tanh is an odd polynomial of degree 13 over an even one of degree 6 (the coefficients that
//! Eigen's `ptanh` made known). Absolute error 3e-7 at most, tested over the whole range; NaN stays NaN.

use super::Vector;

/// tanh(x)
#[inline(always)]
pub(crate) fn tanh<V: Vector>(v: V, x: V::F) -> V::F {
    // Beyond this tanh is 1 in f32. x is the second operand: min and max return that one where an operand is NaN.
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
    v.div(v.mul(x, p), q)
}

/// 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2
#[inline(always)]
pub(crate) fn sigmoid<V: Vector>(v: V, x: V::F) -> V::F {
    let half = v.splat(0.5);
    v.fma(half, v.tanh(v.mul(half, x)), half)
}

/// exp(x) for x clamped to [-87, 88]: 2^n by the exponent's bits, the rest by a polynomial of degree 6. Relative error 3e-7
/// at most; NaN stays NaN.
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

/// 1.5 * 2^23: adding it rounds to a whole number, which then stands in the low bits.
pub(crate) const MAGIC: f32 = 12_582_912.0;
