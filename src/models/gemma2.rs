// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma2.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma 2: a soft cap on the scores of the attention and on the logits, and a norm behind each sublayer too.
//!
//! As in mlx-lm every layer attends to everything. Other than there, quantized caches work (their keys and values are
//! dequantized), and a cap that is null caps nothing.

use mlx_rs::{Array, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config, gemma::Mlp};
use crate::{
    attention::lowest,
    cache::{Cache, Caches},
    error::{Error, Result},
    mlx,
    nn::{
        Embedding, FusedLinear, Linear, RmsNorm, Rope,
        activations::{geglu, softcap},
    },
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
    #[serde(default = "attn_logit_softcapping")]
    attn_logit_softcapping: Option<f32>,
    #[serde(default = "final_logit_softcapping")]
    final_logit_softcapping: Option<f32>,
    query_pre_attn_scalar: Option<f32>,
}

fn attn_logit_softcapping() -> Option<f32> {
    Some(50.0)
}

fn final_logit_softcapping() -> Option<f32> {
    Some(30.0)
}

impl ModelArgs {
    fn rope_theta(&self) -> f32 {
        self.rope_theta.unwrap_or(10_000.0)
    }

    fn query_pre_attn_scalar(&self) -> f32 {
        self.query_pre_attn_scalar.unwrap_or(144.0)
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
        config::check_positive("attn_logit_softcapping", self.attn_logit_softcapping.unwrap_or(1.0))?;
        config::check_positive("final_logit_softcapping", self.final_logit_softcapping.unwrap_or(1.0))?;
        config::check_positive("query_pre_attn_scalar", self.query_pre_attn_scalar())?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    repeats: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    attn_logit_softcapping: Option<f32>,
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
            repeats: n_heads / n_kv_heads,
            head_dim,
            scale: args.query_pre_attn_scalar().powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, false)?,
            o_proj: w.linear("o_proj", q, dim, false)?,
            attn_logit_softcapping: args.attn_logit_softcapping,
            rope: Rope::plain(head_dim, args.rope_theta(), args.rope_traditional.unwrap_or(false)),
        })
    }

    /// x: (B, L, D), mask: (L, S) of booleans → (B, L, D)
    fn forward(&self, x: &Array, mask: Option<&Array>, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let offset = cache.offset();
        let queries = self.rope.forward(&heads(&queries, self.n_heads)?, offset)?;
        let keys = self.rope.forward(&heads(&keys, self.n_kv_heads)?, offset)?;
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.n_kv_heads)?)?;
        let (keys, values) = cached.dense(queries.dtype())?;

        let queries = queries.multiply(mlx::scalar(self.scale, queries.dtype())?)?;
        // (B, H, L, D) -> (B, KV heads, repeats, L, D)
        let queries = queries.reshape(&[b, self.n_kv_heads, self.repeats, l, self.head_dim])?;
        let mut scores = queries.matmul(keys.expand_dims(2)?.swap_axes(-1, -2)?)?;
        if let Some(cap) = self.attn_logit_softcapping {
            scores = softcap(&scores, cap)?;
        }
        if let Some(mask) = mask {
            scores = ops::select(mask, &scores, lowest(scores.dtype())?)?;
        }
        let weights = ops::softmax_axis(scores, -1, true)?;
        let output = weights.matmul(values.expand_dims(2)?)?.reshape(&[b, self.n_heads, l, self.head_dim])?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct TransformerBlock {
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    pre_feedforward_layernorm: RmsNorm,
    post_feedforward_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let dim = args.hidden_size;
        let norm = |name| w.rms_norm_plus_one(name, dim, args.rms_norm_eps);
        Ok(Self {
            self_attn: Attention::new(args, &w.pp("self_attn"))?,
            mlp: Mlp::new(dim, args.intermediate_size, geglu, &w.pp("mlp"))?,
            input_layernorm: norm("input_layernorm")?,
            pre_feedforward_layernorm: norm("pre_feedforward_layernorm")?,
            post_feedforward_layernorm: norm("post_feedforward_layernorm")?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
        })
    }

    fn forward(&self, x: &Array, mask: Option<&Array>, cache: &mut dyn Cache) -> Result<Array> {
        let r = self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?;
        let h = x.add(self.post_attention_layernorm.forward(&r)?)?;
        let r = self.mlp.forward(&self.pre_feedforward_layernorm.forward(&h)?)?;
        Ok(h.add(self.post_feedforward_layernorm.forward(&r)?)?)
    }
}

/// mlx-lm's `Model` with its `GemmaModel`.
pub struct Gemma2 {
    final_logit_softcapping: Option<f32>,
    hidden_size: i32,
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
}

impl Gemma2 {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        let model = w.pp("model");
        let dim = args.hidden_size;
        Ok(Self {
            final_logit_softcapping: args.final_logit_softcapping,
            hidden_size: dim,
            embed_tokens: model.embedding("embed_tokens", args.vocab_size, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| TransformerBlock::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm_plus_one("norm", dim, args.rms_norm_eps)?,
        })
    }
}

impl Model for Gemma2 {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        h = h.multiply(mlx::scalar((self.hidden_size as f32).sqrt(), h.dtype())?)?;
        let (first, length) = (cache.first().map(AsRef::as_ref), mlx::dim(&h, 1));
        let seen = first.map_or(0, Cache::offset) + length;
        let mask = create_attention_mask(&h, first, None)?.to_array(length, seen)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, mask.as_ref(), cache.as_mut())?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        let logits = self.embed_tokens.as_linear(hidden)?;
        match self.final_logit_softcapping {
            Some(cap) => softcap(&logits, cap),
            None => Ok(logits),
        }
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }
}
