// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_next.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen3-Next: three of four layers are recurrent, with the gated delta rule; every fourth has attention with a gated
//! output. Most layers have experts.
//!
//! Checkpoints interleave the projections of a recurrent layer by key head. They are put in order when they are
//! loaded, so that Qwen3.5, which stores them in order, is the same model.

mod args;
mod layers;
mod sanitize;

use std::rc::Rc;

use mlx_rs::Array;
use serde_json::{Map, Value, json};

pub use self::args::ModelArgs;
use self::{
    layers::{Attention, GatedDeltaNet, sparse_moe_block},
    sanitize::{order_projections, sanitize},
};
use super::common::{Decoder, DecoderArgs, DenseOrSparse, Layer, Mlp, Pass, PreNormBlock, SharedExpertMoe};
use crate::{
    cache::{ArraysCache, Cache},
    error::Result,
    nn::Activation,
    weights::Weights,
};

/// The part that mixes tokens: `linear_attn` or `self_attn`.
pub enum Mixer {
    Linear(Box<GatedDeltaNet>),
    Full(Box<Attention>),
}

impl Layer for Mixer {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        match self {
            Self::Linear(linear) => linear.forward(x, ArraysCache::of(cache)?),
            Self::Full(attention) => attention.forward(x, pass.masks.of(false), cache),
        }
    }

    fn window(&self) -> Option<i32> {
        matches!(self, Self::Linear(_)).then_some(0)
    }

    fn make_cache(&self) -> Option<Box<dyn Cache>> {
        self.window()?;
        Some(Box::new(ArraysCache::new(2)))
    }
}

pub type Qwen3Next = Decoder<PreNormBlock<DenseOrSparse<SharedExpertMoe>, Mixer>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3Next> {
    let args = ModelArgs::new(config, json!({ "full_attention_interval": 4, "mlp_only_layers": [] }))?;
    let unstacked = stack_experts(&args, w)?;
    order_projections(&args, w)?;
    build(&args, unstacked, w)
}

/// Stacks the experts of each layer, however they are stored; whether they were stored one by one.
pub fn stack_experts(args: &ModelArgs, w: &Weights) -> Result<bool> {
    w.split_grouped_experts("switch_mlp")?;
    let names = ["gate_proj", "up_proj", "down_proj"].map(|name| (name, name));
    let mut unstacked = false;
    for layer in 0..args.num_hidden_layers {
        let mlp = w.pp("model.layers").pp(layer).pp("mlp");
        unstacked |= mlp.contains("experts.0.up_proj.weight");
        mlp.stack_experts("experts", args.num_experts, "switch_mlp", &names)?;
    }
    Ok(unstacked)
}

/// From weights whose experts are stacked and whose projections are in order; the norms' are as the Hub has them if the
/// convolutions' are, or if `raw`.
pub fn build(args: &ModelArgs, raw: bool, w: &Weights) -> Result<Qwen3Next> {
    sanitize(raw, args.tie_word_embeddings, w)?;
    let rope = Rc::new(args.rope()?);
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: args.tie_word_embeddings };
    let parts = |index, w: &Weights| {
        let at = w.pp("mlp");
        let mixer = if args.is_linear(index) {
            Mixer::Linear(Box::new(GatedDeltaNet::new(args, &w.pp("linear_attn"))?))
        } else {
            Mixer::Full(Box::new(Attention::new(args, &rope, &w.pp("self_attn"))?))
        };
        let mlp = if args.has_experts(index) {
            DenseOrSparse::Sparse(Box::new(sparse_moe_block(args, &at)?))
        } else {
            DenseOrSparse::Dense(Mlp::new(dim, args.intermediate_size, Activation::Swiglu, false, &at)?)
        };
        Ok((mixer, mlp))
    };
    Decoder::pre_norm(&sizes, w, 0..args.num_hidden_layers, parts)
}
