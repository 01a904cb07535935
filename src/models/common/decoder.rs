// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The model around the layers.

use std::cell::OnceCell;

use mlx_rs::{Array, Dtype};

use super::{Layer, PreNormBlock};
use crate::{
    cache::{Caches, KVCache},
    error::Result,
    mlx,
    models::{Model, base::MixedMasks},
    nn::{Embedding, LmHead, Norm, activations::soft_capped},
    weights::Weights,
};

/// What the layers of a model share while tokens pass through it.
pub struct Pass {
    pub masks: MixedMasks,
    /// The factors of the queries, (L, 1).
    pub query_scale: Option<Array>,
    mask_array: OnceCell<Option<Array>>,
}

impl Pass {
    /// The mask of layers that see everything, as an array (L, S), made once for all of them.
    pub fn mask_array(&self, queries: i32, keys: i32) -> Result<Option<&Array>> {
        if let Some(mask) = self.mask_array.get() {
            return Ok(mask.as_ref());
        }
        let mask = self.masks.of(false).to_array(queries, keys)?;
        Ok(self.mask_array.get_or_init(|| mask).as_ref())
    }
}

/// The factors of the queries, (L, 1), by L, the position of the first token, and a dtype; `None` if all are 1.
pub type QueryScale = Box<dyn Fn(i32, i32, Dtype) -> Result<Option<Array>>>;

/// A language model: embeddings, layers one after another, a norm, and an output layer.
pub struct Decoder<L> {
    embed_tokens: Embedding,
    layers: Vec<L>,
    norm: Norm,
    lm_head: LmHead,
    /// What embeddings are multiplied by.
    pub embed_scale: Option<f32>,
    pub query_scale: Option<QueryScale>,
    /// The bound that logits approach, by a hyperbolic tangent.
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
    /// Of the RMS norms.
    pub eps: f32,
    /// Whether the embedding is the output layer too.
    pub tied: bool,
}

impl<F, A> Decoder<PreNormBlock<F, A>> {
    /// A model with the usual names and norms, whose layers consist of the attention and the feed-forward network that
    /// `parts` makes. `kinds` has one item for each layer; `parts` gets it with the layer's weights.
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
            w.lm_head(tied, dim, vocab)?,
        ))
    }
}

/// The layers of a model: for each item of `kinds`, what `layer` makes of it and of the weights under
/// `layers.<number>`.
pub fn layers<K, L>(
    kinds: impl IntoIterator<Item = K>,
    w: &Weights,
    layer: impl Fn(K, &Weights) -> Result<L>,
) -> Result<Vec<L>> {
    let w = w.pp("layers");
    kinds.into_iter().enumerate().map(|(index, kind)| layer(kind, &w.pp(index))).collect()
}

impl<L: Layer> Model for Decoder<L> {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        if let Some(scale) = self.embed_scale {
            h = h.multiply(mlx::scalar(scale, h.dtype())?)?;
        }
        let (offset, length) = (cache.first().map_or(0, |cache| cache.offset()), mlx::dim(&h, 1));
        let pass = Pass {
            masks: MixedMasks::new(&h, cache, self.layers.iter().map(Layer::window))?,
            query_scale: match &self.query_scale {
                Some(scale) => scale(length, offset, h.dtype())?,
                None => None,
            },
            mask_array: OnceCell::new(),
        };
        for (layer, cache) in self.layers.iter().zip(cache) {
            h = layer.forward(&h, &pass, cache.as_mut())?;
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

    /// mlx-lm's Llama, Gemma 3 and others always choose their caches, and so ignore `max_kv_size`; here only those do
    /// of which some layer needs another cache.
    fn make_cache(&self) -> Option<Caches> {
        let own: Vec<_> = self.layers.iter().map(Layer::make_cache).collect();
        if own.iter().all(Option::is_none) {
            return None;
        }
        Some(own.into_iter().map(|cache| cache.unwrap_or_else(|| Box::new(KVCache::new()))).collect())
    }
}
