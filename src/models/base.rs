// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/base.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The attention masks of a pass through a model.

use mlx_rs::Array;

use crate::{
    attention::Mask,
    cache::{Cache, Caches},
    error::Result,
    mlx,
};

/// The mask for hidden states `h` of (B, L, …), as the cache of a layer has it.
pub fn create_attention_mask(h: &Array, cache: Option<&dyn Cache>, window: Option<i32>) -> Result<Mask> {
    let length = mlx::dim(h, 1);
    match cache {
        Some(cache) => cache.make_mask(length, window),
        None => Ok(Mask::None),
    }
}

/// The masks of a model some of whose layers see only a window.
#[derive(Debug)]
pub struct MixedMasks {
    full: Mask,
    sliding: Mask,
}

impl MixedMasks {
    /// As the first cache of either kind has them; `sliding` says which kind each layer is of.
    pub fn new(h: &Array, caches: &Caches, sliding: impl Iterator<Item = bool>, window: i32) -> Result<Self> {
        let (mut full, mut windowed) = (None, None);
        for (cache, sliding) in caches.iter().zip(sliding) {
            let first = if sliding { &mut windowed } else { &mut full };
            first.get_or_insert(cache.as_ref());
        }
        let mask = |cache: Option<&dyn Cache>, window| create_attention_mask(h, cache, window);
        Ok(Self { full: mask(full, None)?, sliding: mask(windowed, Some(window))? })
    }

    pub fn of(&self, sliding: bool) -> &Mask {
        if sliding { &self.sliding } else { &self.full }
    }
}
