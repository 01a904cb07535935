// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The cache that keeps the last tokens, and perhaps the first few.

use mlx_rs::{Array, ops};

use super::{Cache, CacheSize, dims, growing::STEP, length, saved::is_like};
use crate::{
    attention::{KeysValues, Mask, create_causal_mask},
    error::{Error, Result},
    mlx,
};

/// Keeps the first `keep` tokens and the most recent ones, `max_size` in total.
///
/// A single token is written into a ring, so the buffer is not in temporal order. Several at once are appended to the
/// reordered buffer, of which `max_size - 1` tokens are kept: the first of the new tokens sees a full window.
#[derive(Clone)]
pub struct RotatingKVCache {
    max_size: i32,
    keep: i32,
    buffers: Option<(Array, Array)>,
    offset: i32,
    /// Write position of the next token in the buffer.
    index: i32,
}

impl RotatingKVCache {
    pub fn new(max_size: i32, keep: i32) -> Self {
        Self { max_size, keep, buffers: None, offset: 0, index: 0 }
    }

    /// Returns the buffer without the `count` tokens after the first `keep`.
    fn without(&self, buffer: &Array, count: i32) -> Result<Vec<Array>> {
        if count <= 0 {
            return Ok(vec![buffer.clone()]);
        }
        let length = mlx::dim(buffer, 2);
        Ok(vec![mlx::slice_axis(buffer, 2, 0, self.keep)?, mlx::slice_axis(buffer, 2, count + self.keep, length)?])
    }

    /// Returns the used part of the buffer, oldest token first.
    fn temporal_order(&self, buffer: &Array) -> Result<Array> {
        let length = mlx::dim(buffer, 2);
        if self.index == length {
            return Ok(buffer.clone());
        }
        if self.index >= self.offset {
            return mlx::slice_axis(buffer, 2, 0, self.index);
        }
        let part = |start, end| mlx::slice_axis(buffer, 2, start, end);
        Ok(ops::concatenate(&[part(0, self.keep)?, part(self.index, length)?, part(self.keep, self.index)?], 2)?)
    }

    fn update_concat(&mut self, keys: &Array, values: &Array) -> Result<(Array, Array)> {
        let buffers = match self.buffers.take() {
            None => (keys.clone(), values.clone()),
            Some((old_keys, old_values)) => {
                let (old_keys, old_values) = (self.temporal_order(&old_keys)?, self.temporal_order(&old_values)?);
                self.index = mlx::dim(&old_keys, 2);
                let surplus = self.index - self.max_size + 1;
                let join = |old: &Array, new: &Array| -> Result<Array> {
                    let mut parts = self.without(old, surplus)?;
                    parts.push(new.clone());
                    Ok(ops::concatenate(&parts, 2)?)
                };
                (join(&old_keys, keys)?, join(&old_values, values)?)
            }
        };
        self.offset += length(keys)?;
        self.index = mlx::dim(&buffers.0, 2);
        self.buffers = Some(buffers.clone());
        Ok(buffers)
    }

    fn update_in_place(&mut self, keys: &Array, values: &Array) -> Result<(Array, Array)> {
        let capacity = self.buffers.as_ref().map_or(0, |(keys, _)| mlx::dim(keys, 2));
        if self.buffers.is_none() || (self.offset >= capacity && capacity < self.max_size) {
            let room = STEP.min(self.max_size - self.offset);
            let grow = |old: Option<Array>, like: &Array| -> Result<Array> {
                let [batch, heads, _, dims] = dims(like)?;
                let new = ops::zeros_dtype(&[batch, heads, room, dims], like.dtype())?;
                Ok(match old {
                    None => new,
                    Some(old) => ops::concatenate(&[old, new], 2)?,
                })
            };
            let (old_keys, old_values) = self.buffers.take().unzip();
            self.buffers = Some((grow(old_keys, keys)?, grow(old_values, values)?));
            self.index = self.offset;
        }
        let Some((mut all_keys, mut all_values)) = self.buffers.take() else {
            return Err(Error::internal("the rotating cache has no buffer"));
        };
        let surplus = mlx::dim(&all_keys, 2) - self.max_size;
        if surplus > 0 {
            all_keys = ops::concatenate(&self.without(&all_keys, surplus)?, 2)?;
            all_values = ops::concatenate(&self.without(&all_values, surplus)?, 2)?;
            self.index = self.max_size;
        }
        if self.index == self.max_size {
            self.index = self.keep;
        }
        let write = |buffer: &Array, update: &Array| {
            let mut stops = buffer.shape().to_vec();
            if let Some(stop) = stops.get_mut(2) {
                *stop = self.index + 1;
            }
            mlx::slice_update(buffer, update, &[0, 0, self.index, 0], &stops)
        };
        let buffers = (write(&all_keys, keys)?, write(&all_values, values)?);
        self.offset += 1;
        self.index += 1;
        let length = mlx::dim(&buffers.0, 2).min(self.offset);
        let seen = (mlx::slice_axis(&buffers.0, 2, 0, length)?, mlx::slice_axis(&buffers.1, 2, 0, length)?);
        self.buffers = Some(buffers);
        Ok(seen)
    }
}

impl Cache for RotatingKVCache {
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<KeysValues> {
        let (keys, values) =
            if length(keys)? == 1 { self.update_in_place(keys, values)? } else { self.update_concat(keys, values)? };
        Ok(KeysValues::Dense { keys, values })
    }

    fn offset(&self) -> i32 {
        self.offset
    }

    fn make_mask(&self, length: i32, window: Option<i32>) -> Result<Mask> {
        if length > 1 {
            let window = window.unwrap_or(self.max_size).min(self.max_size);
            let offset = self.offset.min(self.max_size - 1);
            return if offset + length > window {
                Ok(Mask::Array(create_causal_mask(length, offset, Some(window))?))
            } else {
                Ok(Mask::Causal)
            };
        }
        match window {
            // The ring holds more than the window: the newest tokens are those before the write position.
            Some(window) if self.offset >= window && self.max_size > window => {
                let index = if self.index >= self.max_size { 0 } else { self.index };
                let size = self.max_size.min(self.offset + 1);
                // the time since the oldest token, whose slot follows the write position
                let ages = ops::arange::<_, i32>(size - index - 1, 2 * size - index - 1, 1)?;
                let ages = ages.remainder(Array::from_int(size))?;
                Ok(Mask::Array(ages.ge(Array::from_int(size - window))?))
            }
            _ => Ok(Mask::None),
        }
    }

    /// Once the ring has wrapped, the overwritten tokens are lost.
    fn is_trimmable(&self) -> bool {
        self.offset < self.max_size
    }

    fn trim(&mut self, tokens: i32) -> i32 {
        let tokens = tokens.clamp(0, self.offset);
        self.offset -= tokens;
        self.index -= tokens;
        tokens
    }

    /// A pass over several tokens has left them at the end of the buffer, and before them all that the first one saw.
    fn undo(&mut self, tokens: i32) -> Result<bool> {
        if let Some((keys, values)) = &mut self.buffers {
            for buffer in [keys, values] {
                *buffer = mlx::slice_axis(buffer, 2, 0, mlx::dim(buffer, 2) - tokens)?;
            }
        }
        self.offset -= tokens;
        self.index -= tokens;
        Ok(true)
    }

    /// In a full buffer, later tokens of a pass no longer see the first ones of the text.
    fn at_once(&self) -> i32 {
        if self.keep == 0 { i32::MAX } else { self.max_size - self.offset }
    }

    fn state(&self) -> Vec<&Array> {
        self.buffers.iter().flat_map(|(keys, values)| [keys, values]).collect()
    }

    fn size(&self) -> CacheSize {
        CacheSize::growing(&self.state(), Some(self.max_size))
    }

    fn saved(&self) -> Result<Vec<Array>> {
        let ordered = |array: &Array| {
            let array = self.temporal_order(array)?;
            let surplus = mlx::dim(&array, 2) - self.max_size;
            Ok(ops::concatenate(&self.without(&array, surplus)?, 2)?)
        };
        self.state().into_iter().map(ordered).collect()
    }

    fn restore(&mut self, tokens: i32, arrays: Vec<Array>) -> bool {
        let length = tokens.min(self.max_size);
        let Ok([keys, values]) = <[Array; 2]>::try_from(arrays) else { return false };
        let like = self.state();
        let fits = like.len() == 2 && [&keys, &values].iter().zip(like).all(|(a, b)| is_like(a, b, Some(length)));
        self.offset = tokens;
        self.index = length;
        self.buffers = Some((keys, values));
        fits
    }

    fn boxed_clone(&self) -> Box<dyn Cache> {
        Box::new(self.clone())
    }
}
