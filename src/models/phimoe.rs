// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/phimoe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: experts are chosen by sparsemixer; no `rope_scaling` means plain RoPE.

//! Phi-3.5-MoE: Llama with LayerNorm and biases, and with experts that a sparse mixer chooses one after another.
//!
//! Differs from mlx-lm: `sliding_window` holds in every layer, LongRoPE has factors for short texts too, and
//! `attention_bias` and `lm_head_bias` count.

use std::rc::Rc;

use mlx_rs::{
    Array,
    ops::{self, indexing},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, FeedForward, PreNormBlock, layers},
    config,
    mixtral::rename_native,
    rotary::Rotary,
};
use crate::{
    error::Result,
    mlx,
    nn::{Activation, Linear, SwitchGlu, switch_layers::combine},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    vocab_size: i32,
    hidden_size: i32,
    intermediate_size: i32,
    num_hidden_layers: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    rms_norm_eps: f32,
    num_local_experts: i32,
    num_experts_per_tok: i32,
    router_jitter_noise: f32,
    head_dim: Option<i32>,
    /// If missing, as the weights have it.
    attention_bias: Option<bool>,
    lm_head_bias: Option<bool>,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            vocab_size: 32064,
            hidden_size: 4096,
            intermediate_size: 6400,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 8,
            rms_norm_eps: 1e-6,
            num_local_experts: 16,
            num_experts_per_tok: 2,
            router_jitter_noise: 0.01,
            head_dim: None,
            attention_bias: None,
            lm_head_bias: None,
        }
    }
}

impl ModelArgs {
    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim())?;
        config::check_experts(("num_local_experts", self.num_local_experts), self.num_experts_per_tok)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

/// The best expert `top_k` times over, each weighted by a softmax over those left whose logits are within `2 jitter_eps`
/// of the best. gates: (…, E) → indices and scores, (…, K)
fn sparsemixer(gates: &Array, top_k: i32, jitter_eps: f32) -> Result<(Array, Array)> {
    let lowest = mlx::scalar(f32::NEG_INFINITY, gates.dtype())?;
    let threshold = mlx::scalar(2.0 * jitter_eps, gates.dtype())?;
    let magnitudes = gates.abs()?;
    let mut masked = gates.clone();
    let (mut inds, mut scores) = (Vec::new(), Vec::new());
    for _ in 0..top_k {
        let ind = indexing::argmax_axis(&masked, -1, true)?;
        let top = masked.take_along_axis(&ind, -1)?;
        let distance = top.subtract(gates)?.divide(ops::maximum(&magnitudes, &top)?)?;
        let band = ops::select(distance.gt(&threshold)?, &lowest, &masked)?;
        scores.push(ops::softmax_axis(band, -1, true)?.take_along_axis(&ind, -1)?);
        masked = masked.put_along_axis(&ind, &lowest, -1)?;
        inds.push(ind);
    }
    Ok((ops::concatenate(&inds, -1)?, ops::concatenate(&scores, -1)?))
}

pub struct PhiMoESparseMoeBlock {
    top_k: i32,
    jitter_eps: f32,
    gate: Linear,
    switch_mlp: SwitchGlu,
}

impl PhiMoESparseMoeBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, hidden_dim, experts) = (args.hidden_size, args.intermediate_size, args.num_local_experts);
        let names = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")];
        w.stack_experts("experts", experts, "switch_mlp", &names)?;
        Ok(Self {
            top_k: args.num_experts_per_tok,
            jitter_eps: args.router_jitter_noise,
            gate: w.linear("gate", dim, experts, false)?,
            switch_mlp: w.switch_glu("switch_mlp", dim, hidden_dim, experts, Activation::Swiglu, false)?,
        })
    }
}

impl FeedForward for PhiMoESparseMoeBlock {
    fn forward(&self, x: &Array) -> Result<Array> {
        let (inds, scores) = sparsemixer(&self.gate.forward(x)?, self.top_k, self.jitter_eps)?;
        combine(&self.switch_mlp.forward(x, &inds)?, &scores)
    }
}

pub type PhiMoE = Decoder<PreNormBlock<PhiMoESparseMoeBlock>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<PhiMoE> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    rename_native(w, "router");
    w.split_grouped_experts("switch_mlp")?;
    let (model, dim, vocab, eps) = (w.pp("model"), args.hidden_size, args.vocab_size, args.rms_norm_eps);
    let head_dim = args.head_dim();
    let is_biased = |given: Option<bool>, name: &str| given.unwrap_or_else(|| w.contains(name));
    let attention_bias = is_biased(args.attention_bias, "model.layers.0.self_attn.q_proj.bias");
    let lm_head_bias = is_biased(args.lm_head_bias, "lm_head.bias");
    let rotary =
        Rotary { max_position_embeddings: Some(131_072), has_mscales: true, ..Rotary::new(head_dim, 1_000_000.0) };
    let rope = rotary.rope(config)?;
    let windows = config::windows(config, args.num_hidden_layers, |_| true)?;
    let block = |window, w: &Weights| {
        let attention = AttentionArgs {
            qkv_bias: attention_bias,
            o_bias: attention_bias,
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, head_dim)
        };
        let self_attn = Attention::new(attention, &w.pp("self_attn"))?;
        let moe = PhiMoESparseMoeBlock::new(&args, &w.pp("block_sparse_moe"))?;
        PreNormBlock::new(self_attn, moe, |name| w.layer_norm(name, dim, eps, true))
    };
    Ok(Decoder::new(
        model.embedding("embed_tokens", vocab, dim)?,
        layers(windows, &model, block)?,
        model.layer_norm("norm", dim, eps, true)?,
        w.lm_head(false, dim, vocab, lm_head_bias)?,
    ))
}
