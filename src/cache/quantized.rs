// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The cache that keeps everything in 8 bits or fewer.

use mlx_rs::Array;

use super::{Cache, dims, growing::Growing, length, saved::replace};
use crate::{
    attention::{KeysValues, Mask, mask_of_all},
    error::{Error, Result},
    mlx::{self, Quantization, QuantizedArray},
};

/// Keeps the keys and values of every token, quantized along their features.
#[derive(Clone)]
pub struct QuantizedKVCache {
    keys: Side,
    values: Side,
    offset: i32,
    quantization: Quantization,
}

/// Weight, scales and biases of keys or values.
#[derive(Clone, Default)]
struct Side([Growing; 3]);

impl Side {
    fn of(array: QuantizedArray) -> Self {
        Self([Some(array.weight), Some(array.scales), array.biases].map(Growing::of))
    }

    fn append(&mut self, update: &Array, used: i32, quantization: Quantization) -> Result<QuantizedArray> {
        check_groups(update, quantization)?;
        let update = QuantizedArray::quantize(update, quantization)?;
        let Self([weight, scales, biases]) = self;
        Ok(QuantizedArray {
            weight: weight.append(&update.weight, used)?,
            scales: scales.append(&update.scales, used)?,
            biases: update.biases.map(|update| biases.append(&update, used)).transpose()?,
            quantization,
        })
    }
}

fn check_groups(array: &Array, Quantization { group_size, .. }: Quantization) -> Result<()> {
    let [_, _, _, dims] = dims(array)?;
    if dims % group_size == 0 {
        return Ok(());
    }
    Err(Error::InvalidArgValue {
        name: "kvGroupSize".to_owned(),
        message: format!("{group_size} does not divide the model's head dimension, {dims}"),
    })
}

impl QuantizedKVCache {
    pub fn new(quantization: Quantization) -> Self {
        Self { keys: Side::default(), values: Side::default(), offset: 0, quantization }
    }

    /// Quantizes dense buffers in which `offset` tokens are used.
    pub(super) fn from_dense(
        keys: Option<&Array>,
        values: Option<&Array>,
        offset: i32,
        quantization: Quantization,
    ) -> Result<Self> {
        let (Some(keys), Some(values)) = (keys, values) else { return Ok(Self::new(quantization)) };
        check_groups(keys, quantization)?;
        check_groups(values, quantization)?;
        Ok(Self {
            keys: Side::of(QuantizedArray::quantize(keys, quantization)?),
            values: Side::of(QuantizedArray::quantize(values, quantization)?),
            offset,
            quantization,
        })
    }
}

impl Cache for QuantizedKVCache {
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<KeysValues> {
        let seen = KeysValues::Quantized {
            keys: self.keys.append(keys, self.offset, self.quantization)?,
            values: self.values.append(values, self.offset, self.quantization)?,
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

    fn state(&self) -> Vec<&Array> {
        self.keys.0.iter().chain(&self.values.0).filter_map(Growing::array).collect()
    }

    fn saved(&self) -> Result<Vec<Array>> {
        self.state().into_iter().map(|array| mlx::slice_axis(array, 2, 0, self.offset)).collect()
    }

    fn restore(&mut self, tokens: i32, arrays: Vec<Array>) -> bool {
        self.offset = tokens;
        replace(self.keys.0.iter_mut().chain(&mut self.values.0).collect(), arrays, tokens)
    }

    fn boxed_clone(&self) -> Box<dyn Cache> {
        Box::new(self.clone())
    }
}
