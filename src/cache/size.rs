// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How much memory caches take, before they take it.

use mlx_rs::Array;

use super::{Caches, KvQuantization, growing::STEP};
use crate::mlx;

/// How the cache of one layer grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSize {
    /// Bytes that do not depend on the number of tokens.
    fixed: u64,
    /// Bytes per token kept.
    per_token: u64,
    /// Bytes per number.
    number: u64,
    /// Maximum number of tokens kept.
    most: Option<i32>,
}

impl CacheSize {
    /// The size of a cache whose arrays do not grow.
    pub fn fixed(bytes: usize) -> Self {
        Self { fixed: bytes as u64, per_token: 0, number: 1, most: None }
    }

    /// The size of a cache of keys and values, (B, H, S, D), of at most `most` tokens. `state` is that of one token.
    pub fn growing(state: &[&Array], most: Option<i32>) -> Self {
        let per_token = |array: &&Array| array.nbytes() as u64 / u64::try_from(mlx::dim(array, 2).max(1)).unwrap_or(1);
        let number = state.first().map_or(1, |array| array.item_size() as u64).max(1);
        Self { fixed: 0, per_token: state.iter().map(per_token).sum(), number, most }
    }

    /// Returns the bytes after `tokens` tokens.
    fn bytes(self, tokens: u64, max_kv_size: Option<i32>, quantization: Option<KvQuantization>) -> u64 {
        let most = self.most.or(max_kv_size).map(|most| u64::try_from(most).unwrap_or(0));
        let room = tokens.checked_next_multiple_of(STEP.unsigned_abs().into()).unwrap_or(u64::MAX);
        let dense = self.per_token.saturating_mul(room.min(most.unwrap_or(u64::MAX)));
        let growing = match quantization {
            Some(wanted) if most.is_none() && tokens >= u64::try_from(wanted.start).unwrap_or(0) => {
                self.quantized(dense, wanted)
            }
            _ => dense,
        };
        self.fixed.saturating_add(growing)
    }

    /// Returns the quantized size of `dense` bytes: the packed numbers, and a scale and a bias per group.
    fn quantized(self, dense: u64, KvQuantization { bits, group_size, .. }: KvQuantization) -> u64 {
        let [bits, group_size] = [bits, group_size].map(|number| u64::from(number.unsigned_abs()).max(1));
        let numbers = dense / self.number;
        numbers.saturating_mul(bits) / 8 + numbers.saturating_mul(2 * self.number) / group_size
    }
}

/// The sizes of all caches of a model.
#[derive(Debug, Clone, Default)]
pub struct CacheSizes(Vec<CacheSize>);

impl CacheSizes {
    /// Returns the sizes of caches that have seen one token, evaluated or not.
    pub fn of(caches: &Caches) -> Self {
        Self(caches.iter().map(|cache| cache.size()).collect())
    }

    /// Returns the bytes of all caches after `tokens` tokens, with the options of the run.
    pub fn bytes(&self, tokens: u64, max_kv_size: Option<i32>, quantization: Option<KvQuantization>) -> u64 {
        self.0.iter().map(|size| size.bytes(tokens, max_kv_size, quantization)).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use mlx_rs::{Array, Dtype, ops};

    use super::*;
    use crate::{
        cache::{ArraysCache, Cache, ChunkedKVCache, KVCache, RotatingKVCache, maybe_quantize_kv_cache},
        mlx,
    };

    fn feed(caches: &mut Caches, lengths: &[i32]) {
        for length in lengths {
            let update = ops::zeros_dtype(&[1, 2, *length, 64], Dtype::Bfloat16).unwrap();
            for cache in caches.iter_mut() {
                cache.update_and_fetch(&update, &update).unwrap();
            }
        }
    }

    fn nbytes(caches: &Caches) -> u64 {
        caches.iter().map(|cache| cache.nbytes() as u64).sum()
    }

    #[test]
    fn predicted_cache_bytes_match_actual() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let kinds: [(&str, Box<dyn Cache>); 4] = [
            ("KVCache", Box::new(KVCache::new())),
            ("RotatingKVCache", Box::new(RotatingKVCache::new(512, 4))),
            ("RotatingKVCache, small", Box::new(RotatingKVCache::new(100, 4))),
            ("ChunkedKVCache", Box::new(ChunkedKVCache::new(512))),
        ];
        for (name, cache) in kinds {
            let mut caches: Caches = vec![cache];
            feed(&mut caches, &[1]);
            let sizes = CacheSizes::of(&caches);
            let mut seen = 1;
            for more in [200, 300, 1000] {
                feed(&mut caches, &vec![1; more]);
                seen += more as u64;
                assert_eq!(sizes.bytes(seen, None, None), nbytes(&caches), "{name}, {seen} tokens");
            }
        }
    }

    #[test]
    fn predicted_cache_bytes_respect_max_kv_size_and_quantization() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let mut caches: Caches = vec![Box::new(KVCache::new())];
        feed(&mut caches, &[1]);
        let sizes = CacheSizes::of(&caches);
        assert_eq!(sizes.bytes(5000, Some(300), None), 300 * 2 * 2 * 64 * 2);
        for (bits, group_size) in [(4, 64), (8, 32)] {
            let wanted = KvQuantization { bits, group_size, start: 700 };
            let mut quantized = caches.clone();
            feed(&mut quantized, &[699]);
            maybe_quantize_kv_cache(&mut quantized, wanted).unwrap();
            // Its buffers have 768 slots after the one in use.
            assert_eq!(sizes.bytes(768, None, Some(wanted)) * 769, nbytes(&quantized) * 768, "{bits} bits");
            assert_eq!(sizes.bytes(699, None, Some(wanted)), sizes.bytes(699, None, None));
        }
    }

    #[test]
    fn recurrent_states_do_not_grow() {
        let mut cache = ArraysCache::new(1);
        cache.set(0, Array::from_slice(&[1.0_f32; 100], &[1, 100]));
        let sizes = CacheSizes::of(&vec![Box::new(cache) as Box<dyn Cache>]);
        assert_eq!([1, 100_000].map(|tokens| sizes.bytes(tokens, None, None)), [400, 400]);
        assert_eq!(sizes.bytes(5, Some(1), None), 400);
    }
}
