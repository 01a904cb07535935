// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: `rope_parameters` serve where `rope_theta` is missing.

//! Qwen3: Llama with normalized queries and keys.
//!
//! Differs from mlx-lm: windows as `use_sliding_window` says, and `attention_bias` counts.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, DecoderArgs, Mlp, PreNormBlock, drop_tied_lm_head, is_tied},
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
    num_key_value_heads: i32,
    head_dim: i32,
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
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

pub type Qwen3 = Decoder<PreNormBlock<Mlp>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    let rope = Rotary::new(args.head_dim, None).rope(config)?;
    let windows = config::qwen_windows(config, args.num_hidden_layers, |layer, first| layer >= first)?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied };
    let parts = |window, w: &Weights| {
        let at = w.pp("self_attn");
        let attention = AttentionArgs {
            qkv_bias: args.attention_bias,
            o_bias: args.attention_bias,
            qk_norm: Some([
                at.rms_norm("q_norm", args.head_dim, sizes.eps)?.into(),
                at.rms_norm("k_norm", args.head_dim, sizes.eps)?.into(),
            ]),
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, args.head_dim)
        };
        let mlp = Mlp::new(dim, args.intermediate_size, Activation::Swiglu, false, &w.pp("mlp"))?;
        Ok((Attention::new(attention, &at)?, mlp))
    };
    Decoder::pre_norm(&sizes, w, windows, parts)
}
