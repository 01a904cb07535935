// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Normalization layers, over the last axis.

use mlx_rs::{Array, fast};

use crate::{error::Result, mlx};

/// Root-mean-square normalization, with a learned weight if there is one.
#[derive(Debug)]
pub struct RmsNorm {
    weight: Option<Array>,
    eps: f32,
}

impl RmsNorm {
    pub fn new(weight: Array, eps: f32) -> Self {
        Self { weight: Some(weight), eps }
    }

    pub fn without_weight(eps: f32) -> Self {
        Self { weight: None, eps }
    }

    /// x: (…, dims) → (…, dims)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        mlx::rms_norm(x, self.weight.as_ref(), self.eps)
    }

    /// The weight and epsilon.
    pub(super) fn parts(&self) -> (Option<&Array>, f32) {
        (self.weight.as_ref(), self.eps)
    }
}

/// Normalization to mean 0 and variance 1, with a learned weight and, if there is one, a bias.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Array,
    bias: Option<Array>,
    eps: f32,
}

impl LayerNorm {
    pub fn new(weight: Array, bias: Option<Array>, eps: f32) -> Self {
        Self { weight, bias, eps }
    }

    /// x: (…, dims) → (…, dims)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        Ok(fast::layer_norm(x, &self.weight, self.bias.as_ref(), self.eps)?)
    }
}

/// A norm of either kind.
#[derive(Debug)]
pub enum Norm {
    Rms(RmsNorm),
    Layer(LayerNorm),
}

impl Norm {
    /// x: (…, dims) → (…, dims)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Rms(norm) => norm.forward(x),
            Self::Layer(norm) => norm.forward(x),
        }
    }
}

impl From<RmsNorm> for Norm {
    fn from(norm: RmsNorm) -> Self {
        Self::Rms(norm)
    }
}

impl From<LayerNorm> for Norm {
    fn from(norm: LayerNorm) -> Self {
        Self::Layer(norm)
    }
}
