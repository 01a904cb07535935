// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_next.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen3-Next: most layers are recurrent, by the gated delta rule, every fourth attends, and most have experts.
//!
//! Checkpoints interleave the projections of a recurrent layer by key head. They are put in order when they are
//! loaded, so that Qwen3.5, which stores them in order, is the same model.

mod args;
mod layers;
mod sanitize;

use mlx_rs::Array;
use serde_json::{Map, Value, json};

pub use self::args::ModelArgs;
use self::{
    layers::{Attention, GatedDeltaNet, SparseMoeBlock},
    sanitize::{order_projections, sanitize},
};
use super::{Model, base::create_attention_mask, llama::Mlp};
use crate::{
    attention::Mask,
    cache::{ArraysCache, Cache, Caches, KVCache},
    error::Result,
    nn::{Embedding, LmHead, RmsNorm},
    weights::Weights,
};

/// mlx-lm's `linear_attn` or `self_attn`.
enum Mixer {
    Linear(Box<GatedDeltaNet>),
    Full(Box<Attention>),
}

enum FeedForward {
    Sparse(Box<SparseMoeBlock>),
    Dense(Mlp),
}

struct DecoderLayer {
    mixer: Mixer,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    mlp: FeedForward,
}

impl DecoderLayer {
    fn new(args: &ModelArgs, index: i32, w: &Weights) -> Result<Self> {
        let (dim, eps, mlp) = (args.hidden_size, args.rms_norm_eps, w.pp("mlp"));
        Ok(Self {
            mixer: if args.is_linear(index) {
                Mixer::Linear(Box::new(GatedDeltaNet::new(args, &w.pp("linear_attn"))?))
            } else {
                Mixer::Full(Box::new(Attention::new(args, &w.pp("self_attn"))?))
            },
            input_layernorm: w.rms_norm("input_layernorm", dim, eps)?,
            post_attention_layernorm: w.rms_norm("post_attention_layernorm", dim, eps)?,
            mlp: if args.has_experts(index) {
                FeedForward::Sparse(Box::new(SparseMoeBlock::new(args, &mlp)?))
            } else {
                FeedForward::Dense(Mlp::new(dim, args.intermediate_size, false, &mlp)?)
            },
        })
    }

    fn is_linear(&self) -> bool {
        matches!(self.mixer, Mixer::Linear(_))
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut dyn Cache) -> Result<Array> {
        let normed = self.input_layernorm.forward(x)?;
        let h = x.add(match &self.mixer {
            Mixer::Linear(linear) => linear.forward(&normed, ArraysCache::of(cache)?)?,
            Mixer::Full(attention) => attention.forward(&normed, mask, cache)?,
        })?;
        let normed = self.post_attention_layernorm.forward(&h)?;
        Ok(h.add(match &self.mlp {
            FeedForward::Sparse(experts) => experts.forward(&normed)?,
            FeedForward::Dense(mlp) => mlp.forward(&normed)?,
        })?)
    }
}

pub struct Qwen3Next {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    lm_head: LmHead,
}

impl Qwen3Next {
    pub fn new(config: &Map<String, Value>, w: &Weights) -> Result<Self> {
        let args = ModelArgs::new(config, json!({ "full_attention_interval": 4, "mlp_only_layers": [] }))?;
        let names = ["gate_proj", "up_proj", "down_proj"].map(|name| (name, name));
        let mut unstacked = false;
        for layer in 0..args.num_hidden_layers {
            let mlp = w.pp("model.layers").pp(layer).pp("mlp");
            unstacked |= mlp.contains("experts.0.up_proj.weight");
            mlp.stack_experts("experts", args.num_experts, "switch_mlp", &names)?;
        }
        order_projections(&args, w)?;
        Self::build(&args, unstacked, w)
    }

    /// From weights whose experts are stacked and whose projections are in order; the norms' are as the Hub has them
    /// if the convolutions' are, or if `raw`.
    pub fn build(args: &ModelArgs, raw: bool, w: &Weights) -> Result<Self> {
        sanitize(raw, args.tie_word_embeddings, w)?;
        let (model, dim, vocab) = (w.pp("model"), args.hidden_size, args.vocab_size);
        Ok(Self {
            embed_tokens: model.embedding("embed_tokens", vocab, dim)?,
            layers: (0..args.num_hidden_layers)
                .map(|i| DecoderLayer::new(args, i, &model.pp("layers").pp(i)))
                .collect::<Result<_>>()?,
            norm: model.rms_norm("norm", dim, args.rms_norm_eps)?,
            lm_head: w.lm_head(args.tie_word_embeddings, dim, vocab)?,
        })
    }
}

impl Model for Qwen3Next {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        let mut h = self.embed_tokens.forward(tokens)?;
        let full = self.layers.iter().position(|layer| !layer.is_linear());
        let full = full.and_then(|index| cache.get(index)).map(AsRef::as_ref);
        let mask = create_attention_mask(&h, full, None)?;
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

    fn make_cache(&self) -> Option<Caches> {
        let cache = |layer: &DecoderLayer| -> Box<dyn Cache> {
            if layer.is_linear() { Box::new(ArraysCache::new(2)) } else { Box::new(KVCache::new()) }
        };
        Some(self.layers.iter().map(cache).collect())
    }
}
