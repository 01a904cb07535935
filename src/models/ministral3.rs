// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/ministral3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Ministral 3: Llama with queries scaled by the logarithm of their position. Checkpoints may be fp8.
//!
//! Differs from mlx-lm: `sliding_window` holds in every layer.

use std::rc::Rc;

use mlx_rs::{Array, Dtype};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{
        Attention, AttentionArgs, Decoder, DecoderArgs, Mlp, PreNormBlock, drop_inv_freq, drop_tied_lm_head, is_tied,
    },
    config,
};
use crate::{
    error::Result,
    nn::{Activation, Rope},
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
    head_dim: Option<i32>,
    max_position_embeddings: Option<i32>,
    num_key_value_heads: Option<i32>,
    rope_parameters: Map<String, Value>,
    tie_word_embeddings: Option<bool>,
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn rope(&self) -> Result<Rope> {
        let theta = rope_number(&self.rope_parameters, "rope_theta")? as f32;
        config::check_positive("rope_theta", theta)?;
        Rope::new(self.head_dim(), theta, false, Some(&self.rope_parameters), self.max_position_embeddings)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings.unwrap_or(1)),
        ])?;
        config::check_heads(self.num_attention_heads, self.kv_heads(), self.head_dim())?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

fn rope_number(rope_parameters: &Map<String, Value>, name: &str) -> Result<f64> {
    let number = rope_parameters.get(name).and_then(Value::as_f64).filter(|number| number.is_finite());
    number.ok_or_else(|| config::invalid(&format!("rope_parameters.{name}"), "is missing or not a number"))
}

/// Llama 4's scale of the queries: 1 within the original context length, and larger beyond it.
#[derive(Debug)]
pub struct Llama4AttnScale {
    beta: f64,
    max_position_embeddings: f64,
}

impl Llama4AttnScale {
    pub fn new(rope_parameters: &Map<String, Value>) -> Result<Self> {
        let beta = rope_number(rope_parameters, "llama_4_scaling_beta")?;
        let max_position_embeddings = rope_number(rope_parameters, "original_max_position_embeddings")?;
        config::check_positive("rope_parameters.original_max_position_embeddings", max_position_embeddings as f32)?;
        Ok(Self { beta, max_position_embeddings })
    }

    /// Returns (size, 1) for the tokens from position `offset`, or `None` if it is 1 for all of them.
    pub fn of(&self, size: i32, offset: i32, dtype: Dtype) -> Result<Option<Array>> {
        let contexts = |position: i32| (f64::from(position) / self.max_position_embeddings).floor();
        if contexts(offset + size - 1) == 0.0 {
            return Ok(None);
        }
        let scale = |position| (1.0 + self.beta * contexts(position).ln_1p()) as f32;
        let scales: Vec<f32> = (offset..offset + size).map(scale).collect();
        Ok(Some(Array::from_slice(&scales, &[size, 1]).as_dtype(dtype)?))
    }
}

pub type Ministral3 = Decoder<PreNormBlock<Mlp>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Ministral3> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    drop_inv_freq(w);
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    w.dequantize_fp8()?;
    let windows = config::windows(config, args.num_hidden_layers, |_| true)?;
    let (rope, scale) = (Rc::new(args.rope()?), Llama4AttnScale::new(&args.rope_parameters)?);
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied };
    let parts = |window, w: &Weights| {
        let attention = AttentionArgs {
            rope: Some(Rc::clone(&rope)),
            window,
            ..AttentionArgs::new(dim, args.num_attention_heads, args.kv_heads(), args.head_dim())
        };
        let mlp = Mlp::new(dim, args.intermediate_size, Activation::Swiglu, false, &w.pp("mlp"))?;
        Ok((Attention::new(attention, &w.pp("self_attn"))?, mlp))
    };
    let mut decoder = Decoder::pre_norm(&sizes, w, windows, parts)?;
    decoder.query_scale = Some(Box::new(move |length, offset, dtype| scale.of(length, offset, dtype)));
    Ok(decoder)
}
