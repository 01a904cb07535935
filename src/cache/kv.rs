// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The cache that keeps everything.

use mlx_rs::{Array, ops};

use super::Cache;
use crate::{
    error::{Error, Result},
    mlx,
    models::base::{Mask, create_causal_mask},
};

/// Buffers grow by this many tokens at a time, so that most steps write in place.
const STEP: i32 = 256;

/// Keeps the keys and values of every token.
#[derive(Default)]
pub struct KVCache {
    /// (B, H, capacity, D) each
    buffers: Option<(Array, Array)>,
    offset: i32,
}

impl KVCache {
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffers with room for `length` more tokens.
    fn reserve(&mut self, keys: &Array, values: &Array, length: i32) -> Result<(Array, Array)> {
        let room = (STEP + length - 1) / STEP * STEP;
        let grow = |old: Option<Array>, like: &Array| -> Result<Array> {
            let &[batch, heads, _, dims] = like.shape() else {
                return Err(Error::internal(format!("keys of shape {:?}", like.shape())));
            };
            let new = ops::zeros_dtype(&[batch, heads, room, dims], like.dtype())?;
            match old {
                None => Ok(new),
                Some(old) => Ok(ops::concatenate(&[mlx::slice_axis(&old, 2, 0, self.offset)?, new], 2)?),
            }
        };
        let (old_keys, old_values) = self.buffers.take().unzip();
        Ok((grow(old_keys, keys)?, grow(old_values, values)?))
    }
}

impl Cache for KVCache {
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<(Array, Array)> {
        let length = mlx::dim(keys, 2);
        let end = self.offset + length;
        let (old_keys, old_values) = match self.buffers.take_if(|(keys, _)| end <= mlx::dim(keys, 2)) {
            Some(buffers) => buffers,
            None => self.reserve(keys, values, length)?,
        };
        let offset = self.offset;
        let write = |buffer: &Array, update: &Array| {
            let &[batch, heads, _, dims] = buffer.shape() else {
                return Err(Error::internal(format!("a cache of shape {:?}", buffer.shape())));
            };
            mlx::slice_update(buffer, update, &[0, 0, offset, 0], &[batch, heads, end, dims])
        };
        let all_keys = write(&old_keys, keys)?;
        let all_values = write(&old_values, values)?;
        let seen = (mlx::slice_axis(&all_keys, 2, 0, end)?, mlx::slice_axis(&all_values, 2, 0, end)?);
        self.buffers = Some((all_keys, all_values));
        self.offset = end;
        Ok(seen)
    }

    fn offset(&self) -> i32 {
        self.offset
    }

    fn make_mask(&self, length: i32, window: Option<i32>) -> Result<Mask> {
        match window {
            Some(_) => Ok(Mask::Array(create_causal_mask(length, self.offset, window)?)),
            None if length == 1 => Ok(Mask::None),
            None => Ok(Mask::Causal),
        }
    }

    fn state(&self) -> Vec<&Array> {
        self.buffers.iter().flat_map(|(keys, values)| [keys, values]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (1, 1, length, 1) of the numbers from `start` on.
    fn numbers(start: i32, length: i32) -> Array {
        let numbers: Vec<f32> = (start..start + length).map(|number| number as f32).collect();
        Array::from_slice(&numbers, &[1, 1, length, 1])
    }

    #[test]
    fn gives_back_everything_in_order_while_its_buffers_grow() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let mut cache = KVCache::new();
        let mut seen = 0;
        // The capacities are mlx-lm's: 300 tokens take 512, 300 more are put behind the 300 used.
        for (length, capacity) in [(300, 512), (300, 812), (1, 812), (211, 812), (1, 1068)] {
            let (keys, values) = cache.update_and_fetch(&numbers(seen, length), &numbers(-seen, length)).unwrap();
            seen += length;
            assert_eq!(cache.offset(), seen);
            assert_eq!(keys.shape(), [1, 1, seen, 1]);
            assert_eq!(values.shape(), [1, 1, seen, 1]);
            let keys = keys.contiguous().unwrap().to_vec_exact::<f32>().unwrap();
            assert!(keys.iter().enumerate().all(|(index, key)| *key == index as f32));
            assert_eq!(mlx::dim(&cache.buffers.as_ref().unwrap().0, 2), capacity);
        }
    }
}
