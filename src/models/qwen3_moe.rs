// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: experts are stacked even where the first layer has none.

//! Qwen3-MoE: Qwen3 with experts in some of the layers.
//!
//! Differs from mlx-lm: windows as `use_sliding_window` says, RoPE is scaled, and `attention_bias` counts.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{
        Attention, AttentionArgs, Decoder, DecoderArgs, DenseOrSparse, Mlp, PreNormBlock, SparseMoe, drop_tied_lm_head,
        is_tied,
    },
    config,
    rotary::Rotary,
};
use crate::{error::Result, nn::Activation, weights::Weights};

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
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    norm_topk_prob: bool,
}

impl ModelArgs {
    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("decoder_sparse_step", self.decoder_sparse_step),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_layers("mlp_only_layers", self.mlp_only_layers.as_deref(), self.num_hidden_layers)?;
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

fn sparse_moe_block(args: &ModelArgs, w: &Weights) -> Result<SparseMoe> {
    let (dim, hidden, experts) = (args.hidden_size, args.moe_intermediate_size, args.num_experts);
    let names = ["gate_proj", "up_proj", "down_proj"].map(|name| (name, name));
    w.stack_experts("experts", experts, "switch_mlp", &names)?;
    Ok(SparseMoe {
        top_k: args.num_experts_per_tok,
        norm_topk_prob: args.norm_topk_prob,
        router: w.linear("gate", dim, experts, false)?,
        experts: w.switch_glu("switch_mlp", dim, hidden, experts, Activation::Swiglu, false)?,
    })
}

pub type Qwen3Moe = Decoder<PreNormBlock<DenseOrSparse<SparseMoe>>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3Moe> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    w.split_grouped_experts("switch_mlp")?;
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    let rope = Rotary::new(args.head_dim, None).rope(config)?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied };
    let windows = config::qwen_windows(config, args.num_hidden_layers, |_, _| true)?;
    let parts = |(index, window), w: &Weights| {
        let (at, mlp) = (w.pp("self_attn"), w.pp("mlp"));
        let attention = AttentionArgs {
            qkv_bias: args.attention_bias,
            o_bias: args.attention_bias,
            qk_norm: Some([
                at.rms_norm("q_norm", args.head_dim, sizes.eps)?.into(),
                at.rms_norm("k_norm", args.head_dim, sizes.eps)?.into(),
            ]),
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, args.head_dim)
        };
        let mlp = if args.is_sparse(index) {
            DenseOrSparse::Sparse(Box::new(sparse_moe_block(&args, &mlp)?))
        } else {
            DenseOrSparse::Dense(Mlp::new(dim, args.intermediate_size, Activation::Swiglu, false, &mlp)?)
        };
        Ok((Attention::new(attention, &at)?, mlp))
    };
    Decoder::pre_norm(&sizes, w, (0..).zip(windows), parts)
}
