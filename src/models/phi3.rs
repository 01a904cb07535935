// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/phi3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Phi-3 and Phi-4: Llama whose checkpoints store q, k and v as one matrix, and gate and up as another.
//!
//! Differs from mlx-lm: `sliding_window` holds in every layer, LongRoPE has factors for short texts too, and every
//! kind of scaling counts.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, DecoderArgs, Mlp, PreNormBlock},
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
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: Option<i32>,
    head_dim: Option<i32>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl ModelArgs {
    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("vocab_size", self.vocab_size),
        ])?;
        config::check_heads(self.num_attention_heads, self.kv_heads(), self.head_dim())?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

pub type Phi3 = Decoder<PreNormBlock<Mlp>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Phi3> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: args.tie_word_embeddings };
    let head_dim = args.head_dim();
    let rope = Rotary { max_position_embeddings: Some(131_072), ..Rotary::new(head_dim, 10_000.0) }.rope(config)?;
    let windows = config::windows(config, args.num_hidden_layers, |_| true)?;
    let parts = |window, w: &Weights| {
        let attention = AttentionArgs {
            packed_qkv: true,
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), head_dim)
        };
        let mlp = Mlp::packed(dim, args.intermediate_size, Activation::Swiglu, &w.pp("mlp"))?;
        Ok((Attention::new(attention, &w.pp("self_attn"))?, mlp))
    };
    Decoder::pre_norm(&sizes, w, windows, parts)
}
