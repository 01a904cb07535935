// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma4_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma 4: layers with full attention and with a sliding window, whose heads differ in size. Small models share keys and
//! values between layers and have per-layer inputs; large ones have experts.

mod attention;
mod feed_forward;
mod per_layer;

use std::rc::Rc;

use mlx_rs::Array;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::MixedMasks, common::layers, config};
use crate::{
    attention::{KeysValues, Mask},
    cache::{Cache, Caches, make_mixed_caches},
    error::Result,
    mlx,
    nn::{Embedding, LmHead, RmsNorm, Rope, activations::soft_capped},
    weights::Weights,
};

pub use attention::{Attention, AttentionArgs, Latest, layers_with_kv};
use feed_forward::{FeedForward, MoeArgs};
pub use per_layer::{PerLayerArgs, PerLayerGate, PerLayerInputs};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModelArgs {
    hidden_size: i32,
    num_hidden_layers: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    head_dim: i32,
    /// None or 0 for `head_dim`.
    global_head_dim: Option<i32>,
    rms_norm_eps: f32,
    vocab_size: i32,
    vocab_size_per_layer_input: i32,
    num_key_value_heads: i32,
    num_global_key_value_heads: Option<i32>,
    num_kv_shared_layers: i32,
    /// None or 0 without per-layer inputs.
    hidden_size_per_layer_input: Option<i32>,
    rope_traditional: bool,
    /// By the type of layer.
    rope_parameters: Option<Map<String, Value>>,
    sliding_window: i32,
    sliding_window_pattern: i32,
    max_position_embeddings: i32,
    attention_k_eq_v: bool,
    final_logit_softcapping: Option<f32>,
    use_double_wide_mlp: bool,
    enable_moe_block: bool,
    num_experts: Option<i32>,
    top_k_experts: Option<i32>,
    moe_intermediate_size: Option<i32>,
    layer_types: Option<Vec<String>>,
    tie_word_embeddings: bool,
}

impl Default for ModelArgs {
    fn default() -> Self {
        Self {
            hidden_size: 1536,
            num_hidden_layers: 35,
            intermediate_size: 6144,
            num_attention_heads: 8,
            head_dim: 256,
            global_head_dim: Some(512),
            rms_norm_eps: 1e-6,
            vocab_size: 262_144,
            vocab_size_per_layer_input: 262_144,
            num_key_value_heads: 1,
            num_global_key_value_heads: None,
            num_kv_shared_layers: 20,
            hidden_size_per_layer_input: Some(256),
            rope_traditional: false,
            rope_parameters: None,
            sliding_window: 512,
            sliding_window_pattern: 5,
            max_position_embeddings: 131_072,
            attention_k_eq_v: false,
            final_logit_softcapping: Some(30.0),
            use_double_wide_mlp: true,
            enable_moe_block: false,
            num_experts: None,
            top_k_experts: None,
            moe_intermediate_size: None,
            layer_types: None,
            tie_word_embeddings: true,
        }
    }
}

impl ModelArgs {
    fn head_dim(&self, sliding: bool) -> i32 {
        let global = self.global_head_dim.filter(|_| !sliding).filter(|dim| *dim != 0);
        global.unwrap_or(self.head_dim)
    }

    fn kv_heads(&self, sliding: bool) -> i32 {
        let global = self.num_global_key_value_heads.filter(|_| !sliding);
        global.unwrap_or(self.num_key_value_heads)
    }

    fn rope(&self, sliding: bool) -> Result<Rope> {
        let (kind, default) = if sliding {
            ("sliding_attention", serde_json::json!({"rope_theta": 1e4}))
        } else {
            let proportional = serde_json::json!({
                "partial_rotary_factor": 0.25, "rope_theta": 1e6, "rope_type": "proportional",
            });
            ("full_attention", proportional)
        };
        let parameters = match &self.rope_parameters {
            Some(parameters) => parameters.get(kind).and_then(Value::as_object),
            None => default.as_object(),
        };
        let theta = parameters.and_then(|parameters| parameters.get("rope_theta")?.as_f64()).unwrap_or(10000.0) as f32;
        config::check_positive("rope_theta", theta)?;
        let max_positions = Some(self.max_position_embeddings);
        Rope::new(self.head_dim(sliding), theta, self.rope_traditional, parameters, max_positions)
    }

    /// Whether each layer has a sliding window.
    fn sliding(&self) -> Result<Vec<bool>> {
        let default = |layer: i32| (layer + 1) % self.sliding_window_pattern != 0;
        config::sliding_layers(self.layer_types.as_deref(), self.num_hidden_layers, default)
    }

    fn moe(&self) -> Result<Option<MoeArgs>> {
        if !self.enable_moe_block {
            return Ok(None);
        }
        let args = MoeArgs {
            num_experts: config::required_size("num_experts", self.num_experts)?,
            top_k_experts: config::required_size("top_k_experts", self.top_k_experts)?,
            moe_intermediate_size: config::required_size("moe_intermediate_size", self.moe_intermediate_size)?,
        };
        if args.top_k_experts > args.num_experts {
            let message = format!("{} of {} experts", args.top_k_experts, args.num_experts);
            return Err(config::invalid("top_k_experts", message));
        }
        Ok(Some(args))
    }

    fn per_layer(&self) -> Result<Option<PerLayerArgs>> {
        let Some(dims) = self.hidden_size_per_layer_input.filter(|dims| *dims != 0) else { return Ok(None) };
        let args = PerLayerArgs {
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            hidden_size_per_layer_input: dims,
            vocab_size: self.vocab_size,
            vocab_size_per_layer_input: self.vocab_size_per_layer_input,
            rms_norm_eps: self.rms_norm_eps,
        };
        args.check().map(|()| Some(args))
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("sliding_window", self.sliding_window),
            ("sliding_window_pattern", self.sliding_window_pattern),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        for sliding in [true, false] {
            config::check_heads(self.num_attention_heads, self.kv_heads(sliding), self.head_dim(sliding))?;
        }
        if let Some(cap) = self.final_logit_softcapping {
            config::check_positive("final_logit_softcapping", cap)?;
        }
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

struct DecoderLayer {
    is_sliding: bool,
    self_attn: Attention,
    feed_forward: FeedForward,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    per_layer: Option<PerLayerGate>,
    layer_scalar: Array,
}

impl DecoderLayer {
    fn new(args: &ModelArgs, is_sliding: bool, rope: &Rc<Rope>, has_kv: bool, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        let attention = AttentionArgs {
            hidden_size: dim,
            n_heads: args.num_attention_heads,
            n_kv_heads: args.kv_heads(is_sliding),
            head_dim: args.head_dim(is_sliding),
            rms_norm_eps: eps,
            has_kv,
            use_k_eq_v: args.attention_k_eq_v && !is_sliding,
            rope: Rc::clone(rope),
        };
        let wide = if args.use_double_wide_mlp && !has_kv { 2 } else { 1 };
        Ok(Self {
            is_sliding,
            self_attn: Attention::new(attention, &w.pp("self_attn"))?,
            feed_forward: FeedForward::new(dim, args.intermediate_size * wide, args.moe()?.as_ref(), eps, w)?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            per_layer: args.per_layer()?.map(|args| PerLayerGate::new(&args, w)).transpose()?,
            layer_scalar: w.tensor("layer_scalar", &[1])?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(
        &self,
        x: &Array,
        mask: &Mask,
        cache: Option<&mut dyn Cache>,
        per_layer_input: Option<&Array>,
        latest: &mut Option<KeysValues>,
        offset: i32,
    ) -> Result<Array> {
        let h = self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache, latest, offset)?;
        let h = x.add(self.post_attention_layernorm.forward(&h)?)?;
        let mut h = h.add(self.feed_forward.forward(&h)?)?;
        if let (Some(gate), Some(input)) = (&self.per_layer, per_layer_input) {
            h = h.add(gate.forward(&h, input)?)?;
        }
        Ok(h.multiply(&self.layer_scalar)?)
    }
}

pub struct Gemma4Text {
    window_size: i32,
    embed_tokens: Embedding,
    embed_scale: f32,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    per_layer_inputs: Option<PerLayerInputs>,
    lm_head: LmHead,
    final_logit_softcapping: Option<f32>,
}

impl Gemma4Text {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let mut args: ModelArgs = config::parse(config)?;
        if config.get("model_type").and_then(Value::as_str) == Some("gemma4_unified_text") {
            // Such models have no inputs for each layer, and no field for their size.
            args.hidden_size_per_layer_input = None;
        }
        args.check()?;
        let sliding = args.sliding()?;
        let with_kv = layers_with_kv(&sliding, args.num_kv_shared_layers)?;
        sanitize(w, with_kv)?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        let (full_rope, local_rope) = (Rc::new(args.rope(false)?), Rc::new(args.rope(true)?));
        let layer = |(i, sliding): (usize, bool), w: &Weights| {
            DecoderLayer::new(&args, sliding, if sliding { &local_rope } else { &full_rope }, i < with_kv, w)
        };
        Ok(Self {
            window_size: args.sliding_window,
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            embed_scale: (dim as f32).sqrt(),
            layers: layers(sliding.into_iter().enumerate(), &model, layer)?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            per_layer_inputs: args.per_layer()?.map(|args| PerLayerInputs::new(args, &model)).transpose()?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab, false)?,
            final_logit_softcapping: args.final_logit_softcapping,
        })
    }

    fn layers_with_kv(&self) -> impl Iterator<Item = &DecoderLayer> {
        self.layers.iter().filter(|layer| layer.self_attn.has_kv())
    }
}

/// Drops unused tensors, and splits the gate and up projections of the experts.
fn sanitize(w: &Weights, layers_with_kv: usize) -> Result<()> {
    const DROPPED: &[&str] = &["self_attn.rotary_emb", "input_max", "input_min", "output_max", "output_min"];
    w.retain(|name| !DROPPED.iter().any(|part| name.contains(part)));
    drop_shared_kv(&w.pp("model"), layers_with_kv);
    w.replace(|name, array| {
        let Some(experts) = name.strip_suffix(".experts.gate_up_proj") else { return Ok(None) };
        // (E, gate and up, D) -> two of (E, hidden, D)
        let halves = array.split_equal(2, -2)?;
        let named = ["gate_proj", "up_proj"].map(|part| format!("{experts}.experts.switch_glu.{part}.weight"));
        Ok(Some(named.into_iter().zip(halves).collect()))
    })?;
    w.rename(|name| {
        let experts = name.strip_suffix(".experts.down_proj")?;
        Some(format!("{experts}.experts.switch_glu.down_proj.weight"))
    });
    Ok(())
}

/// Drops the key and value projections of the layers that share those of others.
pub fn drop_shared_kv(w: &Weights, layers_with_kv: usize) {
    w.retain(|name| {
        let Some((layer, part)) = name.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) else {
            return true;
        };
        let kv = ["self_attn.k_proj", "self_attn.v_proj", "self_attn.k_norm"];
        !(kv.iter().any(|kv| part.starts_with(kv)) && layer.parse().is_ok_and(|layer: usize| layer >= layers_with_kv))
    });
}

impl Model for Gemma4Text {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let h = self.embed_tokens.forward(tokens)?;
        let mut h = h.multiply(mlx::scalar(self.embed_scale, h.dtype())?)?;
        let inputs = match &self.per_layer_inputs {
            Some(inputs) => inputs.forward(tokens, &h)?,
            None => Vec::new(),
        };
        let windows = self.layers_with_kv().map(|layer| layer.is_sliding.then_some(self.window_size));
        let masks = MixedMasks::new(&h, cache, windows)?;
        let offset = cache.first().map_or(0, |cache| cache.offset());
        let (mut caches, mut inputs, mut latest) = (cache.iter_mut(), inputs.iter(), Latest::default());
        for layer in &self.layers {
            let cache = if layer.self_attn.has_kv() { caches.next().map(AsMut::as_mut) } else { None };
            let mask = masks.of(layer.is_sliding);
            h = layer.forward(&h, mask, cache, inputs.next(), latest.of(layer.is_sliding), offset)?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        soft_capped(self.lm_head.forward(hidden, &self.embed_tokens)?, self.final_logit_softcapping)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }

    fn make_cache(&self) -> Option<Caches> {
        Some(make_mixed_caches(self.layers_with_kv().map(|layer| layer.is_sliding), self.window_size))
    }
}
