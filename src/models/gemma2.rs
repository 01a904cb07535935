// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma2.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma 2: Gemma with a soft cap on attention scores and logits, and with norms after each sublayer too. The fused
//! attention kernel has no soft cap, so attention is computed step by step.
//!
//! Differs from mlx-lm: every second layer has a sliding window, quantized caches work (their keys and values are
//! dequantized), a cap of null means none, and an output layer that is not the embedding is used.

use std::rc::Rc;

use mlx_rs::{Array, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    common::{
        AttentionArgs, Decoder, Layer, Mlp, Pass, Projections, SandwichBlock, drop_tied_lm_head, is_tied, layers,
    },
    config,
    rotary::Rotary,
};
use crate::{
    attention::lowest,
    cache::Cache,
    error::{Error, Result},
    mlx,
    nn::{Activation, Rope, activations::softcap},
    weights::Weights,
};

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    hidden_size: i32,
    num_hidden_layers: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    head_dim: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: i32,
    #[serde(default = "attn_logit_softcapping")]
    attn_logit_softcapping: Option<f32>,
    #[serde(default = "final_logit_softcapping")]
    final_logit_softcapping: Option<f32>,
    query_pre_attn_scalar: Option<f32>,
    tie_word_embeddings: Option<bool>,
}

fn attn_logit_softcapping() -> Option<f32> {
    Some(50.0)
}

fn final_logit_softcapping() -> Option<f32> {
    Some(30.0)
}

impl ModelArgs {
    fn query_pre_attn_scalar(&self) -> f32 {
        self.query_pre_attn_scalar.unwrap_or(144.0)
    }

    fn check(&self) -> Result<()> {
        config::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
        ])?;
        config::check_heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)?;
        config::check_positive("attn_logit_softcapping", self.attn_logit_softcapping.unwrap_or(1.0))?;
        config::check_positive("final_logit_softcapping", self.final_logit_softcapping.unwrap_or(1.0))?;
        config::check_positive("query_pre_attn_scalar", self.query_pre_attn_scalar())?;
        config::check_positive("rms_norm_eps", self.rms_norm_eps)
    }
}

pub struct Attention {
    n_kv_heads: i32,
    scale: f32,
    projections: Projections,
    attn_logit_softcapping: Option<f32>,
    rope: Rc<Rope>,
    window: Option<i32>,
}

impl Attention {
    fn new(args: &ModelArgs, rope: &Rc<Rope>, window: Option<i32>, w: &Weights) -> Result<Self> {
        let n_kv_heads = args.num_key_value_heads;
        let sizes = AttentionArgs::new(args.hidden_size, args.num_attention_heads, n_kv_heads, args.head_dim);
        Ok(Self {
            n_kv_heads,
            scale: args.query_pre_attn_scalar().powf(-0.5),
            projections: Projections::new(&sizes, w)?,
            attn_logit_softcapping: args.attn_logit_softcapping,
            rope: Rc::clone(rope),
            window,
        })
    }
}

impl Layer for Attention {
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        let [queries, keys, values] = self.projections.heads(x, None, Some(&self.rope), cache.offset())?;
        let (keys, values) = cache.update_and_fetch(&keys, &values)?.dense(queries.dtype())?;

        let queries = queries.multiply(mlx::scalar(self.scale, queries.dtype())?)?;
        let &[b, heads, l, d] = queries.shape() else { return Err(Error::internal("queries are not (B, H, L, D)")) };
        // (B, H, L, D) -> (B, KV heads, H / KV heads, L, D)
        let queries = queries.reshape(&[b, self.n_kv_heads, heads / self.n_kv_heads, l, d])?;
        let mut scores = queries.matmul(keys.expand_dims(2)?.swap_axes(-1, -2)?)?;
        if let Some(cap) = self.attn_logit_softcapping {
            scores = softcap(&scores, cap)?;
        }
        if let Some(mask) = pass.mask_array(self.window.is_some(), l, mlx::dim(&keys, 2))? {
            scores = ops::select(mask, &scores, lowest(scores.dtype())?)?;
        }
        let weights = ops::softmax_axis(scores, -1, true)?;
        self.projections.output(x, weights.matmul(values.expand_dims(2)?)?.reshape(&[b, heads, l, d])?)
    }

    fn window(&self) -> Option<i32> {
        self.window
    }
}

/// x + y
fn add(x: &Array, y: &Array) -> Result<Array> {
    Ok(x.add(y)?)
}

/// Every second layer has a window, from the first on; it has 4096 tokens where the config does not say.
fn windows(config: &Map<String, Value>, num_layers: i32) -> Result<Vec<Option<i32>>> {
    let mut config = config.clone();
    if config.get("sliding_window").is_none_or(Value::is_null) {
        config.insert("sliding_window".to_owned(), Value::from(4096));
    }
    config::windows(&config, num_layers, |layer| layer % 2 == 0)
}

pub type Gemma2 = Decoder<SandwichBlock<Attention>>;

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Gemma2> {
    let args: ModelArgs = config::parse(config)?;
    args.check()?;
    let tied = is_tied(args.tie_word_embeddings, w);
    drop_tied_lm_head(tied, w);
    let rope = Rotary::new(args.head_dim, 10_000.0).rope(config)?;
    let (model, dim, eps) = (w.pp("model"), args.hidden_size, args.rms_norm_eps);
    let windows = windows(config, args.num_hidden_layers)?;
    let block = |window, w: &Weights| {
        let self_attn = Attention::new(&args, &rope, window, &w.pp("self_attn"))?;
        let mlp = Mlp::new(dim, args.intermediate_size, Activation::Geglu, false, &w.pp("mlp"))?;
        SandwichBlock::new(self_attn, mlp, |name| w.rms_norm_plus_one(name, dim, eps), add)
    };
    let embed_tokens = model.embedding("embed_tokens", args.vocab_size, dim)?;
    let layers = layers(windows, &model, block)?;
    let lm_head = w.lm_head(tied, dim, args.vocab_size, false)?;
    let mut decoder = Decoder::new(embed_tokens, layers, model.rms_norm_plus_one("norm", dim, eps)?, lm_head);
    decoder.embed_scale = Some((dim as f32).sqrt());
    decoder.final_logit_softcapping = args.final_logit_softcapping;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layer_has_a_window_also_where_the_config_gives_none() {
        assert_eq!(windows(&Map::new(), 4).unwrap(), [Some(4096), None, Some(4096), None]);
    }
}
