// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Original: mlx_lm/models/gemma3_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Decoder layers: attention, then a feed-forward network; the result of each is added to the hidden states.

use mlx_rs::Array;

use super::{Attention, FeedForward, Layer, Mlp, Pass};
use crate::{cache::Cache, error::Result, nn::Norm};

/// A layer with a norm before each of its two parts.
pub struct PreNormBlock<F, A = Attention> {
    self_attn: A,
    feed_forward: F,
    input_layernorm: Norm,
    post_attention_layernorm: Norm,
}

impl<F, A> PreNormBlock<F, A> {
    /// `norm` loads a norm by its name, like [`crate::weights::Weights::rms_norm`].
    pub fn new<N: Into<Norm>>(self_attn: A, feed_forward: F, norm: impl Fn(&str) -> Result<N>) -> Result<Self> {
        Ok(Self {
            self_attn,
            feed_forward,
            input_layernorm: norm("input_layernorm")?.into(),
            post_attention_layernorm: norm("post_attention_layernorm")?.into(),
        })
    }
}

impl<F: FeedForward, A: Layer> Layer for PreNormBlock<F, A> {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let h = pass.needed_positions(self.self_attn.forward_residual(x, &self.input_layernorm, pass, cache)?)?;
        self.feed_forward.forward_residual(&h, &self.post_attention_layernorm)
    }

    fn window(&self) -> Option<i32> {
        self.self_attn.window()
    }

    fn make_cache(&self) -> Option<Box<dyn Cache>> {
        self.self_attn.make_cache()
    }
}

/// A layer with a norm before and after each of its two parts, as in Gemma 2 and 3.
pub struct SandwichBlock<A = Attention> {
    self_attn: A,
    mlp: Mlp,
    /// (hidden states, result of a part) → hidden states
    add: fn(&Array, &Array) -> Result<Array>,
    input_layernorm: Norm,
    post_attention_layernorm: Norm,
    pre_feedforward_layernorm: Norm,
    post_feedforward_layernorm: Norm,
}

impl<A> SandwichBlock<A> {
    /// `norm` loads a norm by its name; `add` adds the result of a part to the hidden states.
    pub fn new<N: Into<Norm>>(
        self_attn: A,
        mlp: Mlp,
        norm: impl Fn(&str) -> Result<N>,
        add: fn(&Array, &Array) -> Result<Array>,
    ) -> Result<Self> {
        Ok(Self {
            self_attn,
            mlp,
            add,
            input_layernorm: norm("input_layernorm")?.into(),
            post_attention_layernorm: norm("post_attention_layernorm")?.into(),
            pre_feedforward_layernorm: norm("pre_feedforward_layernorm")?.into(),
            post_feedforward_layernorm: norm("post_feedforward_layernorm")?.into(),
        })
    }
}

impl<A: Layer> Layer for SandwichBlock<A> {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let r = self.self_attn.forward(&self.input_layernorm.forward(x)?, pass, cache)?;
        let h = pass.needed_positions((self.add)(x, &self.post_attention_layernorm.forward(&r)?)?)?;
        let r = self.mlp.forward(&self.pre_feedforward_layernorm.forward(&h)?)?;
        (self.add)(&h, &self.post_feedforward_layernorm.forward(&r)?)
    }

    fn window(&self) -> Option<i32> {
        self.self_attn.window()
    }

    fn make_cache(&self) -> Option<Box<dyn Cache>> {
        self.self_attn.make_cache()
    }
}
