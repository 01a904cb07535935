// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Matrices as MLX stores them.

use std::ops::Range;

use crate::{
    code::{Bf16, Code, F16, Units},
    simd::Simd,
};

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
    /// Whether weights have scales.
    pub fn is_grouped(self) -> bool {
        !matches!(self, Self::F16 | Self::Bf16 | Self::F32)
    }

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
        let fits = format.groups.is_some() == format.encoding.is_grouped();
        let bits = columns * format.encoding.bits();
        rows > 0 && columns > 0 && has_bits && has_groups && fits && bits.is_multiple_of(32)
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
