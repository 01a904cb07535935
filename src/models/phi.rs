// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/phi.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Phi and Phi-2: attention and the feed-forward network read the same normalized input, and both results are added to
//! what the layer read. LayerNorm and biases everywhere; only some features of each head rotate.

use std::rc::Rc;

use mlx_rs::Array;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, FeedForward, Layer, Pass, layers},
    config,
    rotary::Rotary,
};
use crate::{
    cache::Cache,
    error::Result,
    nn::{LayerNorm, Linear, Norm, Rope, activations::gelu_approx},
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
    /// Number of heads if null; 32 if missing.
    num_key_value_heads: Option<i32>,
    intermediate_size: i32,
    layer_norm_eps: f32,
    qk_layernorm: bool,
    head_dim: Option<i32>,
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
            intermediate_size: 10240,
            layer_norm_eps: 1e-5,
            qk_layernorm: false,
            head_dim: None,
        }
    }
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
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
        if self.head_dim.is_none() && self.hidden_size % self.num_attention_heads != 0 {
            let message = format!("is not a multiple of {} heads", self.num_attention_heads);
            return Err(config::invalid("hidden_size", message));
        }
        config::check_heads(self.num_attention_heads, self.kv_heads(), self.head_dim())?;
        config::check_positive("layer_norm_eps", self.layer_norm_eps)
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
}

impl FeedForward for PhiMlp {
    fn forward(&self, x: &Array) -> Result<Array> {
        self.fc2.forward(&gelu_approx(&self.fc1.forward(x)?)?)
    }
}

pub struct PhiDecoderLayer {
    self_attn: Attention,
    input_layernorm: LayerNorm,
    mlp: PhiMlp,
}

impl PhiDecoderLayer {
    fn new(args: &ModelArgs, rope: &Rc<Rope>, w: &Weights) -> Result<Self> {
        let (dim, at) = (args.hidden_size, w.pp("self_attn"));
        let head_norm = |name| at.layer_norm(name, args.head_dim(), args.layer_norm_eps, true).map(Norm::from);
        let attention = AttentionArgs {
            qkv_bias: true,
            o_bias: true,
            o_name: Some("dense"),
            qk_norm: if args.qk_layernorm {
                Some([head_norm("q_layernorm")?, head_norm("k_layernorm")?])
            } else {
                None
            },
            rope: Some(Rc::clone(rope)),
            // Phi-2's scores are too large for half precision.
            wide_scores: true,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), args.head_dim())
        };
        Ok(Self {
            self_attn: Attention::new(attention, &at)?,
            input_layernorm: w.layer_norm("input_layernorm", dim, args.layer_norm_eps, true)?,
            mlp: PhiMlp::new(args, &w.pp("mlp"))?,
        })
    }
}

impl Layer for PhiDecoderLayer {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let h = self.input_layernorm.forward(x)?;
        Ok(self.self_attn.forward(&h, pass, cache)?.add(self.mlp.forward(&h)?)?.add(x)?)
    }
}

pub type Phi = Decoder<PhiDecoderLayer>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Phi> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    let rope = Rotary { partial_rotary_factor: 0.5, ..Rotary::new(args.head_dim(), 10_000.0) }.rope(config)?;
    let (model, dim, vocab) = (w.pp("model"), args.hidden_size, args.vocab_size);
    Ok(Decoder::new(
        model.embedding("embed_tokens", vocab, dim)?,
        layers(0..args.num_hidden_layers, &model, |_, w| PhiDecoderLayer::new(&args, &rope, w))?,
        model.layer_norm("final_layernorm", dim, args.layer_norm_eps, true)?,
        w.lm_head(false, dim, vocab, true)?,
    ))
}
