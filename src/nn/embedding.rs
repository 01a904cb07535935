// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Token embeddings, dense or quantized.

use mlx_rs::Array;

use super::Matrix;
use crate::error::Result;

/// One row of `dims` numbers for each token id.
#[derive(Debug)]
pub struct Embedding {
    matrix: Matrix,
}

impl Embedding {
    pub fn new(matrix: Matrix) -> Self {
        Self { matrix }
    }

    /// ids: (B, L) → (B, L, dims). An id beyond the table is undefined behaviour in MLX: callers check.
    pub fn forward(&self, ids: &Array) -> Result<Array> {
        self.matrix.take_rows(ids)
    }

    /// The output layer of models that tie it to the embedding; x: (…, dims) → (…, rows)
    pub fn as_linear(&self, x: &Array) -> Result<Array> {
        self.matrix.matmul_transposed(x)
    }
}
