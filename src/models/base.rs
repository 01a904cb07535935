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

/// The masks of a model in which some layers have a sliding window.
#[derive(Debug)]
pub struct MixedMasks {
    full: Mask,
    sliding: Mask,
}

impl MixedMasks {
    /// Takes the masks from the first cache of each kind. `windows` has the window of each layer, if any.
    pub fn new(h: &Array, caches: &Caches, windows: impl Iterator<Item = Option<i32>>) -> Result<Self> {
        let (mut full, mut windowed) = (None, None);
        for (cache, window) in caches.iter().zip(windows) {
            let first = if window.is_some() { &mut windowed } else { &mut full };
            first.get_or_insert((cache.as_ref(), window));
        }
        let mask = |first: Option<(&dyn Cache, Option<i32>)>| match first {
            Some((cache, window)) => cache.make_mask(mlx::dim(h, 1), window),
            None => Ok(Mask::None),
        };
        Ok(Self { full: mask(full)?, sliding: mask(windowed)? })
    }

    pub fn of(&self, sliding: bool) -> &Mask {
        if sliding { &self.sliding } else { &self.full }
    }
}
