// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/cache.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: the arrays' state carries no separate metadata.

//! Caches: what a layer remembers of the tokens it has seen. docs/decisions/caches.md says which exist, and why.

mod arrays;
mod chunked;
mod growing;
mod kv;
mod quantized;
mod rotating;
mod size;

use std::any::Any;

use mlx_rs::Array;

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
    /// Appends keys and values of (B, H, L, D) and gives all that attention may look at, (B, H, S, D).
    fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<KeysValues>;

    /// How many tokens have been seen: the position of the next one.
    fn offset(&self) -> i32;

    /// The mask for the next `length` tokens, which see back over `window` tokens if that is given.
    fn make_mask(&self, length: i32, window: Option<i32>) -> Result<Mask>;

    /// Whether the last tokens can be taken back.
    fn is_trimmable(&self) -> bool;

    /// Forgets the last tokens; gives how many, which is less than asked where there are not so many.
    fn trim(&mut self, tokens: i32) -> i32;

    /// The arrays to evaluate after a step.
    fn state(&self) -> Vec<&Array>;

    /// The same content, to go another way from here. Arrays are shared until one side writes to them.
    fn boxed_clone(&self) -> Box<dyn Cache>;

    /// Bytes on the device.
    fn nbytes(&self) -> usize {
        self.state().into_iter().map(Array::nbytes).sum()
    }

    /// How it will grow; asked once it has seen a token.
    fn size(&self) -> CacheSize {
        CacheSize::growing(&self.state(), None)
    }

    /// The same content, quantized; `None` for caches that are bounded, which have little to gain.
    ///
    /// # Errors
    /// `InvalidArgValue` if the heads cannot be cut into groups.
    fn to_quantized(&self, _: Quantization) -> Result<Option<Box<dyn Cache>>> {
        Ok(None)
    }
}

impl Clone for Box<dyn Cache> {
    fn clone(&self) -> Self {
        (**self).boxed_clone()
    }
}

/// The caches of a model, one a layer (fewer where later layers share those of earlier ones).
pub type Caches = Vec<Box<dyn Cache>>;

/// Caches for one sequence of a model with `num_layers` layers that does not choose its own: with `max_kv_size`, each keeps
/// at most that many tokens, the first four of them forever.
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

/// Caches for layers of which some look back over `window` tokens only, as `sliding` says of each.
pub fn make_mixed_caches(sliding: impl Iterator<Item = bool>, window: i32) -> Caches {
    let cache = |sliding| -> Box<dyn Cache> {
        if sliding { Box::new(RotatingKVCache::new(window, 0)) } else { Box::new(KVCache::new()) }
    };
    sliding.map(cache).collect()
}

/// How keys and values are stored in fewer bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvQuantization {
    pub bits: i32,
    pub group_size: i32,
    /// From which position on.
    pub start: i32,
}

impl KvQuantization {
    fn quantization(self) -> Quantization {
        Quantization { group_size: self.group_size, bits: self.bits, mode: QuantizationMode::Affine }
    }
}

/// Quantizes those caches that gain from it, once they are long enough. mlx-lm refuses models that mix them with others;
/// here the others stay.
///
/// # Errors
/// `InvalidArgValue` if the model's heads cannot be cut into groups of that size.
pub fn maybe_quantize_kv_cache(caches: &mut Caches, wanted: KvQuantization) -> Result<()> {
    for cache in caches.iter_mut().filter(|cache| cache.offset() >= wanted.start) {
        if let Some(quantized) = cache.to_quantized(wanted.quantization())? {
            *cache = quantized;
        }
    }
    Ok(())
}

/// Whether caches that hold something can be quantized, now or later. Nothing is computed for it.
///
/// # Errors
/// `InvalidArgValue` if none of them can, or not in groups of that size.
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

/// Whether [`trim_prompt_cache`] can do anything.
pub fn can_trim_prompt_cache(caches: &Caches) -> bool {
    caches.iter().all(|cache| cache.is_trimmable())
}

/// Forgets the last tokens everywhere, or nowhere; gives how many.
pub fn trim_prompt_cache(caches: &mut Caches, tokens: i32) -> i32 {
    if !can_trim_prompt_cache(caches) {
        return 0;
    }
    caches.iter_mut().map(|cache| cache.trim(tokens)).fold(None, |first, trimmed| first.or(Some(trimmed))).unwrap_or(0)
}

/// B, H, L and D of keys or values.
fn dims(array: &Array) -> Result<[i32; 4]> {
    let shape = array.shape();
    shape.try_into().map_err(|_| Error::internal(format!("keys or values of shape {shape:?}")))
}

/// How many tokens keys or values are of.
fn length(array: &Array) -> Result<i32> {
    let [_, _, length, _] = dims(array)?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use mlx_rs::Dtype;

    use super::*;

    /// (1, 1, length, 1) of the numbers from `start` on.
    pub fn numbers(start: i32, length: i32) -> Array {
        let numbers: Vec<f32> = (start..start + length).map(|number| number as f32).collect();
        Array::from_slice(&numbers, &[1, 1, length, 1])
    }

    /// (1, 1, length, 32), so that it can be quantized.
    fn wide(start: i32, length: i32) -> Array {
        let numbers: Vec<f32> = (start * 32..(start + length) * 32).map(|number| number as f32).collect();
        Array::from_slice(&numbers, &[1, 1, length, 32])
    }

    /// What an update lets attention see.
    fn seen(cache: &mut Box<dyn Cache>, (start, length): (i32, i32)) -> Vec<f32> {
        let fetched = cache.update_and_fetch(&wide(start, length), &wide(-start, length)).unwrap();
        let (keys, values) = fetched.dense(Dtype::Float32).unwrap();
        let numbers = |array: Array| array.contiguous().unwrap().to_vec_exact::<f32>().unwrap();
        [numbers(keys), numbers(values)].concat()
    }

    #[test]
    fn a_clone_and_its_original_go_different_ways() {
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
    fn a_clone_of_a_recurrent_state_stays_as_it_was() {
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
