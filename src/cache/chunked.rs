// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The cache of attention that looks no further back than its own chunk: Llama 4 cannot run without it.

use mlx_rs::{Array, ops};

use super::{Cache, KeysValues, axis, growing::Growing};
use crate::{error::Result, models::base::Mask};

/// Keeps the last `chunk_size` tokens at least.
///
/// mlx-lm has the model call `maybe_trim_front` and build the mask; here both belong to the cache.
pub struct ChunkedKVCache {
    chunk_size: i32,
    keys: Growing,
    values: Growing,
    /// Tokens seen, and how many of them were dropped.
    offset: i32,
    start: i32,
}

impl ChunkedKVCache {
    pub fn new(chunk_size: i32) -> Self {
        Self { chunk_size, keys: Growing::default(), values: Growing::default(), offset: 0, start: 0 }
    }

    /// The first token that is still there when the next ones arrive.
    fn next_start(&self) -> i32 {
        self.start.max(self.offset - self.chunk_size)
    }
}

impl Cache for ChunkedKVCache {
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<KeysValues> {
        let dropped = self.next_start() - self.start;
        if dropped > 0 {
            self.keys.keep(dropped, self.offset - self.start)?;
            self.values.keep(dropped, self.offset - self.start)?;
            self.start += dropped;
        }
        let used = self.offset - self.start;
        let seen = KeysValues::Dense { keys: self.keys.append(keys, used)?, values: self.values.append(values, used)? };
        self.offset += axis(keys, 2)?;
        Ok(seen)
    }

    fn offset(&self) -> i32 {
        self.offset
    }

    /// Each token sees those before it in its own chunk; chunks are counted from the start of the text.
    fn make_mask(&self, length: i32, _: Option<i32>) -> Result<Mask> {
        let end = self.offset + length;
        let keys = ops::arange::<_, i32>(self.next_start(), end, 1)?.expand_dims(0)?;
        let queries = ops::arange::<_, i32>(self.offset, end, 1)?.expand_dims(1)?;
        let chunk = |positions: &Array| positions.floor_divide(Array::from_int(self.chunk_size));
        let same_chunk = chunk(&keys)?.eq(chunk(&queries)?)?;
        Ok(Mask::Array(same_chunk.logical_and(keys.le(&queries)?)?))
    }

    /// mlx-lm says yes always; but once tokens were dropped, going back may need them again.
    fn is_trimmable(&self) -> bool {
        self.start == 0
    }

    fn trim(&mut self, tokens: i32) -> i32 {
        let tokens = tokens.clamp(0, self.offset - self.start);
        self.offset -= tokens;
        tokens
    }

    fn state(&self) -> Vec<&Array> {
        [&self.keys, &self.values].into_iter().filter_map(Growing::array).collect()
    }
}
