// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: top-p keeps ties whole.

//! Choosing a token from log-probabilities, on the device. Filters run in mlx-lm's order, top-p, min-p, top-k, and see
//! untempered log-probabilities; temperature comes last.

use mlx_rs::{
    Array, Dtype,
    ops::{self, indexing},
    random,
};

use crate::{error::Result, mlx};

/// How tokens are chosen. `temperature` 0 takes the most likely one.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 0.0, top_k: 0, min_p: 0.0, min_tokens_to_keep: 1, seed: 0 }
    }
}

impl Sampling {
    /// logprobs: (B, vocabulary) → token ids, (B,). Equal seeds and steps draw equally, whatever else runs.
    pub fn sample(&self, logprobs: &Array, step: u64) -> Result<Array> {
        if self.temperature == 0.0 {
            return Ok(indexing::argmax_axis(logprobs, -1, false)?);
        }
        let mut logprobs = logprobs.clone();
        if self.top_p > 0.0 && self.top_p < 1.0 {
            logprobs = apply_top_p(&logprobs, self.top_p)?;
        }
        if self.min_p > 0.0 {
            logprobs = apply_min_p(&logprobs, self.min_p, self.min_tokens_to_keep)?;
        }
        if self.top_k > 0 && self.top_k < last_dim(&logprobs) {
            logprobs = apply_top_k(&logprobs, self.top_k)?;
        }
        let tempered = logprobs.multiply(mlx::scalar(1.0 / self.temperature, logprobs.dtype())?)?;
        Ok(random::categorical(tempered, -1, None, &random::key(mix(self.seed, step))?)?)
    }
}

/// One 64-bit key a step (SplitMix64), made on the host so that no kernel runs for it.
fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn last_dim(a: &Array) -> i32 {
    a.shape().last().copied().unwrap_or(0)
}

/// Keeps the smallest set of most likely tokens whose probability reaches `top_p`, and all that tie with its last.
pub fn apply_top_p(logprobs: &Array, top_p: f32) -> Result<Array> {
    let sorted = ops::sort_axis(logprobs, -1)?;
    let probs = ops::exp(sorted.as_dtype(Dtype::Float32)?)?;
    let mass_above = ops::cumsum(&probs, -1, true, false)?;
    let total = mlx::slice_axis(&mass_above, -1, 0, 1)?.add(mlx::slice_axis(&probs, -1, 0, 1)?)?;
    let limit = total.multiply(Array::from_f32(top_p))?;
    let dropped = mass_above.ge(limit)?.as_dtype(Dtype::Int32)?.sum_axis(-1, true)?;
    let threshold = sorted.take_along_axis(&dropped, -1)?;
    discard(logprobs.lt(threshold)?, logprobs)
}

/// Keeps tokens at least `min_p` times as likely as the most likely one, and `min_tokens_to_keep` in any case.
pub fn apply_min_p(logprobs: &Array, min_p: f32, min_tokens_to_keep: i32) -> Result<Array> {
    let top = logprobs.max_axis(-1, true)?;
    let mut remove = logprobs.lt(top.add(mlx::scalar(min_p.ln(), logprobs.dtype())?)?)?;
    let vocabulary = last_dim(logprobs);
    if min_tokens_to_keep >= vocabulary {
        return Ok(logprobs.clone());
    }
    if min_tokens_to_keep > 1 {
        let kth = vocabulary - min_tokens_to_keep;
        let order = ops::argpartition_axis(logprobs, kth, -1)?;
        let top_indices = mlx::slice_axis(&order, -1, kth, vocabulary)?;
        remove = remove.put_along_axis(top_indices, Array::from_bool(false), -1)?;
    }
    discard(remove, logprobs)
}

/// Keeps the `top_k` most likely tokens.
pub fn apply_top_k(logprobs: &Array, top_k: i32) -> Result<Array> {
    let order = ops::argpartition_axis(logprobs.negative()?, top_k - 1, -1)?;
    let rest = mlx::slice_axis(&order, -1, top_k, last_dim(logprobs))?;
    Ok(logprobs.put_along_axis(rest, mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?, -1)?)
}

fn discard(remove: Array, logprobs: &Array) -> Result<Array> {
    Ok(ops::select(remove, mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?, logprobs)?)
}
