// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen2.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen2: Llama with biases on queries, keys and values.
//!
//! mlx-lm's Qwen2 ignores `rope_parameters`, in which transformers 5 nests the RoPE settings. They are read here.
//!
//! Differs from mlx-lm: windows as `use_sliding_window` says; without `tie_word_embeddings`, an output layer that is
//! there is used.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{
        Attention, AttentionArgs, Decoder, DecoderArgs, Mlp, PreNormBlock, drop_inv_freq, drop_tied_lm_head, is_tied,
    },
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
    tie_word_embeddings: Option<bool>,
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
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

pub type Qwen2 = Decoder<PreNormBlock<Mlp>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen2> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    drop_inv_freq(w);
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    let (dim, head_dim) = (args.hidden_size, args.head_dim());
    let rope = Rotary { max_position_embeddings: Some(32768), ..Rotary::new(head_dim, 1_000_000.0) }.rope(config)?;
    let windows = config::qwen_windows(config, args.num_hidden_layers, |layer, first| layer >= first)?;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied };
    let parts = |window, w: &Weights| {
        let attention = AttentionArgs {
            qkv_bias: true,
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), head_dim)
        };
        let mlp = Mlp::new(dim, args.intermediate_size, Activation::Swiglu, false, &w.pp("mlp"))?;
        Ok((Attention::new(attention, &w.pp("self_attn"))?, mlp))
    };
    Decoder::pre_norm(&sizes, w, windows, parts)
}
