// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Elementary functions on vectors.

use crate::simd::Simd;

/// Multiplications that take as long as an exponential.
pub(crate) const EXP_COST: usize = 10;

/// e^x within two units of the last place; the smallest normal number from -87.3 on downwards, and infinity from 88.73
/// on. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F) -> S::F {
    // `max` and `min` give their second argument for NaN.
    let x = simd.min(simd.splat(88.8), simd.max(simd.splat(-87.33), x));
    // x = n ln 2 + r with an integer n: the sum's last bits are n, as it is between 2^23 and 2^24.
    let magic = simd.splat(12_582_912.0);
    let shifted = simd.mul_add(x, simd.splat(std::f32::consts::LOG2_E), magic);
    let n = simd.sub(shifted, magic);
    // ln 2 in two parts, the first of which times n is exact.
    let r = simd.mul_add(n, simd.splat(-0.693_145_75), x);
    let r = simd.mul_add(n, simd.splat(-1.428_606_8e-6), r);
    // e^r = 1 + r + r² p(r), by Cephes' coefficients.
    let mut p = simd.splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = simd.mul_add(p, r, simd.splat(coefficient));
    }
    let power = simd.add(simd.mul_add(simd.mul(p, r), r, r), simd.splat(1.0));
    // Times 2^n in two steps, as 2^128 is no number, but e^88.7 is one.
    let half = |n| simd.float_of_bits(simd.shl(simd.add_bits(n, simd.splat_bits(127)), 23));
    let bits = simd.bits_of(shifted);
    let n = simd.sub_bits(bits, simd.splat_bits(0x4b40_0000));
    let low = simd.shr_signed(n, 1);
    simd.mul(simd.mul(power, half(low)), half(simd.sub_bits(n, low)))
}

/// ln x of a normal number above 0, within two units of the last place.
#[inline(always)]
pub(crate) fn ln<S: Simd>(simd: S, x: S::F) -> S::F {
    // x = m 2^n with m between sqrt(1/2), which has these bits, and sqrt(2).
    const LEAST: u32 = 0x3f35_04f3;
    const BIAS: u32 = 128;
    let bits = simd.bits_of(x);
    let biased = simd.shr(simd.add_bits(bits, simd.splat_bits((BIAS << 23) - LEAST)), 23);
    let power = simd.shl(simd.sub_bits(biased, simd.splat_bits(BIAS)), 23);
    let m = simd.sub(simd.float_of_bits(simd.sub_bits(bits, power)), simd.splat(1.0));
    let n = simd.sub(simd.to_float(biased), simd.splat(BIAS as f32));
    // ln(1 + m) = m - m² / 2 + m³ p(m), by Cephes' coefficients.
    let mut p = simd.splat(7.037_683_6e-2);
    for coefficient in [
        -0.115_146_1,
        0.116_769_99,
        -0.124_201_41,
        0.142_493_23,
        -0.166_680_58,
        0.200_007_15,
        -0.249_999_94,
        0.333_333_3,
    ] {
        p = simd.mul_add(p, m, simd.splat(coefficient));
    }
    let square = simd.mul(m, m);
    // ln 2 in two parts, as in `exp`.
    let small = simd.mul_add(n, simd.splat(1.428_606_8e-6), simd.mul(simd.mul(p, m), square));
    let small = simd.mul_add(square, simd.splat(-0.5), small);
    simd.mul_add(n, simd.splat(0.693_145_75), simd.add(m, small))
}

/// The largest number but NaN; -infinity if there is none.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let mut vector = simd.splat(f32::NEG_INFINITY);
    let parts = x.chunks_exact(S::LANES);
    let rest = parts.remainder();
    for part in parts {
        vector = simd.max(simd.load(part), vector);
    }
    let mut lanes = [f32::NEG_INFINITY; 16];
    simd.store(vector, &mut lanes);
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// 1 / (1 + e^-x)
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::F) -> S::F {
    let one = simd.splat(1.0);
    simd.div(one, simd.add(one, exp(simd, simd.sub(simd.splat(0.0), x))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{InstructionSet, Kernel, dispatch};

    struct Exp<'a>(&'a mut [f32]);

    impl Kernel for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for part in self.0.chunks_exact_mut(S::LANES) {
                simd.store(exp(simd, simd.load(part)), part);
            }
        }
    }

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        for &set in InstructionSet::ALL {
            let inputs: Vec<f32> = (0..160_000).map(|i| i as f32 * 0.0011 - 87.3).filter(|x| *x < 88.7).collect();
            let mut outputs = inputs.clone();
            outputs.truncate(inputs.len() / 16 * 16);
            dispatch(set, Exp(&mut outputs));
            for (x, y) in inputs.into_iter().zip(outputs) {
                let expected = f64::from(x).exp();
                let error = (f64::from(y) / expected - 1.0).abs();
                assert!(error < 2.0 * f64::from(f32::EPSILON), "{set:?}: e^{x} = {y}, not {expected}");
            }
        }
    }

    struct Ln<'a>(&'a mut [f32]);

    impl Kernel for Ln<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for part in self.0.chunks_exact_mut(S::LANES) {
                simd.store(ln(simd, simd.load(part)), part);
            }
        }
    }

    #[test]
    fn ln_is_within_two_units_of_the_last_place() {
        // All magnitudes, and then numbers beside 1.
        let mut inputs: Vec<f32> = (0..160_000).map(|i| f32::from_bits(0x0080_0000 + i * 13_000)).collect();
        inputs.extend((1..16_001).map(|i| 1.0 - i as f32 * 5.960_464_5e-8));
        inputs.extend((1..16_001).map(|i| 1.0 + i as f32 * 1.192_092_9e-7));
        for &set in InstructionSet::ALL {
            let mut outputs = inputs.clone();
            dispatch(set, Ln(&mut outputs));
            for (x, y) in inputs.iter().zip(outputs) {
                let expected = f64::from(*x).ln();
                let error = (f64::from(y) - expected).abs();
                let unit = f64::from(f32::EPSILON) * expected.abs();
                assert!(error <= 2.0 * unit, "{set:?}: ln {x} = {y}, not {expected}");
            }
        }
    }

    #[test]
    fn exp_has_limits_and_keeps_nan() {
        for &set in InstructionSet::ALL {
            let mut values = [f32::NEG_INFINITY, f32::MIN, 0.0, f32::INFINITY, f32::MAX, 89.0, f32::NAN, 1.0].repeat(2);
            dispatch(set, Exp(&mut values));
            assert!(values[0] < 1.3e-38 && values[1] < 1.3e-38, "{set:?}: {values:?}");
            assert_eq!(values[2], 1.0);
            assert!(values[3..6].iter().all(|&x| x == f32::INFINITY), "{set:?}: {values:?}");
            assert!(values[6].is_nan());
        }
    }
}
