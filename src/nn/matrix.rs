// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Matrices that are dense or quantized.

use mlx_rs::{Array, Dtype};

use super::Rows;
use crate::{
    error::Result,
    mlx::{self, After, Backend, Fused, QuantizedArray},
};

/// Number of rows from which a quantized matrix is dequantized and multiplied as a dense one, instead of by MLX's
/// kernel.
///
/// Measured by `__test__/bench/rows.rs`: on a CPU both are equally fast at about ten rows; on NVIDIA GPUs the kernel is
/// faster up to 16 rows, and much slower at 2048. Unmeasured between 16 and 2048 rows, and on Metal, where the kernel
/// is kept as in mlx-lm.
fn dequantize_from_rows() -> usize {
    match mlx::backend() {
        Backend::Cpu => 8,
        Backend::Gpu if mlx::is_cuda() => 64,
        Backend::Gpu => usize::MAX,
    }
}

/// Matrices of shape (…, rows, columns), as a checkpoint stores them.
#[derive(Debug, Clone)]
pub enum Matrix {
    Dense(Array),
    Quantized(QuantizedArray),
}

impl Matrix {
    /// `x @ self.T`; x: (…, columns) → (…, rows)
    pub fn matmul_transposed(&self, x: &Array) -> Result<Array> {
        let own = match self {
            Self::Dense(weight) => mlx::dense_matmul_transposed(x, weight),
            Self::Quantized(weight) => mlx::quantized_matmul_transposed(x, weight),
        };
        if let Some(y) = own {
            return y;
        }
        match self {
            Self::Dense(weight) => Ok(x.matmul(weight.swap_axes(-1, -2)?)?),
            Self::Quantized(weight) if rows_per_matrix(x, &weight.weight) >= dequantize_from_rows() => {
                weight.dense_matmul(x, true)
            }
            Self::Quantized(weight) => weight.matmul(x, true),
        }
    }

    /// The product with normalized rows and what follows it, in one kernel; `None` where that takes several.
    pub(super) fn fused_product(&self, rows: &Rows, after: After) -> Option<Result<Array>> {
        let fused = Fused { norm: rows.before()?, after };
        match self {
            Self::Dense(weight) => mlx::dense_product(rows.x, weight, fused),
            Self::Quantized(weight) => mlx::quantized_product(rows.x, weight, fused),
        }
    }

    /// `x @ self`; x: (…, rows) → (…, columns)
    pub fn matmul(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Dense(weight) => Ok(x.matmul(weight)?),
            Self::Quantized(weight) => weight.matmul(x, false),
        }
    }

    /// `x[…] @ self[indices].T` for matrices of (E, rows, columns); x: (…, 1, columns) → (…, 1, rows). `sorted`: equal
    /// indices are adjacent.
    pub fn gather_matmul_transposed(&self, x: &Array, indices: &Array, sorted: bool) -> Result<Array> {
        if let Some(y) = self.fused_gather_product(x, indices, After::Nothing) {
            return y;
        }
        let own = match self {
            Self::Dense(weight) => mlx::gather_dense_matmul_transposed(x, weight, indices),
            Self::Quantized(weight) => mlx::gather_quantized_matmul_transposed(x, weight, indices),
        };
        if let Some(y) = own {
            return y;
        }
        match self {
            Self::Dense(weight) => mlx::gather_matmul(x, &weight.swap_axes(-1, -2)?, indices, sorted),
            Self::Quantized(weight) => weight.gather_matmul_transposed(x, indices, sorted),
        }
    }

    /// The same with what follows it, in one kernel; `None` where that takes several.
    pub(super) fn fused_gather_product(&self, x: &Array, indices: &Array, after: After) -> Option<Result<Array>> {
        match self {
            Self::Dense(weight) => mlx::dense_gather_product(x, weight, indices, after),
            Self::Quantized(weight) => mlx::quantized_gather_product(x, weight, indices, after),
        }
    }

    /// The rows with the given indices; indices: (…) → (…, columns)
    pub fn take_rows(&self, indices: &Array) -> Result<Array> {
        match self {
            Self::Dense(weight) => in_computed_dtype(weight.take_axis(indices, 0)?),
            Self::Quantized(weight) => weight.map(|part| Ok(part.take_axis(indices, 0)?))?.dequantize(computed_dtype()),
        }
    }

    /// Returns the number of rows: the length of the second-to-last axis.
    pub fn rows(&self) -> i32 {
        let (Self::Dense(array) | Self::Quantized(QuantizedArray { weight: array, .. })) = self;
        array.shape().iter().rev().nth(1).copied().unwrap_or(0)
    }

    /// Returns the matrices as dense arrays.
    pub fn dense_or_dequantized(&self) -> Result<Array> {
        match self {
            Self::Dense(weight) => in_computed_dtype(weight.clone()),
            Self::Quantized(weight) => weight.dequantize(computed_dtype()),
        }
    }

    /// The arrays that these matrices consist of.
    pub fn arrays(&self) -> Vec<Array> {
        match self {
            Self::Dense(weight) => vec![weight.clone()],
            Self::Quantized(weight) => weight.arrays().cloned().collect(),
        }
    }

    /// Stacks matrices vertically, or returns `None` if they are not stored alike.
    pub fn stack(parts: &[&Self], join: &impl Join) -> Result<Option<Self>> {
        let rows = |name, arrays: &[&Array]| are_alike(arrays).then(|| join(name, arrays, -2)).transpose();
        let dense: Vec<&Array> = parts.iter().filter_map(|part| part.dense()).collect();
        if !dense.is_empty() {
            return Ok(if dense.len() == parts.len() { rows("weight", &dense)?.map(Self::Dense) } else { None });
        }
        let quantized: Vec<&QuantizedArray> = parts.iter().filter_map(|part| part.quantized()).collect();
        let Some(first) = quantized.first() else { return Ok(None) };
        if quantized.iter().any(|part| part.quantization != first.quantization) {
            return Ok(None);
        }
        let field = |name, pick: fn(&QuantizedArray) -> &Array| {
            rows(name, &quantized.iter().map(|part| pick(part)).collect::<Vec<&Array>>())
        };
        let biases: Vec<&Array> = quantized.iter().filter_map(|part| part.biases.as_ref()).collect();
        let biases = if biases.is_empty() { None } else { rows("biases", &biases)? };
        let (weight, scales) = (field("weight", |part| &part.weight)?, field("scales", |part| &part.scales)?);
        let (Some(weight), Some(scales)) = (weight, scales) else { return Ok(None) };
        Ok(Some(Self::Quantized(QuantizedArray { weight, scales, biases, quantization: first.quantization })))
    }

    fn dense(&self) -> Option<&Array> {
        if let Self::Dense(weight) = self { Some(weight) } else { None }
    }

    pub(super) fn quantized(&self) -> Option<&QuantizedArray> {
        if let Self::Quantized(weight) = self { Some(weight) } else { None }
    }
}

/// The dtype that a CPU computes in; on a GPU it is that of the weights.
fn computed_dtype() -> Option<Dtype> {
    (mlx::backend() == Backend::Cpu).then_some(Dtype::Float32)
}

fn in_computed_dtype(weight: Array) -> Result<Array> {
    match computed_dtype() {
        Some(dtype) if dtype != weight.dtype() => Ok(weight.as_dtype(dtype)?),
        _ => Ok(weight),
    }
}

/// Returns the number of rows of x per matrix; x: (…, columns), or (B, H, L, columns) for H matrices.
fn rows_per_matrix(x: &Array, weight: &Array) -> usize {
    let columns = x.shape().last().copied().unwrap_or(1).max(1);
    let rows = x.size() / columns as usize;
    let heads = if weight.ndim() > 2 { mlx::dim(x, 1).max(1) } else { 1 };
    rows / heads as usize
}

/// Joins arrays along an axis, counted from the last as a negative number, which are alike in the others. Their name is the one
/// that each has in its layer: `weight`, `scales`, `biases` or `bias`.
pub trait Join: Fn(&str, &[&Array], i32) -> Result<Array> {}

impl<F: Fn(&str, &[&Array], i32) -> Result<Array>> Join for F {}

/// Whether arrays of (…, rows, columns) differ in their rows only.
fn are_alike(arrays: &[&Array]) -> bool {
    let but_rows = |array: &Array| {
        let mut shape = array.shape().to_vec();
        let rows = shape.len().wrapping_sub(2);
        if let Some(rows) = shape.get_mut(rows) {
            *rows = 0;
        }
        shape
    };
    arrays.windows(2).all(|pair| match pair {
        [a, b] => a.dtype() == b.dtype() && but_rows(a) == but_rows(b),
        _ => true,
    })
}
