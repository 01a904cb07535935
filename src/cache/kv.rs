// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The cache that keeps everything.

use mlx_rs::Array;

use super::{Cache, QuantizedKVCache, growing::Growing, length, saved::replace};
use crate::{
    attention::{KeysValues, Mask, mask_of_all},
    error::Result,
    mlx::{self, Quantization},
};

/// Keeps the keys and values of every token.
#[derive(Clone, Default)]
pub struct KVCache {
    keys: Growing,
    values: Growing,
    offset: i32,
}

impl KVCache {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Cache for KVCache {
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<KeysValues> {
        let seen = KeysValues::Dense {
            keys: self.keys.append(keys, self.offset)?,
            values: self.values.append(values, self.offset)?,
        };
        self.offset += length(keys)?;
        Ok(seen)
    }

    fn offset(&self) -> i32 {
        self.offset
    }

    fn make_mask(&self, length: i32, window: Option<i32>) -> Result<Mask> {
        mask_of_all(length, self.offset, window)
    }

    fn is_trimmable(&self) -> bool {
        true
    }

    fn trim(&mut self, tokens: i32) -> i32 {
        let tokens = tokens.clamp(0, self.offset);
        self.offset -= tokens;
        tokens
    }

    fn compact(&mut self) -> Result<()> {
        self.keys.keep(0, self.offset)?;
        self.values.keep(0, self.offset)
    }

    fn state(&self) -> Vec<&Array> {
        [&self.keys, &self.values].into_iter().filter_map(Growing::array).collect()
    }

    fn saved(&self) -> Result<Vec<Array>> {
        self.state().into_iter().map(|array| mlx::slice_axis(array, 2, 0, self.offset)).collect()
    }

    fn restore(&mut self, tokens: i32, arrays: Vec<Array>) -> bool {
        self.offset = tokens;
        replace(vec![&mut self.keys, &mut self.values], arrays, tokens)
    }

    fn boxed_clone(&self) -> Box<dyn Cache> {
        Box::new(self.clone())
    }

    fn to_quantized(&self, quantization: Quantization) -> Result<Option<Box<dyn Cache>>> {
        Ok(Some(Box::new(QuantizedKVCache::from_dense(
            self.keys.array(),
            self.values.array(),
            self.offset,
            quantization,
        )?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::numbers;

    #[test]
    fn keys_and_values_stay_in_order_while_buffers_grow() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let mut cache = KVCache::new();
        let mut seen = 0;
        // The capacities are mlx-lm's: 300 tokens take 512; 300 more are appended to the 300 used.
        for (length, capacity) in [(300, 512), (300, 812), (1, 812), (211, 812), (1, 1068)] {
            let fetched = cache.update_and_fetch(&numbers(seen, length), &numbers(-seen, length)).unwrap();
            let (keys, values) = fetched.dense(mlx_rs::Dtype::Float32).unwrap();
            seen += length;
            assert_eq!(cache.offset(), seen);
            assert_eq!(keys.shape(), [1, 1, seen, 1]);
            assert_eq!(values.shape(), [1, 1, seen, 1]);
            let keys = keys.contiguous().unwrap().to_vec_exact::<f32>().unwrap();
            assert!(keys.iter().enumerate().all(|(index, key)| *key == index as f32));
            assert_eq!(mlx::dim(cache.keys.array().unwrap(), 2), capacity);
        }
    }
}
