// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama, and Mistral, which mlx-lm runs as Llama: pre-norm layers of grouped attention with rotary positions and a
//! gated feed-forward network. The other files say how their models differ from this one. Some configs limit layers to
//! a window.
//!
//! mlx-lm's Llama ignores `rope_parameters`, in which transformers 5 nests the RoPE settings, and silently rotates by
//! base 10000 then. They are read here.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, DecoderArgs, Mlp, PreNormBlock, drop_inv_freq, drop_tied_lm_head},
    config,
};
use crate::{
    error::Result,
    nn::{Rope, activations::swiglu},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    hidden_size: i32,
    num_hidden_layers: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    head_dim: Option<i32>,
    max_position_embeddings: Option<i32>,
    num_key_value_heads: Option<i32>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
    #[serde(default = "config::yes")]
    tie_word_embeddings: bool,
    layer_types: Option<Vec<String>>,
    sliding_window: Option<i32>,
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn rope(&self) -> Result<Rope> {
        let nested = self.rope_parameters.as_ref();
        let theta = config::rope_theta(self.rope_theta, nested).unwrap_or(10000.0);
        config::check_positive("rope_theta", theta)?;
        Rope::new(
            self.head_dim(),
            theta,
            self.rope_traditional,
            self.rope_scaling.as_ref().or(nested),
            self.max_position_embeddings,
        )
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings.unwrap_or(1)),
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
    drop_tied_lm_head(args.tie_word_embeddings, w);
    let windows = config::windows(args.layer_types.as_deref(), args.num_hidden_layers, args.sliding_window)?;
    let rope = Rc::new(args.rope()?);
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: args.tie_word_embeddings };
    let parts = |(i, window): (usize, Option<i32>), w: &Weights| {
        let attention = AttentionArgs {
            qkv_bias: args.attention_bias,
            o_bias: args.attention_bias,
            rope: use_rope(i).then(|| Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), args.head_dim())
        };
        let mlp = Mlp::new(dim, args.intermediate_size, swiglu, args.mlp_bias, &w.pp("mlp"))?;
        Ok((Attention::new(attention, &w.pp("self_attn"))?, mlp))
    };
    Decoder::pre_norm(&sizes, w, windows.into_iter().enumerate(), parts)
}

#[cfg(test)]
mod tests {
    use mlx_rs::Array;
    use serde_json::json;

    use super::*;
    use crate::mlx;

    fn rotated(rope: Value) -> Vec<f32> {
        let mut config = json!({
            "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "num_attention_heads": 1,
            "rms_norm_eps": 1e-5, "vocab_size": 8, "max_position_embeddings": 64,
        });
        config.as_object_mut().unwrap().extend(rope.as_object().unwrap().clone());
        let args: ModelArgs = config::parse(config.as_object().unwrap()).unwrap();
        let x = Array::from_slice(&[1.0f32; 8], &[1, 1, 1, 8]);
        args.rope().unwrap().forward(&x, 9).unwrap().to_vec_exact().unwrap()
    }

    #[test]
    fn nested_rope_parameters_mean_the_same_as_flat_ones() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 16});
        let flat = rotated(json!({"rope_theta": 500.0, "rope_scaling": scaling}));
        let mut nested = scaling.clone();
        nested["rope_theta"] = json!(500.0);
        assert_eq!(rotated(json!({ "rope_parameters": nested })), flat);
        assert_ne!(rotated(json!({"rope_scaling": scaling})), flat);
        assert_ne!(rotated(json!({"rope_theta": 500.0})), flat);
    }
}
