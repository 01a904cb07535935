// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gpt_oss.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! GPT-OSS: Llama with experts (with biases, and a clipped activation), attention sinks, and a window in every second
//! layer.
//!
//! Differs from mlx-lm: experts that are not quantized are read, too.

use std::rc::Rc;

use mlx_rs::Dtype;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    common::{Attention, AttentionArgs, Decoder, DecoderArgs, PreNormBlock, SparseMoe},
    config,
    rotary::Rotary,
};
use crate::{error::Result, nn::Activation, weights::Weights};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    num_hidden_layers: i32,
    num_local_experts: i32,
    num_experts_per_tok: i32,
    vocab_size: i32,
    rms_norm_eps: f32,
    hidden_size: i32,
    intermediate_size: i32,
    head_dim: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    sliding_window: Option<i32>,
    layer_types: Option<Vec<String>>,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            num_hidden_layers: 36,
            num_local_experts: 128,
            num_experts_per_tok: 4,
            vocab_size: 201_088,
            rms_norm_eps: 1e-5,
            hidden_size: 2880,
            intermediate_size: 2880,
            head_dim: 64,
            num_attention_heads: 64,
            num_key_value_heads: 8,
            sliding_window: Some(128),
            layer_types: None,
        }
    }
}

impl ModelArgs {
    /// Whether each layer has a sliding window. By default every second layer has one, starting with the first.
    fn sliding(&self) -> Result<Vec<bool>> {
        let types = self.layer_types.as_deref().filter(|types| !types.is_empty());
        config::sliding_layers(types, self.num_hidden_layers, |layer| layer % 2 == 0)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("num_hidden_layers", self.num_hidden_layers),
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("sliding_window", self.sliding_window.unwrap_or(1)),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_experts(("num_local_experts", self.num_local_experts), self.num_experts_per_tok)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

fn mlp_block(args: &ModelArgs, w: &Weights) -> Result<SparseMoe> {
    let (dim, hidden_dim, experts) = (args.hidden_size, args.intermediate_size, args.num_local_experts);
    Ok(SparseMoe {
        top_k: args.num_experts_per_tok,
        norm_topk_prob: true,
        router: w.linear("router", dim, experts, true)?,
        experts: w.switch_glu("experts", dim, hidden_dim, experts, Activation::SwigluOai, true)?,
    })
}

/// Checkpoints on the Hub have mxfp4 experts whose rows alternate between gate and up, in blocks of 16 bytes. Unquantized
/// ones have the columns of (experts, in, out) do so.
fn sanitize(w: &Weights) -> Result<()> {
    w.replace(|name, tensor| {
        if let Some(module) = name.strip_suffix("_proj")
            && module.contains("experts.")
            && tensor.ndim() == 3
        {
            return Ok(Some(vec![(format!("{module}_proj_weight"), tensor.swap_axes(-2, -1)?)]));
        }
        Ok(None)
    })?;
    w.replace(|name, tensor| {
        let Some((module, part)) = name.rsplit_once("_proj_") else { return Ok(None) };
        let (part, tensor) = match part {
            // (E, rows, blocks, 16) -> (E, rows, columns / 8)
            "blocks" if tensor.shape().ends_with(&[16]) => {
                ("weight", tensor.view_dtype(Dtype::Uint32)?.flatten(-2, None)?)
            }
            "weight" | "scales" | "bias" => (part, tensor.clone()),
            _ => return Ok(None),
        };
        let Some(experts) = module.strip_suffix("gate_up") else {
            return Ok(Some(vec![(format!("{module}_proj.{part}"), tensor)]));
        };
        let &[e, rows, ref columns @ ..] = tensor.shape() else { return Ok(None) };
        if rows % 2 != 0 {
            return Ok(None);
        }
        // (E, 2 F, …) -> (E, F, 2, …)
        let pairs = tensor.reshape(&[&[e, rows / 2, 2], columns].concat())?;
        let names = ["gate_proj", "up_proj"].map(|layer| format!("{experts}{layer}.{part}"));
        let halves = pairs.split_equal(2, 2)?.into_iter().map(|half| half.squeeze_axes(&[2]));
        Ok(Some(names.into_iter().zip(halves).map(|(name, half)| Ok((name, half?))).collect::<Result<_>>()?))
    })
}

/// Without a word about RoPE, that of the published models.
fn with_default_rope(config: &Map<String, Value>) -> Map<String, Value> {
    let mut config = config.clone();
    if config.get("rope_scaling").is_none_or(Value::is_null)
        && config.get("rope_parameters").is_none_or(|parameters| parameters.get("rope_type").is_none())
    {
        let yarn = json!({
            "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
            "original_max_position_embeddings": 4096,
        });
        config.insert("rope_scaling".to_owned(), yarn);
    }
    config
}

pub type GptOss = Decoder<PreNormBlock<SparseMoe>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<GptOss> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    sanitize(w)?;
    let rope = Rotary::new(args.head_dim, 150_000.0).rope(&with_default_rope(config))?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: false };
    let parts = |sliding: bool, w: &Weights| {
        let at = w.pp("self_attn");
        let attention = AttentionArgs {
            qkv_bias: true,
            o_bias: true,
            rope: Some(Rc::clone(&rope)),
            sinks: Some(at.tensor("sinks", &[args.num_attention_heads])?),
            window: args.sliding_window.filter(|_| sliding),
            ..AttentionArgs::new(dim, args.num_attention_heads, args.num_key_value_heads, args.head_dim)
        };
        Ok((Attention::new(attention, &at)?, mlp_block(&args, &w.pp("mlp"))?))
    };
    Decoder::pre_norm(&sizes, w, args.sliding()?, parts)
}
