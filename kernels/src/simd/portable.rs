// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Arrays that the compiler makes vectors of, with the instructions that every processor of an architecture has.

use super::{Kernel, Simd};

const LANES: usize = 8;

#[derive(Debug, Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn map<A: Copy, B>(a: [A; LANES], f: impl Fn(A) -> B) -> [B; LANES] {
    std::array::from_fn(|lane| f(a[lane]))
}

#[inline(always)]
fn zip<A: Copy, B>(a: [A; LANES], b: [A; LANES], f: impl Fn(A, A) -> B) -> [B; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Simd for Portable {
    const LANES: usize = LANES;
    // The loops for 2 to 4 rows are half of the code, and few processors need this form.
    const FEW_ROWS: usize = 1;
    const TILE_ROWS: usize = 4;
    type F = [f32; LANES];
    type I = [u32; LANES];

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        std::array::from_fn(|lane| x[lane])
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&x);
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }
    // Not `f32::mul_add`, which is a function call without the instruction.
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn sum(self, [a, b, c, d, e, f, g, h]: Self::F) -> f32 {
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn permute(self, x: Self::F, index: Self::I) -> Self::F {
        map(index, |index| x[index as usize % LANES])
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 8], index: Self::I) -> Self::F {
        map(index, |index| table[index as usize % 8])
    }

    #[inline(always)]
    fn splat_bits(self, x: u32) -> Self::I {
        [x; LANES]
    }
    #[inline(always)]
    fn load_words(self, x: &[u8]) -> Self::I {
        let words = &x[..4 * LANES];
        std::array::from_fn(|lane| u32::from_le_bytes(std::array::from_fn(|byte| words[4 * lane + byte])))
    }
    #[inline(always)]
    fn load_halves(self, x: &[u8]) -> Self::I {
        let halves = &x[..2 * LANES];
        std::array::from_fn(|lane| u32::from(u16::from_le_bytes(std::array::from_fn(|byte| halves[2 * lane + byte]))))
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn add_bits(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    fn sub_bits(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, u32::wrapping_sub)
    }
    #[inline(always)]
    fn shl(self, x: Self::I, count: u32) -> Self::I {
        map(x, |x| x << count)
    }
    #[inline(always)]
    fn shr(self, x: Self::I, count: u32) -> Self::I {
        map(x, |x| x >> count)
    }
    #[inline(always)]
    fn shr_signed(self, x: Self::I, count: u32) -> Self::I {
        map(x, |x| (x.cast_signed() >> count).cast_unsigned())
    }
    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        map(x, |x| x.cast_signed() as f32)
    }
    #[inline(always)]
    fn float_of_bits(self, x: Self::I) -> Self::F {
        map(x, f32::from_bits)
    }
    #[inline(always)]
    fn bits_of(self, x: Self::F) -> Self::I {
        map(x, f32::to_bits)
    }
    #[inline(always)]
    fn float_of_half(self, x: Self::I) -> Self::F {
        map(x, from_half)
    }
    #[inline(always)]
    fn where_zero(self, condition: Self::I, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|lane| if condition[lane] == 0 { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    fn transpose(self, x: &mut [Self::I]) {
        for row in 0..LANES {
            for column in 0..row {
                let upper = x[column][row];
                x[column][row] = std::mem::replace(&mut x[row][column], upper);
            }
        }
    }
    #[inline(always)]
    fn prefetch(self, _: *const u8) {}
}

/// The number whose half-precision form is the low 16 bits.
#[inline(always)]
fn from_half(bits: u32) -> f32 {
    let sign = (bits & 0x8000) << 16;
    let magnitude = bits & 0x7fff;
    let value = match magnitude {
        // Subnormal: units of 2^-24.
        0..0x400 => (magnitude as f32 * (1.0 / 16_777_216.0)).to_bits(),
        // The exponent's bias is 127 instead of 15.
        0x400..0x7c00 => (magnitude << 13) + (112 << 23),
        _ => magnitude << 13 | 0x7f80_0000,
    };
    f32::from_bits(sign | value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_as_ieee_says() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 1023.0 / 16_777_216.0),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(from_half(bits), value, "{bits:#x}");
        }
        assert!(from_half(0x7e00).is_nan());
        assert_eq!(from_half(0x8000).to_bits(), (-0.0f32).to_bits());
    }
}
