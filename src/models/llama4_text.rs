// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama4_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama 4's dense text models, such as MobileLLM-R1: Llama with normalized queries and keys, without positions in some
//! layers. Attention is not chunked.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, Mlp, PreNormBlock, layers},
    config,
    rotary::Rotary,
};
use crate::{
    error::Result,
    nn::{LmHead, RmsNorm, activations::swiglu},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    hidden_size: i32,
    num_attention_heads: i32,
    num_hidden_layers: i32,
    vocab_size: i32,
    intermediate_size_mlp: i32,
    num_key_value_heads: i32,
    rms_norm_eps: f32,
    head_dim: i32,
    tie_word_embeddings: bool,
    /// For each layer, whether it has rotary positions, despite the name.
    no_rope_layers: Vec<i32>,
    use_qk_norm: bool,
}

impl ModelArgs {
    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("vocab_size", self.vocab_size),
            ("intermediate_size_mlp", self.intermediate_size_mlp),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)?;
        if self.no_rope_layers.len() != self.num_hidden_layers as usize {
            let message = format!("has {} entries for {} layers", self.no_rope_layers.len(), self.num_hidden_layers);
            return Err(config::invalid("no_rope_layers", message));
        }
        Ok(())
    }
}

pub type Llama4Text = Decoder<PreNormBlock<Mlp>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Llama4Text> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    let rope = Rotary { traditional: true, ..Rotary::new(args.head_dim, None) }.rope(config)?;
    let (model, dim, vocab, eps) = (w.pp("model"), args.hidden_size, args.vocab_size, args.rms_norm_eps);
    let block = |use_rope: &i32, w: &Weights| {
        let head_norm = || RmsNorm::without_weight(eps);
        let attention = AttentionArgs {
            qk_norm: args.use_qk_norm.then(|| [head_norm(), head_norm()]),
            rope: (*use_rope != 0).then(|| Rc::clone(&rope)),
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, args.head_dim)
        };
        let self_attn = Attention::new(attention, &w.pp("self_attn"))?;
        let feed_forward = Mlp::new(dim, args.intermediate_size_mlp, swiglu, false, &w.pp("feed_forward"))?;
        PreNormBlock::new(self_attn, feed_forward, |name| w.rms_norm(name, dim, eps))
    };
    let embed_tokens = model.embedding("embed_tokens", vocab, dim)?;
    let (layers, norm) = (layers(&args.no_rope_layers, &model, block)?, model.rms_norm("norm", dim, eps)?);
    let output =
        if args.tie_word_embeddings { LmHead::Tied } else { LmHead::Untied(w.linear("output", dim, vocab, false)?) };
    Ok(Decoder::new(embed_tokens, layers, norm, output))
}
