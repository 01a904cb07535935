// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama, and Mistral, which mlx-lm runs as Llama.
//!
//! mlx-lm's Llama ignores `rope_parameters`, in which transformers 5 nests the RoPE settings, and silently rotates by
//! base 10000 then. They are read here.

use mlx_rs::Array;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::MixedMasks, config};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches, make_mixed_caches},
    error::{Error, Result},
    nn::{Embedding, FusedLinear, Linear, LmHead, RmsNorm, Rope, activations::swiglu},
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
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
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
        let nested = self.rope_parameters.as_ref();
        let theta = config::rope_theta(self.rope_theta, nested).unwrap_or(10000.0);
        config::check_positive("rope_theta", theta)?;
        Rope::new(
            self.head_dim(),
            theta,
            self.rope_traditional,
            self.rope_scaling.as_ref().or(nested),
            self.max_position_embeddings,
        )
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

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: FusedLinear,
    o_proj: Linear,
    /// `None` for the layers of SmolLM3 that know no positions.
    rope: Option<Rope>,
}

impl Attention {
    fn new(args: &ModelArgs, use_rope: bool, w: &Weights) -> Result<Self> {
        let (dim, bias) = (args.hidden_size, args.attention_bias);
        let (n_heads, n_kv_heads, head_dim) = (args.num_attention_heads, args.kv_heads(), args.head_dim());
        let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.fused_linear(&[("q_proj", q), ("k_proj", kv), ("v_proj", kv)], dim, bias)?,
            o_proj: w.linear("o_proj", q, dim, bias)?,
            rope: if use_rope { Some(args.rope()?) } else { None },
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let [queries, keys, values] = self.qkv_proj.forward(x)?;
        // (B, L, H * D) -> (B, H, L, D)
        let heads = |x: &Array, n: i32| x.reshape(&[b, l, n, self.head_dim])?.transpose_axes(&[0, 2, 1, 3]);
        let (mut queries, mut keys) = (heads(&queries, self.n_heads)?, heads(&keys, self.n_kv_heads)?);
        if let Some(rope) = &self.rope {
            let offset = cache.offset();
            (queries, keys) = (rope.forward(&queries, offset)?, rope.forward(&keys, offset)?);
        }
        let cached = cache.update_and_fetch(&keys, &heads(&values, self.n_kv_heads)?)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

/// The gated feed-forward network that most families share.
pub struct Mlp {
    gate_up_proj: FusedLinear,
    down_proj: Linear,
}

impl Mlp {
    pub fn new(dim: i32, hidden_dim: i32, bias: bool, w: &Weights) -> Result<Self> {
        Ok(Self {
            gate_up_proj: w.fused_linear(&[("gate_proj", hidden_dim), ("up_proj", hidden_dim)], dim, bias)?,
            down_proj: w.linear("down_proj", hidden_dim, dim, bias)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let [gate, up] = self.gate_up_proj.forward(x)?;
        self.down_proj.forward(&swiglu(&gate, &up)?)
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
    fn new(args: &ModelArgs, use_sliding: bool, use_rope: bool, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: Attention::new(args, use_rope, &w.pp("self_attn"))?,
            mlp: Mlp::new(dim, args.intermediate_size, args.mlp_bias, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            use_sliding,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `LlamaModel`: no other family shares the inner one here.
pub struct Llama {
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
    lm_head: LmHead,
    /// 0 where no layer slides.
    sliding_window: i32,
}

impl Llama {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        Self::with_rope_where(config, w, |_| true)
    }

    /// With positions only in the layers that `use_rope` names.
    pub fn with_rope_where(config: &Map<String, Value>, w: &Weights, use_rope: impl Fn(usize) -> bool) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        w.retain(|name| {
            !(name.contains("self_attn.rotary_emb.inv_freq")
                || args.tie_word_embeddings && name.starts_with("lm_head."))
        });
        let sliding = config::sliding_layers(args.layer_types.as_deref(), args.num_hidden_layers)?;
        let sliding_window = if sliding.contains(&true) { config::check_window(args.sliding_window)? } else { 0 };
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: sliding
                .into_iter()
                .enumerate()
                .map(|(i, sliding)| TransformerBlock::new(&args, sliding, use_rope(i), &model.pp("layers").pp(i)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab)?,
            sliding_window,
        })
    }
}

impl Model for Llama {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let masks = MixedMasks::new(&h, cache, self.layers.iter().map(|layer| layer.use_sliding), self.sliding_window)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, masks.of(layer.use_sliding), cache.as_mut())?;
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

    /// mlx-lm's Llama always chooses its caches, and so ignores `max_kv_size`; here only one with windows does.
    fn make_cache(&self) -> Option<Caches> {
        let sliding = self.layers.iter().map(|layer| layer.use_sliding);
        sliding.clone().any(|slides| slides).then(|| make_mixed_caches(sliding, self.sliding_window))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mlx;

    fn rotated(rope: Value) -> Vec<f32> {
        let mut config = json!({
            "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "num_attention_heads": 1,
            "rms_norm_eps": 1e-5, "vocab_size": 8, "max_position_embeddings": 64,
        });
        config.as_object_mut().unwrap().extend(rope.as_object().unwrap().clone());
        let args: ModelArgs = config::parse(config.as_object().unwrap()).unwrap();
        let x = Array::from_slice(&[1.0f32; 8], &[1, 1, 1, 8]);
        args.rope().unwrap().forward(&x, 9).unwrap().to_vec_exact().unwrap()
    }

    #[test]
    fn nested_rope_parameters_mean_the_same_as_flat_ones() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 16});
        let flat = rotated(json!({"rope_theta": 500.0, "rope_scaling": scaling}));
        let mut nested = scaling.clone();
        nested["rope_theta"] = json!(500.0);
        assert_eq!(rotated(json!({ "rope_parameters": nested })), flat);
        assert_ne!(rotated(json!({"rope_scaling": scaling})), flat);
        assert_ne!(rotated(json!({"rope_theta": 500.0})), flat);
    }
}
