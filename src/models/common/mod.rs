// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The parts that architectures share. A model is a [`Decoder`]: an embedding, a stack of layers, a norm and an output
//! layer. Most layers are a [`PreNormBlock`]: an [`Attention`], then a [`FeedForward`] network. A file of `src/models`
//! chooses the options of these parts, and contains only what its model does differently.

mod attention;
mod block;
mod decoder;
mod feed_forward;
#[cfg(test)]
mod tests;

pub use attention::{Attention, AttentionArgs, Projections};
pub use block::{PreNormBlock, SandwichBlock};
pub use decoder::{Decoder, DecoderArgs, Pass, layers};
pub use feed_forward::{DenseOrSparse, FeedForward, Mlp, SharedExpertMoe, SparseMoe};

use mlx_rs::Array;

use crate::{
    cache::{Cache, RotatingKVCache},
    error::{Error, Result},
    nn::Norm,
    weights::Weights,
};

/// A decoder layer, or the part of a layer that mixes tokens.
pub trait Layer {
    /// x: (B, L, D) → (B, L, D)
    fn forward(&self, x: &Array, pass: &Pass, cache: &mut dyn Cache) -> Result<Array>;

    /// `x + self(norm(x))`, which a layer that can do in fewer steps has its own way for. x: (B, L, D) → (B, L, D)
    fn forward_residual(&self, x: &Array, norm: &Norm, pass: &Pass, cache: &mut dyn Cache) -> Result<Array> {
        Ok(x.add(self.forward(&norm.forward(x)?, pass, cache)?)?)
    }

    /// Number of tokens that the layer sees, if not all; 0 for a recurrent layer, which keeps a state instead.
    fn window(&self) -> Option<i32> {
        None
    }

    /// An empty cache, if the layer needs another kind than `KVCache`.
    fn make_cache(&self) -> Option<Box<dyn Cache>> {
        let window = self.window()?;
        Some(Box::new(RotatingKVCache::new(window, 0)))
    }
}

/// B and L of hidden states (B, L, D).
pub fn batch_and_length(x: &Array) -> Result<(i32, i32)> {
    match *x.shape() {
        [b, l, _] => Ok((b, l)),
        _ => Err(Error::internal("hidden states are not (B, L, D)")),
    }
}

/// Divides features into heads, of a batch of B sequences of L tokens. Of a single token, heads come first as they are.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    b: i32,
    l: i32,
}

impl Heads {
    /// x: (B, L, D)
    pub fn of(x: &Array) -> Result<Self> {
        let (b, l) = batch_and_length(x)?;
        Ok(Self { b, l })
    }

    /// Whether there is a single token.
    pub fn is_single(&self) -> bool {
        self.l == 1
    }

    /// (B, L, H * D) → (B, L, H, D), or (B, H, L, D) of a single token
    pub fn split(&self, x: &Array, heads: i32) -> Result<Array> {
        let (h, l) = if self.is_single() { (1, heads) } else { (heads, self.l) };
        Ok(x.reshape(&[self.b, l, h, -1])?)
    }

    /// What `split` returned → (B, H, L, D)
    pub fn first(&self, x: Array) -> Result<Array> {
        if self.is_single() { Ok(x) } else { Ok(x.transpose_axes(&[0, 2, 1, 3])?) }
    }

    /// What `split` returned → (B, L, H * D)
    pub fn flatten(&self, x: &Array) -> Result<Array> {
        Ok(x.reshape(&[self.b, self.l, -1])?)
    }

    /// (B, H, L, D) → (B, L, H * D)
    pub fn join(&self, x: Array) -> Result<Array> {
        self.flatten(&self.first(x)?)
    }
}

/// Whether the embedding is also the output layer. Where the config does not say, it is if there is no other.
pub fn is_tied(given: Option<bool>, w: &Weights) -> bool {
    given.unwrap_or_else(|| !w.contains("lm_head.weight"))
}

/// Drops the output layer if the embedding is also the output layer.
pub fn drop_tied_lm_head(tied: bool, w: &Weights) {
    w.retain(|name| !(tied && name.starts_with("lm_head.")));
}

/// Drops the RoPE frequencies of old checkpoints.
pub fn drop_inv_freq(w: &Weights) {
    w.retain(|name| !name.contains("rotary_emb.inv_freq"));
}

/// Returns the weights of a multimodal model's text model, renamed to `language_model`. Tensors of other parts, for which
/// `is_other` returns true, are dropped.
pub fn language_model<'a>(w: &Weights<'a>, is_other: impl Fn(&str) -> bool) -> Weights<'a> {
    w.retain(|name| !is_other(name));
    w.rename(|name| match name.strip_prefix("model.language_model.") {
        Some(rest) => Some(format!("language_model.model.{rest}")),
        None => (!name.starts_with("language_model.")).then(|| format!("language_model.{name}")),
    });
    w.pp("language_model")
}
