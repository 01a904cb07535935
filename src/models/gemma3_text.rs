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

use half::bf16;
use mlx_rs::{Array, Dtype};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, Mlp, SandwichBlock, layers},
    config,
};
use crate::{
    error::Result,
    nn::{
        Rope,
        activations::{clipped_sum, geglu},
    },
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
    rope_theta: Option<f32>,
    rope_local_base_freq: Option<f32>,
    query_pre_attn_scalar: f32,
    sliding_window: i32,
    sliding_window_pattern: i32,
    max_position_embeddings: i32,
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
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
            rope_theta: None,
            rope_local_base_freq: None,
            query_pre_attn_scalar: 256.0,
            sliding_window: 512,
            sliding_window_pattern: 6,
            max_position_embeddings: 32768,
            rope_scaling: None,
            rope_parameters: None,
        }
    }
}

impl ModelArgs {
    fn is_sliding(&self, layer: i32) -> bool {
        (layer + 1) % self.sliding_window_pattern != 0
    }

    fn rope(&self, is_sliding: bool) -> Result<Rope> {
        let nested = |kind: &str| self.rope_parameters.as_ref()?.get(kind)?.as_object();
        let (name, base, default, scaling, nested) = if is_sliding {
            ("rope_local_base_freq", self.rope_local_base_freq, 10_000.0, None, nested("sliding_attention"))
        } else {
            ("rope_theta", self.rope_theta, 1_000_000.0, self.rope_scaling.as_ref(), nested("full_attention"))
        };
        let base = config::rope_theta(base, nested).unwrap_or(default);
        config::check_positive(name, base)?;
        Rope::new(self.head_dim, base, false, scaling.or(nested), Some(self.max_position_embeddings))
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("sliding_window", self.sliding_window),
            ("sliding_window_pattern", self.sliding_window_pattern),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("query_pre_attn_scalar", self.query_pre_attn_scalar)?;
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
    let (full_rope, local_rope) = (Rc::new(args.rope(false)?), Rc::new(args.rope(true)?));
    let (model, dim, vocab, eps) = (w.pp("model"), args.hidden_size, args.vocab_size, args.rms_norm_eps);
    let block = |index, w: &Weights| {
        let (at, is_sliding) = (w.pp("self_attn"), args.is_sliding(index));
        let head_norm = |name| at.rms_norm_plus_one(name, args.head_dim, eps);
        let attention = AttentionArgs {
            scale: Some(args.query_pre_attn_scalar.powf(-0.5)),
            qk_norm: Some([head_norm("q_norm")?, head_norm("k_norm")?]),
            rope: Some(Rc::clone(if is_sliding { &local_rope } else { &full_rope })),
            window: is_sliding.then_some(args.sliding_window),
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, args.head_dim)
        };
        let mlp = Mlp::new(dim, args.intermediate_size, geglu, false, &w.pp("mlp"))?;
        let norm = |name: &str| w.rms_norm_plus_one(name, dim, eps);
        SandwichBlock::new(Attention::new(attention, &at)?, mlp, norm, clip_residual)
    };
    let mut decoder = Decoder::new(
        model.embedding("embed_tokens", vocab, dim)?,
        layers(0..args.num_hidden_layers, &model, block)?,
        model.rms_norm_plus_one("norm", dim, eps)?,
        w.lm_head(!w.contains("lm_head.weight"), dim, vocab)?,
    );
    // rounded to bf16 whatever the model computes in
    decoder.embed_scale = Some(bf16::from_f32((dim as f32).sqrt()).to_f32());
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use half::f16;
    use serde_json::json;

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

    #[test]
    fn nested_rope_parameters_mean_the_same_as_flat_ones() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let rotated = |config: Value, is_sliding| -> Vec<f32> {
            let args: ModelArgs = config::parse(config.as_object().unwrap()).unwrap();
            let x = Array::from_slice(&[1.0f32; 8], &[1, 1, 1, 8]);
            args.rope(is_sliding).unwrap().forward(&x, 9).unwrap().to_vec_exact().unwrap()
        };
        let flat = json!({
            "head_dim": 8, "rope_theta": 5000.0, "rope_local_base_freq": 300.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        });
        let nested = json!({
            "head_dim": 8,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
            },
        });
        for is_sliding in [false, true] {
            assert_eq!(rotated(nested.clone(), is_sliding), rotated(flat.clone(), is_sliding));
            assert_ne!(rotated(nested.clone(), is_sliding), rotated(json!({"head_dim": 8}), is_sliding));
        }
    }
}
