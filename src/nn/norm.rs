// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Normalization layers.

use mlx_rs::{Array, fast};

use crate::error::Result;

/// Root-mean-square normalization over the last axis, with a learned weight.
#[derive(Debug)]
pub struct RmsNorm {
    weight: Array,
    eps: f32,
}

impl RmsNorm {
    pub fn new(weight: Array, eps: f32) -> Self {
        Self { weight, eps }
    }

    /// x: (…, dims) → (…, dims)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        Ok(fast::rms_norm(x, Some(&self.weight), self.eps)?)
    }
}
