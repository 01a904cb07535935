// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma3_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma 3's text model: normalized queries and keys, and windows in all layers but every sixth, with positions of
//! their own.
//!
//! mlx-lm's ignores `rope_parameters`, in which transformers 5 nests the RoPE settings for each kind of layer, and
//! silently scales nothing then. They are read here.

use half::bf16;
use mlx_rs::{Array, Dtype};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::MixedMasks, config, gemma::Mlp};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches, make_mixed_caches},
    error::{Error, Result},
    mlx,
    nn::{
        Embedding, FusedLinear, Linear, LmHead, RmsNorm, Rope,
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
            ("sliding_window_pattern", self.sliding_window_pattern),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        config::check_window(Some(self.sliding_window))?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("query_pre_attn_scalar", self.query_pre_attn_scalar)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    rope: Rope,
}

impl Attention {
    fn new(args: &ModelArgs, is_sliding: bool, w: &Weights) -> Result<Self> {
        let (dim, head_dim) = (args.hidden_size, args.head_dim);
        let (n_heads, n_kv_heads) = (args.num_attention_heads, args.num_key_value_heads);
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: args.query_pre_attn_scalar.powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, false)?,
            o_proj: w.linear("o_proj", q, dim, false)?,
            q_norm: w.rms_norm_plus_one("q_norm", head_dim, args.rms_norm_eps)?,
            k_norm: w.rms_norm_plus_one("k_norm", head_dim, args.rms_norm_eps)?,
            rope: args.rope(is_sliding)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        let split = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim]);
        let queries = self.q_norm.forward(&split(&queries, self.n_heads)?)?;
        let keys = self.k_norm.forward(&split(&keys, self.n_kv_heads)?)?;
        // (B, L, H, D) -> (B, H, L, D)
        let heads_first = |x: &Array| x.transpose_axes(&[0, 2, 1, 3]);
        let offset = cache.offset();
        let queries = self.rope.forward(&heads_first(&queries)?, offset)?;
        let keys = self.rope.forward(&heads_first(&keys)?, offset)?;
        let values = heads_first(&split(&values, self.n_kv_heads)?)?;
        let cached = cache.update_and_fetch(&keys, &values)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&heads_first(&output)?.reshape(&[b, l, -1])?)
    }
}

/// A sum that does not overflow in f16.
fn clip_residual(x: &Array, y: &Array) -> Result<Array> {
    if x.dtype() == Dtype::Float16 { clipped_sum(x, y) } else { Ok(x.add(y)?) }
}

struct TransformerBlock {
    is_sliding: bool,
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    pre_feedforward_layernorm: RmsNorm,
    post_feedforward_layernorm: RmsNorm,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, layer: i32, w: &Weights) -> Result<Self> {
        let (dim, is_sliding) = (args.hidden_size, args.is_sliding(layer));
        let norm = |name| w.rms_norm_plus_one(name, dim, args.rms_norm_eps);
        Ok(Self {
            is_sliding,
            self_attn: Attention::new(args, is_sliding, &w.pp("self_attn"))?,
            mlp: Mlp::new(dim, args.intermediate_size, geglu, &w.pp("mlp"))?,
            input_layernorm: norm("input_layernorm")?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            pre_feedforward_layernorm: norm("pre_feedforward_layernorm")?,
            post_feedforward_layernorm: norm("post_feedforward_layernorm")?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let r = self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?;
        let h = clip_residual(x, &self.post_attention_layernorm.forward(&r)?)?;
        let r = self.mlp.forward(&self.pre_feedforward_layernorm.forward(&h)?)?;
        clip_residual(&h, &self.post_feedforward_layernorm.forward(&r)?)
    }
}

/// mlx-lm's `Model` with its `Gemma3Model`.
pub struct Gemma3Text {
    window_size: i32,
    embed_scale: f32,
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
    lm_head: LmHead,
}

impl Gemma3Text {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        // null is as good as nothing
        let given = |(name, value): (&String, &Value)| (!value.is_null()).then(|| (name.clone(), value.clone()));
        let args: ModelArgs = config::parse(&config.iter().filter_map(given).collect())?;
        args.check()?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            window_size: args.sliding_window,
            // rounded to bf16 whatever the model computes in
            embed_scale: bf16::from_f32((dim as f32).sqrt()).to_f32(),
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| TransformerBlock::new(&args, index, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm_plus_one("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(!w.contains("lm_head.weight"), dim, vocab)?,
        })
    }
}

impl Model for Gemma3Text {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        h = h.multiply(mlx::scalar(self.embed_scale, h.dtype())?)?;
        let masks = MixedMasks::new(&h, cache, self.layers.iter().map(|layer| layer.is_sliding), self.window_size)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, masks.of(layer.is_sliding), cache.as_mut())?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        self.lm_head.forward(hidden, &self.embed_tokens)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }

    fn make_cache(&self) -> Option<Caches> {
        Some(make_mixed_caches(self.layers.iter().map(|layer| layer.is_sliding), self.window_size))
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use serde_json::json;

    use super::*;

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
