// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama 4: three layers in four look at their own chunk of the text only, every fourth at all of it but without
//! positions; some layers have experts, of which each token uses one.

use mlx_rs::{Array, Dtype, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::MixedMasks, config, llama::Mlp};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches, ChunkedKVCache, KVCache},
    error::{Error, Result},
    mlx,
    nn::{Embedding, FusedLinear, Linear, RmsNorm, Rope, SwitchGlu, activations::swiglu},
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
    rope_scaling: Option<Map<String, Value>>,
    rope_theta: f32,
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
        for (name, value) in
            [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta), ("floor_scale", self.floor_scale)]
        {
            config::check_positive(name, value)?;
        }
        if self.num_experts_per_tok != 1 {
            let message = format!("{} is not supported, only 1", self.num_experts_per_tok);
            return Err(Error::config("config.json", "num_experts_per_tok", message));
        }
        Ok(())
    }
}

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    rope: Option<Rope>,
    qk_norm: Option<RmsNorm>,
}

impl Attention {
    fn new(args: &TextArgs, use_rope: bool, w: &Weights) -> Result<Self> {
        let (dim, bias) = (args.hidden_size, args.attention_bias);
        let (n_heads, n_kv_heads, head_dim) = (args.num_attention_heads, args.num_key_value_heads, args.head_dim());
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        let rope = || {
            let max_position_embeddings = Some(args.max_position_embeddings);
            Rope::new(head_dim, args.rope_theta, true, args.rope_scaling.as_ref(), max_position_embeddings)
        };
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, bias)?,
            o_proj: w.linear("o_proj", q, dim, bias)?,
            rope: if use_rope { Some(rope()?) } else { None },
            qk_norm: (args.use_qk_norm && use_rope).then(|| RmsNorm::without_weight(1e-6)),
        })
    }

    /// x: (B, L, D), attn_scales: (L, 1) for layers without positions → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, attn_scales: Option<&Array>, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let (mut queries, mut keys) = (heads(&queries, self.n_heads)?, heads(&keys, self.n_kv_heads)?);
        if let Some(rope) = &self.rope {
            let offset = cache.offset();
            (queries, keys) = (rope.forward(&queries, offset)?, rope.forward(&keys, offset)?);
        }
        if let Some(norm) = &self.qk_norm {
            (queries, keys) = (norm.forward(&queries)?, norm.forward(&keys)?);
        }
        if let Some(scales) = attn_scales {
            queries = queries.multiply(scales)?.as_dtype(queries.dtype())?;
        }
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.n_kv_heads)?)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct Moe {
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
            shared_expert: Mlp::new(dim, hidden_dim, false, &w.pp("shared_expert"))?,
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

    /// x: (B, L, D) → (B, L, D)
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

enum FeedForward {
    Moe(Box<Moe>),
    Mlp(Mlp),
}

struct TransformerBlock {
    self_attn: Attention,
    feed_forward: FeedForward,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    use_chunked_attention: bool,
}

impl TransformerBlock {
    fn new(args: &TextArgs, layer_idx: i32, w: &Weights) -> Result<Self> {
        let (dim, eps, step) = (args.hidden_size, args.rms_norm_eps, args.interleave_moe_layer_step);
        let (feed_forward, use_chunked_attention) = (w.pp("feed_forward"), is_chunked(layer_idx));
        Ok(Self {
            self_attn: Attention::new(args, use_chunked_attention, &w.pp("self_attn"))?,
            feed_forward: if layer_idx % step == step - 1 {
                FeedForward::Moe(Box::new(Moe::new(args, &feed_forward)?))
            } else {
                FeedForward::Mlp(Mlp::new(dim, args.intermediate_size_mlp, false, &feed_forward)?)
            },
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            use_chunked_attention,
        })
    }

    fn forward(
        &self,
        x: &Array,
        masks: &MixedMasks,
        attn_scales: Option<&Array>,
        cache: &mut dyn Cache,
    ) -> Result<Array> {
        let scales = attn_scales.filter(|_| !self.use_chunked_attention);
        let mask = masks.of(self.use_chunked_attention);
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, scales, cache)?)?;
        let normed = self.post_attention_layernorm.forward(&h)?;
        Ok(h.add(match &self.feed_forward {
            FeedForward::Moe(moe) => moe.forward(&normed)?,
            FeedForward::Mlp(mlp) => mlp.forward(&normed)?,
        })?)
    }
}

/// mlx-lm's `Model` with its `LanguageModel` and `LlamaModel`.
pub struct Llama4 {
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
    lm_head: Linear,
    attention_chunk_size: i32,
    attn_temperature_tuning: bool,
    floor_scale: f32,
    attn_scale: f32,
}

impl Llama4 {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: TextArgs = config::parse(&config::text_config(config)?)?;
        args.check()?;
        w.retain(|name| !(name.contains("vision_model") || name.contains("multi_modal_projector")));
        let w = w.pp("language_model");
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|i| TransformerBlock::new(&args, i, &model.pp("layers").pp(i)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.linear("lm_head", dim, vocab, false)?,
            attention_chunk_size: args.attention_chunk_size,
            attn_temperature_tuning: args.tunes_temperature(),
            floor_scale: args.floor_scale,
            attn_scale: args.attn_scale,
        })
    }

    /// What queries without positions are multiplied by, (L, 1): more the longer the text. `None` while that is 1.
    fn attn_scales(&self, offset: i32, length: i32) -> Option<Array> {
        let end = offset + length;
        if !self.attn_temperature_tuning || (end as f32) < self.floor_scale {
            return None;
        }
        let scale = |position: i32| ((position as f32 / self.floor_scale).floor() + 1.0).ln() * self.attn_scale + 1.0;
        let scales: Vec<f32> = (offset + 1..=end).map(scale).collect();
        Some(Array::from_slice(&scales, &[length, 1]))
    }
}

impl Model for Llama4 {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let chunked = self.layers.iter().map(|layer| layer.use_chunked_attention);
        let masks = MixedMasks::new(&h, cache, chunked, self.attention_chunk_size)?;
        let offset = cache.first().map_or(0, |cache| cache.offset());
        let attn_scales = self.attn_scales(offset, mlx::dim(&h, 1));
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &masks, attn_scales.as_ref(), cache.as_mut())?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        self.lm_head.forward(hidden)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }

    fn make_cache(&self) -> Option<Caches> {
        let cache = |layer: &TransformerBlock| -> Box<dyn Cache> {
            if layer.use_chunked_attention {
                Box::new(ChunkedKVCache::new(self.attention_chunk_size))
            } else {
                Box::new(KVCache::new())
            }
        };
        Some(self.layers.iter().map(cache).collect())
    }
}
