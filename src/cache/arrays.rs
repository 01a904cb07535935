// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The cache of recurrent layers, which keep a state instead of keys and values: Qwen3-Next and Qwen3.5 cannot run
//! without it.

use std::any::Any;

use mlx_rs::Array;

use super::{Cache, CacheSize, saved::is_like};
use crate::{
    attention::{KeysValues, Mask},
    error::{Error, Result},
};

/// The state of a recurrent layer between calls; empty before the first.
#[derive(Clone)]
pub struct ArraysCache {
    slots: Vec<Option<Array>>,
    offset: i32,
}

impl ArraysCache {
    pub fn new(size: usize) -> Self {
        Self { slots: vec![None; size], offset: 0 }
    }

    /// Returns the arrays cache behind `cache`.
    ///
    /// # Errors
    /// `Internal` for another kind of cache: `make_cache` and the layer disagree.
    pub fn of(cache: &mut dyn Cache) -> Result<&mut Self> {
        let cache: &mut dyn Any = cache;
        cache.downcast_mut().ok_or_else(|| Error::internal("a recurrent layer was given an attention cache"))
    }

    pub fn get(&self, slot: usize) -> Option<&Array> {
        self.slots.get(slot)?.as_ref()
    }

    pub fn set(&mut self, slot: usize, array: Array) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(array);
        }
    }

    /// Adds to the number of tokens seen.
    pub fn advance(&mut self, tokens: i32) {
        self.offset += tokens;
    }
}

impl Cache for ArraysCache {
    fn update_and_fetch(&mut self, _: &Array, _: &Array) -> Result<KeysValues> {
        Err(Error::internal("an attention layer was given a recurrent cache"))
    }

    fn offset(&self) -> i32 {
        self.offset
    }

    fn make_mask(&self, _: i32, _: Option<i32>) -> Result<Mask> {
        Ok(Mask::None)
    }

    /// A recurrent state cannot be undone token by token.
    fn is_trimmable(&self) -> bool {
        false
    }

    fn trim(&mut self, _: i32) -> i32 {
        0
    }

    fn can_undo(&self) -> bool {
        false
    }

    fn state(&self) -> Vec<&Array> {
        self.slots.iter().flatten().collect()
    }

    fn size(&self) -> CacheSize {
        CacheSize::fixed(self.nbytes())
    }

    fn saved(&self) -> Result<Vec<Array>> {
        Ok(self.state().into_iter().cloned().collect())
    }

    fn restore(&mut self, tokens: i32, arrays: Vec<Array>) -> bool {
        let like = self.state();
        let fits = like.len() == self.slots.len()
            && like.len() == arrays.len()
            && like.iter().zip(&arrays).all(|(like, array)| is_like(array, like, None));
        self.offset = tokens;
        self.slots = arrays.into_iter().map(Some).collect();
        fits
    }

    fn boxed_clone(&self) -> Box<dyn Cache> {
        Box::new(self.clone())
    }
}
