// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen2_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen2-MoE: Qwen2 with experts, and a gated expert that all tokens share.
//!
//! Differs from mlx-lm: windows as `use_sliding_window` says, every kind of scaling, and `mlp_only_layers`,
//! `decoder_sparse_step`, `qkv_bias` and `tie_word_embeddings` count.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{
        Attention, AttentionArgs, Decoder, DecoderArgs, DenseOrSparse, Mlp, PreNormBlock, SharedExpertMoe,
        drop_tied_lm_head,
    },
    config,
    rotary::Rotary,
};
use crate::{error::Result, nn::Activation, weights::Weights};

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
    head_dim: Option<i32>,
    #[serde(default)]
    norm_topk_prob: bool,
    /// Of layers without experts.
    intermediate_size: i32,
    mlp_only_layers: Option<Vec<i32>>,
    #[serde(default = "one")]
    decoder_sparse_step: i32,
    #[serde(default = "config::yes")]
    qkv_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn one() -> i32 {
    1
}

impl ModelArgs {
    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Whether a layer has experts.
    fn is_sparse(&self, layer: i32) -> bool {
        let mlp_only = self.mlp_only_layers.as_ref().is_some_and(|layers| layers.contains(&layer));
        !mlp_only && (layer + 1) % self.decoder_sparse_step == 0
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("moe_intermediate_size", self.moe_intermediate_size),
            ("shared_expert_intermediate_size", self.shared_expert_intermediate_size),
            ("intermediate_size", self.intermediate_size),
            ("decoder_sparse_step", self.decoder_sparse_step),
            ("vocab_size", self.vocab_size),
        ])?;
        config::check_heads(self.num_attention_heads, self.kv_heads(), self.head_dim())?;
        config::check_layers("mlp_only_layers", self.mlp_only_layers.as_deref(), self.num_hidden_layers)?;
        config::check_experts(("num_experts", self.num_experts), self.num_experts_per_tok)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

fn sparse_moe_block(args: &ModelArgs, w: &Weights) -> Result<SharedExpertMoe> {
    let (dim, hidden, experts) = (args.hidden_size, args.moe_intermediate_size, args.num_experts);
    let (shared, at) = (args.shared_expert_intermediate_size, w.pp("shared_expert"));
    let names = ["gate_proj", "up_proj", "down_proj"].map(|name| (name, name));
    w.stack_experts("experts", experts, "switch_mlp", &names)?;
    Ok(SharedExpertMoe {
        top_k: args.num_experts_per_tok,
        norm_topk_prob: args.norm_topk_prob,
        gates: w.fused_linear(&[("gate", experts), ("shared_expert_gate", 1)], dim, false)?,
        experts: w.switch_glu("switch_mlp", dim, hidden, experts, Activation::Swiglu, false)?,
        shared_expert: Mlp::new(dim, shared, Activation::Swiglu, false, &at)?,
    })
}

pub type Qwen2Moe = Decoder<PreNormBlock<DenseOrSparse<SharedExpertMoe>>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen2Moe> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    w.split_grouped_experts("switch_mlp")?;
    let dim = args.hidden_size;
    let rope = Rotary::new(args.head_dim(), 1_000_000.0).rope(config)?;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: args.tie_word_embeddings };
    drop_tied_lm_head(sizes.tied, w);
    let windows = config::qwen_windows(config, args.num_hidden_layers, |layer, end| layer % 2 == 0 && layer < end)?;
    let parts = |(layer, window), w: &Weights| {
        let attention = AttentionArgs {
            qkv_bias: args.qkv_bias,
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), args.head_dim())
        };
        let at = w.pp("mlp");
        let mlp = if args.is_sparse(layer) {
            DenseOrSparse::Sparse(Box::new(sparse_moe_block(&args, &at)?))
        } else {
            DenseOrSparse::Dense(Mlp::new(dim, args.intermediate_size, Activation::Swiglu, false, &at)?)
        };
        Ok((Attention::new(attention, &w.pp("self_attn"))?, mlp))
    };
    Decoder::pre_norm(&sizes, w, (0..).zip(windows), parts)
}
