// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The caches of a run as plain data, which can be kept in a file (docs/decisions/caches.md).

use std::collections::HashMap;

use mlx_rs::Array;
use serde::{Deserialize, Serialize};

use crate::{
    cache::KvQuantization,
    error::Result,
    generate::PromptCache,
    mlx::Tensor,
    models::{LoadedModel, caches_of_one_token},
};

/// The name of the tensor with the tokens.
const TOKENS: &str = "tokens";

/// The number of arrays that a quantized cache consists of.
const QUANTIZED: usize = 6;

/// What caches are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheFacts {
    /// [`ModelInfo::identity`](crate::models::ModelInfo::identity).
    pub model: String,
    pub is_long: bool,
    pub max_kv_size: Option<i32>,
    pub kv_quantization: Option<KvQuantization>,
}

/// Caches as tensors: the tokens, and the arrays of each layer.
#[derive(Debug)]
pub struct SavedCache {
    pub facts: CacheFacts,
    pub tensors: HashMap<String, Tensor>,
}

impl SavedCache {
    /// Copies caches of a model; `None` if the model cannot be told from others.
    pub fn of(cache: &PromptCache, model: &LoadedModel) -> Result<Option<Self>> {
        let Some(identity) = model.info.identity.clone() else { return Ok(None) };
        let mut tensors = HashMap::new();
        let tokens = i32::try_from(cache.tokens.len()).unwrap_or_default();
        tensors.insert(TOKENS.to_owned(), Tensor::of(&Array::from_slice(&cache.tokens, &[tokens]))?);
        for (layer, cache) in cache.caches.iter().enumerate() {
            for (index, array) in cache.saved()?.iter().enumerate() {
                tensors.insert(name(layer, index), Tensor::of(array)?);
            }
        }
        let (is_long, max_kv_size, kv_quantization) = cache.kind();
        Ok(Some(Self { facts: CacheFacts { model: identity, is_long, max_kv_size, kv_quantization }, tensors }))
    }

    /// Makes caches of a model; `None` if these are not its own, or not as a cache of that kind can be.
    ///
    /// # Errors
    /// Of MLX.
    pub fn restore(mut self, model: &LoadedModel) -> Result<Option<PromptCache>> {
        let CacheFacts { model: identity, is_long, max_kv_size, kv_quantization } = self.facts;
        let tokens = self.tensors.remove(TOKENS).and_then(|tokens| read_tokens(&tokens)).unwrap_or_default();
        let count = i32::try_from(tokens.len()).unwrap_or_default();
        let is_same = model.info.identity.as_ref() == Some(&identity);
        if count == 0 || !is_same || !is_possible(max_kv_size, kv_quantization) {
            return Ok(None);
        }
        let mut caches = caches_of_one_token(model.model.as_ref(), max_kv_size)?;
        for (layer, cache) in caches.iter_mut().enumerate() {
            let tensors = (0..).map_while(|index| self.tensors.remove(&name(layer, index)));
            let Some(arrays) = tensors.map(|tensor| tensor.array()).collect::<Option<Vec<_>>>() else {
                return Ok(None);
            };
            if let Some(wanted) = kv_quantization.filter(|_| arrays.len() == QUANTIZED)
                && let Some(quantized) = cache.to_quantized(wanted.quantization())?
            {
                *cache = quantized;
            }
            if !cache.restore(count, arrays) {
                return Ok(None);
            }
        }
        let restored = PromptCache { tokens, caches, is_long, max_kv_size, kv_quantization };
        Ok(self.tensors.is_empty().then_some(restored))
    }
}

fn name(layer: usize, index: usize) -> String {
    format!("cache.{layer}.{index}")
}

fn read_tokens(tensor: &Tensor) -> Option<Vec<u32>> {
    let array = tensor.array().filter(|array| array.shape().len() == 1)?;
    array.to_vec_exact().ok()
}

/// Whether these are options that a run can have.
fn is_possible(max_kv_size: Option<i32>, quantization: Option<KvQuantization>) -> bool {
    max_kv_size.is_none_or(|size| size >= 8)
        && quantization.is_none_or(|KvQuantization { bits, group_size, start }| {
            matches!(bits, 2..=6 | 8) && matches!(group_size, 32 | 64 | 128) && start >= 0
        })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, rc::Rc};

    use super::*;
    use crate::{
        generate::Steps,
        mlx,
        models::{self, LoadedModel},
        options::RunOptions,
    };

    /// Models with each kind of cache, and options of a run.
    fn kinds() -> Vec<(&'static str, RunOptions)> {
        let plain = RunOptions::default();
        let quantized = RunOptions { kv_bits: Some(8), kv_group_size: 32, ..plain.clone() };
        vec![
            ("llama-gqa-4bit", plain.clone()),
            ("llama-gqa-4bit", RunOptions { max_kv_size: Some(8), ..plain.clone() }),
            ("llama-gqa-4bit", RunOptions { max_kv_size: Some(64), ..plain.clone() }),
            ("llama-gqa-4bit", quantized.clone()),
            ("llama-gqa-4bit", RunOptions { quantized_kv_start: 1000, ..quantized }),
            ("gemma3_text-4bit", plain.clone()),
            ("qwen3_5-4bit", plain.clone()),
            ("llama4_text-4bit", plain),
        ]
    }

    fn load(name: &str) -> Rc<LoadedModel> {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures").join(name);
        Rc::new(models::load(&folder, None).unwrap())
    }

    /// Ends with the caches of a text of some tokens.
    fn run(model: &Rc<LoadedModel>, options: &RunOptions, tokens: u32) -> PromptCache {
        let prompt = (0..tokens).map(|token| token * 7 % 60 + 1).collect();
        let mut steps = Steps::new(Rc::clone(model), prompt, options.clone()).unwrap();
        while !steps.prefilled() {
            steps.prefill().unwrap();
        }
        for last in [false, false, true] {
            steps.next(last).unwrap();
        }
        steps.into_prompt_cache().unwrap()
    }

    /// Returns the next tokens after those of a cache, and two more.
    fn go_on(model: &Rc<LoadedModel>, options: &RunOptions, cache: PromptCache) -> (usize, Vec<u32>) {
        let prompt = [cache.tokens.as_slice(), &[3, 5]].concat();
        let mut steps = Steps::new(Rc::clone(model), prompt, options.clone()).unwrap();
        steps.reuse(cache);
        while !steps.prefilled() {
            steps.prefill().unwrap();
        }
        (steps.cached(), (0..12).map(|_| steps.next(false).unwrap().token).collect())
    }

    #[test]
    fn restored_caches_go_on_as_the_original_ones() {
        for (name, options) in kinds() {
            let model = load(name);
            for tokens in [1, 5, 40] {
                let cache = run(&model, &options, tokens);
                let saved = SavedCache::of(&cache, &model).unwrap().unwrap();
                let restored = saved.restore(&model).unwrap().unwrap();
                assert_eq!((restored.kind(), &restored.tokens), (cache.kind(), &cache.tokens));
                let (cached, expected) = go_on(&model, &options, cache.clone());
                assert_eq!(cached, cache.tokens.len());
                assert_eq!(
                    go_on(&model, &options, restored),
                    (cached, expected),
                    "{name}, {options:?}, {tokens} tokens"
                );
            }
        }
    }

    #[test]
    fn caches_of_another_model_or_with_other_arrays_are_refused() {
        for (name, options) in kinds() {
            let model = load(name);
            let cache = run(&model, &options, 20);
            let changes: [fn(&mut SavedCache); 10] = [
                |saved| saved.facts.model.push('x'),
                |saved| saved.facts.max_kv_size = Some(-1),
                |saved| saved.facts.kv_quantization = Some(KvQuantization { bits: 7, group_size: 0, start: -1 }),
                |saved| drop(saved.tensors.remove(TOKENS)),
                |saved| drop(saved.tensors.remove(&super::name(0, 0))),
                |saved| drop(saved.tensors.insert("more".to_owned(), tensor(&[1.0]))),
                |saved| drop(saved.tensors.insert(super::name(0, 1), tensor(&[1.0]))),
                |saved| drop(saved.tensors.insert(TOKENS.to_owned(), tensor(&[1.0, 2.0]))),
                |saved| saved.tensors.get_mut(&super::name(1, 0)).unwrap().shape.push(1),
                |saved| saved.tensors.get_mut(&super::name(1, 1)).unwrap().data.truncate(1),
            ];
            for (index, change) in changes.into_iter().enumerate() {
                let mut saved = SavedCache::of(&cache, &model).unwrap().unwrap();
                change(&mut saved);
                assert!(saved.restore(&model).unwrap().is_none(), "{name}, {options:?}, change {index}");
            }
        }
    }

    fn tensor(numbers: &[f32]) -> Tensor {
        Tensor::of(&Array::from_slice(numbers, &[numbers.len() as i32])).unwrap()
    }

    #[test]
    fn models_that_differ_in_weights_alone_are_told_apart() {
        let identity = |name: &str| load(name).info.identity.clone().unwrap();
        assert_eq!(identity("llama-gqa-4bit"), identity("llama-gqa-4bit"));
        let folder = std::env::temp_dir().join(format!("node-mlx-identity-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures/llama");
        std::fs::copy(original.join("config.json"), folder.join("config.json")).unwrap();
        let mut weights = std::fs::read(original.join("model.safetensors")).unwrap();
        *weights.last_mut().unwrap() ^= 1;
        std::fs::write(folder.join("model.safetensors"), weights).unwrap();
        let changed = models::load(&folder, None).unwrap().info.identity.unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_ne!(changed, identity("llama"));
    }
}
