// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen2_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen2-MoE: Qwen2 with experts, and one more expert that every token shares, let through by a gate of its own.
//!
//! As in mlx-lm, linear RoPE scaling is accepted and not applied, and any other refused. The base that transformers 5
//! nests in `rope_parameters` is read here, which mlx-lm does not.

use mlx_rs::{
    Array,
    ops::{sigmoid, softmax_axis},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config, llama::Mlp, qwen2::Attention};
use crate::{
    attention::Mask,
    cache::{Cache, Caches},
    error::{Error, Result},
    nn::{
        Embedding, FusedLinear, Linear, RmsNorm, Rope, SwitchGlu,
        activations::swiglu,
        switch_layers::{combine, top_k},
    },
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    hidden_size: i32,
    num_hidden_layers: i32,
    num_attention_heads: i32,
    num_experts_per_tok: i32,
    num_experts: i32,
    moe_intermediate_size: i32,
    shared_expert_intermediate_size: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: Option<i32>,
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn rope(&self) -> Result<Rope> {
        let theta = config::rope_theta(self.rope_theta, self.rope_parameters.as_ref()).unwrap_or(1_000_000.0);
        config::check_positive("rope_theta", theta)?;
        Ok(Rope::plain(self.hidden_size / self.num_attention_heads, theta, self.rope_traditional))
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("moe_intermediate_size", self.moe_intermediate_size),
            ("shared_expert_intermediate_size", self.shared_expert_intermediate_size),
            ("vocab_size", self.vocab_size),
        ])?;
        let head_dim = self.hidden_size / self.num_attention_heads;
        config::check_heads(self.num_attention_heads, self.kv_heads(), head_dim)?;
        config::check_experts(("num_experts", self.num_experts), self.num_experts_per_tok)?;
        let scaling = self.rope_scaling.as_ref().filter(|scaling| !scaling.is_empty());
        if scaling.is_some_and(|scaling| scaling.get("type").and_then(Value::as_str) != Some("linear")) {
            return Err(Error::config("config.json", "rope_scaling.type", "can only be 'linear'"));
        }
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

struct SparseMoeBlock {
    top_k: i32,
    /// The router's logits, and the shared expert's.
    gates: FusedLinear,
    switch_mlp: SwitchGlu,
    shared_expert: Mlp,
}

impl SparseMoeBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, hidden, experts) = (args.hidden_size, args.moe_intermediate_size, args.num_experts);
        let shared = w.pp("shared_expert");
        w.stack_experts(
            "experts",
            experts,
            "switch_mlp",
            &["gate_proj", "up_proj", "down_proj"].map(|name| (name, name)),
        )?;
        Ok(Self {
            top_k: args.num_experts_per_tok,
            gates: w.fused_linear(&[("gate", experts), ("shared_expert_gate", 1)], dim, false)?,
            switch_mlp: w.switch_glu("switch_mlp", dim, hidden, experts, swiglu, false)?,
            shared_expert: Mlp::new(dim, args.shared_expert_intermediate_size, false, &shared)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array> {
        let [gates, shared_gate] = self.gates.forward(x)?;
        let gates = softmax_axis(gates, -1, true)?;
        let indices = top_k(&gates, self.top_k)?;
        let scores = gates.take_along_axis(&indices, -1)?;
        let y = combine(&self.switch_mlp.forward(x, &indices)?, &scores)?;
        let shared = sigmoid(shared_gate)?.multiply(self.shared_expert.forward(x)?)?;
        Ok(y.add(shared)?)
    }
}

struct DecoderLayer {
    self_attn: Attention,
    mlp: SparseMoeBlock,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl DecoderLayer {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        let (heads, kv_heads) = (args.num_attention_heads, args.kv_heads());
        Ok(Self {
            self_attn: Attention::new(dim, heads, kv_heads, args.rope()?, &w.pp("self_attn"))?,
            mlp: SparseMoeBlock::new(args, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `Qwen2MoeModel`: the output layer is never tied, whatever the config says.
pub struct Qwen2Moe {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    lm_head: Linear,
}

impl Qwen2Moe {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| DecoderLayer::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.linear("lm_head", dim, vocab, false)?,
        })
    }
}

impl Model for Qwen2Moe {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let mask = create_attention_mask(&h, cache.first().map(AsRef::as_ref), None)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &mask, cache.as_mut())?;
        }
        self.norm.forward(&h)
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
