// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/base.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Attention masks and scaled dot-product attention.

use mlx_rs::{
    Array,
    fast::{self, ScaledDotProductAttentionMask},
    ops,
};

use crate::{cache::Cache, error::Result, mlx};

/// Which earlier tokens a token may look at.
#[derive(Debug)]
pub enum Mask {
    /// All that the cache gives.
    None,
    /// Those before it; the kernel knows how.
    Causal,
    /// Those marked `true` in an array that broadcasts to (B, H, L, S).
    Array(Array),
}

/// (length, offset + length) of booleans: each token sees itself and those before it, at most `window` in all.
pub fn create_causal_mask(length: i32, offset: i32, window: Option<i32>) -> Result<Array> {
    let keys = ops::arange::<_, i32>(0, offset + length, 1)?.expand_dims(0)?;
    let queries = ops::arange::<_, i32>(offset, offset + length, 1)?.expand_dims(1)?;
    let mask = queries.ge(&keys)?;
    match window {
        Some(window) => Ok(mask.logical_and(queries.lt(keys.add(Array::from_int(window))?)?)?),
        None => Ok(mask),
    }
}

/// The mask for hidden states `h` of (B, L, …), as the cache of a layer has it.
pub fn create_attention_mask(h: &Array, cache: Option<&dyn Cache>, window: Option<i32>) -> Result<Mask> {
    let length = mlx::dim(h, 1);
    match cache {
        Some(cache) => cache.make_mask(length, window),
        None => Ok(Mask::None),
    }
}

/// queries: (B, H, L, D), keys and values: (B, KV heads, S, D) → (B, H, L, D)
pub fn scaled_dot_product_attention(
    queries: &Array,
    keys: &Array,
    values: &Array,
    scale: f32,
    mask: &Mask,
) -> Result<Array> {
    let mask = match mask {
        Mask::None => None,
        Mask::Causal => Some(ScaledDotProductAttentionMask::Causal),
        Mask::Array(mask) => Some(ScaledDotProductAttentionMask::Array(mask)),
    };
    Ok(fast::scaled_dot_product_attention(queries, keys, values, scale, mask, None)?)
}
