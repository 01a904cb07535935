// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/phi.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Phi and Phi-2: attention and the feed-forward network read the same normalized input, side by side.

use mlx_rs::{Array, Dtype};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches},
    error::{Error, Result},
    nn::{Embedding, FusedLinear, LayerNorm, Linear, Rope, activations::gelu_approx},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    max_position_embeddings: i32,
    vocab_size: i32,
    hidden_size: i32,
    num_attention_heads: i32,
    num_hidden_layers: i32,
    /// As many as there are heads where this is null; 32 where it is missing.
    num_key_value_heads: Option<i32>,
    partial_rotary_factor: f64,
    intermediate_size: i32,
    layer_norm_eps: f32,
    rope_theta: f32,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            max_position_embeddings: 2048,
            vocab_size: 51200,
            hidden_size: 2560,
            num_attention_heads: 32,
            num_hidden_layers: 32,
            num_key_value_heads: Some(32),
            partial_rotary_factor: 0.4,
            intermediate_size: 10240,
            layer_norm_eps: 1e-5,
            rope_theta: 10000.0,
        }
    }
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("max_position_embeddings", self.max_position_embeddings),
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
        ])?;
        if self.hidden_size % self.num_attention_heads != 0 {
            let message = format!("is not a multiple of {} heads", self.num_attention_heads);
            return Err(Error::config("config.json", "hidden_size", message));
        }
        let head_dim = self.hidden_size / self.num_attention_heads;
        config::check_heads(self.num_attention_heads, self.kv_heads(), head_dim)?;
        config::check_positive("layer_norm_eps", self.layer_norm_eps)?;
        config::check_positive("rope_theta", self.rope_theta)
    }
}

struct PhiAttention {
    num_heads: i32,
    num_key_value_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    dense: Linear,
    rope: Rope,
}

impl PhiAttention {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, num_heads, num_key_value_heads) = (args.hidden_size, args.num_attention_heads, args.kv_heads());
        let head_dim = dim / num_heads;
        let kv = num_key_value_heads * head_dim;
        let rope_dims = config::rotary_dims(head_dim, args.partial_rotary_factor)?;
        Ok(Self {
            num_heads,
            num_key_value_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", dim), ("k_proj", kv), ("v_proj", kv)], dim, true)?,
            dense: w.linear("dense", dim, dim, true)?,
            rope: Rope::plain(rope_dims, args.rope_theta, false),
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let offset = cache.offset();
        let queries = self.rope.forward(&heads(&queries, self.num_heads)?, offset)?;
        let keys = self.rope.forward(&heads(&keys, self.num_key_value_heads)?, offset)?;
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.num_key_value_heads)?)?;
        // Phi-2's scores are too large for half precision.
        let queries = queries.as_dtype(Dtype::Float32)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?.as_dtype(x.dtype())?;
        // (B, H, L, D) -> (B, L, H * D)
        self.dense.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct PhiMlp {
    fc1: Linear,
    fc2: Linear,
}

impl PhiMlp {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, hidden_dim) = (args.hidden_size, args.intermediate_size);
        Ok(Self { fc1: w.linear("fc1", dim, hidden_dim, true)?, fc2: w.linear("fc2", hidden_dim, dim, true)? })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        self.fc2.forward(&gelu_approx(&self.fc1.forward(x)?)?)
    }
}

struct PhiDecoderLayer {
    self_attn: PhiAttention,
    input_layernorm: LayerNorm,
    mlp: PhiMlp,
}

impl PhiDecoderLayer {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        Ok(Self {
            self_attn: PhiAttention::new(args, &w.pp("self_attn"))?,
            input_layernorm: w.layer_norm("input_layernorm", args.hidden_size, args.layer_norm_eps, true)?,
            mlp: PhiMlp::new(args, &w.pp("mlp"))?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = self.input_layernorm.forward(x)?;
        Ok(self.self_attn.forward(&h, mask, cache)?.add(self.mlp.forward(&h)?)?.add(x)?)
    }
}

/// mlx-lm's `Model` with its `PhiModel`.
pub struct Phi {
    embed_tokens: Embedding,
    layers: Vec<PhiDecoderLayer>,
    final_layernorm: LayerNorm,
    lm_head: Linear,
}

impl Phi {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| PhiDecoderLayer::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            final_layernorm: model.layer_norm("final_layernorm", dim, args.layer_norm_eps, true)?,
            lm_head: w.linear("lm_head", dim, vocab, true)?,
        })
    }
}

impl Model for Phi {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut x = self.embed_tokens.forward(tokens)?;
        let mask = create_attention_mask(&x, cache.first().map(AsRef::as_ref), None)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            x = layer.forward(&x, &mask, cache.as_mut())?;
        }
        self.final_layernorm.forward(&x)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        self.lm_head.forward(hidden)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }
}
