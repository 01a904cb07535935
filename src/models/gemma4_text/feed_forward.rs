// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma4_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The feed-forward network of Gemma 4: a dense one, and in some models experts beside it.

use mlx_rs::{Array, ops};

use crate::{
    error::Result,
    mlx,
    models::common::{FeedForward as _, Mlp},
    nn::{
        Activation, Linear, RmsNorm, SwitchGlu,
        switch_layers::{combine, top_k},
    },
    weights::Weights,
};

struct Router {
    top_k: i32,
    /// Has the router's scale and `dim ** -0.5` for its weight.
    norm: RmsNorm,
    proj: Linear,
    per_expert_scale: Array,
}

impl Router {
    fn new(args: &MoeArgs, dim: i32, eps: f32, w: &Weights) -> Result<Self> {
        let root_size = (dim as f32).powf(-0.5);
        let scale =
            w.tensor_with("scale", &[dim], |scale| Ok(scale.multiply(mlx::scalar(root_size, scale.dtype())?)?))?;
        Ok(Self {
            top_k: args.top_k_experts,
            norm: RmsNorm::new(scale, eps),
            proj: w.linear("proj", dim, args.num_experts, false)?,
            per_expert_scale: w.tensor("per_expert_scale", &[args.num_experts])?,
        })
    }

    /// x: (B, L, D) → indices and weights of (B, L, K)
    fn forward(&self, x: &Array) -> Result<(Array, Array)> {
        let scores = self.proj.forward(&self.norm.forward(x)?)?;
        let indices = top_k(&scores, self.top_k)?;
        let weights = ops::softmax_axis(scores.take_along_axis(&indices, -1)?, -1, None)?;
        let weights = weights.multiply(self.per_expert_scale.take_axis(&indices, 0)?)?;
        Ok((indices, weights))
    }
}

/// How many experts there are, and of what size.
#[derive(Clone, Copy)]
pub struct MoeArgs {
    pub num_experts: i32,
    pub top_k_experts: i32,
    pub moe_intermediate_size: i32,
}

struct Moe {
    router: Router,
    experts: SwitchGlu,
    post_feedforward_layernorm_1: RmsNorm,
    post_feedforward_layernorm_2: RmsNorm,
    pre_feedforward_layernorm_2: RmsNorm,
}

impl Moe {
    fn new(args: &MoeArgs, dim: i32, eps: f32, w: &Weights) -> Result<Self> {
        let (hidden_dim, count) = (args.moe_intermediate_size, args.num_experts);
        Ok(Self {
            router: Router::new(args, dim, eps, &w.pp("router"))?,
            experts: w.pp("experts").switch_glu("switch_glu", dim, hidden_dim, count, Activation::Geglu, false)?,
            post_feedforward_layernorm_1: w.rms_norm("post_feedforward_layernorm_1", dim, eps)?,
            post_feedforward_layernorm_2: w.rms_norm("post_feedforward_layernorm_2", dim, eps)?,
            pre_feedforward_layernorm_2: w.rms_norm("pre_feedforward_layernorm_2", dim, eps)?,
        })
    }

    /// h: (B, L, D), and what the dense network made of it → (B, L, D)
    fn forward(&self, h: &Array, dense: &Array) -> Result<Array> {
        let (indices, weights) = self.router.forward(h)?;
        let experts = self.experts.forward(&self.pre_feedforward_layernorm_2.forward(h)?, &indices)?;
        let experts = self.post_feedforward_layernorm_2.forward(&combine(&experts, &weights)?)?;
        Ok(self.post_feedforward_layernorm_1.forward(dense)?.add(experts)?)
    }
}

/// The network with the norms around it.
pub struct FeedForward {
    mlp: Mlp,
    pre_feedforward_layernorm: RmsNorm,
    post_feedforward_layernorm: RmsNorm,
    moe: Option<Moe>,
}

impl FeedForward {
    pub fn new(dim: i32, hidden_dim: i32, moe: Option<&MoeArgs>, eps: f32, w: &Weights) -> Result<Self> {
        Ok(Self {
            mlp: Mlp::new(dim, hidden_dim, Activation::Geglu, false, &w.pp("mlp"))?,
            pre_feedforward_layernorm: w.rms_norm("pre_feedforward_layernorm", dim, eps)?,
            post_feedforward_layernorm: w.rms_norm("post_feedforward_layernorm", dim, eps)?,
            moe: moe.map(|args| Moe::new(args, dim, eps, w)).transpose()?,
        })
    }

    /// h: (B, L, D) → (B, L, D)
    pub fn forward(&self, h: &Array) -> Result<Array> {
        let mut y = self.mlp.forward(&self.pre_feedforward_layernorm.forward(h)?)?;
        if let Some(moe) = &self.moe {
            y = moe.forward(h, &y)?;
        }
        self.post_feedforward_layernorm.forward(&y)
    }
}
