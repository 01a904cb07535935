// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: `rope_parameters` serve where `rope_theta` is missing.

//! Qwen3: Llama with normalized queries and keys.

use mlx_rs::Array;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config, llama::Mlp};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches},
    error::{Error, Result},
    nn::{Embedding, FusedLinear, Linear, LmHead, RmsNorm, Rope},
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
    num_key_value_heads: i32,
    max_position_embeddings: i32,
    head_dim: i32,
    tie_word_embeddings: bool,
    rope_theta: Option<f32>,
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
}

impl ModelArgs {
    fn rope(&self) -> Result<Rope> {
        let nested = self.rope_parameters.as_ref();
        let theta = config::rope_theta(self.rope_theta, nested)
            .ok_or_else(|| Error::config("config.json", "rope_theta", "is missing"))?;
        config::check_positive("rope_theta", theta)?;
        let scaling = self.rope_scaling.as_ref().or(nested);
        Rope::new(self.head_dim, theta, false, scaling, Some(self.max_position_embeddings))
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

pub struct Attention {
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
    pub fn new(
        dim: i32,
        n_heads: i32,
        n_kv_heads: i32,
        head_dim: i32,
        eps: f32,
        rope: Rope,
        w: &Weights,
    ) -> Result<Self> {
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, false)?,
            o_proj: w.linear("o_proj", q, dim, false)?,
            q_norm: w.rms_norm("q_norm", head_dim, eps)?,
            k_norm: w.rms_norm("k_norm", head_dim, eps)?,
            rope,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    pub fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
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

struct TransformerBlock {
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        let (heads, kv_heads) = (args.num_attention_heads, args.num_key_value_heads);
        let self_attn = w.pp("self_attn");
        Ok(Self {
            self_attn: Attention::new(dim, heads, kv_heads, args.head_dim, eps, args.rope()?, &self_attn)?,
            mlp: Mlp::new(dim, args.intermediate_size, false, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `Qwen3Model`.
pub struct Qwen3 {
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
    lm_head: LmHead,
}

impl Qwen3 {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        w.retain(|name| !(args.tie_word_embeddings && name.starts_with("lm_head.")));
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| TransformerBlock::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab)?,
        })
    }
}

impl Model for Qwen3 {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let mask = create_attention_mask(&h, cache.first().map(AsRef::as_ref), None)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &mask, cache.as_mut())?;
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
}
