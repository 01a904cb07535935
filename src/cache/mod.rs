// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Key-value caches: what a layer remembers of the tokens it has seen.

mod kv;

use mlx_rs::Array;

use crate::{error::Result, models::base::Mask};

pub use kv::KVCache;

/// The cache of one attention layer.
pub trait Cache {
    /// Appends keys and values of (B, H, L, D) and gives all that attention may look at, (B, H, S, D).
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<(Array, Array)>;

    /// How many tokens have been seen: the position of the next one.
    fn offset(&self) -> i32;

    /// The mask for the next `length` tokens, which see back over `window` tokens if that is given.
    fn make_mask(&self, length: i32, window: Option<i32>) -> Result<Mask>;

    /// The arrays to evaluate after a step.
    fn state(&self) -> Vec<&Array>;
}

/// The caches of a model, one a layer.
pub type Caches = Vec<Box<dyn Cache>>;
