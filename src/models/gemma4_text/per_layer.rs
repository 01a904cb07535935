// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma4_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Per-layer inputs of Gemma 3n and the small Gemma 4: every layer gets its own embedding of the tokens.

use mlx_rs::{Array, ops};

use crate::{
    error::{Error, Result},
    mlx,
    models::config,
    nn::{Embedding, Linear, RmsNorm, activations::geglu},
    weights::Weights,
};

/// The sizes of per-layer inputs.
#[derive(Clone, Copy)]
pub struct PerLayerArgs {
    pub hidden_size: i32,
    pub num_hidden_layers: i32,
    pub hidden_size_per_layer_input: i32,
    pub vocab_size: i32,
    pub vocab_size_per_layer_input: i32,
    pub rms_norm_eps: f32,
}

impl PerLayerArgs {
    pub fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size_per_layer_input", self.hidden_size_per_layer_input),
            ("vocab_size_per_layer_input", self.vocab_size_per_layer_input),
            (
                "num_hidden_layers * hidden_size_per_layer_input",
                self.num_hidden_layers.saturating_mul(self.hidden_size_per_layer_input),
            ),
        ])
    }
}

/// The inputs of all layers.
pub struct PerLayerInputs {
    args: PerLayerArgs,
    embed_tokens_per_layer: Embedding,
    per_layer_model_projection: Linear,
    per_layer_projection_norm: RmsNorm,
}

impl PerLayerInputs {
    pub fn new(args: PerLayerArgs, w: &Weights) -> Result<Self> {
        let dims = args.num_hidden_layers * args.hidden_size_per_layer_input;
        Ok(Self {
            args,
            embed_tokens_per_layer: w.embedding("embed_tokens_per_layer", args.vocab_size_per_layer_input, dims)?,
            per_layer_model_projection: w.linear("per_layer_model_projection", args.hidden_size, dims, false)?,
            per_layer_projection_norm: w.rms_norm(
                "per_layer_projection_norm",
                args.hidden_size_per_layer_input,
                args.rms_norm_eps,
            )?,
        })
    }

    /// tokens: (B, L), h: (B, L, D) → one (B, L, D of per-layer inputs) for each layer
    pub fn forward(&self, tokens: &Array, h: &Array) -> Result<Vec<Array>> {
        let PerLayerArgs { hidden_size, num_hidden_layers: layers, hidden_size_per_layer_input: dims, .. } = self.args;
        let &[b, l] = tokens.shape() else { return Err(Error::internal("token ids are not (B, L)")) };
        let times = |x: Array, factor: f32| -> Result<Array> { Ok(x.multiply(mlx::scalar(factor, x.dtype())?)?) };
        let embedded = times(self.embed_tokens_per_layer.forward(&self.known(tokens)?)?, (dims as f32).sqrt())?;
        let projected = times(self.per_layer_model_projection.forward(h)?, (hidden_size as f32).powf(-0.5))?;
        // (B, L, layers * D) -> (B, L, layers, D)
        let split = |x: &Array| x.reshape(&[b, l, layers, dims]);
        let projected = self.per_layer_projection_norm.forward(&split(&projected)?)?;
        let inputs = times(projected.add(split(&embedded)?)?, 0.5_f32.sqrt())?;
        inputs.split_equal(layers, 2)?.iter().map(|input| Ok(input.squeeze_axes(&[2])?)).collect()
    }

    /// Token ids that have no per-layer embedding count as 0.
    fn known(&self, tokens: &Array) -> Result<Array> {
        let PerLayerArgs { vocab_size, vocab_size_per_layer_input: rows, .. } = self.args;
        if rows >= vocab_size {
            return Ok(tokens.clone());
        }
        let known = tokens.lt(mlx::scalar_like(rows, tokens)?)?;
        Ok(ops::select(known, tokens, mlx::scalar_like(0, tokens)?)?)
    }
}

/// How one layer uses its input.
pub struct PerLayerGate {
    per_layer_input_gate: Linear,
    per_layer_projection: Linear,
    post_per_layer_input_norm: RmsNorm,
}

impl PerLayerGate {
    pub fn new(args: &PerLayerArgs, w: &Weights) -> Result<Self> {
        let (dim, inner) = (args.hidden_size, args.hidden_size_per_layer_input);
        Ok(Self {
            per_layer_input_gate: w.linear("per_layer_input_gate", dim, inner, false)?,
            per_layer_projection: w.linear("per_layer_projection", inner, dim, false)?,
            post_per_layer_input_norm: w.rms_norm("post_per_layer_input_norm", dim, args.rms_norm_eps)?,
        })
    }

    /// h: (B, L, D) → what to add to it
    pub fn forward(&self, h: &Array, per_layer_input: &Array) -> Result<Array> {
        let gated = geglu(&self.per_layer_input_gate.forward(h)?, per_layer_input)?;
        self.post_per_layer_input_norm.forward(&self.per_layer_projection.forward(&gated)?)
    }
}
