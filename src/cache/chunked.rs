// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The cache of attention that looks no further back than its own chunk: Llama 4 cannot run without it.

use mlx_rs::{Array, ops};

use super::{
    Cache, CacheSize,
    growing::{Growing, STEP},
    length,
    saved::replace,
};
use crate::{
    attention::{KeysValues, Mask, mask_of_all},
    error::Result,
    mlx,
};

/// Keeps at least the last `chunk_size` tokens.
///
/// In mlx-lm the model calls `maybe_trim_front` and builds the mask; here both belong to the cache. Once a chunk is
/// full, mlx-lm copies all of it for every token; here older tokens are hidden first, and dropped many at a time.
#[derive(Clone)]
pub struct ChunkedKVCache {
    chunk_size: i32,
    keys: Growing,
    values: Growing,
    /// Number of tokens seen, number of those that are hidden, and number of those that were dropped.
    offset: i32,
    start: i32,
    dropped: i32,
}

impl ChunkedKVCache {
    pub fn new(chunk_size: i32) -> Self {
        Self { chunk_size, keys: Growing::default(), values: Growing::default(), offset: 0, start: 0, dropped: 0 }
    }

    /// Returns the position of the first token that is visible to the next ones.
    fn next_start(&self) -> i32 {
        self.start.max(self.offset - self.chunk_size)
    }
}

impl Cache for ChunkedKVCache {
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<KeysValues> {
        self.start = self.next_start();
        let surplus = self.start - self.dropped;
        if surplus >= STEP {
            self.keys.keep(surplus, self.offset - self.dropped)?;
            self.values.keep(surplus, self.offset - self.dropped)?;
            self.dropped = self.start;
        }
        let (used, length) = (self.offset - self.dropped, length(keys)?);
        let visible = |all: Array| mlx::slice_axis(&all, 2, self.start - self.dropped, used + length);
        let seen = KeysValues::Dense {
            keys: visible(self.keys.append(keys, used)?)?,
            values: visible(self.values.append(values, used)?)?,
        };
        self.offset += length;
        Ok(seen)
    }

    fn offset(&self) -> i32 {
        self.offset
    }

    /// Each token attends to the earlier tokens of its own chunk; chunks are counted from the start of the text.
    fn make_mask(&self, length: i32, _: Option<i32>) -> Result<Mask> {
        let end = self.offset + length;
        if end <= self.chunk_size {
            return mask_of_all(length, self.offset, None);
        }
        let keys = ops::arange::<_, i32>(self.next_start(), end, 1)?.expand_dims(0)?;
        let queries = ops::arange::<_, i32>(self.offset, end, 1)?.expand_dims(1)?;
        let chunk = |positions: &Array| positions.floor_divide(Array::from_int(self.chunk_size));
        let same_chunk = chunk(&keys)?.eq(chunk(&queries)?)?;
        Ok(Mask::Array(same_chunk.logical_and(keys.le(&queries)?)?))
    }

    /// In mlx-lm always true; but once tokens are hidden, trimming may make them visible again.
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

    fn size(&self) -> CacheSize {
        CacheSize::growing(&self.state(), Some(self.chunk_size + STEP))
    }

    fn saved(&self) -> Result<Vec<Array>> {
        let visible = |array| mlx::slice_axis(array, 2, self.next_start() - self.dropped, self.offset - self.dropped);
        self.state().into_iter().map(visible).collect()
    }

    fn restore(&mut self, tokens: i32, arrays: Vec<Array>) -> bool {
        let length = tokens.min(self.chunk_size);
        self.offset = tokens;
        self.start = tokens - length;
        self.dropped = self.start;
        replace(vec![&mut self.keys, &mut self.values], arrays, length)
    }

    fn boxed_clone(&self) -> Box<dyn Cache> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::numbers;

    #[test]
    fn attention_sees_the_last_chunk_and_the_new_tokens_only() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let mut cache = ChunkedKVCache::new(10);
        let mut seen = 0;
        for length in [7, 5, 1, 300, 1, 1].into_iter().chain([40; 20]) {
            let old = seen.min(10);
            let fetched = cache.update_and_fetch(&numbers(seen, length), &numbers(seen, length)).unwrap();
            let (keys, values) = fetched.dense(mlx_rs::Dtype::Float32).unwrap();
            let expected: Vec<f32> = (seen - old..seen + length).map(|number| number as f32).collect();
            for part in [keys, values] {
                assert_eq!(part.contiguous().unwrap().to_vec_exact::<f32>().unwrap(), expected);
            }
            seen += length;
            assert_eq!(cache.offset(), seen);
            assert!(mlx::dim(cache.keys.array().unwrap(), 2) < 10 + 2 * STEP + 300);
        }
    }

    #[test]
    fn the_mask_hides_other_chunks() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let mut cache = ChunkedKVCache::new(4);
        cache.update_and_fetch(&numbers(0, 6), &numbers(0, 6)).unwrap();
        // tokens 2 to 5 are visible, 6 to 8 are new; chunks begin at 4 and 8
        let Mask::Array(mask) = cache.make_mask(3, None).unwrap() else { panic!("no array") };
        let rows = mask.as_type::<i32>().unwrap().to_vec_exact::<i32>().unwrap();
        assert_eq!(rows, [0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
