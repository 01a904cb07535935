// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama4_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama 4's dense text models, such as MobileLLM-R1: some layers know no positions, and nothing is chunked.

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
    num_attention_heads: i32,
    num_hidden_layers: i32,
    vocab_size: i32,
    intermediate_size_mlp: i32,
    num_key_value_heads: i32,
    rms_norm_eps: f32,
    rope_theta: f32,
    head_dim: i32,
    tie_word_embeddings: bool,
    /// For each layer whether it has positions, in spite of the name.
    no_rope_layers: Vec<i32>,
    use_qk_norm: bool,
}

impl ModelArgs {
    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("vocab_size", self.vocab_size),
            ("intermediate_size_mlp", self.intermediate_size_mlp),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)?;
        config::check_positive("rope_theta", self.rope_theta)?;
        if self.no_rope_layers.len() != self.num_hidden_layers as usize {
            let message = format!("has {} entries for {} layers", self.no_rope_layers.len(), self.num_hidden_layers);
            return Err(Error::config("config.json", "no_rope_layers", message));
        }
        Ok(())
    }
}

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    rope: Option<Rope>,
    qk_norm: Option<RmsNorm>,
}

impl Attention {
    fn new(args: &ModelArgs, use_rope: bool, w: &Weights) -> Result<Self> {
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
            rope: use_rope.then(|| Rope::plain(head_dim, args.rope_theta, true)),
            qk_norm: args.use_qk_norm.then(|| RmsNorm::without_weight(args.rms_norm_eps)),
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let (mut queries, mut keys) = (heads(&queries, self.n_heads)?, heads(&keys, self.n_kv_heads)?);
        if let Some(norm) = &self.qk_norm {
            (queries, keys) = (norm.forward(&queries)?, norm.forward(&keys)?);
        }
        if let Some(rope) = &self.rope {
            let offset = cache.offset();
            (queries, keys) = (rope.forward(&queries, offset)?, rope.forward(&keys, offset)?);
        }
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.n_kv_heads)?)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct TransformerBlock {
    self_attn: Attention,
    feed_forward: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, use_rope: bool, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: Attention::new(args, use_rope, &w.pp("self_attn"))?,
            feed_forward: Mlp::new(dim, args.intermediate_size_mlp, false, &w.pp("feed_forward"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.feed_forward.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `LanguageModel`.
pub struct Llama4Text {
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
    output: LmHead,
}

impl Llama4Text {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        let block =
            |(i, use_rope): (usize, &i32)| TransformerBlock::new(&args, *use_rope != 0, &model.pp("layers").pp(i));
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: args.no_rope_layers.iter().enumerate().map(block).collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            output: if args.tie_word_embeddings {
                LmHead::Tied
            } else {
                LmHead::Untied(w.linear("output", dim, vocab, false)?)
            },
        })
    }
}

impl Model for Llama4Text {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let mask = create_attention_mask(&h, cache.first().map(AsRef::as_ref), None)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &mask, cache.as_mut())?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        self.output.forward(hidden, &self.embed_tokens)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }
}
