// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/phi3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Phi-3 and Phi-4: Llama whose checkpoints store q, k and v, and gate and up, as one matrix each.

use mlx_rs::Array;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Model, base::create_attention_mask, config};
use crate::{
    attention::{Mask, scaled_dot_product_attention},
    cache::{Cache, Caches},
    error::{Error, Result},
    mlx,
    nn::{Embedding, Linear, LmHead, RmsNorm, Rope, activations::swiglu},
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
    num_key_value_heads: Option<i32>,
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<Map<String, Value>>,
    partial_rotary_factor: Option<f64>,
    max_position_embeddings: Option<i32>,
    original_max_position_embeddings: Option<i32>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl ModelArgs {
    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn max_position_embeddings(&self) -> i32 {
        self.max_position_embeddings.unwrap_or(131_072)
    }

    fn original_max_position_embeddings(&self) -> i32 {
        self.original_max_position_embeddings.unwrap_or(4096)
    }

    /// As in mlx-lm, scalings of other kinds count as none, and `long_mscale` is not looked at.
    fn rope(&self, head_dim: i32) -> Result<Rope> {
        let theta = self.rope_theta.unwrap_or(10000.0);
        config::check_positive("rope_theta", theta)?;
        let dims = config::rotary_dims(head_dim, self.partial_rotary_factor.unwrap_or(1.0))?;
        let mut scaling = self.rope_scaling.clone().unwrap_or_default();
        match scaling.get("type").or_else(|| scaling.get("rope_type")).and_then(Value::as_str) {
            Some("longrope" | "su") => {
                scaling.remove("long_mscale");
                let max = self.max_position_embeddings();
                Rope::su_scaled(dims, theta, &scaling, max, self.original_max_position_embeddings())
            }
            Some("linear") => Rope::new(dims, theta, self.rope_traditional, Some(&scaling), None),
            _ => Ok(Rope::plain(dims, theta, self.rope_traditional)),
        }
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings()),
            ("original_max_position_embeddings", self.original_max_position_embeddings()),
        ])?;
        config::check_heads(self.num_attention_heads, self.kv_heads(), self.hidden_size / self.num_attention_heads)?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

struct Attention {
    n_heads: i32,
    n_kv_heads: i32,
    head_dim: i32,
    scale: f32,
    qkv_proj: Linear,
    o_proj: Linear,
    rope: Rope,
}

impl Attention {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, n_heads, n_kv_heads) = (args.hidden_size, args.num_attention_heads, args.kv_heads());
        let head_dim = dim / n_heads;
        let op_size = (n_heads + 2 * n_kv_heads) * head_dim;
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            qkv_proj: w.linear("qkv_proj", dim, op_size, false)?,
            o_proj: w.linear("o_proj", n_heads * head_dim, dim, false)?,
            rope: args.rope(head_dim)?,
        })
    }

    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let &[b, l, _] = x.shape() else { return Err(Error::internal("hidden states are not (B, L, D)")) };
        let (q, kv) = (self.n_heads, self.n_kv_heads);
        // (B, L, (H + 2 KV heads) * D) -> (B, H + 2 KV heads, L, D)
        let qkv = self.qkv_proj.forward(x)?.reshape(&[b, l, q + 2 * kv, self.head_dim])?;
        let parts = mlx::split(&qkv.transpose_axes(&[0, 2, 1, 3])?, &[q, q + kv], 1)?;
        let [queries, keys, values] = parts.as_slice() else { return Err(Error::internal("not three parts")) };
        let offset = cache.offset();
        let (queries, keys) = (self.rope.forward(queries, offset)?, self.rope.forward(keys, offset)?);
        let cached = cache.update_and_fetch(&keys, values)?;
        let output = scaled_dot_product_attention(&queries, &cached, self.scale, mask, None)?;
        // (B, H, L, D) -> (B, L, H * D)
        self.o_proj.forward(&output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[b, l, -1])?)
    }
}

struct Mlp {
    gate_up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    fn new(dim: i32, hidden_dim: i32, w: &Weights) -> Result<Self> {
        Ok(Self {
            gate_up_proj: w.linear("gate_up_proj", dim, 2 * hidden_dim, false)?,
            down_proj: w.linear("down_proj", hidden_dim, dim, false)?,
        })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        let parts = self.gate_up_proj.forward(x)?.split_equal(2, -1)?;
        let [gate, up] = parts.as_slice() else { return Err(Error::internal("not two halves")) };
        self.down_proj.forward(&swiglu(gate, up)?)
    }
}

struct TransformerBlock {
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl TransformerBlock {
    fn new(args: &ModelArgs, w: &Weights) -> Result<Self> {
        let (dim, eps) = (args.hidden_size, args.rms_norm_eps);
        Ok(Self {
            self_attn: Attention::new(args, &w.pp("self_attn"))?,
            mlp: Mlp::new(dim, args.intermediate_size, &w.pp("mlp"))?,
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let h = x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, mask, cache)?)?;
        Ok(h.add(self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?)?)
    }
}

/// mlx-lm's `Model` with its `Phi3Model`.
pub struct Phi3 {
    embed_tokens: Embedding,
    layers: Vec<TransformerBlock>,
    norm: RmsNorm,
    lm_head: LmHead,
}

impl Phi3 {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args: ModelArgs = config::parse(config)?;
        args.check()?;
        let model = w.pp("model");
        let (dim, vocab) = (args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|index| TransformerBlock::new(&args, &model.pp("layers").pp(index)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab)?,
        })
    }
}

impl Model for Phi3 {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let mask = create_attention_mask(&h, cache.first().map(AsRef::as_ref), None)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &mask, cache.as_mut())?;
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
}
