// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama 4: three layers in four attend only within a chunk of the text; every fourth attends to all of it, without
//! positions but with queries scaled up as the text grows. Some layers have experts, of which each token uses one.
//!
//! Differs from mlx-lm: `no_rope_layers`, `layer_types` and `moe_layers` count, and queries and keys are normalized with
//! `rms_norm_eps`.

use std::rc::Rc;

use mlx_rs::{Array, Dtype, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{
        AttentionArgs, Decoder, DecoderArgs, DenseOrSparse, FeedForward, Layer, Mlp, Pass, PreNormBlock, Projections,
        drop_tied_lm_head,
    },
    config,
    rotary::Rotary,
};
use crate::{
    attention::scaled_dot_product_attention,
    cache::{Cache, ChunkedKVCache},
    error::Result,
    nn::{Activation, Linear, RmsNorm, Rope, SwitchGlu},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct TextArgs {
    #[serde(default)]
    attention_bias: bool,
    attention_chunk_size: Option<i32>,
    head_dim: Option<i32>,
    hidden_size: i32,
    /// Every how many layers one has experts; 0 for none.
    interleave_moe_layer_step: Option<i32>,
    /// Of experts.
    intermediate_size: Option<i32>,
    intermediate_size_mlp: i32,
    num_attention_heads: i32,
    num_experts_per_tok: Option<i32>,
    num_hidden_layers: i32,
    num_key_value_heads: i32,
    num_local_experts: Option<i32>,
    rms_norm_eps: f32,
    use_qk_norm: bool,
    vocab_size: i32,
    #[serde(default)]
    tie_word_embeddings: bool,
    /// For each layer, whether it has rotary positions, despite the name. Missing or empty for three layers in four.
    no_rope_layers: Option<Vec<i32>>,
    /// Every how many layers one has no rotary positions.
    #[serde(default = "four")]
    no_rope_layer_interval: i32,
    /// Whether each layer has chunks; if missing, those with rotary positions have.
    layer_types: Option<Vec<String>>,
    /// The layers with experts; wins over `interleave_moe_layer_step`. If both are missing, the weights tell.
    moe_layers: Option<Vec<i32>>,
    /// A number or a boolean.
    #[serde(default = "is_tuned")]
    attn_temperature_tuning: Value,
    #[serde(default = "default_floor_scale")]
    floor_scale: f32,
    #[serde(default = "default_attn_scale")]
    attn_scale: f32,
}

fn four() -> i32 {
    4
}

fn is_tuned() -> Value {
    Value::Bool(true)
}

fn default_floor_scale() -> f32 {
    8192.0
}

fn default_attn_scale() -> f32 {
    0.1
}

/// What layers differ in.
#[derive(Debug, Clone, Copy)]
struct Kind {
    has_rope: bool,
    chunk: Option<i32>,
    has_experts: Option<bool>,
}

impl TextArgs {
    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn tunes_temperature(&self) -> bool {
        let tuning = &self.attn_temperature_tuning;
        !matches!(tuning, Value::Null | Value::Bool(false)) && tuning.as_f64() != Some(0.0)
    }

    fn kinds(&self) -> Result<Vec<Kind>> {
        let count = self.num_hidden_layers;
        let listed = self.no_rope_layers.as_ref().filter(|layers| !layers.is_empty());
        config::check_length("no_rope_layers", listed.map(Vec::as_slice), count)?;
        let types = self.layer_types.as_ref();
        config::check_length("layer_types", types.map(Vec::as_slice), count)?;
        config::check_layers("moe_layers", self.moe_layers.as_deref(), count)?;
        let kind = |(index, layer): (usize, i32)| {
            let has_rope = match listed.and_then(|layers| layers.get(index)) {
                Some(has_rope) => *has_rope != 0,
                None => (layer + 1) % self.no_rope_layer_interval != 0,
            };
            let is_chunked = match types.and_then(|types| types.get(index)).map(String::as_str) {
                None => has_rope,
                Some("chunked_attention") => true,
                Some("full_attention") => false,
                Some(other) => return Err(config::invalid("layer_types", format!("'{other}' is not supported"))),
            };
            let chunk = self.attention_chunk_size.filter(|_| is_chunked);
            let has_experts = match (&self.moe_layers, self.interleave_moe_layer_step) {
                (Some(layers), _) => Some(layers.contains(&layer)),
                (None, step) => step.map(|step| step != 0 && (layer + 1) % step == 0),
            };
            Ok(Kind { has_rope, chunk, has_experts })
        };
        (0..count).enumerate().map(kind).collect()
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("attention_chunk_size", self.attention_chunk_size.unwrap_or(1)),
            ("hidden_size", self.hidden_size),
            ("interleave_moe_layer_step", self.interleave_moe_layer_step.filter(|step| *step != 0).unwrap_or(1)),
            ("intermediate_size_mlp", self.intermediate_size_mlp),
            ("no_rope_layer_interval", self.no_rope_layer_interval),
            ("num_attention_heads", self.num_attention_heads),
            ("num_hidden_layers", self.num_hidden_layers),
            ("vocab_size", self.vocab_size),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim())?;
        for (name, value) in [("rms_norm_eps", self.rms_norm_eps), ("floor_scale", self.floor_scale)] {
            config::check_positive(name, value)?;
        }
        Ok(())
    }

    /// The features and the number of experts, for models that have layers with them.
    fn experts(&self) -> Result<(i32, i32)> {
        match self.num_experts_per_tok {
            None | Some(1) => {}
            Some(other) => {
                return Err(config::invalid("num_experts_per_tok", format!("{other} is not supported, only 1")));
            }
        }
        let hidden_dim = config::required_size("intermediate_size", self.intermediate_size)?;
        Ok((hidden_dim, config::required_size("num_local_experts", self.num_local_experts)?))
    }
}

pub struct Attention {
    scale: f32,
    projections: Projections,
    qk_norm: Option<RmsNorm>,
    rope: Option<Rc<Rope>>,
    /// The size of the chunks, for layers that see only their own.
    chunk: Option<i32>,
}

impl Attention {
    fn new(args: &TextArgs, rope: Option<Rc<Rope>>, chunk: Option<i32>, w: &Weights) -> Result<Self> {
        let head_dim = args.head_dim();
        let sizes = AttentionArgs {
            qkv_bias: args.attention_bias,
            o_bias: args.attention_bias,
            ..AttentionArgs::new(args.hidden_size, args.num_attention_heads, args.num_key_value_heads, head_dim)
        };
        Ok(Self {
            scale: (head_dim as f32).powf(-0.5),
            projections: Projections::new(&sizes, w)?,
            qk_norm: (args.use_qk_norm && rope.is_some()).then(|| RmsNorm::without_weight(args.rms_norm_eps)),
            rope,
            chunk,
        })
    }
}

impl Layer for Attention {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let rope = self.rope.as_deref();
        let [mut queries, mut keys, values] = self.projections.heads(x, None, rope, cache.offset())?;
        if let Some(scales) = pass.query_scale.as_ref().filter(|_| rope.is_none()) {
            queries = queries.multiply(scales)?.as_dtype(queries.dtype())?;
        }
        // unlike in other models, after the rotation
        if let Some(norm) = &self.qk_norm {
            (queries, keys) = (norm.forward(&queries)?, norm.forward(&keys)?);
        }
        let cached = cache.update_and_fetch(&keys, &values)?;
        let mask = pass.masks.of(self.chunk.is_some());
        self.projections.output(x, scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?)
    }

    fn window(&self) -> Option<i32> {
        self.chunk
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
        let (dim, (hidden_dim, experts)) = (args.hidden_size, args.experts()?);
        Self::split_experts(&w.pp("experts"))?;
        Ok(Self {
            experts: w.switch_glu("experts", dim, hidden_dim, experts, Activation::Swiglu, false)?,
            router: w.linear("router", dim, experts, false)?,
            shared_expert: Mlp::new(dim, hidden_dim, Activation::Swiglu, false, &w.pp("shared_expert"))?,
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
    w.retain(|name| !(name.contains("vision_model") || name.contains("multi_modal_projector")));
    load_text(&config::text_config(config)?, &w.pp("language_model"))
}

/// The text model alone.
pub fn load_text(config: &Map<String, Value>, w: &Weights) -> Result<Llama4> {
    let args: TextArgs = config::parse(config)?;
    args.check()?;
    drop_tied_lm_head(args.tie_word_embeddings, w);
    let rope = Rotary { traditional: true, ..Rotary::new(args.head_dim(), 500_000.0) }.rope(config)?;
    let dim = args.hidden_size;
    let sizes = DecoderArgs { dim, vocab: args.vocab_size, eps: args.rms_norm_eps, tied: args.tie_word_embeddings };
    let parts = |kind: Kind, w: &Weights| {
        let at = w.pp("feed_forward");
        let self_attn = Attention::new(&args, kind.has_rope.then(|| Rc::clone(&rope)), kind.chunk, &w.pp("self_attn"))?;
        let feed_forward = if kind.has_experts.unwrap_or_else(|| at.contains("router.weight")) {
            DenseOrSparse::Sparse(Box::new(Moe::new(&args, &at)?))
        } else {
            DenseOrSparse::Dense(Mlp::new(dim, args.intermediate_size_mlp, Activation::Swiglu, false, &at)?)
        };
        Ok((self_attn, feed_forward))
    };
    let mut decoder = Decoder::pre_norm(&sizes, w, args.kinds()?, parts)?;
    if args.tunes_temperature() {
        let scales = AttnScales { floor_scale: args.floor_scale, attn_scale: args.attn_scale };
        decoder.query_scale = Some(Box::new(move |length, offset, _| Ok(scales.of(length, offset))));
    }
    Ok(decoder)
}
