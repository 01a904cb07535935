// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Token embeddings, dense or quantized, and the output layers over them.

use mlx_rs::Array;

use super::{Adapter, Linear, Matrix};
use crate::error::Result;

/// One row of `dims` numbers for each token id.
#[derive(Debug)]
pub struct Embedding {
    matrix: Matrix,
    adapter: Option<Adapter>,
}

impl Embedding {
    pub fn new(matrix: Matrix, adapter: Option<Adapter>) -> Self {
        Self { matrix, adapter }
    }

    /// ids: (B, L) → (B, L, dims). An id outside the table is undefined behaviour in MLX; callers must check.
    pub fn forward(&self, ids: &Array) -> Result<Array> {
        let rows = self.matrix.take_rows(ids)?;
        match &self.adapter {
            Some(adapter) => adapter.rows(ids, &rows),
            None => Ok(rows),
        }
    }

    /// Applies the embedding as an output layer, for models that tie them; x: (…, dims) → (…, rows)
    pub fn as_linear(&self, x: &Array) -> Result<Array> {
        let y = self.matrix.matmul_transposed(x)?;
        match &self.adapter {
            Some(adapter) => adapter.embedding_as_linear(x, &y),
            None => Ok(y),
        }
    }

    /// The arrays that this consists of.
    pub fn arrays(&self) -> Vec<Array> {
        let mut arrays = self.matrix.arrays();
        arrays.extend(self.adapter.iter().flat_map(Adapter::arrays));
        arrays
    }

    /// Returns the number of ids.
    pub fn rows(&self) -> i32 {
        self.matrix.rows()
    }
}

/// The output layer: its own matrix, or the embedding's.
#[derive(Debug)]
pub enum LmHead {
    Tied,
    Untied(Linear),
}

impl LmHead {
    /// hidden: (…, dims) → (…, vocabulary)
    pub fn forward(&self, hidden: &Array, embedding: &Embedding) -> Result<Array> {
        match self {
            Self::Tied => embedding.as_linear(hidden),
            Self::Untied(linear) => linear.forward(hidden),
        }
    }
}
