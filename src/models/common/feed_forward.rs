// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Original: mlx_lm/models/mixtral.py
// Original: mlx_lm/models/qwen2_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Feed-forward networks.

use mlx_rs::{Array, ops::softmax_axis};

use crate::{
    error::Result,
    nn::{
        Activation, FusedLinear, Linear, Norm, Rows, SwitchGlu,
        activations::{gated, gated_halves, sigmoid_gate},
        switch_layers::{combine, top_k},
    },
    weights::Weights,
};

/// The part of a layer that processes each token separately.
pub trait FeedForward {
    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array>;

    /// `x + self(norm(x))`, which a network that can do in fewer steps has its own way for. x: (B, L, D) → (B, L, D)
    fn forward_residual(&self, x: &Array, norm: &Norm) -> Result<Array> {
        Ok(x.add(self.forward(&norm.forward(x)?)?)?)
    }
}

/// The gated network of most architectures: `down_proj(activation(gate_proj(x), up_proj(x)))`.
pub struct Mlp {
    gate_up_proj: FusedLinear,
    down_proj: Linear,
    activation: Activation,
}

impl Mlp {
    pub fn new(dim: i32, hidden_dim: i32, activation: Activation, bias: bool, w: &Weights) -> Result<Self> {
        let gate_up_proj = w.fused_linear(&[("gate_proj", hidden_dim), ("up_proj", hidden_dim)], dim, bias)?;
        Ok(Self { gate_up_proj, down_proj: w.linear("down_proj", hidden_dim, dim, bias)?, activation })
    }

    /// For checkpoints with gate and up in one matrix, `gate_up_proj`.
    pub fn packed(dim: i32, hidden_dim: i32, activation: Activation, w: &Weights) -> Result<Self> {
        let linear = w.linear("gate_up_proj", dim, 2 * hidden_dim, false)?;
        let gate_up_proj = FusedLinear::Fused { linear, inner_ends: vec![hidden_dim] };
        Ok(Self { gate_up_proj, down_proj: w.linear("down_proj", hidden_dim, dim, false)?, activation })
    }
}

impl Mlp {
    /// x: (B, L, D) → (B, L, hidden features)
    fn hidden(&self, rows: Rows) -> Result<Array> {
        if let Some(hidden) = self.gate_up_proj.forward_gated(&rows, self.activation) {
            return hidden;
        }
        match self.gate_up_proj.forward_fused(rows) {
            Some(both) => gated_halves(self.activation, &both?),
            None => {
                let [gate, up] = self.gate_up_proj.forward(rows)?;
                gated(self.activation, &gate, &up)
            }
        }
    }
}

impl FeedForward for Mlp {
    fn forward(&self, x: &Array) -> Result<Array> {
        self.down_proj.forward(&self.hidden(x.into())?)
    }

    fn forward_residual(&self, x: &Array, norm: &Norm) -> Result<Array> {
        self.down_proj.forward_rows(&self.hidden(norm.of(x))?, Some(x))
    }
}

/// Experts. A router chooses `top_k` of them for each token; a softmax weights their outputs.
pub struct SparseMoe {
    pub top_k: i32,
    /// Whether the softmax is over the chosen experts, so that their weights add up to 1, or over all experts.
    pub norm_topk_prob: bool,
    pub router: Linear,
    pub experts: SwitchGlu,
}

impl FeedForward for SparseMoe {
    fn forward(&self, x: &Array) -> Result<Array> {
        let gates = self.router.forward(x)?;
        let indices = top_k(&gates, self.top_k)?;
        let scores = if self.norm_topk_prob {
            softmax_axis(gates.take_along_axis(&indices, -1)?, -1, true)?
        } else {
            softmax_axis(gates, -1, true)?.take_along_axis(&indices, -1)?
        };
        combine(&self.experts.forward(x, &indices)?, &scores)
    }
}

/// Experts, and a gated network that all tokens share.
pub struct SharedExpertMoe {
    pub top_k: i32,
    /// Whether the weights of the chosen experts are divided by their sum.
    pub norm_topk_prob: bool,
    /// The router, and the shared expert's gate.
    pub gates: FusedLinear,
    pub experts: SwitchGlu,
    pub shared_expert: Mlp,
}

impl FeedForward for SharedExpertMoe {
    fn forward(&self, x: &Array) -> Result<Array> {
        let [gates, shared_gate] = self.gates.forward(x)?;
        let gates = softmax_axis(gates, -1, true)?;
        let indices = top_k(&gates, self.top_k)?;
        let mut scores = gates.take_along_axis(&indices, -1)?;
        if self.norm_topk_prob {
            scores = scores.divide(scores.sum_axis(-1, true)?)?;
        }
        let y = combine(&self.experts.forward(x, &indices)?, &scores)?;
        Ok(y.add(sigmoid_gate(&shared_gate, &self.shared_expert.forward(x)?)?)?)
    }
}

/// The feed-forward network of a model with experts in some layers only.
pub enum DenseOrSparse<M> {
    Dense(Mlp),
    Sparse(Box<M>),
}

impl<M: FeedForward> FeedForward for DenseOrSparse<M> {
    fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Dense(mlp) => mlp.forward(x),
            Self::Sparse(moe) => moe.forward(x),
        }
    }

    fn forward_residual(&self, x: &Array, norm: &Norm) -> Result<Array> {
        match self {
            Self::Dense(mlp) => mlp.forward_residual(x, norm),
            Self::Sparse(moe) => moe.forward_residual(x, norm),
        }
    }
}
