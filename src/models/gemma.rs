// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma: Llama with scaled embeddings, norms that add 1 to their weights, and a GELU.

use mlx_rs::Array;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches},
    error::{Error, Result},
    mlx,
    nn::{Embedding, FusedLinear, Gated, Linear, RmsNorm, Rope, activations::gelu},
    weights::Weights,
};

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
    rope_theta: Option<f32>,
    rope_traditional: Option<bool>,
}

impl ModelArgs {
    fn rope_theta(&self) -> f32 {
        self.rope_theta.unwrap_or(10_000.0)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("rope_theta", self.rope_theta())?;
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
    rope: Rope,
}

impl Attention {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, head_dim) = (args.hidden_size, args.head_dim);
        let (n_heads, n_kv_heads) = (args.num_attention_heads, args.num_key_value_heads);
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, false)?,
            o_proj: w.linear("o_proj", q, dim, false)?,
            rope: Rope::plain(head_dim, args.rope_theta(), args.rope_traditional.unwrap_or(false)),
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let offset = cache.offset();
        let queries = self.rope.forward(&heads(&queries, self.n_heads)?, offset)?;
        let keys = self.rope.forward(&heads(&keys, self.n_kv_heads)?, offset)?;
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.n_kv_heads)?)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

/// The gated feed-forward network of every Gemma: only the first has an exact GELU.
pub struct Mlp {
    gate_up_proj: FusedLinear,
    down_proj: Linear,
    activation: Gated,
}

impl Mlp {
    pub fn new(dim: i32, hidden_dim: i32, activation: Gated, w: &Weights) -> Result<Self> {
        Ok(Self {
            gate_up_proj: w.fused_linear(&[("gate_proj", hidden_dim), ("up_proj", hidden_dim)], dim, false)?,
            down_proj: w.linear("down_proj", hidden_dim, dim, false)?,
            activation,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let [gate, up] = self.gate_up_proj.forward(x)?;
        self.down_proj.forward(&(self.activation)(&gate, &up)?)
    }
}

fn exact_geglu(gate: &Array, x: &Array) -> Result<Array> {
    Ok(gelu(gate)?.multiply(x)?)
}

struct TransformerBlock {
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: Attention::new(args, &w.pp("self_attn"))?,
            mlp: Mlp::new(dim, args.intermediate_size, exact_geglu, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm_plus_one("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm_plus_one("post_attention_layernorm", dim, eps)?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `GemmaModel`.
pub struct Gemma {
    hidden_size: i32,
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
}

impl Gemma {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        let model = w.pp("model");
        let dim = args.hidden_size;
        Ok(Self {
            hidden_size: dim,
            embed_tokens: model.embedding("embed_tokens", args.vocab_size, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| TransformerBlock::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm_plus_one("norm", dim, args.rms_norm_eps)?,
        })
    }
}

impl Model for Gemma {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        h = h.multiply(mlx::scalar((self.hidden_size as f32).sqrt(), h.dtype())?)?;
        let mask = create_attention_mask(&h, cache.first().map(AsRef::as_ref), None)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &mask, cache.as_mut())?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        self.embed_tokens.as_linear(hidden)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }
}
