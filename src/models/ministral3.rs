// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/ministral3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Ministral 3: Llama whose queries grow with the logarithm of their position.

use mlx_rs::{Array, Dtype};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::MixedMasks, config, llama::Mlp};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches, make_mixed_caches},
    error::{Error, Result},
    mlx,
    nn::{Embedding, FusedLinear, Linear, LmHead, RmsNorm, Rope},
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
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    layer_types: Option<Vec<String>>,
    sliding_window: Option<i32>,
}

fn yes() -> bool {
    true
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
    number.ok_or_else(|| Error::config("config.json", &format!("rope_parameters.{name}"), "is missing or not a number"))
}

/// Llama 4's scale of the queries: 1 for as many tokens as the model was first trained on, and more from there on.
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

    /// (size, 1) for the tokens from position `offset` on, or `None` where it is 1 for all of them.
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

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    rope: Rope,
}

impl Attention {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, head_dim) = (args.hidden_size, args.head_dim());
        let (n_heads, n_kv_heads) = (args.num_attention_heads, args.kv_heads());
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        Ok(Self {
            n_heads,
            n_kv_heads,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, false)?,
            o_proj: w.linear("o_proj", q, dim, false)?,
            rope: args.rope()?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, attn_scale: Option<&Array>, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, -1])?.transpose_axes(&[0, 2, 1, 3]);
        let offset = cache.offset();
        let mut queries = self.rope.forward(&heads(&queries, self.n_heads)?, offset)?;
        let keys = self.rope.forward(&heads(&keys, self.n_kv_heads)?, offset)?;
        if let Some(attn_scale) = attn_scale {
            queries = queries.multiply(attn_scale)?;
        }
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.n_kv_heads)?)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct TransformerBlock {
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    use_sliding: bool,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, use_sliding: bool, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: Attention::new(args, &w.pp("self_attn"))?,
            mlp: Mlp::new(dim, args.intermediate_size, false, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            use_sliding,
        })
    }

    fn forward(&self, x: &Array, attn_scale: Option<&Array>, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, attn_scale, mask, cache)?)?;
        Ok(h.add(self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `LanguageModel`.
pub struct Ministral3 {
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
    lm_head: LmHead,
    attn_scale: Llama4AttnScale,
    /// 0 where no layer slides.
    sliding_window: i32,
}

impl Ministral3 {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        w.retain(|name| {
            !(name.contains("self_attn.rotary_emb.inv_freq")
                || args.tie_word_embeddings && name.starts_with("lm_head."))
        });
        w.dequantize_fp8()?;
        let sliding = config::sliding_layers(args.layer_types.as_deref(), args.num_hidden_layers)?;
        let sliding_window = if sliding.contains(&true) { config::check_window(args.sliding_window)? } else { 0 };
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: sliding
                .into_iter()
                .enumerate()
                .map(|(i, sliding)| TransformerBlock::new(&args, sliding, &model.pp("layers").pp(i)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab)?,
            attn_scale: Llama4AttnScale::new(&args.rope_parameters)?,
            sliding_window,
        })
    }
}

impl Model for Ministral3 {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let masks = MixedMasks::new(&h, cache, self.layers.iter().map(|layer| layer.use_sliding), self.sliding_window)?;
        let offset = cache.first().map_or(0, |cache| cache.offset());
        let attn_scale = self.attn_scale.of(mlx::dim(&h, 1), offset, h.dtype())?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, attn_scale.as_ref(), masks.of(layer.use_sliding), cache.as_mut())?;
        }
        self.norm.forward(&h)
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        self.lm_head.forward(hidden, &self.embed_tokens)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn vocab_size(&self) -> i32 {
        self.embed_tokens.rows()
    }

    /// As in Llama, only a model with windows chooses its caches.
    fn make_cache(&self) -> Option<Caches> {
        let sliding = self.layers.iter().map(|layer| layer.use_sliding);
        sliding.clone().any(|slides| slides).then(|| make_mixed_caches(sliding, self.sliding_window))
    }
}
