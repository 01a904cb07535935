// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How the weights of matrices are decoded.

use crate::simd::Simd;

/// Encoded weights of a row, in units of three to five bytes, one unit a lane.
pub(crate) trait Code {
    /// Weights in a unit.
    const VALUES: usize;
    /// Bytes of a unit.
    const BYTES: usize;
    /// Whether weights have scales; dense ones have none.
    const IS_GROUPED: bool;

    /// The weight with the given index in each unit, times 2^`shift(index)`, which costs an instruction less.
    fn scaled<S: Simd>(simd: S, units: Units<S>, index: usize) -> S::F;
    fn shift(index: usize) -> u32;
    /// The weight with the given index in each unit.
    fn value<S: Simd>(simd: S, units: Units<S>, index: usize) -> S::F;
}

/// Encoded weights that are unsigned integers of up to eight bits.
pub(crate) trait ByteCode: Code {
    /// Four weights of each unit as bytes: those with the indices `bytes_at(step)`.
    fn bytes<S: Simd>(simd: S, units: Units<S>, step: usize) -> S::I;
    /// Every weight of a unit is in one of `VALUES / 4` steps.
    fn bytes_at(step: usize) -> [usize; 4];
}

/// Units in lanes: their first four bytes, and of units of five bytes the last four.
pub(crate) struct Units<S: Simd> {
    pub(crate) low: S::I,
    pub(crate) high: S::I,
}

impl<S: Simd> Clone for Units<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Simd> Copy for Units<S> {}

/// The first `LANES` units of a row's bytes; where there are fewer, the others are 0.
#[inline(always)]
pub(crate) fn load_units<S: Simd, C: Code>(simd: S, bytes: &[u8]) -> Units<S> {
    if C::BYTES == 4 && bytes.len() >= 4 * S::LANES {
        let low = simd.load_words(bytes);
        return Units { low, high: low };
    }
    let count = (bytes.len() / C::BYTES).min(S::LANES);
    let (mut low, mut high) = ([[0; 4]; 32], [[0; 4]; 32]);
    for (unit, (low, high)) in bytes[..count * C::BYTES].chunks_exact(C::BYTES).zip(low.iter_mut().zip(&mut high)) {
        if C::BYTES == 3 {
            low[..3].copy_from_slice(&unit[..3]);
        } else {
            low.copy_from_slice(&unit[..4]);
        }
        if C::BYTES == 5 {
            high.copy_from_slice(&unit[1..5]);
        }
    }
    let low = simd.load_words(low.as_flattened());
    Units { low, high: if C::BYTES == 5 { simd.load_words(high.as_flattened()) } else { low } }
}

/// Unsigned integers.
pub(crate) struct Integer<const BITS: u32>;

impl<const BITS: u32> Integer<BITS> {
    const MASK: u32 = (1 << BITS) - 1;

    /// Where the weight begins in which word of a unit.
    #[inline(always)]
    fn place<S: Simd>(units: Units<S>, index: usize) -> (S::I, u32) {
        let bit = BITS * index as u32;
        if bit + BITS <= 32 { (units.low, bit) } else { (units.high, bit - 8) }
    }
}

impl<const BITS: u32> Code for Integer<BITS> {
    const VALUES: usize = match BITS {
        2 => 16,
        6 | 8 => 4,
        _ => 8,
    };
    const BYTES: usize = Self::VALUES * BITS as usize / 8;
    const IS_GROUPED: bool = true;

    #[inline(always)]
    fn scaled<S: Simd>(simd: S, units: Units<S>, index: usize) -> S::F {
        if Self::shift(index) == 0 {
            return Self::value(simd, units, index);
        }
        let (word, bit) = Self::place(units, index);
        simd.to_float(simd.and(word, simd.splat_bits(Self::MASK << bit)))
    }

    // The topmost bit would be a sign.
    #[inline(always)]
    fn shift(index: usize) -> u32 {
        let bit = BITS * index as u32;
        let bit = if bit + BITS <= 32 { bit } else { bit - 8 };
        if bit + BITS < 32 { bit } else { 0 }
    }

    #[inline(always)]
    fn value<S: Simd>(simd: S, units: Units<S>, index: usize) -> S::F {
        let (word, bit) = Self::place(units, index);
        let low = if bit == 0 { word } else { simd.shr(word, bit) };
        simd.to_float(if bit + BITS == 32 { low } else { simd.and(low, simd.splat_bits(Self::MASK)) })
    }
}

impl<const BITS: u32> ByteCode for Integer<BITS> {
    #[inline(always)]
    fn bytes<S: Simd>(simd: S, units: Units<S>, step: usize) -> S::I {
        let mut bytes = simd.splat_bits(0);
        if 8 % BITS == 0 {
            let word = if step == 0 { units.low } else { simd.shr(units.low, BITS * step as u32) };
            return if BITS == 8 { word } else { simd.and(word, simd.splat_bits(Self::MASK * 0x0101_0101)) };
        }
        for (byte, index) in Self::bytes_at(step).into_iter().enumerate() {
            let (word, bit) = Self::place(units, index);
            let to = 8 * byte as u32;
            let word = if to < bit { simd.shr(word, bit - to) } else { simd.shl(word, to - bit) };
            bytes = simd.xor(bytes, simd.and(word, simd.splat_bits(Self::MASK << to)));
        }
        bytes
    }

    /// Where a byte has several weights whole, those of a step are the ones that lie at the same place of each.
    #[inline(always)]
    fn bytes_at(step: usize) -> [usize; 4] {
        let steps = Self::VALUES / 4;
        std::array::from_fn(|byte| if 8 % BITS == 0 { steps * byte + step } else { 4 * step + byte })
    }
}

/// Floats with a sign, decoded without a shift of scale: the name, the weights in a unit, and whether they have scales.
macro_rules! unscaled {
    ($name:ident, $values:literal, $is_grouped:literal, |$simd:ident, $units:ident, $index:ident| $value:expr) => {
        pub(crate) struct $name;

        impl Code for $name {
            const VALUES: usize = $values;
            const BYTES: usize = 4;
            const IS_GROUPED: bool = $is_grouped;

            #[inline(always)]
            fn scaled<S: Simd>(simd: S, units: Units<S>, index: usize) -> S::F {
                Self::value(simd, units, index)
            }
            #[inline(always)]
            fn shift(_: usize) -> u32 {
                0
            }
            #[inline(always)]
            fn value<S: Simd>($simd: S, $units: Units<S>, $index: usize) -> S::F {
                $value
            }
        }
    };
}

unscaled!(E2m1, 8, true, |simd, units, index| {
    let magnitude = simd.lookup(&[0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], simd.shr(units.low, 4 * index as u32));
    let sign = simd.and(simd.shl(units.low, 28 - 4 * index as u32), simd.splat_bits(1 << 31));
    simd.float_of_bits(simd.xor(simd.bits_of(magnitude), sign))
});

unscaled!(E4m3, 4, true, |simd, units, index| {
    let byte = simd.shr(units.low, 8 * index as u32);
    let normal = simd.shl(simd.and(byte, simd.splat_bits(0x7f)), 20);
    let normal = simd.float_of_bits(simd.add_bits(normal, simd.splat_bits(120 << 23)));
    let small = simd.mul(simd.to_float(simd.and(byte, simd.splat_bits(7))), simd.splat(1.0 / 512.0));
    let magnitude = simd.where_zero(simd.and(byte, simd.splat_bits(0x78)), small, normal);
    let sign = simd.shl(simd.and(byte, simd.splat_bits(0x80)), 24);
    simd.float_of_bits(simd.xor(simd.bits_of(magnitude), sign))
});

unscaled!(F16, 2, false, |simd, units, index| {
    simd.float_of_half(if index == 0 { simd.and(units.low, simd.splat_bits(0xffff)) } else { simd.shr(units.low, 16) })
});

unscaled!(Bf16, 2, false, |simd, units, index| {
    simd.float_of_bits(if index == 0 {
        simd.shl(units.low, 16)
    } else {
        simd.and(units.low, simd.splat_bits(0xffff_0000))
    })
});

unscaled!(F32, 1, false, |simd, units, _index| simd.float_of_bits(units.low));
