// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tuner/lora.py
// Original: mlx_lm/tuner/dora.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Fine-tuning of a layer: LoRA adds the product of two thin matrices to its matrix, and DoRA also scales each row of
//! the sum to a given length.
//!
//! Nothing is fused into the layer's matrix, quantized or dense: rounding to its dtype would change the tokens that the
//! adapter was trained for.

use mlx_rs::{
    Array, Dtype,
    linalg::{NormOptions, norm_l2},
};

use super::Matrix;
use crate::{error::Result, mlx};

/// `scale * a @ b`, transposed if the layer's matrix is. The shapes of a and b depend on the layer: (in, r) and
/// (r, out) for a linear layer, (E, r, in) and (E, out, r) for experts, (rows, r) and (r, dims) for an embedding.
#[derive(Debug, Clone)]
pub struct Adapter {
    a: Array,
    b: Array,
    scale: f32,
    /// DoRA only: the factor of each row of the sum.
    row_scales: Option<Array>,
}

impl Adapter {
    pub fn lora(a: Array, b: Array, scale: f32) -> Self {
        Self { a, b, scale, row_scales: None }
    }

    /// Creates DoRA for a linear layer whose rows have the lengths `m`.
    pub fn dora_linear(a: Array, b: Array, scale: f32, m: &Array, matrix: &Matrix) -> Result<Self> {
        let update = scaled(&b.transpose()?, scale)?.matmul(a.transpose()?)?;
        let row_scales = Some(row_scales(m, matrix, &update)?);
        Ok(Self { a, b, scale, row_scales })
    }

    /// Creates DoRA for an embedding whose rows have the lengths `m`.
    pub fn dora_embedding(a: Array, b: Array, scale: f32, m: &Array, matrix: &Matrix) -> Result<Self> {
        let update = scaled(&a, scale)?.matmul(&b)?;
        let row_scales = Some(row_scales(m, matrix, &update)?);
        Ok(Self { a, b, scale, row_scales })
    }

    /// Whether the layer's bias is added after the adapter.
    pub(super) fn precedes_bias(&self) -> bool {
        self.row_scales.is_some()
    }

    /// Applies the adapter to the output `y` of a linear layer; x: (…, in), y: (…, out)
    pub(super) fn linear(&self, x: &Array, y: &Array) -> Result<Array> {
        let sum = self.add(y, &x.matmul(&self.a)?.matmul(&self.b)?, x.dtype())?;
        match &self.row_scales {
            Some(row_scales) => Ok(sum.multiply(row_scales.as_dtype(x.dtype())?)?),
            None => Ok(sum),
        }
    }

    /// Applies the adapter to the output `y` of experts; x: (…, 1, in), y: (…, 1, out), indices: (…)
    pub(super) fn experts(&self, x: &Array, y: &Array, indices: &Array, sorted: bool) -> Result<Array> {
        let z = mlx::gather_matmul(x, &self.a.swap_axes(-1, -2)?, indices, sorted)?;
        let z = mlx::gather_matmul(&z, &self.b.swap_axes(-1, -2)?, indices, sorted)?;
        self.add(y, &z, x.dtype())
    }

    /// Applies the adapter to rows `y` of an embedding; ids: (…), y: (…, dims)
    pub(super) fn rows(&self, ids: &Array, y: &Array) -> Result<Array> {
        let sum = self.add(y, &self.a.take_axis(ids, 0)?.matmul(&self.b)?, y.dtype())?;
        match &self.row_scales {
            Some(row_scales) => Ok(sum.multiply(row_scales.take_axis(ids, 0)?.expand_dims(-1)?)?),
            None => Ok(sum),
        }
    }

    /// Applies the adapter to the logits `y` of an embedding; x: (…, dims), y: (…, rows)
    pub(super) fn embedding_as_linear(&self, x: &Array, y: &Array) -> Result<Array> {
        let sum = self.add(y, &x.matmul(self.b.transpose()?)?.matmul(self.a.transpose()?)?, x.dtype())?;
        match &self.row_scales {
            Some(row_scales) => Ok(sum.multiply(row_scales)?),
            None => Ok(sum),
        }
    }

    /// Returns the arrays of the adapter.
    pub(super) fn arrays(&self) -> impl Iterator<Item = Array> {
        [self.a.clone(), self.b.clone()].into_iter().chain(self.row_scales.clone())
    }

    fn add(&self, y: &Array, z: &Array, dtype: Dtype) -> Result<Array> {
        Ok(y.add(scaled(z, self.scale)?.as_dtype(dtype)?)?)
    }
}

fn scaled(array: &Array, scale: f32) -> Result<Array> {
    Ok(array.multiply(mlx::scalar(scale, array.dtype())?)?)
}

/// Returns `m / ‖row‖` for each row of the sum. mlx-lm recomputes it on every use of the layer, for training.
fn row_scales(m: &Array, matrix: &Matrix, update: &Array) -> Result<Array> {
    let lengths =
        norm_l2(matrix.dense_or_dequantized()?.add(update)?, NormOptions { axes: [1].into(), ..Default::default() })?;
    Ok(m.divide(lengths)?)
}
