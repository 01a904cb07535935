// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/mixtral.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Mixtral: Llama with experts in every layer.

use mlx_rs::{Array, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches},
    error::{Error, Result},
    nn::{
        Embedding, FusedLinear, Linear, LmHead, RmsNorm, Rope, SwitchGlu,
        activations::swiglu,
        switch_layers::{combine, top_k},
    },
    weights::Weights,
};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    vocab_size: i32,
    hidden_size: i32,
    intermediate_size: i32,
    num_hidden_layers: i32,
    num_attention_heads: i32,
    num_experts_per_tok: i32,
    num_key_value_heads: Option<i32>,
    num_local_experts: i32,
    rms_norm_eps: f32,
    rope_theta: f32,
    rope_traditional: bool,
    tie_word_embeddings: bool,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            vocab_size: 32000,
            hidden_size: 4096,
            intermediate_size: 14336,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_experts_per_tok: 2,
            num_key_value_heads: Some(8),
            num_local_experts: 8,
            rms_norm_eps: 1e-5,
            rope_theta: 1e6,
            rope_traditional: false,
            tie_word_embeddings: false,
        }
    }
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> i32 {
        self.hidden_size / self.num_attention_heads
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("num_local_experts", self.num_local_experts),
        ])?;
        config::check_heads(self.num_attention_heads, self.kv_heads(), self.head_dim())?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)?;
        config::check_positive("rope_theta", self.rope_theta)?;
        if self.num_experts_per_tok > self.num_local_experts {
            let message = format!("{} of {} experts", self.num_experts_per_tok, self.num_local_experts);
            return Err(Error::config("config.json", "num_experts_per_tok", message));
        }
        Ok(())
    }
}

struct MixtralAttention {
    num_heads: i32,
    head_dim: i32,
    num_key_value_heads: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    rope: Rope,
}

impl MixtralAttention {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, head_dim) = (args.hidden_size, args.head_dim());
        let (num_heads, num_key_value_heads) = (args.num_attention_heads, args.kv_heads());
        let (q, kv) = (num_heads * head_dim, num_key_value_heads * head_dim);
        Ok(Self {
            num_heads,
            head_dim,
            num_key_value_heads,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, false)?,
            o_proj: w.linear("o_proj", q, dim, false)?,
            rope: Rope::plain(head_dim, args.rope_theta, args.rope_traditional),
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
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct MixtralSparseMoeBlock {
    num_experts_per_tok: i32,
    gate: Linear,
    switch_mlp: SwitchGlu,
}

impl MixtralSparseMoeBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, ffn_dim, experts) = (args.hidden_size, args.intermediate_size, args.num_local_experts);
        let names = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")];
        w.stack_experts("experts", experts, "switch_mlp", &names)?;
        Ok(Self {
            num_experts_per_tok: args.num_experts_per_tok,
            gate: w.linear("gate", dim, experts, false)?,
            switch_mlp: w.switch_glu("switch_mlp", dim, ffn_dim, experts, swiglu, false)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array> {
        let gates = self.gate.forward(x)?;
        let inds = top_k(&gates, self.num_experts_per_tok)?;
        let scores = ops::softmax_axis(gates.take_along_axis(&inds, -1)?, -1, true)?;
        combine(&self.switch_mlp.forward(x, &inds)?, &scores)
    }
}

struct MixtralDecoderLayer {
    self_attn: MixtralAttention,
    block_sparse_moe: MixtralSparseMoeBlock,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl MixtralDecoderLayer {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: MixtralAttention::new(args, &w.pp("self_attn"))?,
            block_sparse_moe: MixtralSparseMoeBlock::new(args, &w.pp("block_sparse_moe"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.block_sparse_moe.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `MixtralModel`.
pub struct Mixtral {
    embed_tokens: Embedding,
    layers: Vec<MixtralDecoderLayer>,
    norm: RmsNorm,
    lm_head: LmHead,
}

impl Mixtral {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        w.retain(|name| !(args.tie_word_embeddings && name.starts_with("lm_head.")));
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| MixtralDecoderLayer::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab)?,
        })
    }
}

impl Model for Mixtral {
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
