// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: the arrays' state carries no separate metadata.

//! Caches of the keys, values or state of tokens that a layer has processed; see docs/decisions/caches.md.

mod arrays;
mod chunked;
mod growing;
mod kv;
mod quantized;
mod rotating;
mod saved;
mod size;

use std::any::Any;

use mlx_rs::Array;
use serde::{Deserialize, Serialize};

use crate::{
    attention::{KeysValues, Mask},
    error::{Error, Result},
    mlx::{Quantization, QuantizationMode},
};

pub use arrays::ArraysCache;
pub use chunked::ChunkedKVCache;
pub use kv::KVCache;
pub use quantized::QuantizedKVCache;
pub use rotating::RotatingKVCache;
pub use size::{CacheSize, CacheSizes};

/// The cache of one layer.
pub trait Cache: Any {
    /// Appends keys and values of (B, H, L, D), and returns all that are visible to attention, (B, H, S, D).
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<KeysValues>;

    /// Returns the number of tokens seen, which is the position of the next one.
    fn offset(&self) -> i32;

    /// Returns the mask for the next `length` tokens, which attend to the last `window` tokens if that is given.
    fn make_mask(&self, length: i32, window: Option<i32>) -> Result<Mask>;

    /// Whether the last tokens can be removed.
    fn is_trimmable(&self) -> bool;

    /// Removes the last `tokens` tokens, or all if there are fewer. Returns the number removed.
    fn trim(&mut self, tokens: i32) -> i32;

    /// Takes back the last `tokens` tokens of the last pass, which had more. Returns whether it could.
    fn undo(&mut self, tokens: i32) -> Result<bool> {
        Ok(self.trim(tokens) == tokens)
    }

    /// Whether [`Self::undo`] works.
    fn can_undo(&self) -> bool {
        true
    }

    /// Number of tokens that see the same in one pass as in one pass each.
    fn at_once(&self) -> i32 {
        i32::MAX
    }

    /// Returns the arrays to evaluate after a step.
    fn state(&self) -> Vec<&Array>;

    /// Returns the arrays that hold its content, oldest token first, without unused room.
    fn saved(&self) -> Result<Vec<Array>>;

    /// Takes over what [`Self::saved`] returned after `tokens` tokens, and returns whether it fits: anything may come from a
    /// file. The cache must have seen a token, whose arrays tell what fits; it is of no use if this does not.
    fn restore(&mut self, tokens: i32, arrays: Vec<Array>) -> bool;

    /// Returns an independent cache with the same content. Arrays are shared until one side writes to them.
    fn boxed_clone(&self) -> Box<dyn Cache>;

    /// Lets go of the room behind the last token, so that a copy does not copy it.
    fn compact(&mut self) -> Result<()> {
        Ok(())
    }

    /// Returns the number of bytes on the device.
    fn nbytes(&self) -> usize {
        self.state().into_iter().map(Array::nbytes).sum()
    }

    /// Returns how the cache grows. It must have seen a token.
    fn size(&self) -> CacheSize {
        CacheSize::growing(&self.state(), None)
    }

    /// Returns a quantized copy; `None` for bounded caches, which have little to gain.
    ///
    /// # Errors
    /// `InvalidArgValue` if the group size does not divide the head dimension.
    fn to_quantized(&self, _: Quantization) -> Result<Option<Box<dyn Cache>>> {
        Ok(None)
    }
}

impl Clone for Box<dyn Cache> {
    fn clone(&self) -> Self {
        (**self).boxed_clone()
    }
}

/// The caches of a model: one per layer, or fewer if layers share those of earlier layers.
pub type Caches = Vec<Box<dyn Cache>>;

/// Creates the caches for one sequence of a model that does not choose its own. With `max_kv_size`, each keeps at most
/// that number of tokens: the first four and the most recent ones.
pub fn make_prompt_cache(num_layers: usize, max_kv_size: Option<i32>) -> Caches {
    const KEEP: i32 = 4;
    let one = || -> Box<dyn Cache> {
        match max_kv_size {
            Some(max_size) => Box::new(RotatingKVCache::new(max_size, KEEP)),
            None => Box::new(KVCache::new()),
        }
    };
    (0..num_layers).map(|_| one()).collect()
}

/// Creates the caches of a model in which the layers marked in `sliding` attend to the last `window` tokens only.
pub fn make_mixed_caches(sliding: impl Iterator<Item = bool>, window: i32) -> Caches {
    let cache = |sliding| -> Box<dyn Cache> {
        if sliding { Box::new(RotatingKVCache::new(window, 0)) } else { Box::new(KVCache::new()) }
    };
    sliding.map(cache).collect()
}

/// Quantization of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvQuantization {
    pub bits: i32,
    pub group_size: i32,
    /// Number of tokens from which a cache is quantized.
    pub start: i32,
}

impl KvQuantization {
    pub fn quantization(self) -> Quantization {
        Quantization { group_size: self.group_size, bits: self.bits, mode: QuantizationMode::Affine }
    }
}

/// Quantizes the unbounded caches, once they are long enough. mlx-lm rejects models that also have bounded ones; here
/// those stay unchanged.
///
/// # Errors
/// `InvalidArgValue` if the group size does not divide the head dimension.
pub fn maybe_quantize_kv_cache(caches: &mut Caches, wanted: KvQuantization) -> Result<()> {
    for cache in caches.iter_mut().filter(|cache| cache.offset() >= wanted.start) {
        if let Some(quantized) = cache.to_quantized(wanted.quantization())? {
            *cache = quantized;
        }
    }
    Ok(())
}

/// Checks that at least one of these caches, which must not be empty, can be quantized. Computes nothing.
///
/// # Errors
/// `InvalidArgValue` if none can be quantized, or not with that group size.
pub fn check_kv_quantization(caches: &Caches, wanted: KvQuantization) -> Result<()> {
    let mut possible = false;
    for cache in caches {
        possible |= cache.to_quantized(wanted.quantization())?.is_some();
    }
    if possible {
        return Ok(());
    }
    Err(Error::InvalidArgValue {
        name: "kvBits".to_owned(),
        message: "no cache of this run can be quantized: caches with a sliding window or maxKvSize cannot".to_owned(),
    })
}

/// Whether [`trim_prompt_cache`] has an effect.
pub fn can_trim_prompt_cache(caches: &Caches) -> bool {
    caches.iter().all(|cache| cache.is_trimmable())
}

/// Removes the last tokens from all caches, or from none if one cannot be trimmed. Returns the number removed.
pub fn trim_prompt_cache(caches: &mut Caches, tokens: i32) -> i32 {
    if !can_trim_prompt_cache(caches) {
        return 0;
    }
    caches.iter_mut().map(|cache| cache.trim(tokens)).fold(None, |first, trimmed| first.or(Some(trimmed))).unwrap_or(0)
}

/// Returns B, H, L and D of keys or values.
fn dims(array: &Array) -> Result<[i32; 4]> {
    let shape = array.shape();
    shape.try_into().map_err(|_| Error::internal(format!("keys or values of shape {shape:?}")))
}

/// Returns the number of tokens of keys or values.
fn length(array: &Array) -> Result<i32> {
    let [_, _, length, _] = dims(array)?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use mlx_rs::Dtype;

    use super::*;

    /// Returns (1, 1, length, 1) with consecutive numbers from `start`.
    pub fn numbers(start: i32, length: i32) -> Array {
        let numbers: Vec<f32> = (start..start + length).map(|number| number as f32).collect();
        Array::from_slice(&numbers, &[1, 1, length, 1])
    }

    /// Returns (1, 1, length, 32), wide enough to be quantized.
    fn wide(start: i32, length: i32) -> Array {
        let numbers: Vec<f32> = (start * 32..(start + length) * 32).map(|number| number as f32).collect();
        Array::from_slice(&numbers, &[1, 1, length, 32])
    }

    /// Returns what attention sees after an update.
    fn seen(cache: &mut Box<dyn Cache>, (start, length): (i32, i32)) -> Vec<f32> {
        let fetched = cache.update_and_fetch(&wide(start, length), &wide(-start, length)).unwrap();
        let (keys, values) = fetched.dense(Dtype::Float32).unwrap();
        let numbers = |array: Array| array.contiguous().unwrap().to_vec_exact::<f32>().unwrap();
        [numbers(keys), numbers(values)].concat()
    }

    #[test]
    fn a_clone_and_its_original_are_independent() {
        crate::mlx::choose_backend(Some(crate::mlx::Backend::Cpu)).unwrap();
        let quantization = Quantization { group_size: 32, bits: 8, mode: QuantizationMode::Affine };
        let kinds: [(&str, Box<dyn Cache>); 5] = [
            ("KVCache", Box::new(KVCache::new())),
            ("RotatingKVCache", Box::new(RotatingKVCache::new(10, 4))),
            ("RotatingKVCache, not full", Box::new(RotatingKVCache::new(1000, 4))),
            ("QuantizedKVCache", Box::new(QuantizedKVCache::new(quantization))),
            ("ChunkedKVCache", Box::new(ChunkedKVCache::new(10))),
        ];
        let common = [(0, 5), (5, 8), (13, 1), (14, 1)];
        let ours = [(100, 1), (101, 1), (102, 3), (105, 1)];
        let theirs = [(200, 1), (201, 1), (202, 3), (205, 1)];
        for (name, empty) in kinds {
            let fresh = |rest: [(i32, i32); 4]| {
                let mut cache = empty.clone();
                common.into_iter().chain(rest).map(|update| seen(&mut cache, update)).skip(common.len()).collect()
            };
            let (expected_ours, expected_theirs): (Vec<_>, Vec<_>) = (fresh(ours), fresh(theirs));
            let mut original = empty.clone();
            for update in common {
                seen(&mut original, update);
            }
            let mut clone = original.clone();
            assert_eq!(clone.nbytes(), original.nbytes(), "{name}");
            for index in 0..ours.len() {
                assert_eq!(seen(&mut original, ours[index]), expected_ours[index], "{name}, original, {index}");
                assert_eq!(seen(&mut clone, theirs[index]), expected_theirs[index], "{name}, clone, {index}");
            }
        }
    }

    #[test]
    fn a_clone_of_a_recurrent_state_does_not_change_with_the_original() {
        crate::mlx::choose_backend(Some(crate::mlx::Backend::Cpu)).unwrap();
        let mut original: Box<dyn Cache> = Box::new(ArraysCache::new(2));
        let state = |cache: &dyn Cache| {
            cache.state().iter().map(|array| array.try_item_exact::<f32>().unwrap()).collect::<Vec<_>>()
        };
        let set = |cache: &mut Box<dyn Cache>, slot, number| {
            let cache = ArraysCache::of(cache.as_mut()).unwrap();
            cache.set(slot, Array::from_f32(number));
            cache.advance(1);
        };
        set(&mut original, 0, 1.0);
        set(&mut original, 1, 2.0);
        let mut clone = original.clone();
        set(&mut original, 0, 3.0);
        set(&mut clone, 1, 4.0);
        assert_eq!((state(original.as_ref()), original.offset()), (vec![3.0, 2.0], 3));
        assert_eq!((state(clone.as_ref()), clone.offset()), (vec![1.0, 4.0], 3));
    }
}
