// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The model trait, the architectures by `model_type`, and loading a model from a folder.

pub mod base;
mod common;
pub mod config;
mod gated_delta;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma3_text;
mod gemma3n;
mod gemma4;
mod gemma4_text;
mod generation_config;
mod gpt_oss;
mod llama;
mod llama4;
mod llama4_text;
mod loading;
mod ministral3;
mod mistral3;
mod mistral4;
mod mixtral;
mod normalize;
mod pace;
mod phi;
mod phi3;
mod phimoe;
mod pixtral;
mod qwen2;
mod qwen2_moe;
mod qwen2_vl;
mod qwen3;
mod qwen3_5;
mod qwen3_5_moe;
mod qwen3_moe;
mod qwen3_next;
mod qwen3_vl;
mod qwen3_vl_moe;
mod registry;
mod rotary;
mod settings;
mod smollm3;

use mlx_rs::Array;

use crate::{
    cache::{Caches, make_prompt_cache},
    error::Result,
    mlx,
};

pub use generation_config::GenerationConfig;
pub use loading::{
    LoadedModel, Loading, ModelFiles, ModelInfo, Opening, Output, caches_of_one_token, check_folder, load,
};
pub use pace::Pace;
pub use registry::{supported, tokenizer_class};

/// A language model: token ids in, logits out. Only caches change.
pub trait Model {
    /// tokens: (B, L) → (B, L, D), after the last norm.
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> Result<Array>;

    /// The hidden state of the last position, of which the next token is drawn. tokens: (B, L) → (B, 1, D)
    fn last_hidden_state(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        last_position(&self.hidden_states(tokens, cache)?)
    }

    /// hidden: (B, L, D) → (B, L, vocabulary)
    fn logits(&self, hidden: &Array) -> Result<Array>;

    fn num_layers(&self) -> usize;

    /// Number of rows of the embedding; token ids are smaller.
    fn vocab_size(&self) -> i32;

    /// Empty caches, if the model needs others than one `KVCache` per layer.
    fn make_cache(&self) -> Option<Caches> {
        None
    }

    /// Empty caches for one sequence. As in mlx-lm, a model that chooses its own ignores `max_kv_size`.
    fn make_prompt_cache(&self, max_kv_size: Option<i32>) -> Caches {
        self.make_cache().unwrap_or_else(|| make_prompt_cache(self.num_layers(), max_kv_size))
    }

    /// tokens: (B, L) → (B, L, vocabulary)
    fn forward(&self, tokens: &Array, cache: &mut Caches) -> Result<Array> {
        self.logits(&self.hidden_states(tokens, cache)?)
    }
}

/// x: (B, L, D) → (B, 1, D)
fn last_position(x: &Array) -> Result<Array> {
    match mlx::dim(x, 1) {
        1 => Ok(x.clone()),
        length => mlx::slice_axis(x, 1, length - 1, length),
    }
}

fn boxed<M: Model + 'static>(model: Result<M>) -> Result<Box<dyn Model>> {
    Ok(Box::new(model?))
}
