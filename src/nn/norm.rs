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
    pub fn parts(&self) -> (Option<&Array>, f32) {
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

    /// The same, when it is needed.
    pub fn of<'a>(&'a self, x: &'a Array) -> Rows<'a> {
        Rows { x, norm: Some(self) }
    }
}

/// What a layer reads: rows, or such that have yet to be normalized, which a product may do itself.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// (…, dims)
    pub x: &'a Array,
    norm: Option<&'a Norm>,
}

impl Rows<'_> {
    /// (…, dims), normalized
    pub fn value(self) -> Result<Array> {
        match self.norm {
            Some(norm) => norm.forward(self.x),
            None => Ok(self.x.clone()),
        }
    }

    /// Whether nothing is to be done before a product.
    pub(super) fn is_plain(&self) -> bool {
        self.norm.is_none()
    }

    /// What a product has to do before, if anything: the weight and epsilon of a norm; `None` where it cannot.
    pub(super) fn before(&self) -> Option<Option<(&Array, f32)>> {
        match self.norm {
            None => Some(None),
            Some(Norm::Rms(RmsNorm { weight: Some(weight), eps })) => Some(Some((weight, *eps))),
            Some(_) => None,
        }
    }
}

impl<'a> From<&'a Array> for Rows<'a> {
    fn from(x: &'a Array) -> Self {
        Self { x, norm: None }
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
