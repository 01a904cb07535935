// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The caches that a run leaves for another one whose prompt begins with the same tokens.

use crate::cache::{Caches, KvQuantization, trim_prompt_cache};

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
    /// Trims the caches to the longest common prefix with `prompt`, without the prompt's last token, whose logits are
    /// needed. `None` if nothing is left, or the caches cannot be trimmed that far.
    pub fn trim_to_prefix_of(mut self, prompt: &[u32]) -> Option<Self> {
        let common = self.tokens.iter().zip(prompt).take_while(|(ours, theirs)| ours == theirs).count();
        let common = common.min(prompt.len().saturating_sub(1));
        let surplus = i32::try_from(self.tokens.len() - common).ok()?;
        if common == 0 || trim_prompt_cache(&mut self.caches, surplus) != surplus {
            return None;
        }
        self.tokens.truncate(common);
        Some(self)
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
