// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Matrices as MLX stores them, and how their weights are decoded.

use std::ops::Range;

use crate::simd::Simd;

/// How floats are stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floats {
    F32,
    F16,
    Bf16,
    /// OCP's E8M0: a power of two in a byte.
    E8m0,
    /// OCP's 8-bit E4M3.
    E4m3,
}

impl Floats {
    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::E8m0 | Self::E4m3 => 1,
        }
    }
}

/// How weights are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Unsigned integers of 2, 3, 4, 5, 6 or 8 bits, one after the other from the lowest bit of a row's first byte on.
    Integer {
        bits: u32,
    },
    /// OCP's 4-bit E2M1, two to a byte.
    E2m1,
    /// OCP's 8-bit E4M3.
    E4m3,
    F16,
    Bf16,
    F32,
}

impl Encoding {
    /// Bits of a weight.
    pub fn bits(self) -> usize {
        match self {
            Self::Integer { bits } => bits as usize,
            Self::E2m1 => 4,
            Self::E4m3 => 8,
            Self::F16 | Self::Bf16 => 16,
            Self::F32 => 32,
        }
    }
}

/// What a matrix consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub encoding: Encoding,
    /// Weights are encoded ones times their group's scale, plus its bias; none for dense matrices.
    pub groups: Option<Groups>,
}

/// Weights of a row that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// Weights in a group: 16, 32, 64 or 128.
    pub size: usize,
    /// How scales, and biases if there are any, are stored.
    pub scales: Floats,
    pub biased: bool,
}

/// Matrices of `rows` by `columns`, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    format: Format,
    rows: usize,
    columns: usize,
    weights: &'a [u8],
    scales: &'a [u8],
    biases: &'a [u8],
}

impl<'a> Matrix<'a> {
    /// `scales` and `biases`: one for each row and group; empty where the format has none.
    ///
    /// Returns `None` if the sizes do not fit, or if there are no kernels for the format.
    pub fn new(
        format: Format,
        [rows, columns]: [usize; 2],
        weights: &'a [u8],
        scales: &'a [u8],
        biases: &'a [u8],
    ) -> Option<Self> {
        if !Self::is_supported(format, [rows, columns]) {
            return None;
        }
        let scale_bytes = format.groups.map_or(0, |groups| columns / groups.size * groups.scales.size());
        let bias_bytes = if format.groups.is_some_and(|groups| groups.biased) { scale_bytes } else { 0 };
        let row_bytes = columns * format.encoding.bits() / 8;
        let count = weights.len() / (rows * row_bytes);
        let fits = count > 0
            && weights.len() == count * rows * row_bytes
            && scales.len() == count * rows * scale_bytes
            && biases.len() == count * rows * bias_bytes;
        fits.then_some(Self { format, rows, columns, weights, scales, biases })
    }

    /// Whether there are kernels for matrices of this format and shape.
    pub fn is_supported(format: Format, [rows, columns]: [usize; 2]) -> bool {
        let has_bits = match format.encoding {
            Encoding::Integer { bits } => matches!(bits, 2 | 3 | 4 | 5 | 6 | 8),
            _ => true,
        };
        let has_groups = format
            .groups
            .is_none_or(|groups| matches!(groups.size, 16 | 32 | 64 | 128) && columns.is_multiple_of(groups.size));
        let bits = columns * format.encoding.bits();
        rows > 0 && columns > 0 && has_bits && has_groups && bits.is_multiple_of(32)
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows of each matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes of a row's weights.
    pub(crate) fn row_bytes(&self) -> usize {
        self.columns * self.format.encoding.bits() / 8
    }

    /// The weights of a row, counted over all matrices.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        self.rows_in(row..row + 1)
    }

    /// The weights of some rows, counted over all matrices.
    #[inline(always)]
    pub(crate) fn rows_in(&self, rows: Range<usize>) -> &'a [u8] {
        let bytes = self.row_bytes();
        &self.weights[rows.start * bytes..rows.end * bytes]
    }

    /// Groups in a row.
    #[inline(always)]
    pub(crate) fn groups(&self) -> usize {
        self.format.groups.map_or(0, |groups| self.columns / groups.size)
    }

    /// Columns in a group; all of them without groups.
    pub(crate) fn group_size(&self) -> usize {
        self.format.groups.map_or(self.columns, |groups| groups.size)
    }

    /// A column shifted right by this is its group.
    #[inline(always)]
    pub(crate) fn group_shift(&self) -> u32 {
        self.format.groups.map_or(usize::BITS - 1, |groups| groups.size.trailing_zeros())
    }

    pub(crate) fn is_biased(&self) -> bool {
        self.format.groups.is_some_and(|groups| groups.biased)
    }

    /// The scales of some rows, counted over all matrices.
    #[inline(always)]
    pub(crate) fn read_scales<S: Simd>(&self, simd: S, rows: Range<usize>, to: &mut [f32]) {
        self.read_groups(simd, self.scales, rows, to);
    }

    /// The biases of some rows, if there are any.
    #[inline(always)]
    pub(crate) fn read_biases<S: Simd>(&self, simd: S, rows: Range<usize>, to: &mut [f32]) {
        if self.is_biased() {
            self.read_groups(simd, self.biases, rows, to);
        }
    }

    #[inline(always)]
    fn read_groups<S: Simd>(&self, simd: S, of: &[u8], rows: Range<usize>, to: &mut [f32]) {
        let Some(groups) = self.format.groups else { return };
        let bytes = self.groups() * groups.scales.size();
        let to = &mut to[..rows.len() * self.groups()];
        read_floats(simd, groups.scales, &of[rows.start * bytes..rows.end * bytes], to);
    }
}

/// Reads floats into f32.
#[inline(always)]
pub(crate) fn read_floats<S: Simd>(simd: S, floats: Floats, bytes: &[u8], to: &mut [f32]) {
    match floats {
        Floats::F32 => {
            for (bytes, to) in bytes.as_chunks::<4>().0.iter().zip(to) {
                *to = f32::from_le_bytes(*bytes);
            }
        }
        Floats::F16 => read_halves::<S, F16>(simd, bytes, to),
        Floats::Bf16 => read_halves::<S, Bf16>(simd, bytes, to),
        // 2^(x - 127), which is a subnormal number for 0.
        Floats::E8m0 => {
            for (&byte, to) in bytes.iter().zip(to) {
                *to = f32::from_bits(if byte == 0 { 1 << 22 } else { u32::from(byte) << 23 });
            }
        }
        Floats::E4m3 => {
            for (&byte, to) in bytes.iter().zip(to) {
                *to = e4m3(byte);
            }
        }
    }
}

/// Reads floats of 16 bits.
#[inline(always)]
fn read_halves<S: Simd, C: Code>(simd: S, bytes: &[u8], to: &mut [f32]) {
    let (mut last, mut last_to) = ([0; 64], [0.0; 32]);
    for (bytes, to) in bytes.chunks(2 * S::LANES).zip(to.chunks_mut(S::LANES)) {
        if to.len() == S::LANES {
            let low = simd.load_halves(bytes);
            simd.store(C::value(simd, Units { low, high: low }, 0), to);
        } else {
            last[..bytes.len()].copy_from_slice(bytes);
            let low = simd.load_halves(&last);
            simd.store(C::value(simd, Units { low, high: low }, 0), &mut last_to);
            to.copy_from_slice(&last_to[..to.len()]);
        }
    }
}

/// The number that a byte stands for in E4M3, as MLX reads it: there is no infinity, and what would be NaN is ±480.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(byte >> 3 & 15), u32::from(byte & 7));
    let magnitude =
        if exponent == 0 { mantissa as f32 / 512.0 } else { f32::from_bits((exponent + 120) << 23 | mantissa << 20) };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Encoded weights of a row, in units of one to four bytes, one unit a lane.
pub(crate) trait Code {
    /// Weights in a unit.
    const VALUES: usize;
    /// Bytes of a unit.
    const BYTES: usize;

    /// The weight with the given index in each unit, times 2^`shift(index)`, which costs an instruction less.
    fn scaled<S: Simd>(simd: S, units: Units<S>, index: usize) -> S::F;
    fn shift(index: usize) -> u32;
    /// The weight with the given index in each unit.
    fn value<S: Simd>(simd: S, units: Units<S>, index: usize) -> S::F;
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

/// Floats with a sign, decoded without a shift of scale.
macro_rules! unscaled {
    ($name:ident, $values:literal, |$simd:ident, $units:ident, $index:ident| $value:expr) => {
        pub(crate) struct $name;

        impl Code for $name {
            const VALUES: usize = $values;
            const BYTES: usize = 4;

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

unscaled!(E2m1, 8, |simd, units, index| {
    let magnitude = simd.lookup(&[0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], simd.shr(units.low, 4 * index as u32));
    let sign = simd.and(simd.shl(units.low, 28 - 4 * index as u32), simd.splat_bits(1 << 31));
    simd.float_of_bits(simd.xor(simd.bits_of(magnitude), sign))
});

unscaled!(E4m3, 4, |simd, units, index| {
    let byte = simd.shr(units.low, 8 * index as u32);
    let normal = simd.shl(simd.and(byte, simd.splat_bits(0x7f)), 20);
    let normal = simd.float_of_bits(simd.add_bits(normal, simd.splat_bits(120 << 23)));
    let small = simd.mul(simd.to_float(simd.and(byte, simd.splat_bits(7))), simd.splat(1.0 / 512.0));
    let magnitude = simd.where_zero(simd.and(byte, simd.splat_bits(0x78)), small, normal);
    let sign = simd.shl(simd.and(byte, simd.splat_bits(0x80)), 24);
    simd.float_of_bits(simd.xor(simd.bits_of(magnitude), sign))
});

unscaled!(F16, 2, |simd, units, index| {
    simd.float_of_half(if index == 0 { simd.and(units.low, simd.splat_bits(0xffff)) } else { simd.shr(units.low, 16) })
});

unscaled!(Bf16, 2, |simd, units, index| {
    simd.float_of_bits(if index == 0 {
        simd.shl(units.low, 16)
    } else {
        simd.and(units.low, simd.splat_bits(0xffff_0000))
    })
});

unscaled!(F32, 1, |simd, units, _index| simd.float_of_bits(units.low));
