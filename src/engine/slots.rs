// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Keeps the caches of conversations between their runs. Their number and bytes are limited over all models; the least
//! recently used are dropped first.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use super::ModelId;
use crate::{error::Result, generate::PromptCache};

const MAX_SLOTS: usize = 64;

/// The share of MLX's memory limit that slots may hold by default.
const DEFAULT_SHARE: usize = 4;

static SLOTS: AtomicU64 = AtomicU64::new(0);

/// The id of the place for the caches of one conversation with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotId {
    model: ModelId,
    number: u64,
}

impl SlotId {
    /// Creates the id of an empty slot.
    pub fn new(model: ModelId) -> Self {
        Self { model, number: SLOTS.fetch_add(1, Ordering::Relaxed) }
    }

    pub fn model(self) -> ModelId {
        self.model
    }
}

/// The caches that no run is using.
#[derive(Default)]
pub struct Slots {
    /// The least recently used first.
    idle: VecDeque<(SlotId, PromptCache)>,
    /// Bytes.
    limit: Option<usize>,
}

impl Slots {
    /// Takes the caches out for a run; the slot is empty until they are put back.
    pub fn take(&mut self, slot: SlotId) -> Option<PromptCache> {
        let index = self.idle.iter().position(|(id, _)| *id == slot)?;
        self.idle.remove(index).map(|(_, cache)| cache)
    }

    /// Puts the caches of a run into a slot, in place of its content.
    pub fn put(&mut self, slot: SlotId, cache: PromptCache) -> Result<()> {
        self.take(slot);
        if !cache.tokens.is_empty() {
            self.idle.push_back((slot, cache));
        }
        self.evict()
    }

    /// Copies the content of `from` to `to`.
    pub fn fork(&mut self, from: SlotId, to: SlotId) -> Result<()> {
        match self.idle.iter().find(|(id, _)| *id == from) {
            Some((_, cache)) => self.put(to, cache.clone()),
            None => Ok(()),
        }
    }

    /// Drops all slots of a model.
    pub fn forget(&mut self, model: ModelId) {
        self.idle.retain(|(slot, _)| slot.model != model);
    }

    pub fn clear(&mut self) {
        self.idle.clear();
    }

    /// Maximum number of bytes.
    pub fn limit(&self) -> Result<usize> {
        self.limit.map_or_else(|| Ok(mlx_rs::memory::memory_limit()? / DEFAULT_SHARE), Ok)
    }

    /// Sets the limit and returns the previous one.
    pub fn set_limit(&mut self, bytes: usize) -> Result<usize> {
        let before = self.limit()?;
        self.limit = Some(bytes);
        self.evict()?;
        Ok(before)
    }

    fn evict(&mut self) -> Result<()> {
        let limit = self.limit()?;
        let mut bytes: usize = self.idle.iter().map(|(_, cache)| cache.nbytes()).sum();
        while bytes > limit || self.idle.len() > MAX_SLOTS {
            let Some((_, cache)) = self.idle.pop_front() else { break };
            bytes -= cache.nbytes();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mlx_rs::Array;

    use super::*;
    use crate::{
        cache::{Cache, KVCache, RotatingKVCache},
        mlx,
    };

    /// A cache of (1, 1, 256, 1) floats for keys, and as many for values.
    const BYTES: usize = 2048;

    fn left<C: Cache>(mut cache: C, tokens: &[u32]) -> PromptCache {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let keys = Array::from_slice(&vec![1.0_f32; tokens.len()], &[1, 1, tokens.len() as i32, 1]);
        cache.update_and_fetch(&keys, &keys).unwrap();
        PromptCache {
            tokens: tokens.to_vec(),
            caches: vec![Box::new(cache)],
            is_long: false,
            max_kv_size: None,
            kv_quantization: None,
        }
    }

    fn kv(tokens: &[u32]) -> PromptCache {
        left(KVCache::new(), tokens)
    }

    fn ids<const N: usize>() -> [SlotId; N] {
        std::array::from_fn(|_| SlotId::new(ModelId(1)))
    }

    fn waiting(slots: &Slots) -> Vec<SlotId> {
        slots.idle.iter().map(|(slot, _)| *slot).collect()
    }

    #[test]
    fn what_was_put_can_be_taken_once() {
        let (mut slots, [a, b]) = (Slots::default(), ids());
        slots.put(a, kv(&[1])).unwrap();
        slots.put(a, kv(&[1, 2])).unwrap();
        assert!(slots.take(b).is_none());
        assert_eq!(slots.take(a).unwrap().tokens, [1, 2]);
        assert!(slots.take(a).is_none());
    }

    #[test]
    fn a_fork_has_what_its_origin_had() {
        let (mut slots, [a, b, c]) = (Slots::default(), ids());
        slots.fork(a, c).unwrap();
        assert!(slots.take(c).is_none());
        slots.put(a, kv(&[1, 2])).unwrap();
        slots.fork(a, b).unwrap();
        assert_eq!(slots.take(a).unwrap().tokens, [1, 2]);
        assert_eq!(slots.take(b).unwrap().caches[0].offset(), 2);
    }

    #[test]
    fn the_least_recently_used_goes_when_bytes_run_out() {
        let (mut slots, [a, b, c]) = (Slots::default(), ids());
        slots.set_limit(2 * BYTES).unwrap();
        slots.put(a, kv(&[1])).unwrap();
        slots.put(b, kv(&[1])).unwrap();
        let used = slots.take(a).unwrap();
        assert_eq!(used.nbytes(), BYTES);
        slots.put(a, used).unwrap();
        slots.put(c, kv(&[1])).unwrap();
        assert_eq!(waiting(&slots), [a, c]);
        assert_eq!(slots.set_limit(BYTES).unwrap(), 2 * BYTES);
        assert_eq!(waiting(&slots), [c]);
        slots.set_limit(BYTES - 1).unwrap();
        assert_eq!(waiting(&slots), []);
        slots.put(a, kv(&[1])).unwrap();
        assert_eq!(waiting(&slots), []);
    }

    #[test]
    fn only_so_many_wait() {
        let mut slots = Slots::default();
        let all: [SlotId; MAX_SLOTS + 2] = ids();
        for slot in all {
            slots.put(slot, kv(&[1])).unwrap();
        }
        assert_eq!(waiting(&slots), all[2..]);
    }

    #[test]
    fn a_model_takes_its_slots_along() {
        let (mut slots, [a]) = (Slots::default(), ids());
        let other = SlotId::new(ModelId(2));
        slots.put(a, kv(&[1])).unwrap();
        slots.put(other, kv(&[1])).unwrap();
        slots.forget(ModelId(1));
        assert_eq!(waiting(&slots), [other]);
    }

    #[test]
    fn a_cache_is_cut_to_what_a_prompt_begins_with_less_its_last_token() {
        let trimmed = |tokens: &[u32], prompt: &[u32]| {
            let trimmed = kv(tokens).trim_to_prefix_of(prompt)?;
            assert_eq!(trimmed.caches[0].offset() as usize, trimmed.tokens.len());
            Some(trimmed.tokens)
        };
        assert_eq!(trimmed(&[1, 2, 3], &[1, 2, 3, 4]), Some(vec![1, 2, 3]));
        assert_eq!(trimmed(&[1, 2, 3], &[1, 2, 3]), Some(vec![1, 2]));
        assert_eq!(trimmed(&[1, 2, 3], &[1, 9, 3, 4]), Some(vec![1]));
        assert_eq!(trimmed(&[1, 2, 3], &[1]), None);
        assert_eq!(trimmed(&[1, 2, 3], &[9, 2]), None);
        assert_eq!(trimmed(&[1, 2, 3], &[]), None);
    }

    #[test]
    fn a_cache_that_cannot_be_cut_is_used_whole_or_not_at_all() {
        let full = || left(RotatingKVCache::new(2, 0), &[1, 2, 3]);
        assert_eq!(full().trim_to_prefix_of(&[1, 2, 3, 4]).unwrap().tokens, [1, 2, 3]);
        assert!(full().trim_to_prefix_of(&[1, 2, 3]).is_none());
        assert!(full().trim_to_prefix_of(&[1, 2, 4, 5]).is_none());
    }
}
