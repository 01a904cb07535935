// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma: Llama with scaled embeddings, norms that add 1 to their weights, and a GELU in place of the SiLU. The embedding
//! is the output layer, too, as a rule.
//!
//! Differs from mlx-lm: the GELU is the one with a hyperbolic tangent, whatever the config says. Gemma was trained with it;
//! `"hidden_act": "gelu"` in its first release was a mistake.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, Mlp, PreNormBlock, drop_tied_lm_head, is_tied, layers},
    config,
    rotary::Rotary,
};
use crate::{error::Result, nn::Activation, weights::Weights};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    hidden_size: i32,
    num_hidden_layers: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    head_dim: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: i32,
    tie_word_embeddings: Option<bool>,
}

impl ModelArgs {
    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

pub type Gemma = Decoder<PreNormBlock<Mlp>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Gemma> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    let rope = Rotary::new(args.head_dim, 10_000.0).rope(config)?;
    let (model, dim, eps) = (w.pp("model"), args.hidden_size, args.rms_norm_eps);
    let block = |_, w: &Weights| {
        let attention = AttentionArgs {
            rope: Some(Rc::clone(&rope)),
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, args.head_dim)
        };
        let self_attn = Attention::new(attention, &w.pp("self_attn"))?;
        let mlp = Mlp::new(dim, args.intermediate_size, Activation::Geglu, false, &w.pp("mlp"))?;
        PreNormBlock::new(self_attn, mlp, |name| w.rms_norm_plus_one(name, dim, eps))
    };
    let embed_tokens = model.embedding("embed_tokens", args.vocab_size, dim)?;
    let layers = layers(0..args.num_hidden_layers, &model, block)?;
    let norm = model.rms_norm_plus_one("norm", dim, eps)?;
    let lm_head = w.lm_head(tied, dim, args.vocab_size, false)?;
    let mut decoder = Decoder::new(embed_tokens, layers, norm, lm_head);
    decoder.embed_scale = Some((dim as f32).sqrt());
    Ok(decoder)
}
