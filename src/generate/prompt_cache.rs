// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The caches that a run leaves for another one whose prompt begins with the same tokens.

use crate::{
    cache::{Caches, KvQuantization, can_trim_prompt_cache, trim_prompt_cache},
    error::Result,
};

/// Caches and the tokens in them.
#[derive(Clone)]
pub struct PromptCache {
    pub tokens: Vec<u32>,
    pub caches: Caches,
    /// Whether the text was rotated as a long one, by LongRoPE.
    pub is_long: bool,
    pub max_kv_size: Option<i32>,
    pub kv_quantization: Option<KvQuantization>,
}

impl PromptCache {
    /// Number of tokens that a run of `prompt` can take over: the longest common prefix, without the prompt's last token,
    /// whose logits are needed. 0 if the caches cannot be trimmed that far.
    pub fn common_with(&self, prompt: &[u32]) -> usize {
        let common = self.tokens.iter().zip(prompt).take_while(|(ours, theirs)| ours == theirs).count();
        let common = common.min(prompt.len().saturating_sub(1));
        if common == self.tokens.len() || self.is_trimmable() { common } else { 0 }
    }

    /// Trims the caches to the tokens that a run of `prompt` can take over; `None` if there are none.
    pub fn trim_to_prefix_of(self, prompt: &[u32]) -> Option<Self> {
        match self.common_with(prompt) {
            0 => None,
            common => self.trim(common),
        }
    }

    /// Returns an independent copy of the first `tokens` tokens. Arrays are shared until one side writes to them.
    pub fn copy(&self, tokens: usize) -> Result<Option<Self>> {
        let mut copy = self.clone().trim(tokens);
        copy.iter_mut().flat_map(|copy| &mut copy.caches).try_for_each(|cache| cache.compact())?;
        Ok(copy)
    }

    fn trim(mut self, tokens: usize) -> Option<Self> {
        let surplus = i32::try_from(self.tokens.len().checked_sub(tokens)?).ok()?;
        if trim_prompt_cache(&mut self.caches, surplus) != surplus {
            return None;
        }
        self.tokens.truncate(tokens);
        Some(self)
    }

    /// Whether the last tokens can be removed.
    pub fn is_trimmable(&self) -> bool {
        can_trim_prompt_cache(&self.caches)
    }

    /// Whether later tokens see less of these than without a cache.
    pub fn is_lossy(&self) -> bool {
        self.max_kv_size.is_some() || self.kv_quantization.is_some()
    }

    /// Whether these are the caches of the same text as `other`, or of one that begins with it.
    pub fn continues(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.tokens.starts_with(&other.tokens)
    }

    /// Runs share caches of the same kind only.
    pub fn kind(&self) -> (bool, Option<i32>, Option<KvQuantization>) {
        (self.is_long, self.max_kv_size, self.kv_quantization)
    }

    /// Number of bytes on the device; arrays shared with a clone count for both.
    pub fn nbytes(&self) -> usize {
        self.caches.iter().map(|cache| cache.nbytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, rc::Rc};

    use crate::{generate::Steps, mlx, models, options::RunOptions};

    #[test]
    fn a_cache_holds_the_processed_tokens_and_is_reused_only_with_equal_cache_options() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures/llama-gqa-4bit");
        let model = Rc::new(models::load(&folder, None).unwrap());
        let kinds = [(None, None), (Some(64), None), (Some(65), None), (None, Some(900)), (None, Some(901))];
        let start = |prompt: &[u32], (max_kv_size, quantized_kv_start): (Option<i32>, Option<i32>)| {
            let options = RunOptions {
                max_kv_size,
                kv_bits: quantized_kv_start.map(|_| 8),
                kv_group_size: 32,
                quantized_kv_start: quantized_kv_start.unwrap_or_default(),
                ..RunOptions::default()
            };
            Steps::new(Rc::clone(&model), prompt.to_vec(), options).unwrap()
        };
        for kind in kinds {
            let mut steps = start(&[1, 2, 3, 4, 5], kind);
            while !steps.prefilled() {
                steps.prefill().unwrap();
            }
            let [first, second] = [false, false].map(|last| steps.next(last).unwrap().token);
            steps.next(true).unwrap();
            let left = steps.into_prompt_cache().unwrap();
            assert_eq!(left.tokens, [1, 2, 3, 4, 5, first, second]);
            assert!(left.caches.iter().all(|cache| cache.offset() == 7));
            for other in kinds {
                let mut next = start(&[1, 2, 3, 9, 9, 9], other);
                next.reuse(left.clone());
                let cached = if other == kind { 3 } else { 0 };
                assert_eq!((next.cached(), next.processed()), (cached, cached));
            }
        }
    }
}
