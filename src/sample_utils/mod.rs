// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Choosing a token from logits, on the device: processors change logits by what came before, filters drop unlikely tokens,
//! temperature comes last. All in mlx-lm's order.

mod filters;
mod processors;

use std::rc::Rc;

use mlx_rs::{Array, Dtype, error::Exception, ops::indexing, random};

use crate::{error::Result, mlx::Compiled};

pub use filters::{apply_min_p, apply_top_k, apply_top_p, apply_xtc};
pub use processors::{LogitsProcessors, Penalty, Processors};

/// How tokens are chosen. `temperature` 0 takes the most likely one, whatever the filters.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 or more.
    pub temperature: f32,
    /// Keep the most likely tokens up to this probability; 0 and 1 keep all.
    pub top_p: f32,
    /// Keep this many tokens; 0 keeps all.
    pub top_k: i32,
    /// Keep tokens at least this likely, relative to the most likely one; 0 keeps all.
    pub min_p: f32,
    /// What min-p leaves at least.
    pub min_tokens_to_keep: i32,
    /// How often XTC drops the likeliest tokens; 0 for never.
    pub xtc_probability: f32,
    /// From which probability on it drops them.
    pub xtc_threshold: f32,
    /// Ids that it never drops.
    pub xtc_special_tokens: Rc<[u32]>,
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 0.0,
            top_k: 0,
            min_p: 0.0,
            min_tokens_to_keep: 1,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            xtc_special_tokens: Rc::new([]),
            seed: 0,
        }
    }
}

/// Beyond these, what is likely would become −∞ and what is filtered out NaN, and MLX would choose any token.
const MIN_TEMPERATURE: f32 = 1e-35;
const MAX_TEMPERATURE: f32 = 1e35;

/// The draws of one step, each with a key of its own.
#[derive(Clone, Copy)]
enum Draw {
    Token = 0,
    Xtc = 1,
}

impl Sampling {
    /// logprobs: (B, vocabulary) → token ids, (B,). Equal seeds and steps draw equally, whatever else runs.
    pub fn sample(&self, logprobs: &Array, step: u64) -> Result<Array> {
        if self.temperature == 0.0 {
            return Ok(indexing::argmax_axis(logprobs, -1, false)?);
        }
        let logprobs = self.filter(logprobs, step)?;
        let inverse = Array::from_f32(1.0 / self.temperature.clamp(MIN_TEMPERATURE, MAX_TEMPERATURE));
        let key = self.key(step, Draw::Token)?;
        let [token] = CATEGORICAL_SAMPLING.with(|f| f.call(&[logprobs, inverse, key]))?;
        Ok(token)
    }

    /// What to draw from, with what is filtered out at −∞.
    fn filter(&self, logprobs: &Array, step: u64) -> Result<Array> {
        let mut logprobs = logprobs.clone();
        if self.top_p > 0.0 && self.top_p < 1.0 {
            logprobs = apply_top_p(&logprobs, self.top_p)?;
        }
        if self.min_p > 0.0 {
            logprobs = apply_min_p(&logprobs, self.min_p, self.min_tokens_to_keep)?;
        }
        if self.xtc_probability > 0.0 {
            let chance = random::uniform::<_, f32>(0.0, 1.0, None, &self.key(step, Draw::Xtc)?)?;
            let (probability, threshold) = (self.xtc_probability, self.xtc_threshold);
            logprobs = apply_xtc(&logprobs, &chance, probability, threshold, &self.xtc_special_tokens)?;
        }
        if self.top_k > 0 && self.top_k < filters::vocabulary(&logprobs) {
            logprobs = apply_top_k(&logprobs, self.top_k)?;
        }
        Ok(logprobs)
    }

    fn key(&self, step: u64, draw: Draw) -> Result<Array> {
        Ok(random::key(mix(self.seed ^ (draw as u64) << 63, step))?)
    }
}

// Not shapeless, as random bits know their shape.
thread_local! { static CATEGORICAL_SAMPLING: Compiled = Compiled::new(categorical_sampling, false); }

/// [logprobs, 1 / temperature, key] → token ids
fn categorical_sampling(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [logprobs, inverse, key] = inputs else { return Ok(Vec::new()) };
    let logits = logprobs.as_dtype(Dtype::Float32)?.multiply(inverse)?;
    Ok(vec![random::categorical(logits, -1, None, key)?])
}

/// One 64-bit key a step (SplitMix64), made on the host so that no kernel runs for it.
fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
