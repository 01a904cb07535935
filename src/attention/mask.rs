// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/base.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Attention masks.

use mlx_rs::{Array, ops};

use crate::error::Result;

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

impl Mask {
    /// The mask as an array for `queries` new tokens among `keys`, or `None` if everything is seen.
    pub fn to_array(&self, queries: i32, keys: i32) -> Result<Option<Array>> {
        match self {
            Self::None => Ok(None),
            Self::Causal => Ok(Some(create_causal_mask(queries, keys - queries, None)?)),
            Self::Array(mask) => Ok(Some(mask.clone())),
        }
    }
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

/// The mask for `length` tokens over a cache that keeps everything.
pub fn mask_of_all(length: i32, offset: i32, window: Option<i32>) -> Result<Mask> {
    match window {
        Some(_) => Ok(Mask::Array(create_causal_mask(length, offset, window)?)),
        None if length == 1 => Ok(Mask::None),
        None => Ok(Mask::Causal),
    }
}
