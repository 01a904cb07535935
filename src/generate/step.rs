// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `generate_step`, cut into pieces that each make at most one pass through the model, so that the engine can give
//! other runs their turn, and notice a cancellation, in between.
//!
//! mlx-lm processes the last prompt token in a pass of its own. Here it goes with the last chunk, whose last position
//! alone reaches the output layer: one pass less before the first token.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use mlx_rs::{Array, Dtype, transforms};

use crate::{
    cache::{Caches, make_prompt_cache},
    error::{Error, Result},
    mlx::{self, Backend},
    models::LoadedModel,
    sample_utils::Sampling,
};

/// A pass over more tokens than this takes seconds on a CPU, and nothing else could run meanwhile.
const MAX_CPU_CHUNK: usize = 512;

/// Tokens between two returns of unused buffers to the device, as mlx-lm has it.
const TOKENS_PER_CACHE_CLEAR: u64 = 256;

/// A token that the device may still be computing.
struct Pending {
    /// (1,)
    token: Array,
    /// (1, 1): not finite if the logits were not.
    logsumexp: Array,
}

/// One sequence being generated.
pub struct Steps {
    model: Rc<LoadedModel>,
    cache: Caches,
    prompt: Vec<u32>,
    processed: usize,
    prefill_step_size: usize,
    sampling: Sampling,
    pending: Option<Pending>,
    drawn: u64,
    passes: u64,
    host_time: Duration,
}

impl Steps {
    /// Prepares a run over a prompt of at least one token, each below the model's vocabulary size.
    ///
    /// # Errors
    /// `InvalidArgValue` for an empty prompt, `OutOfRange` for an id that the model has no embedding for: MLX would
    /// read beyond the table.
    pub fn new(model: Rc<LoadedModel>, prompt: Vec<u32>, sampling: Sampling, prefill_step_size: usize) -> Result<Self> {
        if prompt.is_empty() {
            return Err(Error::InvalidArgValue { name: "prompt".to_owned(), message: "has no tokens".to_owned() });
        }
        let vocab_size = model.info.vocab_size;
        if let Some((index, id)) = prompt.iter().enumerate().find(|(_, id)| **id as usize >= vocab_size) {
            return Err(Error::OutOfRange {
                name: format!("prompt[{index}]"),
                message: format!("{id} is not below the model's vocabulary size, {vocab_size}"),
            });
        }
        let max_chunk = if mlx::backend() == Backend::Cpu { MAX_CPU_CHUNK } else { usize::MAX };
        Ok(Self {
            cache: make_prompt_cache(model.model.as_ref(), None),
            model,
            prompt,
            processed: 0,
            prefill_step_size: prefill_step_size.clamp(1, max_chunk),
            sampling,
            pending: None,
            drawn: 0,
            passes: 0,
            host_time: Duration::ZERO,
        })
    }

    /// Prompt tokens that have been processed.
    pub fn processed(&self) -> usize {
        self.processed
    }

    /// Prompt tokens in all.
    pub fn total(&self) -> usize {
        self.prompt.len()
    }

    /// Passes through the model so far.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// Time that building and submitting the steps after the prompt has taken, while the device may have worked.
    pub fn host_time(&self) -> Duration {
        self.host_time
    }

    /// Whether the whole prompt has been processed.
    pub fn prefilled(&self) -> bool {
        self.processed == self.prompt.len()
    }

    /// Processes the next chunk of the prompt; with the last one the first token is on its way.
    pub fn prefill(&mut self) -> Result<()> {
        let end = self.prompt.len().min(self.processed + self.prefill_step_size);
        let chunk = self.prompt.get(self.processed..end).unwrap_or_default();
        let tokens = token_array(chunk);
        let hidden = self.model.model.hidden_states(&tokens, &mut self.cache)?;
        self.passes += 1;
        self.processed = end;
        if self.prefilled() {
            let length = chunk_len(chunk);
            self.pending = Some(self.draw(&mlx::slice_axis(&hidden, 1, length - 1, length)?)?);
        } else {
            transforms::eval(self.cache.iter().flat_map(|cache| cache.state()))?;
            mlx_rs::memory::clear_cache()?;
        }
        Ok(())
    }

    /// The next token. Unless `last`, the one after it is started before this one is waited for, so the device is
    /// never idle while the host reads a token.
    ///
    /// # Errors
    /// `NonFiniteLogits` if the model gave NaN or no finite logit: MLX would choose token 0.
    pub fn next(&mut self, last: bool) -> Result<u32> {
        let Some(current) = self.pending.take() else { return Err(Error::internal("no token is pending")) };
        if !last {
            let start = Instant::now();
            let tokens = current.token.reshape(&[1, 1])?;
            let hidden = self.model.model.hidden_states(&tokens, &mut self.cache)?;
            self.passes += 1;
            self.pending = Some(self.draw(&hidden)?);
            self.host_time += start.elapsed();
        }
        let step = self.drawn;
        let token = current.token.try_item_exact::<u32>().map_err(|error| Error::internal(error.to_string()))?;
        if !scalar_is_finite(&current.logsumexp)? {
            return Err(Error::NonFiniteLogits { step: usize::try_from(step).unwrap_or(usize::MAX) });
        }
        if step.is_multiple_of(TOKENS_PER_CACHE_CLEAR) {
            mlx_rs::memory::clear_cache()?;
        }
        Ok(token)
    }

    /// hidden: (1, 1, D)
    fn draw(&mut self, hidden: &Array) -> Result<Pending> {
        let logits = self.model.model.logits(hidden)?.squeeze_axes(&[1])?;
        let logsumexp = logits.logsumexp_axis(-1, true)?;
        let logprobs = logits.subtract(&logsumexp)?;
        let token = self.sampling.sample(&logprobs, self.drawn)?;
        transforms::async_eval([&token, &logsumexp])?;
        self.drawn += 1;
        Ok(Pending { token, logsumexp })
    }
}

fn chunk_len(chunk: &[u32]) -> i32 {
    i32::try_from(chunk.len()).unwrap_or(i32::MAX)
}

/// ids → (1, L)
fn token_array(ids: &[u32]) -> Array {
    Array::from_slice(ids, &[1, chunk_len(ids)])
}

fn scalar_is_finite(array: &Array) -> Result<bool> {
    let internal = |error: mlx_rs::error::ConversionError| Error::internal(error.to_string());
    Ok(match array.dtype() {
        Dtype::Bfloat16 => array.try_item_exact::<half::bf16>().map_err(internal)?.is_finite(),
        Dtype::Float16 => array.try_item_exact::<half::f16>().map_err(internal)?.is_finite(),
        _ => array.try_item_exact::<f32>().map_err(internal)?.is_finite(),
    })
}
