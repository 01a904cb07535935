// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma3n.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: shared layers rotate by the offset from before the call.

//! Gemma 3n, the text model: several hidden states (AltUp), low-rank residuals (Laurel), an input of its own for each
//! layer, and last layers that share the keys and values of earlier ones.

mod altup;

use std::{f32::consts::SQRT_2, rc::Rc};

use mlx_rs::{Array, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use self::altup::{AltUp, AltUpArgs, AltUpProjections};
use super::{
    Model,
    base::MixedMasks,
    common::layers,
    config,
    gemma4_text::{
        Attention, AttentionArgs, Latest, PerLayerArgs, PerLayerGate, PerLayerInputs, drop_shared_kv, layers_with_kv,
    },
    rotary::Rotary,
};
use crate::{
    attention::{KeysValues, Mask},
    cache::{Cache, Caches, make_mixed_caches},
    error::Result,
    mlx,
    nn::{
        Embedding, FusedLinear, Linear, RmsNorm, Rope,
        activations::{geglu, soft_capped},
    },
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct TextConfig {
    hidden_size: i32,
    num_hidden_layers: i32,
    intermediate_size: IntermediateSize,
    num_attention_heads: i32,
    head_dim: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: i32,
    num_kv_shared_layers: i32,
    vocab_size_per_layer_input: i32,
    sliding_window: i32,
    final_logit_softcapping: Option<f32>,
    layer_types: Vec<String>,
    activation_sparsity_pattern: Option<Vec<f32>>,
    hidden_size_per_layer_input: i32,
    altup_num_inputs: i32,
    altup_correct_scale: bool,
    altup_active_idx: i32,
    laurel_rank: i32,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum IntermediateSize {
    OfAll(i32),
    OfEach(Vec<i32>),
}

impl TextConfig {
    fn altup(&self) -> AltUpArgs {
        AltUpArgs {
            hidden_size: self.hidden_size,
            num_inputs: self.altup_num_inputs,
            active_idx: self.altup_active_idx,
            correct_scale: self.altup_correct_scale,
            rms_norm_eps: self.rms_norm_eps,
        }
    }

    fn per_layer(&self) -> PerLayerArgs {
        PerLayerArgs {
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            hidden_size_per_layer_input: self.hidden_size_per_layer_input,
            vocab_size: self.vocab_size,
            vocab_size_per_layer_input: self.vocab_size_per_layer_input,
            rms_norm_eps: self.rms_norm_eps,
        }
    }

    fn intermediate_size(&self, layer: usize) -> Result<i32> {
        let size = match &self.intermediate_size {
            IntermediateSize::OfAll(size) => *size,
            IntermediateSize::OfEach(sizes) => of_layer("intermediate_size", sizes, layer)?,
        };
        config::check_sizes(&[("intermediate_size", size)]).map(|()| size)
    }

    /// The share of a layer's activations that are zero.
    fn sparsity(&self, layer: usize) -> Result<f32> {
        let Some(pattern) = &self.activation_sparsity_pattern else { return Ok(0.0) };
        let sparsity = of_layer("activation_sparsity_pattern", pattern, layer)?;
        if !(0.0..1.0).contains(&sparsity) {
            let message = format!("{sparsity} is not between 0 and 1");
            return Err(config::invalid("activation_sparsity_pattern", message));
        }
        Ok(sparsity)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("vocab_size", self.vocab_size),
            ("sliding_window", self.sliding_window),
            ("laurel_rank", self.laurel_rank),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        self.altup().check()?;
        self.per_layer().check()?;
        if let Some(cap) = self.final_logit_softcapping {
            config::check_positive("final_logit_softcapping", cap)?;
        }
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

fn of_layer<T: Copy>(name: &str, list: &[T], layer: usize) -> Result<T> {
    let missing = || config::invalid(name, format!("has nothing for layer {layer}"));
    list.get(layer).copied().ok_or_else(missing)
}

/// Learned augmented residual layer.
struct LaurelBlock {
    linear_left: Linear,
    linear_right: Linear,
    post_laurel_norm: RmsNorm,
}

impl LaurelBlock {
    fn new(args: &TextConfig, w: &Weights) -> Result<Self> {
        let (dim, rank) = (args.hidden_size, args.laurel_rank);
        Ok(Self {
            linear_left: w.linear("linear_left", dim, rank, false)?,
            linear_right: w.linear("linear_right", rank, dim, false)?,
            post_laurel_norm: w.rms_norm("post_laurel_norm", dim, args.rms_norm_eps)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array> {
        let laurel = self.linear_right.forward(&self.linear_left.forward(x)?)?;
        Ok(x.add(self.post_laurel_norm.forward(&laurel)?)?)
    }
}

struct Mlp {
    gate_up_proj: FusedLinear,
    down_proj: Linear,
    /// How many standard deviations above the mean a gate must lie to count; `None` where all count.
    std_multiplier: Option<f32>,
}

impl Mlp {
    fn new(args: &TextConfig, layer: usize, w: &Weights) -> Result<Self> {
        let (dim, hidden_dim) = (args.hidden_size, args.intermediate_size(layer)?);
        let sparsity = args.sparsity(layer)?;
        let std_multiplier = if sparsity > 0.0 {
            let quantile = ops::erfinv(Array::from_f32(2.0 * sparsity - 1.0))?;
            let quantile: f32 = quantile.try_item_exact()?;
            Some(SQRT_2 * quantile)
        } else {
            None
        };
        Ok(Self {
            gate_up_proj: w.fused_linear(&[("gate_proj", hidden_dim), ("up_proj", hidden_dim)], dim, false)?,
            down_proj: w.linear("down_proj", hidden_dim, dim, false)?,
            std_multiplier,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array) -> Result<Array> {
        let [mut gate, up] = self.gate_up_proj.forward(x)?;
        if let Some(multiplier) = self.std_multiplier {
            let multiplier = mlx::scalar(multiplier, gate.dtype())?;
            let deviation = ops::std_axis(&gate, -1, true, None)?.multiply(multiplier)?;
            let cutoff = gate.mean_axis(-1, true)?.add(deviation)?;
            gate = ops::maximum(gate.subtract(cutoff)?, mlx::scalar(0.0, gate.dtype())?)?;
        }
        self.down_proj.forward(&geglu(&gate, &up)?)
    }
}

struct DecoderLayer {
    is_sliding: bool,
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    pre_feedforward_layernorm: RmsNorm,
    post_feedforward_layernorm: RmsNorm,
    altup: AltUp,
    laurel: LaurelBlock,
    per_layer: PerLayerGate,
}

impl DecoderLayer {
    fn new(
        args: &TextConfig,
        layer: usize,
        is_sliding: bool,
        rope: &Rc<Rope>,
        has_kv: bool,
        w: &Weights,
    ) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        let attention = AttentionArgs {
            hidden_size: dim,
            n_heads: args.num_attention_heads,
            n_kv_heads: args.num_key_value_heads,
            head_dim: args.head_dim,
            rms_norm_eps: eps,
            has_kv,
            use_k_eq_v: false,
            rope: Rc::clone(rope),
        };
        Ok(Self {
            is_sliding,
            self_attn: Attention::new(attention, &w.pp("self_attn"))?,
            mlp: Mlp::new(args, layer, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            pre_feedforward_layernorm: w.rms_norm("pre_feedforward_layernorm", dim, eps)?,
            post_feedforward_layernorm: w.rms_norm("post_feedforward_layernorm", dim, eps)?,
            altup: AltUp::new(args.altup(), &w.pp("altup"))?,
            laurel: LaurelBlock::new(args, &w.pp("laurel"))?,
            per_layer: PerLayerGate::new(&args.per_layer(), w)?,
        })
    }

    /// x: (B, L, N, D), per_layer_input: (B, L, P) → (B, L, N, D)
    fn forward(
        &self,
        x: &Array,
        mask: &Mask,
        cache: Option<&mut dyn Cache>,
        per_layer_input: &Array,
        latest: &mut Option<KeysValues>,
        offset: i32,
    ) -> Result<Array> {
        let predictions = self.altup.predict(x)?;
        let active = self.altup.active(&predictions)?;
        let normed = self.input_layernorm.forward(&active)?;
        let laurel = self.laurel.forward(&normed)?;
        let attn = self.self_attn.forward(&normed, mask, cache, latest, offset)?;
        let attn = active.add(self.post_attention_layernorm.forward(&attn)?)?;
        let h = attn.add(laurel)?;
        let h = h.multiply(mlx::scalar(0.5_f32.sqrt(), h.dtype())?)?;
        let ffw = self.mlp.forward(&self.pre_feedforward_layernorm.forward(&h)?)?;
        let h = h.add(self.post_feedforward_layernorm.forward(&ffw)?)?;
        let corrected = self.altup.correct(predictions, &active, &h)?;
        let update = self.per_layer.forward(&self.altup.scaled_active(&corrected)?, per_layer_input)?;
        self.altup.add_to_others(corrected, &update)
    }
}

/// mlx-lm's `LanguageModel`.
pub struct Gemma3n {
    embed_tokens: Embedding,
    embed_scale: f32,
    layers: Vec<DecoderLayer>,
    per_layer_inputs: PerLayerInputs,
    altup_projections: AltUpProjections,
    norm: RmsNorm,
    sliding_window: i32,
    final_logit_softcapping: Option<f32>,
}

impl Gemma3n {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let is_alone = !config.contains_key("text_config");
        let text = if is_alone { config.clone() } else { config::text_config(config)? };
        let args: TextConfig = config::parse(&text)?;
        args.check()?;
        let sliding = config::sliding_layers(Some(&args.layer_types), args.num_hidden_layers, |_| false)?;
        let with_kv = layers_with_kv(&sliding, args.num_kv_shared_layers)?;
        let w = w.pp("model");
        w.retain(|name| {
            let part = name.split('.').next().unwrap_or_default();
            !["vision_tower", "audio_tower", "embed_audio", "embed_vision"].contains(&part)
        });
        let w = if is_alone { w } else { w.pp("language_model") };
        drop_shared_kv(&w, with_kv);
        let rotary = Rotary::new(args.head_dim, None);
        let (full_rope, local_rope) = (rotary.rope(&text)?, rotary.local_rope(&text)?);
        let layer = |(i, sliding): (usize, bool), w: &Weights| {
            DecoderLayer::new(&args, i, sliding, if sliding { &local_rope } else { &full_rope }, i < with_kv, w)
        };
        Ok(Self {
            embed_tokens: w.embedding("embed_tokens", args.vocab_size, args.hidden_size)?,
            embed_scale: (args.hidden_size as f32).sqrt(),
            layers: layers(sliding.into_iter().enumerate(), &w, layer)?,
            per_layer_inputs: PerLayerInputs::new(args.per_layer(), &w)?,
            altup_projections: AltUpProjections::new(&args.altup(), &w)?,
            norm: w.rms_norm("norm", args.hidden_size, args.rms_norm_eps)?,
            sliding_window: args.sliding_window,
            final_logit_softcapping: args.final_logit_softcapping,
        })
    }

    fn layers_with_kv(&self) -> impl Iterator<Item = &DecoderLayer> {
        self.layers.iter().filter(|layer| layer.self_attn.has_kv())
    }
}

impl Model for Gemma3n {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let h = self.embed_tokens.forward(tokens)?;
        let h = h.multiply(mlx::scalar(self.embed_scale, h.dtype())?)?;
        let inputs = self.per_layer_inputs.forward(tokens, &h)?;
        let windows = self.layers_with_kv().map(|layer| layer.is_sliding.then_some(self.sliding_window));
        let masks = MixedMasks::new(&h, cache, windows)?;
        let offset = cache.first().map_or(0, |cache| cache.offset());
        let mut h = self.altup_projections.embed(&h)?;
        let (mut caches, mut latest) = (cache.iter_mut(), Latest::default());
        for (layer, input) in self.layers.iter().zip(&inputs) {
            let cache = if layer.self_attn.has_kv() { caches.next().map(AsMut::as_mut) } else { None };
            let mask = masks.of(layer.is_sliding);
            h = layer.forward(&h, mask, cache, input, latest.of(layer.is_sliding), offset)?;
        }
        self.norm.forward(&self.altup_projections.unembed(&h)?)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        soft_capped(self.embed_tokens.as_linear(hidden)?, self.final_logit_softcapping)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }

    fn make_cache(&self) -> Option<Caches> {
        Some(make_mixed_caches(self.layers_with_kv().map(|layer| layer.is_sliding), self.sliding_window))
    }
}
