// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The model around its layers.

use std::cell::OnceCell;

use mlx_rs::{Array, Dtype};

use super::{Layer, PreNormBlock};
use crate::{
    cache::{Caches, KVCache},
    error::Result,
    mlx,
    models::{Model, base::MixedMasks, last_position},
    nn::{Embedding, LmHead, Norm, activations::soft_capped},
    weights::Weights,
};

/// What the layers share during one pass through the model.
pub struct Pass {
    pub masks: MixedMasks,
    /// The factors of the queries, (L, 1).
    pub query_scale: Option<Array>,
    /// Whether only the last position's result of this layer is needed.
    only_last: bool,
    /// Of layers without a window, and of those with one.
    mask_arrays: [OnceCell<Option<Array>>; 2],
}

impl Pass {
    /// What is needed of x after this layer's attention: all positions, or the last. x: (B, L, D) → (B, L or 1, D)
    pub fn needed_positions(&self, x: Array) -> Result<Array> {
        if self.only_last { last_position(&x) } else { Ok(x) }
    }

    /// The mask of layers with or without a window, as an array (L, S); created once for all of them.
    pub fn mask_array(&self, sliding: bool, queries: i32, keys: i32) -> Result<Option<&Array>> {
        let [full, windowed] = &self.mask_arrays;
        let cell = if sliding { windowed } else { full };
        if let Some(mask) = cell.get() {
            return Ok(mask.as_ref());
        }
        let mask = self.masks.of(sliding).to_array(queries, keys)?;
        Ok(cell.get_or_init(|| mask).as_ref())
    }
}

/// (L, position of the first token, dtype) → the factors of the queries, (L, 1), or `None` if all are 1.
pub type QueryScale = Box<dyn Fn(i32, i32, Dtype) -> Result<Option<Array>>>;

/// A language model: an embedding, a stack of layers, a norm, and an output layer.
pub struct Decoder<L> {
    embed_tokens: Embedding,
    layers: Vec<L>,
    norm: Norm,
    lm_head: LmHead,
    /// Factor of the embeddings.
    pub embed_scale: Option<f32>,
    pub query_scale: Option<QueryScale>,
    /// Soft cap on the logits: cap · tanh(logits / cap).
    pub final_logit_softcapping: Option<f32>,
}

impl<L> Decoder<L> {
    pub fn new(embed_tokens: Embedding, layers: Vec<L>, norm: impl Into<Norm>, lm_head: LmHead) -> Self {
        Self {
            embed_tokens,
            layers,
            norm: norm.into(),
            lm_head,
            embed_scale: None,
            query_scale: None,
            final_logit_softcapping: None,
        }
    }
}

/// The sizes of a model around its layers.
pub struct DecoderArgs {
    pub dim: i32,
    pub vocab: i32,
    /// Epsilon of the RMS norms.
    pub eps: f32,
    /// Whether the embedding is also the output layer.
    pub tied: bool,
}

impl<F, A> Decoder<PreNormBlock<F, A>> {
    /// A model with the usual names and norms. `kinds` has an item for each layer; `parts` builds the layer's attention and
    /// feed-forward network from that item and the layer's weights.
    pub fn pre_norm<K>(
        args: &DecoderArgs,
        w: &Weights,
        kinds: impl IntoIterator<Item = K>,
        parts: impl Fn(K, &Weights) -> Result<(A, F)>,
    ) -> Result<Self> {
        let DecoderArgs { dim, vocab, eps, tied } = *args;
        let model = w.pp("model");
        let block = |kind, w: &Weights| {
            let (self_attn, feed_forward) = parts(kind, w)?;
            PreNormBlock::new(self_attn, feed_forward, |name| w.rms_norm(name, dim, eps))
        };
        Ok(Self::new(
            model.embedding("embed_tokens", vocab, dim)?,
            layers(kinds, &model, block)?,
            model.rms_norm("norm", dim, eps)?,
            w.lm_head(tied, dim, vocab, false)?,
        ))
    }
}

/// Builds a layer from each item of `kinds` and the weights under `layers.<index>`.
pub fn layers<K, L>(
    kinds: impl IntoIterator<Item = K>,
    w: &Weights,
    layer: impl Fn(K, &Weights) -> Result<L>,
) -> Result<Vec<L>> {
    let w = w.pp("layers");
    kinds.into_iter().enumerate().map(|(index, kind)| layer(kind, &w.pp(index))).collect()
}

impl<L: Layer> Decoder<L> {
    /// tokens: (B, L) → (B, L, D), or (B, 1, D) if only the last position is wanted
    fn run(&self, tokens: &Array, cache: &mut Caches, only_last: bool) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        if let Some(scale) = self.embed_scale {
            h = h.multiply(mlx::scalar(scale, h.dtype())?)?;
        }
        let (offset, length) = (cache.first().map_or(0, |cache| cache.offset()), mlx::dim(&h, 1));
        let mut pass = Pass {
            masks: MixedMasks::new(&h, cache, self.layers.iter().map(Layer::window))?,
            query_scale: match &self.query_scale {
                Some(scale) => scale(length, offset, h.dtype())?,
                None => None,
            },
            only_last: false,
            mask_arrays: [OnceCell::new(), OnceCell::new()],
        };
        for (index, (layer, cache)) in self.layers.iter().zip(cache).enumerate() {
            pass.only_last = only_last && index + 1 == self.layers.len();
            h = layer.forward(&h, &pass, cache.as_mut())?;
        }
        self.norm.forward(&if only_last { last_position(&h)? } else { h })
    }
}

impl<L: Layer> Model for Decoder<L> {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        self.run(tokens, cache, false)
    }

    /// Unlike in mlx-lm, the last layer's feed-forward network reads no other position either.
    fn last_hidden_state(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        self.run(tokens, cache, true)
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

    /// In mlx-lm, Llama, Gemma 3 and others always choose their caches and so ignore `max_kv_size`. Here a model does so
    /// only if one of its layers needs another cache than `KVCache`.
    fn make_cache(&self) -> Option<Caches> {
        let own: Vec<_> = self.layers.iter().map(Layer::make_cache).collect();
        if own.iter().all(Option::is_none) {
            return None;
        }
        Some(own.into_iter().map(|cache| cache.unwrap_or_else(|| Box::new(KVCache::new()))).collect())
    }
}
