// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Keeps the caches of runs for later ones whose prompts begin with the same tokens. Their number and bytes are limited
//! over all models; the least recently used are dropped first.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use super::ModelId;
use crate::{error::Result, generate::PromptCache, options::CacheUse};

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

/// Where a run leaves its caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It does not look for others either.
    Nowhere,
    /// Among those that belong to nobody.
    Pool(ModelId),
    Slot(SlotId),
}

impl Place {
    pub fn of(model: ModelId, slot: Option<SlotId>, cache: CacheUse) -> Self {
        match (cache, slot) {
            (CacheUse::None, _) => Self::Nowhere,
            (CacheUse::Auto, Some(slot)) => Self::Slot(slot),
            (CacheUse::Auto, None) => Self::Pool(model),
        }
    }

    fn model(self) -> Option<ModelId> {
        match self {
            Self::Nowhere => None,
            Self::Pool(model) => Some(model),
            Self::Slot(slot) => Some(slot.model),
        }
    }
}

/// The caches that no run is using.
#[derive(Default)]
pub struct Slots {
    /// The least recently used first.
    idle: VecDeque<(Place, PromptCache)>,
    /// Bytes.
    limit: Option<usize>,
}

impl Slots {
    /// Returns the caches of which a run can take over most tokens, as `common` counts them.
    ///
    /// Those of its own slot leave the pool in any case, since the run will replace them. Those that belong to nobody leave
    /// it if what the run will keep can stand for them. All others are copied, except lossy ones, which would change the
    /// answer.
    pub fn find(&mut self, place: Place, common: impl Fn(&PromptCache) -> usize) -> Result<Option<PromptCache>> {
        let own = self.take(place);
        let own_tokens = own.as_ref().map_or(0, &common);
        let of_model = |(other, cache): &(Place, PromptCache)| other.model() == place.model() && !cache.is_lossy();
        let others = self.idle.iter().enumerate().filter(|(_, entry)| of_model(entry));
        let best = others.map(|(index, (_, cache))| (common(cache), index)).max();
        let Some((tokens, index)) = best.filter(|(tokens, _)| *tokens > own_tokens) else { return Ok(own) };
        let Some((owner, cache)) = self.idle.get(index) else { return Ok(own) };
        if matches!(owner, Place::Pool(_)) && tokens == cache.tokens.len() && cache.is_trimmable() {
            return Ok(self.idle.remove(index).map(|(_, cache)| cache));
        }
        cache.copy(tokens)
    }

    /// Keeps the caches of a run: in a slot, they replace its content.
    pub fn put(&mut self, place: Place, cache: PromptCache) -> Result<()> {
        self.take(place);
        if cache.is_trimmable() {
            // A run that begins like these can as well start from the new ones.
            self.idle.retain(|(other, old)| *other != place || !cache.continues(old));
        }
        let is_lost = matches!(place, Place::Pool(_)) && cache.is_lossy();
        if !cache.tokens.is_empty() && !is_lost {
            self.idle.push_back((place, cache));
        }
        self.evict()
    }

    /// Returns what is in a slot.
    pub fn get(&self, slot: SlotId) -> Option<&PromptCache> {
        self.idle.iter().find(|(place, _)| *place == Place::Slot(slot)).map(|(_, cache)| cache)
    }

    /// Takes the caches out of a slot.
    pub fn take(&mut self, place: Place) -> Option<PromptCache> {
        let Place::Slot(_) = place else { return None };
        let index = self.idle.iter().position(|(other, _)| *other == place)?;
        self.idle.remove(index).map(|(_, cache)| cache)
    }

    /// Copies the content of `from` to `to`.
    pub fn fork(&mut self, from: SlotId, to: SlotId) -> Result<()> {
        match self.get(from).cloned() {
            Some(cache) => self.put(Place::Slot(to), cache),
            None => Ok(()),
        }
    }

    /// Drops all caches of a model.
    pub fn forget(&mut self, model: ModelId) {
        self.idle.retain(|(place, _)| place.model() != Some(model));
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

    fn slots<const N: usize>() -> [Place; N] {
        std::array::from_fn(|_| Place::Slot(SlotId::new(ModelId(1))))
    }

    const NOTHING: [u32; 0] = [];
    const POOL: Place = Place::Pool(ModelId(1));

    fn waiting(pool: &Slots) -> Vec<Place> {
        pool.idle.iter().map(|(place, _)| *place).collect()
    }

    /// Returns the tokens that a run of `prompt` starts with.
    fn found(pool: &mut Slots, place: Place, prompt: &[u32]) -> Vec<u32> {
        let found = pool.find(place, |cache| cache.common_with(prompt)).unwrap();
        let found = found.and_then(|found| found.trim_to_prefix_of(prompt));
        found.map_or_else(Vec::new, |found| {
            assert_eq!(found.caches[0].offset() as usize, found.tokens.len());
            found.tokens
        })
    }

    #[test]
    fn what_was_put_into_a_slot_can_be_taken_once() {
        let (mut pool, [a, b]) = (Slots::default(), slots());
        pool.put(a, kv(&[1])).unwrap();
        pool.put(a, kv(&[1, 2])).unwrap();
        assert!(pool.take(b).is_none());
        assert_eq!(pool.take(a).unwrap().tokens, [1, 2]);
        assert!(pool.take(a).is_none());
    }

    #[test]
    fn the_longest_common_prefix_is_found_and_nothing_is_taken_from_a_chat() {
        let (mut pool, [a, b]) = (Slots::default(), slots());
        pool.put(a, kv(&[1, 2, 3, 4])).unwrap();
        pool.put(POOL, kv(&[1, 2, 9])).unwrap();
        assert_eq!(found(&mut pool, POOL, &[1, 2, 3, 5, 6]), [1, 2, 3]);
        assert_eq!(found(&mut pool, b, &[1, 2, 3, 4, 5]), [1, 2, 3, 4]);
        assert_eq!(found(&mut pool, Place::Nowhere, &[1, 2, 3, 4, 5]), NOTHING);
        assert_eq!(found(&mut pool, Place::Pool(ModelId(2)), &[1, 2, 3, 4, 5]), NOTHING);
        assert_eq!(found(&mut pool, POOL, &[8]), NOTHING);
        assert_eq!(waiting(&pool), [a, POOL]);
        assert_eq!(pool.take(a).unwrap().caches[0].offset(), 4);
    }

    #[test]
    fn a_run_takes_its_own_caches_and_those_of_nobody_that_it_continues() {
        let (mut pool, [a]) = (Slots::default(), slots());
        pool.put(a, kv(&[7])).unwrap();
        pool.put(POOL, kv(&[1, 2])).unwrap();
        assert_eq!(found(&mut pool, POOL, &[1, 3]), [1]);
        assert_eq!(waiting(&pool), [a, POOL]);
        assert_eq!(found(&mut pool, a, &[1, 2, 3]), [1, 2]);
        assert_eq!(waiting(&pool), []);
    }

    #[test]
    fn caches_that_cannot_be_trimmed_stay_for_other_runs() {
        let full = || left(RotatingKVCache::new(2, 0), &[1, 2, 3]);
        let mut pool = Slots::default();
        pool.put(POOL, full()).unwrap();
        assert_eq!(found(&mut pool, POOL, &[1, 2, 3, 4]), [1, 2, 3]);
        assert_eq!(found(&mut pool, POOL, &[1, 2, 9]), NOTHING);
        pool.put(POOL, left(RotatingKVCache::new(2, 0), &[1, 2, 3, 4])).unwrap();
        assert_eq!(waiting(&pool), [POOL, POOL]);
    }

    #[test]
    fn caches_that_longer_ones_can_stand_for_are_dropped() {
        let (mut pool, [a]) = (Slots::default(), slots());
        for (place, tokens) in [(POOL, &[1][..]), (a, &[1]), (POOL, &[2]), (POOL, &[1, 2])] {
            pool.put(place, kv(tokens)).unwrap();
        }
        let tokens: Vec<&[u32]> = pool.idle.iter().map(|(_, cache)| cache.tokens.as_slice()).collect();
        assert_eq!(tokens, [&[1][..], &[2], &[1, 2]]);
    }

    #[test]
    fn lossy_caches_stay_in_their_chat() {
        let (mut pool, [a, b]) = (Slots::default(), slots());
        let lossy = || PromptCache { max_kv_size: Some(8), ..kv(&[1, 2]) };
        pool.put(POOL, lossy()).unwrap();
        pool.put(a, lossy()).unwrap();
        assert_eq!(waiting(&pool), [a]);
        assert_eq!(found(&mut pool, b, &[1, 2, 3]), NOTHING);
        assert_eq!(found(&mut pool, a, &[1, 2, 3]), [1, 2]);
    }

    #[test]
    fn a_copy_has_no_room_behind_its_last_token() {
        let copy = kv(&[1, 2, 3]).copy(2).unwrap().unwrap();
        assert_eq!((copy.tokens.as_slice(), copy.nbytes()), (&[1, 2][..], 2 * 2 * 4));
        assert!(left(RotatingKVCache::new(2, 0), &[1, 2, 3]).copy(2).unwrap().is_none());
    }

    #[test]
    fn a_fork_has_what_its_origin_had() {
        let mut pool = Slots::default();
        let [a, b, c] = std::array::from_fn(|_| SlotId::new(ModelId(1)));
        pool.fork(a, c).unwrap();
        assert!(pool.take(Place::Slot(c)).is_none());
        pool.put(Place::Slot(a), kv(&[1, 2])).unwrap();
        pool.fork(a, b).unwrap();
        assert_eq!(pool.take(Place::Slot(a)).unwrap().tokens, [1, 2]);
        assert_eq!(pool.take(Place::Slot(b)).unwrap().caches[0].offset(), 2);
    }

    #[test]
    fn the_least_recently_used_goes_when_bytes_run_out() {
        let (mut pool, [a, b, c]) = (Slots::default(), slots());
        pool.set_limit(2 * BYTES).unwrap();
        pool.put(a, kv(&[1])).unwrap();
        pool.put(b, kv(&[1])).unwrap();
        let used = pool.take(a).unwrap();
        assert_eq!(used.nbytes(), BYTES);
        pool.put(a, used).unwrap();
        pool.put(c, kv(&[1])).unwrap();
        assert_eq!(waiting(&pool), [a, c]);
        assert_eq!(pool.set_limit(BYTES).unwrap(), 2 * BYTES);
        assert_eq!(waiting(&pool), [c]);
        pool.set_limit(BYTES - 1).unwrap();
        assert_eq!(waiting(&pool), []);
        pool.put(a, kv(&[1])).unwrap();
        assert_eq!(waiting(&pool), []);
    }

    #[test]
    fn only_so_many_wait() {
        let mut pool = Slots::default();
        let all: [Place; MAX_SLOTS + 2] = slots();
        for slot in all {
            pool.put(slot, kv(&[1])).unwrap();
        }
        assert_eq!(waiting(&pool), all[2..]);
    }

    #[test]
    fn a_model_takes_its_slots_along() {
        let (mut pool, [a]) = (Slots::default(), slots());
        let other = Place::Slot(SlotId::new(ModelId(2)));
        pool.put(a, kv(&[1])).unwrap();
        pool.put(other, kv(&[1])).unwrap();
        pool.forget(ModelId(1));
        assert_eq!(waiting(&pool), [other]);
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
