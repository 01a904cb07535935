// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama 4: three layers in four attend only within a chunk of the text; every fourth attends to all of it, without
//! positions but with queries scaled up as the text grows. Some layers have experts, of which each token uses one.

use std::rc::Rc;

use mlx_rs::{Array, Dtype, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{
        AttentionArgs, Decoder, DecoderArgs, DenseOrSparse, FeedForward, Layer, Mlp, Pass, PreNormBlock, Projections,
    },
    config,
    rotary::Rotary,
};
use crate::{
    attention::scaled_dot_product_attention,
    cache::{Cache, ChunkedKVCache},
    error::Result,
    nn::{Linear, RmsNorm, Rope, SwitchGlu, activations::swiglu},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct TextArgs {
    attention_bias: bool,
    attention_chunk_size: i32,
    head_dim: Option<i32>,
    hidden_size: i32,
    interleave_moe_layer_step: i32,
    intermediate_size: i32,
    intermediate_size_mlp: i32,
    max_position_embeddings: i32,
    num_attention_heads: i32,
    num_experts_per_tok: i32,
    num_hidden_layers: i32,
    num_key_value_heads: i32,
    num_local_experts: i32,
    rms_norm_eps: f32,
    use_qk_norm: bool,
    vocab_size: i32,
    /// A number or a boolean.
    #[serde(default = "four")]
    attn_temperature_tuning: Value,
    #[serde(default = "default_floor_scale")]
    floor_scale: f32,
    #[serde(default = "default_attn_scale")]
    attn_scale: f32,
}

fn four() -> Value {
    Value::from(4)
}

fn default_floor_scale() -> f32 {
    8192.0
}

fn default_attn_scale() -> f32 {
    0.1
}

/// Every fourth layer sees the whole text.
fn is_chunked(layer_idx: i32) -> bool {
    (layer_idx + 1) % 4 != 0
}

impl TextArgs {
    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn tunes_temperature(&self) -> bool {
        let tuning = &self.attn_temperature_tuning;
        !matches!(tuning, Value::Null | Value::Bool(false)) && tuning.as_f64() != Some(0.0)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("attention_chunk_size", self.attention_chunk_size),
            ("hidden_size", self.hidden_size),
            ("interleave_moe_layer_step", self.interleave_moe_layer_step),
            ("intermediate_size", self.intermediate_size),
            ("intermediate_size_mlp", self.intermediate_size_mlp),
            ("max_position_embeddings", self.max_position_embeddings),
            ("num_attention_heads", self.num_attention_heads),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_local_experts", self.num_local_experts),
            ("vocab_size", self.vocab_size),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim())?;
        for (name, value) in [("rms_norm_eps", self.rms_norm_eps), ("floor_scale", self.floor_scale)] {
            config::check_positive(name, value)?;
        }
        if self.num_experts_per_tok != 1 {
            let message = format!("{} is not supported, only 1", self.num_experts_per_tok);
            return Err(config::invalid("num_experts_per_tok", message));
        }
        Ok(())
    }
}

pub struct Attention {
    scale: f32,
    projections: Projections,
    qk_norm: Option<RmsNorm>,
    /// For layers that see only their chunk: how long that is, and what they rotate by.
    chunked: Option<(i32, Rc<Rope>)>,
}

impl Attention {
    fn new(args: &TextArgs, chunked: Option<(i32, Rc<Rope>)>, w: &Weights) -> Result<Self> {
        let head_dim = args.head_dim();
        let sizes = AttentionArgs {
            qkv_bias: args.attention_bias,
            o_bias: args.attention_bias,
            ..AttentionArgs::new(args.hidden_size, args.num_attention_heads, args.num_key_value_heads, head_dim)
        };
        Ok(Self {
            scale: (head_dim as f32).powf(-0.5),
            projections: Projections::new(&sizes, w)?,
            qk_norm: (args.use_qk_norm && chunked.is_some()).then(|| RmsNorm::without_weight(1e-6)),
            chunked,
        })
    }
}

impl Layer for Attention {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let [mut queries, mut keys, values] = self.projections.heads(x, None)?;
        if let Some((_, rope)) = &self.chunked {
            let offset = cache.offset();
            (queries, keys) = (rope.forward(&queries, offset)?, rope.forward(&keys, offset)?);
        } else if let Some(scales) = &pass.query_scale {
            queries = queries.multiply(scales)?.as_dtype(queries.dtype())?;
        }
        // unlike in other models, after the rotation
        if let Some(norm) = &self.qk_norm {
            (queries, keys) = (norm.forward(&queries)?, norm.forward(&keys)?);
        }
        let cached = cache.update_and_fetch(&keys, &values)?;
        let mask = pass.masks.of(self.chunked.is_some());
        self.projections.output(x, scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?)
    }

    fn window(&self) -> Option<i32> {
        self.chunked.as_ref().map(|(size, _)| *size)
    }

    fn make_cache(&self) -> Option<Box<dyn Cache>> {
        Some(Box::new(ChunkedKVCache::new(self.window()?)))
    }
}

pub struct Moe {
    experts: SwitchGlu,
    router: Linear,
    shared_expert: Mlp,
}

impl Moe {
    fn new(args: &TextArgs, w: &Weights) -> Result<Self> {
        let (dim, hidden_dim, experts) = (args.hidden_size, args.intermediate_size, args.num_local_experts);
        Self::split_experts(&w.pp("experts"))?;
        Ok(Self {
            experts: w.switch_glu("experts", dim, hidden_dim, experts, swiglu, false)?,
            router: w.linear("router", dim, experts, false)?,
            shared_expert: Mlp::new(dim, hidden_dim, swiglu, false, &w.pp("shared_expert"))?,
        })
    }

    /// Checkpoints of the Hub have `gate_up_proj` of (experts, in, 2 * out) and `down_proj` of (experts, in, out).
    fn split_experts(w: &Weights) -> Result<()> {
        if let Some(both) = w.remove("gate_up_proj") {
            for (name, part) in ["gate_proj.weight", "up_proj.weight"].iter().zip(both.split_equal(2, -1)?) {
                w.insert(name, part.swap_axes(1, 2)?);
            }
        }
        if let Some(down) = w.remove("down_proj") {
            w.insert("down_proj.weight", down.swap_axes(1, 2)?);
        }
        Ok(())
    }
}

impl FeedForward for Moe {
    fn forward(&self, x: &Array) -> Result<Array> {
        let logits = self.router.forward(x)?;
        // (B, L, experts) -> (B, L, 1)
        let indices = ops::indexing::argmax_axis(&logits, -1, true)?;
        let score = ops::sigmoid(logits.max_axis(-1, true)?.as_dtype(Dtype::Float32)?)?.as_dtype(x.dtype())?;
        // (B, L, 1, D) -> (B, L, D)
        let out = self.experts.forward(&x.multiply(score)?, &indices)?.squeeze_axes(&[-2])?;
        Ok(out.add(self.shared_expert.forward(x)?)?)
    }
}

/// The factor of queries without positions, which grows with the text.
struct AttnScales {
    floor_scale: f32,
    attn_scale: f32,
}

impl AttnScales {
    /// (L, 1) for the tokens from position `offset` on, or `None` while it is 1.
    fn of(&self, length: i32, offset: i32) -> Option<Array> {
        let end = offset + length;
        if (end as f32) < self.floor_scale {
            return None;
        }
        let scale = |position: i32| ((position as f32 / self.floor_scale).floor() + 1.0).ln() * self.attn_scale + 1.0;
        let scales: Vec<f32> = (offset + 1..=end).map(scale).collect();
        Some(Array::from_slice(&scales, &[length, 1]))
    }
}

pub type Llama4 = Decoder<PreNormBlock<DenseOrSparse<Moe>, Attention>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Llama4> {
    let text = config::text_config(config)?;
    let args: TextArgs = config::parse(&text)?;
    args.check()?;
    w.retain(|name| !(name.contains("vision_model") || name.contains("multi_modal_projector")));
    let w = w.pp("language_model");
    let rope = Rotary { traditional: true, ..Rotary::new(args.head_dim(), None) }.rope(&text)?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: false };
    let parts = |layer_idx, w: &Weights| {
        let (at, step) = (w.pp("feed_forward"), args.interleave_moe_layer_step);
        let chunked = is_chunked(layer_idx).then(|| (args.attention_chunk_size, Rc::clone(&rope)));
        let self_attn = Attention::new(&args, chunked, &w.pp("self_attn"))?;
        let feed_forward = if layer_idx % step == step - 1 {
            DenseOrSparse::Sparse(Box::new(Moe::new(&args, &at)?))
        } else {
            DenseOrSparse::Dense(Mlp::new(dim, args.intermediate_size_mlp, swiglu, false, &at)?)
        };
        Ok((self_attn, feed_forward))
    };
    let mut decoder = Decoder::pre_norm(&sizes, &w, 0..args.num_hidden_layers, parts)?;
    if args.tunes_temperature() {
        let scales = AttnScales { floor_scale: args.floor_scale, attn_scale: args.attn_scale };
        decoder.query_scale = Some(Box::new(move |length, offset, _| Ok(scales.of(length, offset))));
    }
    Ok(decoder)
}
