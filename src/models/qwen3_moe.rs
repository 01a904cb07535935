// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: experts are stacked even where the first layer has none.

//! Qwen3-MoE: Qwen3 with experts in some of the layers.
//!
//! As in mlx-lm, `rope_scaling` is not applied. The base that transformers 5 nests in `rope_parameters` is read here,
//! where mlx-lm fails.

use mlx_rs::{Array, ops::softmax_axis};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config, llama::Mlp, qwen3::Attention};
use crate::{
    attention::Mask,
    cache::{Cache, Caches},
    error::{Error, Result},
    nn::{
        Embedding, Linear, LmHead, RmsNorm, Rope, SwitchGlu,
        activations::swiglu,
        switch_layers::{combine, top_k},
    },
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    hidden_size: i32,
    num_hidden_layers: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    num_experts: i32,
    num_experts_per_tok: i32,
    decoder_sparse_step: i32,
    mlp_only_layers: Option<Vec<i32>>,
    moe_intermediate_size: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: i32,
    head_dim: i32,
    rope_theta: Option<f32>,
    tie_word_embeddings: bool,
    max_position_embeddings: i32,
    norm_topk_prob: bool,
    rope_parameters: Option<Map<String, Value>>,
}

impl ModelArgs {
    fn rope(&self) -> Result<Rope> {
        let theta = config::rope_theta(self.rope_theta, self.rope_parameters.as_ref())
            .ok_or_else(|| Error::config("config.json", "rope_theta", "is missing"))?;
        config::check_positive("rope_theta", theta)?;
        Ok(Rope::plain(self.head_dim, theta, false))
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("decoder_sparse_step", self.decoder_sparse_step),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        if self.num_experts != 0 {
            config::check_experts(("num_experts", self.num_experts), self.num_experts_per_tok)?;
            config::check_sizes(&[("moe_intermediate_size", self.moe_intermediate_size)])?;
        }
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }

    /// Whether a layer has experts.
    fn is_sparse(&self, layer: i32) -> bool {
        let mlp_only = self.mlp_only_layers.as_ref().is_some_and(|layers| layers.contains(&layer));
        !mlp_only && self.num_experts > 0 && (layer + 1) % self.decoder_sparse_step == 0
    }
}

struct SparseMoeBlock {
    top_k: i32,
    norm_topk_prob: bool,
    gate: Linear,
    switch_mlp: SwitchGlu,
}

impl SparseMoeBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, hidden, experts) = (args.hidden_size, args.moe_intermediate_size, args.num_experts);
        w.stack_experts(
            "experts",
            experts,
            "switch_mlp",
            &["gate_proj", "up_proj", "down_proj"].map(|name| (name, name)),
        )?;
        Ok(Self {
            top_k: args.num_experts_per_tok,
            norm_topk_prob: args.norm_topk_prob,
            gate: w.linear("gate", dim, experts, false)?,
            switch_mlp: w.switch_glu("switch_mlp", dim, hidden, experts, swiglu, false)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array> {
        let gates = self.gate.forward(x)?;
        let indices = top_k(&gates, self.top_k)?;
        // To normalize the chosen ones of all probabilities is to take the softmax of the chosen alone.
        let scores = if self.norm_topk_prob {
            softmax_axis(gates.take_along_axis(&indices, -1)?, -1, true)?
        } else {
            softmax_axis(gates, -1, true)?.take_along_axis(&indices, -1)?
        };
        combine(&self.switch_mlp.forward(x, &indices)?, &scores)
    }
}

enum FeedForward {
    Dense(Mlp),
    Sparse(SparseMoeBlock),
}

struct DecoderLayer {
    self_attn: Attention,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    mlp: FeedForward,
}

impl DecoderLayer {
    fn new(args: &ModelArgs, index: i32, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        let (heads, kv_heads) = (args.num_attention_heads, args.num_key_value_heads);
        let (self_attn, mlp) = (w.pp("self_attn"), w.pp("mlp"));
        Ok(Self {
            self_attn: Attention::new(dim, heads, kv_heads, args.head_dim, eps, args.rope()?, &self_attn)?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            mlp: if args.is_sparse(index) {
                FeedForward::Sparse(SparseMoeBlock::new(args, &mlp)?)
            } else {
                FeedForward::Dense(Mlp::new(dim, args.intermediate_size, false, &mlp)?)
            },
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        let normed = self.post_attention_layernorm.forward(&h)?;
        let out = match &self.mlp {
            FeedForward::Dense(mlp) => mlp.forward(&normed)?,
            FeedForward::Sparse(moe) => moe.forward(&normed)?,
        };
        Ok(h.add(out)?)
    }
}

/// mlx-lm's `Model` with its `Qwen3MoeModel`.
pub struct Qwen3Moe {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    lm_head: LmHead,
}

impl Qwen3Moe {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        w.retain(|name| !(args.tie_word_embeddings && name.starts_with("lm_head.")));
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| DecoderLayer::new(&args, index, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab)?,
        })
    }
}

impl Model for Qwen3Moe {
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
