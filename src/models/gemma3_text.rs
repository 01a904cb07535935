// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma3_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma 3's text model: Gemma 2's layers without soft caps, and with normalized queries and keys. Five of six layers have
//! a sliding window and their own RoPE base.
//!
//! mlx-lm's Gemma 3 ignores `rope_parameters`, in which transformers 5 nests the RoPE settings for each kind of layer,
//! and silently applies no scaling then. They are read here.

use std::rc::Rc;

use mlx_rs::{Array, Dtype};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, Mlp, SandwichBlock, drop_tied_lm_head, is_tied, layers},
    config,
    rotary::Rotary,
};
use crate::{
    error::Result,
    nn::{Activation, Norm, activations::clipped_sum},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    hidden_size: i32,
    num_hidden_layers: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    head_dim: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: i32,
    query_pre_attn_scalar: f32,
    sliding_window: i32,
    sliding_window_pattern: i32,
    layer_types: Option<Vec<String>>,
    final_logit_softcapping: Option<f32>,
    tie_word_embeddings: Option<bool>,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            hidden_size: 1152,
            num_hidden_layers: 26,
            intermediate_size: 6912,
            num_attention_heads: 4,
            head_dim: 256,
            rms_norm_eps: 1e-6,
            vocab_size: 262_144,
            num_key_value_heads: 1,
            query_pre_attn_scalar: 256.0,
            sliding_window: 512,
            sliding_window_pattern: 6,
            layer_types: None,
            final_logit_softcapping: None,
            tie_word_embeddings: None,
        }
    }
}

impl ModelArgs {
    /// Whether each layer has a sliding window.
    fn sliding(&self) -> Result<Vec<bool>> {
        let default = |layer: i32| (layer + 1) % self.sliding_window_pattern != 0;
        config::sliding_layers(self.layer_types.as_deref(), self.num_hidden_layers, default)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("sliding_window", self.sliding_window),
            ("sliding_window_pattern", self.sliding_window_pattern),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("query_pre_attn_scalar", self.query_pre_attn_scalar)?;
        if let Some(cap) = self.final_logit_softcapping {
            config::check_positive("final_logit_softcapping", cap)?;
        }
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

/// A sum that does not overflow in f16.
fn clip_residual(x: &Array, y: &Array) -> Result<Array> {
    if x.dtype() == Dtype::Float16 { clipped_sum(x, y) } else { Ok(x.add(y)?) }
}

pub type Gemma3Text = Decoder<SandwichBlock>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Gemma3Text> {
    // a null counts as missing
    let given = |(name, value): (&String, &Value)| (!value.is_null()).then(|| (name.clone(), value.clone()));
    let args: ModelArgs = config::parse(&config.iter().filter_map(given).collect())?;
    args.check()?;
    let rotary = |theta| Rotary { max_position_embeddings: Some(32768), ..Rotary::new(args.head_dim, theta) };
    let (full_rope, local_rope) = (rotary(1_000_000.0).rope(config)?, rotary(10_000.0).local_rope(config)?);
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    let (model, dim, vocab, eps) = (w.pp("model"), args.hidden_size, args.vocab_size, args.rms_norm_eps);
    let block = |is_sliding: bool, w: &Weights| {
        let at = w.pp("self_attn");
        let head_norm = |name| at.rms_norm_plus_one(name, args.head_dim, eps).map(Norm::from);
        let attention = AttentionArgs {
            scale: Some(args.query_pre_attn_scalar.powf(-0.5)),
            qk_norm: Some([head_norm("q_norm")?, head_norm("k_norm")?]),
            rope: Some(Rc::clone(if is_sliding { &local_rope } else { &full_rope })),
            window: is_sliding.then_some(args.sliding_window),
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, args.head_dim)
        };
        let mlp = Mlp::new(dim, args.intermediate_size, Activation::Geglu, false, &w.pp("mlp"))?;
        let norm = |name: &str| w.rms_norm_plus_one(name, dim, eps);
        SandwichBlock::new(Attention::new(attention, &at)?, mlp, norm, clip_residual)
    };
    let mut decoder = Decoder::new(
        model.embedding("embed_tokens", vocab, dim)?,
        layers(args.sliding()?, &model, block)?,
        model.rms_norm_plus_one("norm", dim, eps)?,
        w.lm_head(tied, dim, vocab, false)?,
    );
    decoder.embed_scale = Some((dim as f32).sqrt());
    decoder.final_logit_softcapping = args.final_logit_softcapping;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::mlx;

    #[test]
    fn residuals_stay_finite_in_f16() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let array = |numbers: [f32; 3]| Array::from_slice(&numbers.map(f16::from_f32), &[3]);
        let sum = clip_residual(&array([60000.0, -60000.0, 1.5]), &array([60000.0, -60000.0, 0.25])).unwrap();
        let sum: Vec<f32> = sum.to_vec_exact::<f16>().unwrap().into_iter().map(f16::to_f32).collect();
        assert_eq!(sum, [65504.0, -65504.0, 1.75]);
    }
}
