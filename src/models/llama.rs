// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama, and Mistral, which mlx-lm runs as Llama: pre-norm layers of grouped attention with rotary positions and a
//! gated feed-forward network. The other files say how their models differ from this one. Some configs limit layers to
//! a window.
//!
//! Differs from mlx-lm: Mistral's `sliding_window` holds in every layer. Without `tie_word_embeddings`, an output layer that
//! is there is used.

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
    head_dim: Option<i32>,
    num_key_value_heads: Option<i32>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
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

pub type Llama = Decoder<PreNormBlock<Mlp>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Llama> {
    load_with_rope_where(config, w, |_| true)
}

/// A Llama with rotary positions only in the layers for which `use_rope` says so.
pub fn load_with_rope_where(
    config: &Map<String, Value>,
    w: &Weights,
    use_rope: impl Fn(usize) -> bool,
) -> Result<Llama> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    drop_inv_freq(w);
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    let windows = match config.get("model_type").and_then(Value::as_str) {
        Some("mistral") => config::windows(config, args.num_hidden_layers, |_| true)?,
        // Its layers without positions.
        Some("smollm3") if config.get("use_sliding_window") == Some(&Value::Bool(true)) => {
            config::windows(config, args.num_hidden_layers, |layer| !use_rope(layer as usize))?
        }
        _ => config::windows(config, args.num_hidden_layers, |_| false)?,
    };
    let rope = Rotary::new(args.head_dim(), 10_000.0).rope(config)?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied };
    let parts = |(i, window): (usize, Option<i32>), w: &Weights| {
        let attention = AttentionArgs {
            qkv_bias: args.attention_bias,
            o_bias: args.attention_bias,
            rope: use_rope(i).then(|| Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), args.head_dim())
        };
        let mlp = Mlp::new(dim, args.intermediate_size, Activation::Swiglu, args.mlp_bias, &w.pp("mlp"))?;
        Ok((Attention::new(attention, &w.pp("self_attn"))?, mlp))
    };
    Decoder::pre_norm(&sizes, w, windows.into_iter().enumerate(), parts)
}
