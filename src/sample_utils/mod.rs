// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Samples a token from logits, on the device: processors change logits depending on earlier tokens, filters drop
//! unlikely tokens, and temperature is applied last. The order is mlx-lm's.

mod filters;
mod processors;

use mlx_rs::{Array, Dtype, error::Exception, ops::indexing, random};

use crate::{
    error::Result,
    mlx::{self, Compiled},
    options::RunOptions,
};

pub use filters::{apply_min_p, apply_top_k, apply_top_p, apply_xtc};
pub use processors::LogitsProcessors;

/// Outside these limits, likely tokens would become −∞ and dropped ones NaN, and MLX would select an arbitrary token.
const MIN_TEMPERATURE: f32 = 1e-35;
const MAX_TEMPERATURE: f32 = 1e35;

/// The draws of one step, each with a key of its own.
#[derive(Clone, Copy)]
enum Draw {
    Token = 0,
    Xtc = 1,
}

/// logprobs: (B, vocabulary) → token ids, (B,). The result depends only on the options, with their seed, and the step. A
/// temperature of 0 selects the most likely token, regardless of the filters.
pub fn sample(options: &RunOptions, logprobs: &Array, step: u64) -> Result<Array> {
    let temperature = options.temperature.unwrap_or_default();
    if temperature == 0.0 {
        return Ok(indexing::argmax_axis(logprobs, -1, false)?);
    }
    let logprobs = filter(options, logprobs, step)?;
    let inverse = 1.0 / temperature.clamp(MIN_TEMPERATURE, MAX_TEMPERATURE);
    let key = key(options, step, Draw::Token);
    mlx::draw(&logprobs, inverse, key).unwrap_or_else(|| draw(&logprobs, inverse, key))
}

fn draw(logprobs: &Array, inverse: f32, key: u64) -> Result<Array> {
    let inputs = [logprobs.clone(), Array::from_f32(inverse), random::key(key)?];
    let [token] = CATEGORICAL_SAMPLING.with(|f| f.call(&inputs))?;
    Ok(token)
}

/// Sets the log-probabilities that the options filter out to −∞.
fn filter(options: &RunOptions, logprobs: &Array, step: u64) -> Result<Array> {
    let mut logprobs = logprobs.clone();
    let top_p = options.top_p.unwrap_or_default();
    if top_p > 0.0 && top_p < 1.0 {
        logprobs = apply_top_p(&logprobs, top_p)?;
    }
    let min_p = options.min_p.unwrap_or_default();
    if min_p > 0.0 {
        logprobs = apply_min_p(&logprobs, min_p, options.min_tokens_to_keep)?;
    }
    if options.xtc_probability > 0.0 {
        let key = random::key(key(options, step, Draw::Xtc))?;
        let chance = random::uniform::<_, f32>(0.0, 1.0, None, &key)?;
        let (probability, threshold) = (options.xtc_probability, options.xtc_threshold);
        logprobs = apply_xtc(&logprobs, &chance, probability, threshold, &options.xtc_special_tokens)?;
    }
    let top_k = options.top_k.unwrap_or_default();
    if top_k > 0 && top_k < filters::vocabulary(&logprobs) {
        logprobs = apply_top_k(&logprobs, top_k)?;
    }
    Ok(logprobs)
}

fn key(options: &RunOptions, step: u64, draw: Draw) -> u64 {
    mix(options.seed.unwrap_or_default() ^ (draw as u64) << 63, step)
}

// Not shapeless: random bits have a fixed shape.
thread_local! { static CATEGORICAL_SAMPLING: Compiled = Compiled::new(categorical_sampling, false); }

/// [logprobs, 1 / temperature, key] → token ids: the likeliest ones after Gumbel noise.
///
/// MLX's own draw from one row adds up probabilities in the order of the ids (0.32.2). Rounding, or the slightly other numbers
/// of a draft model, then move what all later tokens are drawn from; here they matter only between two tokens.
fn categorical_sampling(inputs: &[Array]) -> Result<Vec<Array>, Exception> {
    let [logprobs, inverse, key] = inputs else { return Ok(Vec::new()) };
    let logits = logprobs.as_dtype(Dtype::Float32)?.multiply(inverse)?;
    let noise = random::gumbel::<f32>(logits.shape(), key)?;
    Ok(vec![indexing::argmax_axis(logits.add(noise)?, -1, false)?])
}

/// Returns a 64-bit key for a step (SplitMix64), computed on the host to save a kernel.
fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
