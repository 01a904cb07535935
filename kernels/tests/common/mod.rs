// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Random matrices, and their products in f64.

#![allow(dead_code)]

use std::sync::OnceLock;

use cpu_kernels::{Encoding, Floats, Format, Groups, Matrix};

/// Xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() >> 32) as usize % end
    }

    /// From -1 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.unit()).collect()
    }
}

/// A matrix in one of MLX's formats.
pub struct Stored {
    pub format: Format,
    pub shape: [usize; 2],
    pub weights: Vec<u8>,
    pub scales: Vec<u8>,
    pub biases: Vec<u8>,
    /// The weights of all rows, once asked for.
    dense: OnceLock<Vec<f64>>,
}

pub const AFFINE_BITS: [u32; 6] = [2, 3, 4, 5, 6, 8];

pub fn affine(bits: u32, size: usize, scales: Floats) -> Format {
    Format { encoding: Encoding::Integer { bits }, groups: Some(Groups { size, scales, biased: true }) }
}

/// Every format that MLX has.
pub fn formats() -> Vec<Format> {
    let mut formats = Vec::new();
    for bits in AFFINE_BITS {
        for size in [32, 64, 128] {
            for scales in [Floats::F32, Floats::F16, Floats::Bf16] {
                formats.push(affine(bits, size, scales));
            }
        }
    }
    let scaled = |encoding, size, scales| Format { encoding, groups: Some(Groups { size, scales, biased: false }) };
    formats.push(scaled(Encoding::E2m1, 32, Floats::E8m0));
    formats.push(scaled(Encoding::E4m3, 32, Floats::E8m0));
    formats.push(scaled(Encoding::E2m1, 16, Floats::E4m3));
    formats.extend([Encoding::F16, Encoding::Bf16, Encoding::F32].map(|encoding| Format { encoding, groups: None }));
    formats
}

impl Stored {
    /// `count` matrices of random weights.
    pub fn random(format: Format, [rows, columns]: [usize; 2], count: usize, random: &mut Random) -> Self {
        let total = count * rows * columns;
        let weights = match format.encoding {
            Encoding::F16 => (0..total).flat_map(|_| half(random.unit())).collect(),
            Encoding::Bf16 => (0..total).flat_map(|_| brain(random.unit())).collect(),
            Encoding::F32 => (0..total).flat_map(|_| random.unit().to_le_bytes()).collect(),
            // Without what MLX reads as ±480 and others as NaN.
            Encoding::E4m3 => {
                (0..total).map(|_| random.bits() as u8).map(|b| if b & 0x7f == 0x7f { b & 0xfe } else { b }).collect()
            }
            encoding => (0..total * encoding.bits() / 8).map(|_| random.bits() as u8).collect(),
        };
        let mut group = |factor: f32| -> Vec<u8> {
            let Some(groups) = format.groups else { return Vec::new() };
            let floats = (0..total / groups.size).map(|_| factor * (1.5 + random.unit()));
            match groups.scales {
                Floats::F32 => floats.flat_map(f32::to_le_bytes).collect(),
                Floats::F16 => floats.flat_map(half).collect(),
                Floats::Bf16 => floats.flat_map(brain).collect(),
                Floats::E8m0 => floats.map(|x| (x.to_bits() >> 23) as u8).collect(),
                Floats::E4m3 => floats.map(|x| 0x18 + (x * 64.0) as u8 % 32).collect(),
            }
        };
        let scales = group(0.02);
        let biases = if format.groups.is_some_and(|groups| groups.biased) { group(-0.1) } else { Vec::new() };
        Self { format, shape: [rows, columns], weights, scales, biases, dense: OnceLock::new() }
    }

    pub fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.format, self.shape, &self.weights, &self.scales, &self.biases).unwrap()
    }

    /// The weight at a place; rows are counted over all matrices.
    pub fn weight(&self, row: usize, column: usize) -> f64 {
        let columns = self.shape[1];
        let rows = self.weights.len() * 8 / self.format.encoding.bits() / columns;
        let decode = || (0..rows * columns).map(|at| self.decode(at / columns, at % columns)).collect();
        self.dense.get_or_init(decode)[row * columns + column]
    }

    fn decode(&self, row: usize, column: usize) -> f64 {
        let bits = self.format.encoding.bits();
        let at = (row * self.shape[1] + column) * bits;
        let code = (0..bits).map(|i| u32::from(self.weights[(at + i) / 8] >> ((at + i) % 8) & 1) << i).sum();
        let value = match self.format.encoding {
            Encoding::Integer { .. } => f64::from(code),
            Encoding::E2m1 => minifloat(code, 2, 1, 1),
            Encoding::E4m3 => minifloat(code, 4, 3, 7),
            Encoding::F16 => minifloat(code, 5, 10, 15),
            Encoding::Bf16 => f64::from(f32::from_bits(code << 16)),
            Encoding::F32 => f64::from(f32::from_bits(code)),
        };
        let Some(groups) = self.format.groups else { return value };
        let group = (row * self.shape[1] + column) / groups.size;
        let float = |bytes: &[u8]| match groups.scales {
            Floats::F32 => f64::from(f32::from_le_bytes(std::array::from_fn(|i| bytes[4 * group + i]))),
            Floats::F16 => minifloat(u32::from(bytes[2 * group]) | u32::from(bytes[2 * group + 1]) << 8, 5, 10, 15),
            Floats::Bf16 => {
                f64::from(f32::from_bits(u32::from(bytes[2 * group]) << 16 | u32::from(bytes[2 * group + 1]) << 24))
            }
            Floats::E8m0 => 2f64.powi(i32::from(bytes[group]) - 127),
            Floats::E4m3 => minifloat(u32::from(bytes[group]), 4, 3, 7),
        };
        // The weights are those that f32 arithmetic gives.
        let bias = if groups.biased { float(&self.biases) } else { 0.0 };
        value * float(&self.scales) + bias
    }

    /// `x @ matrices[which].T` for one row of x.
    pub fn product(&self, x: &[f32], which: usize) -> Vec<f64> {
        let [rows, columns] = self.shape;
        assert_eq!(x.len(), columns);
        let row = |row| (0..columns).map(|column| self.weight(which * rows + row, column) * f64::from(x[column])).sum();
        (0..rows).map(row).collect()
    }
}

/// A float of the given format, without infinities.
fn minifloat(code: u32, exponent_bits: u32, mantissa_bits: u32, bias: i32) -> f64 {
    let mantissa = f64::from(code & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
    let exponent = (code >> mantissa_bits & ((1 << exponent_bits) - 1)) as i32;
    let sign = if code >> (exponent_bits + mantissa_bits) & 1 == 1 { -1.0 } else { 1.0 };
    if exponent == 0 {
        sign * mantissa * 2f64.powi(1 - bias)
    } else {
        sign * (1.0 + mantissa) * 2f64.powi(exponent - bias)
    }
}

/// Half precision, truncated; between 2^-14 and 65504.
fn half(x: f32) -> [u8; 2] {
    let bits = x.to_bits();
    let magnitude = (bits & 0x7fff_ffff).saturating_sub(112 << 23) >> 13;
    ((bits >> 16 & 0x8000 | magnitude) as u16).to_le_bytes()
}

/// bf16, truncated.
fn brain(x: f32) -> [u8; 2] {
    ((x.to_bits() >> 16) as u16).to_le_bytes()
}
