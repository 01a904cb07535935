// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/mixtral.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Mixtral: Llama with experts in every layer.
//!
//! Differs from mlx-lm: `sliding_window` holds in every layer, and `head_dim` counts.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{Attention, AttentionArgs, Decoder, DecoderArgs, PreNormBlock, SparseMoe, drop_tied_lm_head},
    config,
    rotary::Rotary,
};
use crate::{error::Result, nn::Activation, weights::Weights};

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
    head_dim: Option<i32>,
    num_local_experts: i32,
    rms_norm_eps: f32,
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
            head_dim: None,
            num_local_experts: 8,
            rms_norm_eps: 1e-5,
            tie_word_embeddings: false,
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
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
        ])?;
        config::check_heads(self.num_attention_heads, self.kv_heads(), self.head_dim())?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)?;
        config::check_experts(("num_local_experts", self.num_local_experts), self.num_experts_per_tok)
    }
}

fn sparse_moe_block(args: &ModelArgs, w: &Weights) -> Result<SparseMoe> {
    let (dim, ffn_dim, experts) = (args.hidden_size, args.intermediate_size, args.num_local_experts);
    let names = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")];
    w.stack_experts("experts", experts, "switch_mlp", &names)?;
    Ok(SparseMoe {
        top_k: args.num_experts_per_tok,
        norm_topk_prob: true,
        router: w.linear("gate", dim, experts, false)?,
        experts: w.switch_glu("switch_mlp", dim, ffn_dim, experts, Activation::Swiglu, false)?,
    })
}

/// transformers 5 has `mlp` for `block_sparse_moe`, and a name of the model's own for its `gate`.
pub fn rename_native(w: &Weights, gate: &str) {
    w.rename(|name| {
        let (layer, part) = name.split_once(".mlp.")?;
        let part = match part.strip_prefix(gate).filter(|rest| rest.starts_with('.')) {
            Some(rest) => format!("gate{rest}"),
            None => part.to_owned(),
        };
        Some(format!("{layer}.block_sparse_moe.{part}"))
    });
}

pub type Mixtral = Decoder<PreNormBlock<SparseMoe>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Mixtral> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    rename_native(w, "gate");
    w.split_grouped_experts("switch_mlp")?;
    drop_tied_lm_head(args.tie_word_embeddings, w);
    let rope = Rotary::new(args.head_dim(), 1e6).rope(config)?;
    let windows = config::windows(config, args.num_hidden_layers, |_| true)?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: args.tie_word_embeddings };
    let parts = |window, w: &Weights| {
        let attention = AttentionArgs {
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), args.head_dim())
        };
        let moe = sparse_moe_block(&args, &w.pp("block_sparse_moe"))?;
        Ok((Attention::new(attention, &w.pp("self_attn"))?, moe))
    };
    Decoder::pre_norm(&sizes, w, windows, parts)
}
